"""What the worker runs for payments."""

from collections.abc import Mapping
from datetime import timedelta

import structlog
from sqlalchemy.orm import Session

from portal.payments.errors import StripeRefused, StripeUnreachable
from portal.payments.gateway import StripeGateway
from portal.payments.stripe_events.inbox import Handler, process_due
from portal.payments.stripe_events.inbox import catch_up as read_undelivered
from portal.payments.sweeping import sweep
from portal.queue import wake

log = structlog.get_logger(__name__)

#: A payment nobody has asked Stripe about for so long is asked about by the sweep.
STALE_AFTER = timedelta(minutes=5)


def process_events(session: Session, gateway: StripeGateway, handlers: Mapping[str, Handler]) -> None:
    """Deal with the events that wait."""
    process_due(session, gateway, handlers)


def catch_up(session: Session, gateway: StripeGateway) -> None:
    """Take in events that no webhook brought."""
    try:
        new = read_undelivered(session, gateway)
    except (StripeUnreachable, StripeRefused) as error:
        session.rollback()
        log.warning("payments.catch_up.stopped", error=type(error).__name__)
        return
    if new:
        log.info("payments.catch_up.kept", events=new)
        wake("payments.process_events")


def sweep_payments(session: Session, gateway: StripeGateway) -> None:
    """Look after attempts whose webhook was lost."""
    try:
        sweep(session, gateway, older_than=STALE_AFTER)
    except StripeUnreachable as error:
        session.rollback()
        log.warning("payments.sweep.stopped", error=type(error).__name__)
