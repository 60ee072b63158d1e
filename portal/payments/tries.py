"""How often cards may be declined on one payment before it is closed.

Declines happen between the browser and Stripe; the portal learns of them from the webhook's inbox alone. So they are
counted there, and a payment is closed a moment after the last one it may have.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from portal import clock
from portal.payments.closing import close
from portal.payments.gateway import StripeGateway
from portal.payments.models import Payment, PaymentShare, StripeEvent
from portal.payments.state import OPEN
from portal.payments.stripe_events.inbox import KeptEvent, refresh_payment

log = structlog.get_logger(__name__)

#: Somebody who pays a bill has two or three cards and types each wrong once; somebody who tries stolen numbers has
#: hundreds. Stripe itself blocks a card after a handful of declines, not a payment.
MOST_DECLINES = 6
#: What the next attempt has to wait for, from the last decline: no hardship at a kitchen table, the end of a script.
WAIT = timedelta(hours=1)

DECLINED = "payment_intent.payment_failed"


def is_enough(declines: int) -> bool:
    """Whether a payment with so many declines is to be closed."""
    return declines >= MOST_DECLINES


def wait_until(declines: int, last_declined_at: datetime | None, now: datetime) -> datetime | None:
    """Until when nothing else may be started after a payment with ``declines``; None where it may now. Pure."""
    if last_declined_at is None or not is_enough(declines):
        return None
    until = last_declined_at + WAIT
    return until if until > now else None


def must_wait(session: Session, *, account_ids: Collection[int], user_id: int | None) -> datetime | None:
    """Until when the one who pays has to wait after too many declines on one payment of theirs; None for not at all.

    A signed-in person waits for their own payments, on whichever account; a guest (``user_id`` None) for all that
    guests did on these accounts, since one guest is not told from another.
    """
    now = clock.now()
    theirs = (
        Payment.user_id == user_id
        if user_id is not None
        else sa.and_(
            Payment.user_id.is_(None),
            Payment.id.in_(sa.select(PaymentShare.payment_id).where(PaymentShare.account_id.in_(account_ids))),
        )
    )
    declines, last = sa.func.count(), sa.type_coerce(sa.func.max(StripeEvent.created_at), StripeEvent.created_at.type)
    rows = session.execute(
        sa.select(declines, last)
        .join(Payment, Payment.stripe_intent_id == StripeEvent.intent_id)
        .where(theirs, StripeEvent.type == DECLINED)
        .group_by(Payment.id)
        .having(declines >= MOST_DECLINES)
    )
    return max((until for count, at in rows if (until := wait_until(count, at, now))), default=None)


def declines_of(session: Session, payment_id: int) -> int:
    """How often a card was declined on a payment, as far as Stripe's events have come in."""
    return session.scalar(
        sa.select(sa.func.count())
        .select_from(StripeEvent)
        .join(Payment, Payment.stripe_intent_id == StripeEvent.intent_id)
        .where(Payment.id == payment_id, StripeEvent.type == DECLINED)
    ) or 0


def close_after_declines(session: Session, gateway: StripeGateway, event: KeptEvent) -> bool:
    """The handler of a decline: what :func:`refresh_payment` does, and the end of a payment that had too many.

    A page that is still open in a browser finds its intent cancelled at the next try, and is led to the words for it.
    May raise what :func:`refresh_payment` raises.
    """
    if not refresh_payment(session, gateway, event):
        return False
    payment = session.execute(
        sa.select(Payment.id, Payment.state).where(Payment.stripe_intent_id == event.intent_id)
    ).one()
    declines = declines_of(session, payment.id)
    session.commit()
    if payment.state in OPEN and is_enough(declines):
        log.warning("payment.declined_too_often", payment=payment.id, declines=declines)
        close(session, gateway, payment_id=payment.id)
    return True
