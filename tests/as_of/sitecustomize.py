"""Run by every Python that a test starts while tests run as of another day (tests/days.py): it is that day there, too.

This folder is on the path of such processes only. ``PLAINBILL_TEST_AHEAD`` says how many seconds the tests' time is
ahead of the machine's.
"""

import os
from datetime import UTC, datetime, timedelta

import time_machine

if not time_machine.escape_hatch.is_travelling():
    _AHEAD = timedelta(seconds=int(os.environ["PLAINBILL_TEST_AHEAD"]))
    time_machine.travel(datetime.now(UTC) + _AHEAD, tick=True).start()
