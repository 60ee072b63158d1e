"""What the worker runs for disputes."""

import structlog
from sqlalchemy.orm import Session

from portal.disputes.service import refresh_dispute
from portal.disputes.service import sweep_disputes as sweep
from portal.payments.errors import StripeRefused, StripeUnreachable
from portal.payments.gateway import StripeGateway
from portal.payments.stripe_events.inbox import KeptEvent

log = structlog.get_logger(__name__)


def dispute_changed(session: Session, gateway: StripeGateway, event: KeptEvent) -> bool:
    """The handler of ``charge.dispute.`` events: whatever happened, the dispute is fetched fresh and settled."""
    return refresh_dispute(session, gateway, stripe_dispute_id=event.object_id)


def sweep_disputes(session: Session, gateway: StripeGateway) -> None:
    """Look after disputes whose webhook was lost."""
    try:
        sweep(session, gateway)
    except (StripeUnreachable, StripeRefused) as error:
        session.rollback()
        log.warning("disputes.sweep.stopped", error=type(error).__name__)
