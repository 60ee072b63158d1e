"""Days on which a test may run: a test that passes on the 15th at noon says little of the 31st in the evening.

``PLAINBILL_TEST_NOW=2031-01-31T20:00 pytest …`` runs everything as of that moment on a wall clock of the clinic: this
process, and every Python that it starts, with a clock that goes on from there. Chromium keeps the machine's time, and
PostgreSQL, too. ``make test-days`` does so for each of :data:`NASTY` with the tests that have to do with days; what is
parametrized with :data:`NASTY` is made on each of them in every run.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import time_machine

CLINIC = ZoneInfo("America/Chicago")
_SITE = str(Path(__file__).parent / "as_of")

#: Moments on a wall clock of the clinic. They are to come for years: what Chromium keeps must not be stale, and what a
#: test's database was made with must not be later.
NASTY = (
    "2031-01-01T00:10",  # the first day of a month and a year
    "2031-01-13T12:00",  # within the notice of a day that the policy offers
    "2031-01-15T12:00",  # an ordinary one
    "2031-01-28T12:00",  # the last day that every month has
    "2031-01-29T12:00",
    "2031-01-30T12:00",
    "2031-01-31T20:00",  # February 1 in UTC, and a month follows that has no 29th
    "2032-02-29T21:00",  # March 1 in UTC
    "2030-12-31T20:30",  # the next year in UTC
    "2031-03-09T01:30",  # half an hour before the clocks go forward
    "2031-11-02T00:50",  # just before the hour that comes twice
)


def moment(words: str) -> datetime:
    """The moment that ``words`` (ISO 8601, with an offset or on the clinic's wall clock) name."""
    found = datetime.fromisoformat(words)
    return found if found.tzinfo else found.replace(tzinfo=CLINIC)


def pytest_configure(config: pytest.Config) -> None:
    """Have this run take place as of ``PLAINBILL_TEST_NOW``, if that is set."""
    words = os.environ.get("PLAINBILL_TEST_NOW", "")
    if not words or time_machine.escape_hatch.is_travelling():
        return
    if "PLAINBILL_TEST_AHEAD" not in os.environ:  # set for the workers of one run: they agree on the time
        os.environ["PLAINBILL_TEST_AHEAD"] = str(int((moment(words) - datetime.now(UTC)).total_seconds()))
    # The workers of one run begin as they always do, and travel here; what tests start finds its way by this folder.
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [_SITE, os.environ.get("PYTHONPATH", "")]))
    time_machine.travel(
        datetime.now(UTC) + timedelta(seconds=int(os.environ["PLAINBILL_TEST_AHEAD"])), tick=True
    ).start()


def pytest_report_header() -> list[str]:
    """Say so where the tests run as of another day."""
    words = os.environ.get("PLAINBILL_TEST_NOW", "")
    return [f"as of: {datetime.now(CLINIC):%A, %Y-%m-%d %H:%M %Z} (PLAINBILL_TEST_NOW={words})"] if words else []


if __name__ == "__main__":
    print(*NASTY)
