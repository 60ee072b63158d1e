"""The days of autopay."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.autopay.calendar import NOTICE_DAYS, charge_day, retry_day, was_in_time
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


@pytest.mark.parametrize(("days", "in_time"), [(9, False), (10, True), (11, True)])
def test_nine_days_ahead_are_not_ten(days: int, in_time: bool) -> None:
    """At least 10 days before the scheduled date of transfer: 12 CFR 1005.10(d)(1)."""
    told_on = date(2026, 11, 2)
    assert was_in_time(told_on, told_on + timedelta(days=days)) is in_time
    assert charge_day(told_on) >= told_on + timedelta(days=10)
