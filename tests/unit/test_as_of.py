"""Tests that run as of another day do so in every process they start."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from portal import clock
from tests import days

ROOT = Path(__file__).parents[2]


def test_a_child_is_as_far_ahead_as_its_test() -> None:
    ahead = timedelta(days=1000)
    path = os.pathsep.join([days._SITE, str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", "from portal import clock; print(clock.now().isoformat())"],
        env={**os.environ, "PYTHONPATH": path, "PLAINBILL_TEST_AHEAD": str(int(ahead.total_seconds()))},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    told = datetime.fromisoformat(done.stdout.strip())
    # Where this run is itself as of another day, the child reckons from the machine's.
    already = timedelta(seconds=int(os.environ.get("PLAINBILL_TEST_AHEAD", "0")))
    assert abs(told - (clock.now() - already + ahead)) < timedelta(minutes=5)


@pytest.mark.parametrize("words", days.NASTY)
def test_a_moment_is_on_the_clinics_wall_clock(words: str) -> None:
    found = days.moment(words)
    assert found.isoformat().startswith(words)
    assert clock.clinic_day(found).isoformat() == words[:10]
    assert days.moment(found.isoformat()) == found
