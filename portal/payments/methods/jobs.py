"""What the worker runs for saved methods, and what it does about Stripe's events on them."""

from datetime import timedelta

import structlog
from sqlalchemy.orm import Session

from portal.payments.errors import SetupIsOver, StripeUnreachable
from portal.payments.gateway import StripeGateway
from portal.payments.methods.service import collect_due, detach_due, refresh_method
from portal.payments.methods.setups import refresh_by_intent, sweep_setups
from portal.payments.stripe_events.inbox import KeptEvent

log = structlog.get_logger(__name__)

#: A setup nobody has asked Stripe about for so long is asked about by the sweep.
STALE_AFTER = timedelta(minutes=5)


def look_after_methods(session: Session, gateway: StripeGateway) -> None:
    """Collect what patients agreed to keep, have Stripe let go of what they removed, look after stale setups."""
    try:
        collect_due(session, gateway)
        detach_due(session, gateway)
        sweep_setups(session, gateway, older_than=STALE_AFTER)
    except StripeUnreachable as error:
        session.rollback()
        log.warning("payments.methods.stopped", error=type(error).__name__)


def setup_event(session: Session, gateway: StripeGateway, event: KeptEvent) -> bool:
    """The handler of everything that is about a SetupIntent."""
    try:
        return refresh_by_intent(session, gateway, setup_intent_id=event.object_id)
    except SetupIsOver:
        session.rollback()
        return True


def method_event(session: Session, gateway: StripeGateway, event: KeptEvent) -> bool:
    """The handler of everything that is about a payment method; one that nobody keeps needs nothing done."""
    refresh_method(session, gateway, stripe_method_id=event.object_id)
    return True
