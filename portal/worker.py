"""The worker: the timetable of the features' jobs, run by Huey's clock.

Each job finds its own due rows and may run twice; see ``portal.queue``.
"""

from collections.abc import Callable

import structlog
from flask import Flask
from huey import Huey, crontab

from portal.autopay.jobs import run_autopay
from portal.away import is_away
from portal.billing.checks.run import check_due
from portal.config import BadSettings, Settings
from portal.db import writing
from portal.disputes.jobs import dispute_changed, sweep_disputes
from portal.guests.jobs import MEET, decline_came, meet_card_testing
from portal.ledger.push import deliver_due
from portal.ledger.registry import open_ledger
from portal.money import Money
from portal.notifications.service import send_due
from portal.notifications.transport import smtp
from portal.payments.errors import StripeRefused, StripeUnreachable
from portal.payments.gateway import StripeGateway
from portal.payments.jobs import catch_up, process_events, sweep_payments
from portal.payments.methods.jobs import look_after_methods, method_event, setup_event
from portal.payments.stripe_events.inbox import Handler, refresh_payment
from portal.payouts.jobs import payout_changed, pull_payouts
from portal.plans.collecting.jobs import run_plans
from portal.queue import EVERY_JOB, open_queue
from portal.refunds.credits import find_credits
from portal.refunds.learning import refresh_refund, refresh_refunds_of_charge, sweep_refunds
from portal.refunds.sending import send_due as send_refunds
from portal.schema import MayNotRun, stop_if_not_ours
from portal.web.counters import forget_expired
from portal.web.database import db, give_up
from portal.web.health import watch

log = structlog.get_logger(__name__)

Job = Callable[[], object]

#: Who deals with which of Stripe's events, by the beginning of their type.
HANDLERS: dict[str, Handler] = {
    "charge.dispute.": dispute_changed,
    "payment_intent.": refresh_payment,
    "refund.": refresh_refund,
    "charge.refund.": refresh_refund,
    "charge.refunded": refresh_refunds_of_charge,
    "payment_intent.payment_failed": decline_came,
    "payment_method.": method_event,
    "setup_intent.": setup_event,
    "payout.": payout_changed,
}


def timetable(app: Flask, settings: Settings) -> dict[str, Job]:
    """Every job by its name; all of them run each minute, and sooner when somebody asks with ``wake``."""
    gateway = app.extensions["plainbill_gateway"]
    transport = smtp(settings.smtp_url, settings.mail_from)
    return {
        # First, so that whatever the others ask for or charge has been checked.
        "billing.check": lambda: check_due(db.session),
        "payments.process_events": lambda: process_events(db.session, gateway, HANDLERS),
        "payments.sweep_payments": lambda: sweep_payments(db.session, gateway),
        "refunds.find_credits": lambda: find_credits(
            db.session,
            timezone=settings.clinic_timezone,
            limit=Money(settings.refund_approval_cents),
            days=settings.credit_refund_days,
        ),
        "refunds.send_due": lambda: send_refunds(db.session, gateway, timezone=settings.clinic_timezone),
        "refunds.sweep": lambda: sweep_refunds(db.session, gateway),
        "payments.catch_up": lambda: catch_up(db.session, gateway),
        "disputes.sweep": lambda: sweep_disputes(db.session, gateway),
        "payouts.pull": lambda: pull_payouts(db.session, gateway),
        "payments.look_after_methods": lambda: look_after_methods(db.session, gateway),
        "autopay.run_due": lambda: run_autopay(db.session, gateway, settings),
        "plans.run_due": lambda: run_plans(db.session, gateway, settings, app.extensions["plainbill_policy"]),
        MEET: lambda: meet_card_testing(db.session, gateway),
        "ledger.deliver_postings": lambda: deliver_due(db.session, open_ledger(settings.ledger, db.session)),
        "notifications.send": lambda: send_due(db.session, transport),
        "limits.forget_expired": lambda: forget_expired(db.session),
    }


def run_job(app: Flask, jobs: dict[str, Job], name: str) -> None:
    """Run one job in a unit of work of its own; a failing job is logged and never stops the others."""
    job = jobs.get(name)
    if job is None:
        log.warning("job.unknown", job=name)
        return
    try:
        with app.app_context(), writing():
            try:
                job()
            except Exception as error:
                log.error("job.failed", job=name, error=type(error).__name__)
                give_up()
    except Exception as error:
        # Ending its unit of work failed, too, as where the database went away in the middle of it.
        log.error("job.not_ended", job=name, error=type(error).__name__)


def may_work(app: Flask, stop: Callable[[MayNotRun], None]) -> bool:
    """Whether the database answers and has a schema that this code works on.

    If it is away, the jobs wait for the next minute; if the schema is not ours, ``stop`` is called with what to do
    about it.
    """
    with app.app_context():
        try:
            watch().look()
        except MayNotRun as error:
            log.error("worker.wrong_schema", what_to_do=str(error))
            stop(error)
            return False
        except Exception as error:
            if not is_away(error):
                raise
            log.warning("worker.waits_for_database", error=type(error).__name__)
            return False
    return True


def make_queue(app: Flask, settings: Settings, stop: Callable[[MayNotRun], None]) -> Huey:
    """The worker's end of the queue with the timetable on it; ``stop`` is called where this code may not run."""
    jobs = timetable(app, settings)

    def run(asked: str) -> None:
        if may_work(app, stop):
            for name in jobs if asked == EVERY_JOB else [asked]:
                run_job(app, jobs, name)

    queue = open_queue(redis_url=settings.redis_url, path=settings.queue_path, run=run)

    def tick() -> None:
        run(EVERY_JOB)

    queue.periodic_task(crontab(minute="*"), name="tick")(tick)
    # What waited while no worker ran must not wait for the next full minute.
    queue.on_startup(name="catch-up")(tick)
    return queue


def _refuse_two_accounts(app: Flask, settings: Settings) -> None:
    """Raise :class:`BadSettings` when Stripe's keys are of two accounts: nobody could pay, and no page would say why.

    Newer keys name their account, and :class:`Settings` has refused those already.
    """
    gateway: StripeGateway = app.extensions["plainbill_gateway"]
    try:
        agree = gateway.is_of(settings.stripe_publishable_key)
    except (StripeUnreachable, StripeRefused) as error:
        log.warning("stripe.keys.not_compared", error=type(error).__name__)
        return
    if agree is None:  # no payment yet, or Stripe does not know the key
        log.warning("stripe.keys.not_compared", error="nothing to compare with")
    if agree is False:
        raise BadSettings(["STRIPE_SECRET_KEY and STRIPE_PUBLISHABLE_KEY are of two Stripe accounts"])


def run(app: Flask, settings: Settings) -> None:
    """Run until SIGTERM or SIGINT; a job under way is finished first.

    Raises :class:`BadSettings` where Stripe's keys are of two accounts, and :class:`MayNotRun` with the command to
    type where the database's schema is not one this code works on: at the start, or when a database that was away
    comes back with another one.
    """
    stop_if_not_ours(settings.database_url, live=settings.live)
    _refuse_two_accounts(app, settings)
    wrong: list[MayNotRun] = []

    def stop(error: MayNotRun) -> None:
        wrong.append(error)
        consumer.stop_flag.set()

    queue = make_queue(app, settings, stop)
    consumer = queue.create_consumer(workers=2, periodic=True, initial_delay=0.05, backoff=1.1, max_delay=0.5)
    consumer.run()
    if wrong:
        consumer.stop(graceful=True)
        raise wrong[0]
