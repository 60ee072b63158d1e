"""Days that pass in the demo: the stand-in writes down how far its clock was moved, the portal and worker follow."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from portal import clock
from portal.queue import EVERY_JOB, wake


def follow(path: Path) -> None:
    """Have this process's business time follow what is written in ``path``; a missing file is no time at all."""
    clock.follow(lambda: read(path))


def read(path: Path) -> timedelta:
    """How far the time was moved."""
    try:
        return timedelta(seconds=int(path.read_text()))
    except (OSError, ValueError):
        return timedelta(0)


def pass_on(path: Path, ahead: timedelta) -> None:
    """Tell the portal and its worker that days have passed: what fell due meanwhile is looked after at once."""
    write(path, ahead)
    wake(EVERY_JOB)


def write(path: Path, ahead: timedelta) -> None:
    """Note how far the time was moved; a reader sees the old or the new value, never half of one."""
    beside = path.with_suffix(".new")
    beside.write_text(str(int(ahead.total_seconds())))
    beside.replace(path)
