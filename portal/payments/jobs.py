"""What the worker runs for payments."""

from datetime import timedelta

import structlog
from sqlalchemy.orm import Session

from portal.payments.errors import StripeUnreachable
from portal.payments.gateway import StripeGateway
from portal.payments.inbox import process_due
from portal.payments.service import sweep

log = structlog.get_logger(__name__)

#: A payment nobody has asked Stripe about for so long is asked about by the sweep.
STALE_AFTER = timedelta(minutes=5)


def process_events(session: Session, gateway: StripeGateway) -> None:
    """Project the events that wait."""
    process_due(session, gateway)


def sweep_payments(session: Session, gateway: StripeGateway) -> None:
    """Look after attempts whose webhook was lost."""
    try:
        sweep(session, gateway, older_than=STALE_AFTER)
    except StripeUnreachable as error:
        session.rollback()
        log.warning("payments.sweep.stopped", error=type(error).__name__)
