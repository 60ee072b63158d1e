"""What the worker runs for payouts."""

import structlog
from sqlalchemy.orm import Session

from portal.payments.errors import StripeRefused, StripeUnreachable
from portal.payments.gateway import StripeGateway
from portal.payments.stripe_events.inbox import KeptEvent
from portal.payouts.service import pull, refresh_payout

log = structlog.get_logger(__name__)


def payout_changed(session: Session, gateway: StripeGateway, event: KeptEvent) -> bool:
    """The handler of ``payout.`` events."""
    refresh_payout(session, gateway, stripe_payout_id=event.object_id)
    return True


def pull_payouts(session: Session, gateway: StripeGateway) -> None:
    """Read what is new of Stripe's payouts and balance."""
    try:
        pull(session, gateway)
    except (StripeUnreachable, StripeRefused) as error:
        session.rollback()
        log.warning("payouts.pull.stopped", error=type(error).__name__)
