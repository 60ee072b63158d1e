"""The worker's clock and muscle: Huey. The database stays the truth.

A job takes no arguments, finds its own due rows, and can run twice or not at all: :func:`wake` only makes it run
sooner than the next tick of the timetable in ``worker.py``, which makes up for every lost wake-up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog
from huey import Huey, RedisHuey, SqliteHuey

log = structlog.get_logger(__name__)

#: Asks for the whole timetable, as each minute does.
EVERY_JOB = "every job"

_ask: Callable[[str], Any] | None = None


def open_queue(*, redis_url: str, path: str, run: Callable[[str], None] | None = None) -> Huey:
    """This process's end of the queue: in Redis where there is one, else in a SQLite file of its own.

    ``run`` is called with a job's name in the worker; other processes only ask.
    """
    global _ask
    if redis_url:
        from redis import ConnectionPool

        # A Redis that swallows what is sent to it must not hold whoever asks for a job; reading waits a second itself.
        pool = ConnectionPool.from_url(redis_url, socket_connect_timeout=3, socket_timeout=5)
        queue = RedisHuey("plainbill", connection_pool=pool, results=False)
    else:
        queue = SqliteHuey("plainbill", filename=path, results=False, timeout=10)

    def run_job(name: str) -> None:
        if run is not None:
            run(name)

    _ask = queue.task(name="run_job")(run_job)
    return queue


def close_queue() -> None:
    """Forget the queue; :func:`wake` then does nothing."""
    global _ask
    _ask = None


def wake(job: str) -> None:
    """Ask the worker to run ``job`` soon. Never raises: the act that asks is already committed."""
    if _ask is None:
        return
    try:
        _ask(job)
    except Exception as error:
        log.warning("queue.wake.lost", job=job, error=type(error).__name__)
