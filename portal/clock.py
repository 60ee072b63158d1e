"""The one place that reads the time, so that tests can move it."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo


def now() -> datetime:
    """The present moment, in UTC and aware of it."""
    return datetime.now(UTC)


def today(timezone: str) -> date:
    """The calendar day at the clinic, whose IANA time zone is ``timezone``."""
    return now().astimezone(ZoneInfo(timezone)).date()
