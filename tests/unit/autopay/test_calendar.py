"""The days of autopay."""

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from portal.autopay.calendar import NOTICE_DAYS, charge_day, retry_day


@given(st.dates(date(2024, 1, 1), date(2035, 12, 31)))
def test_at_least_ten_days_and_never_a_weekend(noticed_on: date) -> None:
    day = charge_day(noticed_on)
    assert timedelta(days=NOTICE_DAYS) <= day - noticed_on <= timedelta(days=NOTICE_DAYS + 2)
    assert day.weekday() < 5
    assert retry_day(noticed_on).weekday() < 5


def test_a_saturday_moves_to_monday() -> None:
    assert charge_day(date(2026, 11, 4)) == date(2026, 11, 16)
    assert charge_day(date(2026, 11, 2)) == date(2026, 11, 12)
