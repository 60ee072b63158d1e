"""Learning of refunds from Stripe, whoever made them: by events, by asking again, and by listing.

A refund may be made in Stripe's dashboard. Its events may be lost, may not be subscribed to, or may come before those
of its payment; what no event brings, the sweep's list does. All ways end in :func:`learn`, which has the payment
settled first, so that their order does not matter.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from portal import clock
from portal.money import Money
from portal.payments.errors import IntentMismatch, StripeRefused, StripeUnreachable
from portal.payments.gateway import StripeGateway, StripeRefund
from portal.payments.origin import origin_of
from portal.payments.queries import is_our_customer, payment_of_stripe
from portal.payments.stripe_events.cursors import note_read, take_turn
from portal.payments.stripe_events.inbox import KeptEvent
from portal.refunds.models import Refund
from portal.refunds.settle import project
from portal.refunds.state import FINAL, RefundState, UnknownRefundStatus, of_stripe

log = structlog.get_logger(__name__)

#: A refund that has arrived may still be sent back by the bank for so long; looked at once a day.
RETURNS_WITHIN = timedelta(days=35)
#: How often refunds are listed, and how far back again each time.
LISTED_EVERY = timedelta(minutes=15)
_OVERLAP = timedelta(days=2)
#: One that could not be taken in is listed again for so long.
_TRIED_FOR = timedelta(days=30)
_LIST = "refunds"
_WRONG = (IntentMismatch, StripeRefused, UnknownRefundStatus)


def learn(session: Session, gateway: StripeGateway, found: StripeRefund) -> bool:
    """Take in a refund as Stripe has it now; commits. False when its payment is none of ours, or not known (yet).

    Its payment is settled first, where we have not heard that it arrived. Raises :class:`StripeUnreachable`,
    :class:`StripeRefused`, :class:`IntentMismatch` and :class:`UnknownRefundStatus`; learning it again is safe.
    """
    of_stripe(found.status)
    if _waits_for_payment(session, found):
        of = {"charge_id": found.charge_id, "intent_id": found.intent_id}
        ours = payment_of_stripe(session, **of) is not None or is_our_customer(session, found.customer_id)
        session.commit()
        # A clinic may use its Stripe account for other things, too: Stripe is not asked about these refunds.
        if not ours or origin_of(session, gateway, **of).payment is None:
            return False
    return project(session, found)


def _waits_for_payment(session: Session, found: StripeRefund) -> bool:
    """Whether nothing of ours says yet that the payment has arrived: there is no row of the refund, or it waits."""
    asked_for = sa.and_(Refund.public_id == found.refund_id, Refund.stripe_refund_id.is_(None))
    known = sa.select(Refund.id).where(
        sa.or_(Refund.stripe_refund_id == found.id, asked_for), Refund.state != RefundState.WAITING
    )
    return session.scalar(known.limit(1)) is None


def refresh_refund(session: Session, gateway: StripeGateway, event: KeptEvent) -> bool:
    """The handler of events about refunds: the refund is fetched fresh and taken in."""
    session.commit()
    return learn(session, gateway, gateway.refunds.retrieve(event.object_id))


def refresh_refunds_of_charge(session: Session, gateway: StripeGateway, event: KeptEvent) -> bool:
    """The handler of ``charge.refunded``, which some endpoints subscribe to instead: all refunds of the payment."""
    session.commit()
    found = gateway.refunds.of_intent(event.intent_id) if event.intent_id else []
    known = [learn(session, gateway, one) for one in found]
    return all(known)


def sweep_refunds(session: Session, gateway: StripeGateway, *, older_than: timedelta = timedelta(hours=1)) -> int:
    """Look again at refunds on their way, once a day at those a bank may still send back, and list new ones.

    Makes up for lost webhooks, and for those that nobody subscribed to. Returns how many were looked at.
    """
    done = 0
    try:
        for refund_id, stripe_refund_id in _stale(session, older_than):
            done += _look_again(session, gateway, refund_id, stripe_refund_id)
        done += _list_new(session, gateway)
    except (StripeUnreachable, StripeRefused) as error:
        session.rollback()
        log.warning("refunds.sweep.stopped", error=type(error).__name__)
    return done


def _stale(session: Session, older_than: timedelta) -> Iterable[tuple[int, str]]:
    now = clock.now()
    stale = sa.or_(
        sa.and_(
            Refund.state.in_([RefundState.WAITING, RefundState.PENDING]),
            Refund.checked_at < now - older_than,
        ),
        sa.and_(
            Refund.state == RefundState.SUCCEEDED,
            Refund.checked_at < now - max(older_than, timedelta(days=1)),
            # From the day it went to Stripe: it may have waited for a supervisor, or for its days, before.
            sa.or_(
                Refund.requested_at > now - RETURNS_WITHIN,
                sa.and_(Refund.requested_at.is_(None), Refund.created_at > now - RETURNS_WITHIN),
            ),
        ),
    )
    rows = session.execute(
        sa.select(Refund.id, Refund.stripe_refund_id).where(stale).order_by(Refund.checked_at)
    ).all()
    session.commit()
    for refund_id, stripe_refund_id in rows:
        # Claimed by its own time, without a lock: another worker that looks too does no harm.
        session.execute(sa.update(Refund).where(Refund.id == refund_id, stale).values(checked_at=now))
        session.commit()
        yield refund_id, stripe_refund_id or ""


def _look_again(session: Session, gateway: StripeGateway, refund_id: int, stripe_refund_id: str) -> int:
    try:
        learn(session, gateway, gateway.refunds.retrieve(stripe_refund_id))
    except _WRONG as error:
        session.rollback()
        log.error("refund.sweep_failed", refund=refund_id, error=type(error).__name__)
    return 1


def _list_new(session: Session, gateway: StripeGateway) -> int:
    """Take in the refunds that Stripe lists and we do not know as it does, unless that was done a moment ago."""
    since = take_turn(session, _LIST, every=LISTED_EVERY, overlap=_OVERLAP)
    if since is None:
        return 0
    now, done = clock.now(), 0
    read_to = now
    for found in gateway.refunds.every(since=since):
        try:
            if not _is_known(session, found):
                done += learn(session, gateway, found)
        except _WRONG as error:
            session.rollback()
            log.error("refund.sweep_failed", refund=found.id, error=type(error).__name__)
            read_to = min(read_to, max(found.created_at, now - _TRIED_FOR))
    note_read(session, _LIST, to=read_to)
    return done


def _is_known(session: Session, found: StripeRefund) -> bool:
    """Whether our row says what Stripe says, or is over."""
    state = session.scalar(sa.select(Refund.state).where(Refund.stripe_refund_id == found.id))
    session.commit()
    return state is not None and (state in FINAL or state is of_stripe(found.status))


@dataclass(frozen=True, slots=True)
class OfStripe:
    """A refund as it is found by what Stripe calls it."""

    payment_id: int
    amount: Money


def refund_of_stripe(session: Session, stripe_refund_id: str) -> OfStripe | None:
    """The refund with Stripe's id; None where we have none."""
    row = session.execute(
        sa.select(Refund.payment_id, Refund.amount).where(Refund.stripe_refund_id == stripe_refund_id)
    ).first()
    return None if row is None else OfStripe(*row)
