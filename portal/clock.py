"""The one place that reads the time, so that tests and the demo can move it."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo


def _not_at_all() -> timedelta:
    return timedelta(0)


#: How far the business's time is ahead of the machine's: nothing, but in the demo, where days can be made to pass.
_ahead: Callable[[], timedelta] = _not_at_all

#: The IANA time zone of the clinic whose portal this process is; None until it is said.
_clinic: str | None = None


def now() -> datetime:
    """The present moment of the business (bills, payments, notices), in UTC and aware of it."""
    return wall() + _ahead()


def wall() -> datetime:
    """The machine's own present moment, in UTC: for what is about the person at the keyboard, such as a session."""
    return datetime.now(UTC)


def day_at(moment: datetime, timezone: str) -> date:
    """The calendar day that it is in an IANA time zone at a moment. The one place where a moment becomes a day."""
    return moment.astimezone(ZoneInfo(timezone)).date()


def today(timezone: str) -> date:
    """The calendar day at the clinic, whose IANA time zone is ``timezone``."""
    return day_at(now(), timezone)


def serve(timezone: str) -> None:
    """From now on this process is the portal of a clinic in that IANA time zone; said by ``create_app``."""
    global _clinic
    _clinic = timezone


def clinic_day(moment: datetime) -> date:
    """The clinic's day at a moment: the one that dates what happens to money, as the receipt shows it.

    For what books and posts, deep below pages, jobs and commands; what shows or plans is told its time zone. Raises
    :class:`RuntimeError` in a process that was not told whose portal it is: no day is better than a wrong one.
    """
    if _clinic is None:
        raise RuntimeError("whose day it is was not said: clock.serve(timezone)")
    return day_at(moment, _clinic)


def follow(ahead: Callable[[], timedelta]) -> None:
    """From now on the business's time is ahead of the machine's by what ``ahead`` says; the sandbox's only."""
    global _ahead
    _ahead = ahead
