"""The days on which banks in the United States move money: those of the Federal Reserve Banks. Pure.

ACH debits and credits, card refunds and payouts settle through the Federal Reserve Banks, so that theirs are the days
that count, and not the ones on which federal offices are shut: a holiday on a Saturday is not made up for on the
Friday before it, one on a Sunday is made up for on the Monday after it.
https://www.federalreserve.gov/aboutthefed/k8.htm
"""

from datetime import date, timedelta
from functools import lru_cache

from holidays import financial_holidays

#: The Federal Reserve Banks, as the library calls them.
_BANKS = "XFED"
_KNOWN = financial_holidays(_BANKS)
#: The first and the last year whose holidays are known. Outside of them nobody can say that a bank is open.
FIRST_YEAR, LAST_YEAR = _KNOWN.start_year, _KNOWN.end_year


class CalendarEnds(ValueError):
    """The holidays of a day's year are not known, so that the day is neither open nor closed."""


@lru_cache(maxsize=16)
def _holidays(year: int) -> frozenset[date]:
    # Whole before anybody sees it: the library's own object fills itself in while it is read, and threads share it.
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise CalendarEnds(f"the bank holidays of {year} are not known, only those of {FIRST_YEAR} to {LAST_YEAR}")
    return frozenset(financial_holidays(_BANKS, years=year))


def is_banking_day(day: date) -> bool:
    """Whether the banks move money on a day: no Saturday, no Sunday, no holiday of theirs.

    Raises :class:`CalendarEnds` for a year whose holidays are not known.
    """
    return day not in _holidays(day.year) and day.weekday() < 5


def banking_day_from(day: date) -> date:
    """The day itself, or the first one after it on which the banks move money. Raises :class:`CalendarEnds`."""
    while not is_banking_day(day):
        day += timedelta(days=1)
    return day


def banking_days_after(start: date, days: int) -> date:
    """The day that is so many banking days after ``start``, which is not counted. Raises :class:`CalendarEnds`."""
    found = start
    for _one in range(days):
        found = banking_day_from(found + timedelta(days=1))
    return found
