"""The one place that reads the time, so that tests and the demo can move it."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo


def _not_at_all() -> timedelta:
    return timedelta(0)


#: How far the business's time is ahead of the machine's: nothing, but in the demo, where days can be made to pass.
_ahead: Callable[[], timedelta] = _not_at_all


def now() -> datetime:
    """The present moment of the business (bills, payments, notices), in UTC and aware of it."""
    return wall() + _ahead()


def wall() -> datetime:
    """The machine's own present moment, in UTC: for what is about the person at the keyboard, such as a session."""
    return datetime.now(UTC)


def today(timezone: str) -> date:
    """The calendar day at the clinic, whose IANA time zone is ``timezone``."""
    return now().astimezone(ZoneInfo(timezone)).date()


def follow(ahead: Callable[[], timedelta]) -> None:
    """From now on the business's time is ahead of the machine's by what ``ahead`` says; the sandbox's only."""
    global _ahead
    _ahead = ahead
