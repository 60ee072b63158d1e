"""The worker: the timetable of the features' jobs, run by Huey's clock.

Each job finds its own due rows and may run twice; see ``portal.queue``.
"""

from collections.abc import Callable

import structlog
from flask import Flask
from huey import Huey, crontab

from portal.config import Settings
from portal.db import writing
from portal.ledger.adapters.embedded.ledger import EmbeddedLedger
from portal.ledger.push import deliver_due
from portal.notifications.service import send_due
from portal.notifications.transport import smtp
from portal.payments.jobs import process_events, sweep_payments
from portal.queue import open_queue
from portal.web.database import db

log = structlog.get_logger(__name__)

Job = Callable[[], object]


def timetable(app: Flask, settings: Settings) -> dict[str, Job]:
    """Every job by its name; all of them run each minute, and sooner when somebody asks with ``wake``."""
    gateway = app.extensions["plainbill_gateway"]
    transport = smtp(settings.smtp_url, settings.mail_from)
    return {
        "payments.process_events": lambda: process_events(db.session, gateway),
        "payments.sweep_payments": lambda: sweep_payments(db.session, gateway),
        "ledger.deliver_postings": lambda: deliver_due(db.session, EmbeddedLedger(db.session)),
        "notifications.send": lambda: send_due(db.session, transport),
    }


def run_job(app: Flask, jobs: dict[str, Job], name: str) -> None:
    """Run one job in a unit of work of its own; a failing job is logged and never stops the others."""
    job = jobs.get(name)
    if job is None:
        log.warning("job.unknown", job=name)
        return
    with app.app_context(), writing():
        try:
            job()
        except Exception as error:
            db.session.rollback()
            log.error("job.failed", job=name, error=type(error).__name__)


def make_queue(app: Flask, settings: Settings) -> Huey:
    """The worker's end of the queue with the timetable on it."""
    jobs = timetable(app, settings)
    queue = open_queue(
        redis_url=settings.redis_url, path=settings.queue_path, run=lambda name: run_job(app, jobs, name)
    )

    def tick() -> None:
        for name in jobs:
            run_job(app, jobs, name)

    queue.periodic_task(crontab(minute="*"), name="tick")(tick)
    # What waited while no worker ran must not wait for the next full minute.
    queue.on_startup(name="catch-up")(tick)
    return queue


def run(app: Flask, settings: Settings) -> None:
    """Run until SIGTERM or SIGINT; a job under way is finished first."""
    queue = make_queue(app, settings)
    queue.create_consumer(workers=2, periodic=True, initial_delay=0.05, backoff=1.1, max_delay=0.5).run()
