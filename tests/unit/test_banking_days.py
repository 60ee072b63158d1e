"""The days on which banks move money."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.banking_days import (
    FIRST_YEAR,
    LAST_YEAR,
    CalendarEnds,
    banking_day_from,
    banking_days_after,
    is_banking_day,
)

DAYS = st.dates(date(FIRST_YEAR, 1, 1), date(LAST_YEAR, 6, 30))


@pytest.mark.parametrize(
    ("day", "is_open"),
    [
        (date(2026, 7, 3), True),  # Independence Day is the Saturday: federal offices are shut, the banks are open
        (date(2026, 7, 6), True),
        (date(2027, 7, 5), False),  # Independence Day is the Sunday: kept on the Monday
        (date(2027, 7, 6), True),
        (date(2021, 12, 31), True),  # New Year's Day is a Saturday of the next year
        (date(2023, 1, 2), False),  # New Year's Day is a Sunday
        (date(2026, 11, 26), False),  # Thanksgiving
        (date(2026, 11, 27), True),  # the day after, on which shops think otherwise
        (date(2026, 4, 3), True),  # Good Friday: stock exchanges are shut, the banks are open
        (date(2028, 2, 29), True),
        (date(2026, 12, 25), False),
        (date(2026, 12, 26), False),  # a Saturday
    ],
)
def test_open_and_closed(day: date, is_open: bool) -> None:
    assert is_banking_day(day) is is_open


def test_the_holidays_of_a_year_as_the_banks_publish_them() -> None:
    """https://www.federalreserve.gov/aboutthefed/k8.htm: in 2027 Juneteenth and Christmas are Saturdays."""
    weekdays = (date(2027, 1, 1) + timedelta(days=one) for one in range(365))
    assert [day for day in weekdays if day.weekday() < 5 and not is_banking_day(day)] == [
        date(2027, 1, 1),
        date(2027, 1, 18),
        date(2027, 2, 15),
        date(2027, 5, 31),
        date(2027, 7, 5),
        date(2027, 9, 6),
        date(2027, 10, 11),
        date(2027, 11, 11),
        date(2027, 11, 25),
    ]


@given(DAYS)
def test_the_next_banking_day_is_the_first_one(day: date) -> None:
    found = banking_day_from(day)
    assert is_banking_day(found)
    assert not any(is_banking_day(day + timedelta(days=one)) for one in range((found - day).days))
    assert found - day <= timedelta(days=3)  # a weekend and a Monday


@given(DAYS, st.integers(0, 20))
def test_counting_banking_days(start: date, days: int) -> None:
    found = banking_days_after(start, days)
    between = (start + timedelta(days=one) for one in range(1, (found - start).days + 1))
    assert sum(map(is_banking_day, between)) == days
    assert days == 0 or is_banking_day(found)


@pytest.mark.parametrize(
    ("start", "days", "end"),
    [
        (date(2026, 11, 30), 10, date(2026, 12, 14)),  # Monday to Monday
        (date(2026, 11, 23), 10, date(2026, 12, 8)),  # with Thanksgiving in between
        (date(2026, 11, 20), 1, date(2026, 11, 23)),  # Friday to Monday
        (date(2026, 11, 21), 1, date(2026, 11, 23)),  # Saturday to Monday
        (date(2026, 12, 24), 1, date(2026, 12, 28)),  # over Christmas
        (date(2026, 11, 25), 0, date(2026, 11, 25)),
    ],
)
def test_so_many_days_later(start: date, days: int, end: date) -> None:
    assert banking_days_after(start, days) == end


@pytest.mark.parametrize("year", [FIRST_YEAR - 1, LAST_YEAR + 1, 2500])
def test_a_year_whose_holidays_are_unknown_is_not_open(year: int) -> None:
    """The library answers "no holiday" for it, which would be a promise that nobody can keep."""
    for day in (date(year, 7, 4), date(year, 12, 25), date(year, 12, 24)):
        with pytest.raises(CalendarEnds, match=str(year)):
            is_banking_day(day)
        with pytest.raises(CalendarEnds, match=str(year)):
            banking_day_from(day)


def test_counting_into_a_year_whose_holidays_are_unknown() -> None:
    with pytest.raises(CalendarEnds):
        banking_days_after(date(LAST_YEAR, 12, 31), 1)


def test_the_calendar_reaches_far_enough() -> None:
    """An update of the library that knows fewer years is noticed here, not on the first day of the one it lacks."""
    assert LAST_YEAR >= 2100
