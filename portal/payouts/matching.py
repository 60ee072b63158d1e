"""What of ours a movement of Stripe's balance is, and what does not fit."""

from dataclasses import dataclass

import structlog
from sqlalchemy.orm import Session

from portal.disputes.queries import dispute_of_stripe
from portal.disputes.service import refresh_dispute
from portal.disputes.state import UnknownDisputeStatus
from portal.money import Money
from portal.payments.errors import IntentMismatch, StripeRefused
from portal.payments.gateway import Movement, StripeGateway
from portal.payments.origin import origin_of
from portal.payments.queries import OfStripe, payment_of_stripe
from portal.payments.state import PaymentState
from portal.payouts.kinds import Match, Oddity, Source, source_of
from portal.refunds.learning import learn, refund_of_stripe
from portal.refunds.state import UnknownRefundStatus

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """What a movement was found to be; ``exception`` says why somebody has to look."""

    match: Match
    payment_id: int | None = None
    exception: Oddity | None = None


def find_match(session: Session, gateway: StripeGateway | None, movement: Movement) -> Found:
    """What a movement is of. Commits; nothing is held while Stripe is asked.

    With ``gateway``, what we do not know is looked up at Stripe, which also catches up with what we missed; without,
    only our own books are looked at. Raises :class:`StripeUnreachable`.
    """
    find = _FINDERS.get(source_of(movement.kind, movement.source_id) or Source.STRIPE)
    if source_of(movement.kind, movement.source_id) is None:
        return Found(Match.NONE, None, Oddity.STRIPE_ADJUSTED)
    if find is None:
        return Found(Match.FOREIGN)
    if not movement.source_id and find in (_of_charge, _of_refund, _of_dispute):
        # Stripe does not say of what it is: there is nothing to ask for.
        return Found(Match.NONE, None, _UNKNOWN[source_of(movement.kind, "") or Source.STRIPE])
    try:
        found = find(session, gateway, movement)
    except (StripeRefused, IntentMismatch, UnknownDisputeStatus, UnknownRefundStatus) as error:
        session.rollback()
        log.error("movement.not_matched", movement=movement.id, error=type(error).__name__)
        found = Found(Match.NONE, None, _UNKNOWN[source_of(movement.kind, movement.source_id) or Source.STRIPE])
    session.commit()
    return found


def _of_charge(session: Session, gateway: StripeGateway | None, movement: Movement) -> Found:
    payment = payment_of_stripe(session, charge_id=movement.source_id)
    session.commit()
    if payment is None and gateway is not None:
        origin = origin_of(session, gateway, charge_id=movement.source_id)
        if not origin.ours:
            return Found(Match.FOREIGN)
        payment = origin.payment
    if payment is None:
        return Found(Match.NONE, None, Oddity.PAYMENT_UNKNOWN)
    if payment.state is not PaymentState.SUCCEEDED:
        return Found(Match.PAYMENT, payment.id, Oddity.PAYMENT_NOT_BOOKED)
    return _compared(Match.PAYMENT, payment.id, movement.gross, payment.amount)


def _of_refund(session: Session, gateway: StripeGateway | None, movement: Movement) -> Found:
    match = Match.REFUND if movement.gross < Money.zero() else Match.REFUND_RETURNED
    known = refund_of_stripe(session, movement.source_id)
    session.commit()
    if known is not None and (gateway is None or match is Match.REFUND):
        return _compared(match, known.payment_id, abs(movement.gross), known.amount)
    if gateway is None:
        return Found(Match.NONE, None, Oddity.REFUND_UNKNOWN)
    # Made in Stripe's dashboard, or sent back by a bank, and its events have not come: it gets into the books by the
    # same way as if they had.
    made = gateway.refunds.retrieve(movement.source_id)
    try:
        learn(session, gateway, made)
    except IntentMismatch:
        session.rollback()
        log.error("movement.refund_not_booked", movement=movement.id)
    known = refund_of_stripe(session, movement.source_id)
    session.commit()
    if known is not None:
        return _compared(match, known.payment_id, abs(movement.gross), known.amount)
    payment = payment_of_stripe(session, charge_id=made.charge_id, intent_id=made.intent_id)
    session.commit()
    if payment is not None:
        return Found(Match.NONE, payment.id, Oddity.REFUND_UNKNOWN)
    origin = origin_of(session, gateway, charge_id=made.charge_id, intent_id=made.intent_id)
    return Found(Match.NONE, _id(origin.payment), Oddity.REFUND_UNKNOWN) if origin.ours else Found(Match.FOREIGN)


def _of_dispute(session: Session, gateway: StripeGateway | None, movement: Movement) -> Found:
    match = Match.DISPUTE if movement.gross < Money.zero() else Match.DISPUTE_RETURNED
    known = dispute_of_stripe(session, movement.source_id)
    session.commit()
    if (known is None or known.payment_id is None) and gateway is not None:
        if not refresh_dispute(session, gateway, stripe_dispute_id=movement.source_id):
            return Found(Match.FOREIGN)
        known = dispute_of_stripe(session, movement.source_id)
        session.commit()
    if known is None or known.payment_id is None:
        return Found(Match.NONE, None, Oddity.DISPUTE_UNKNOWN)
    # A bank may give back less than it took; more is wrong.
    if match is Match.DISPUTE_RETURNED and movement.gross <= known.amount:
        return Found(match, known.payment_id)
    return _compared(match, known.payment_id, abs(movement.gross), known.amount)


def _of_payout(_session: Session, _gateway: StripeGateway | None, _movement: Movement) -> Found:
    return Found(Match.PAYOUT_RETURNED)


def _of_stripe(_session: Session, _gateway: StripeGateway | None, _movement: Movement) -> Found:
    return Found(Match.COST)


def _compared(match: Match, payment_id: int, theirs: Money, ours: Money) -> Found:
    return Found(match, payment_id, None if theirs == ours else Oddity.AMOUNT_DIFFERS)


def _id(payment: OfStripe | None) -> int | None:
    return None if payment is None else payment.id


_FINDERS = {
    Source.CHARGE: _of_charge,
    Source.REFUND: _of_refund,
    Source.DISPUTE: _of_dispute,
    Source.PAYOUT: _of_payout,
    Source.STRIPE: _of_stripe,
}
#: What a movement is that nobody could look up.
_UNKNOWN = {
    Source.CHARGE: Oddity.PAYMENT_UNKNOWN,
    Source.REFUND: Oddity.REFUND_UNKNOWN,
    Source.DISPUTE: Oddity.DISPUTE_UNKNOWN,
    Source.PAYOUT: Oddity.STRIPE_ADJUSTED,
    Source.STRIPE: Oddity.STRIPE_ADJUSTED,
}
