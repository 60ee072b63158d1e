"""What the worker does for guest payment."""

import structlog
from sqlalchemy.orm import Session

from portal.guests.alarm import close_open_payments, shut_until, watch
from portal.payments.errors import StripeUnreachable
from portal.payments.gateway import StripeGateway
from portal.payments.stripe_events.inbox import KeptEvent
from portal.payments.tries import close_after_declines
from portal.queue import wake

log = structlog.get_logger(__name__)

MEET = "guests.meet_card_testing"


def decline_came(session: Session, gateway: StripeGateway, event: KeptEvent) -> bool:
    """The handler of ``payment_intent.payment_failed``: are cards being tested, and is this payment to end?

    First the look, which needs nobody else: it must happen while Stripe is slow, too.
    """
    if watch(session):
        wake(MEET)
    return close_after_declines(session, gateway, event)


def meet_card_testing(session: Session, gateway: StripeGateway) -> None:
    """Look at the last minutes; while guest payment is shut, see to it that nothing of it can be confirmed."""
    watch(session)
    shut = shut_until(session) is not None
    session.commit()
    if not shut:
        return
    try:
        close_open_payments(session, gateway)
    except StripeUnreachable as error:
        session.rollback()
        log.warning("guests.meet.stopped", error=type(error).__name__)
