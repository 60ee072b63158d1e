"""A date of birth as people type it. Pure."""

import re
from datetime import date

#: The oldest person whose age was ever proved was born in 1875; anything before is a slip of the finger.
EARLIEST_YEAR = 1875

#: Month first, as in the US; the year alone first, as on forms and phones; eight digits without anything between them.
_WRITTEN = (
    re.compile(r"(?P<month>\d{1,2})[\s/.\-]+(?P<day>\d{1,2})[\s/.\-]+(?P<year>\d{4})"),
    re.compile(r"(?P<year>\d{4})[\s/.\-]+(?P<month>\d{1,2})[\s/.\-]+(?P<day>\d{1,2})"),
    # 20 and 19 are no months, so the two readings never both fit.
    re.compile(r"(?P<month>0[1-9]|1[0-2])(?P<day>\d\d)(?P<year>\d{4})"),
    re.compile(r"(?P<year>(?:18|19|20)\d\d)(?P<month>\d\d)(?P<day>\d\d)"),
)
_SHORT_YEAR = re.compile(r"\d{1,2}[\s/.\-]+\d{1,2}[\s/.\-]+\d{2}")


class NotADay(ValueError):
    """The text is no day of the calendar."""


class ShortYear(NotADay):
    """The year has two digits, so it could be either of two."""


class NotYet(NotADay):
    """The day is in the future."""


def read_day(text: str, *, today: date) -> date:
    """The day that ``text`` names: ``4/7/1980`` (month first), ``1980-04-07`` or ``04071980``.

    Raises :class:`NotADay`, as :class:`ShortYear` or :class:`NotYet` where that is what is wrong with it.
    """
    plain = text.strip()
    if not plain.isascii() or len(plain) > 20:
        raise NotADay(plain[:20])
    if _SHORT_YEAR.fullmatch(plain):
        raise ShortYear(plain)
    match = next((found for pattern in _WRITTEN if (found := pattern.fullmatch(plain))), None)
    if match is None:
        raise NotADay(plain)
    try:
        day = date(int(match["year"]), int(match["month"]), int(match["day"]))
    except ValueError:
        raise NotADay(plain) from None
    if day > today:
        raise NotYet(plain)
    if day.year < EARLIEST_YEAR:
        raise NotADay(plain)
    return day
