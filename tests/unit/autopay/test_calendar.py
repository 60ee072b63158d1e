"""The days of autopay."""

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from portal.autopay.calendar import NOTICE_DAYS, charge_day, retry_day
from portal.banking_days import is_banking_day


@given(st.dates(date(2024, 1, 1), date(2035, 12, 31)))
def test_at_least_ten_days_and_never_while_banks_rest(noticed_on: date) -> None:
    day = charge_day(noticed_on)
    assert timedelta(days=NOTICE_DAYS) <= day - noticed_on <= timedelta(days=NOTICE_DAYS + 3)
    assert is_banking_day(day)
    assert is_banking_day(retry_day(noticed_on))


def test_a_saturday_moves_to_monday() -> None:
    assert charge_day(date(2026, 11, 4)) == date(2026, 11, 16)
    assert charge_day(date(2026, 11, 2)) == date(2026, 11, 12)


def test_a_bank_holiday_moves_to_the_day_after() -> None:
    assert charge_day(date(2026, 11, 16)) == date(2026, 11, 27)  # Thanksgiving
    assert charge_day(date(2027, 6, 25)) == date(2027, 7, 6)  # July 4 is a Sunday: the Monday is closed
    assert charge_day(date(2026, 6, 23)) == date(2026, 7, 3)  # July 4 is a Saturday: the Friday is open
    assert retry_day(date(2026, 12, 20)) == date(2026, 12, 28)  # Christmas is a Friday
