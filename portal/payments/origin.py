"""Whose a charge of Stripe's is: the payment behind it, or somebody else's on the same Stripe account."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from portal.payments.errors import PaymentIsOver
from portal.payments.gateway import StripeGateway
from portal.payments.queries import OfStripe, is_our_customer, payment_of_stripe
from portal.payments.service import refresh
from portal.payments.state import PaymentState


@dataclass(frozen=True, slots=True)
class Origin:
    """``ours`` without a ``payment`` is a charge that bears our marks and of which we know nothing."""

    payment: OfStripe | None
    ours: bool


def origin_of(session: Session, gateway: StripeGateway, *, charge_id: str, intent_id: str = "") -> Origin:
    """The payment behind a charge, settled when it was not yet; commits.

    A charge without our metadata and without a customer of ours is none of ours: a clinic may use its Stripe account
    for other things, too. Raises :class:`StripeUnreachable`, :class:`StripeRefused` and :class:`IntentMismatch`.
    """
    payment = payment_of_stripe(session, charge_id=charge_id, intent_id=intent_id)
    session.commit()
    ours = payment is not None
    if payment is None:
        charge = gateway.charge(charge_id)
        payment = payment_of_stripe(session, intent_id=charge.intent_id, attempt_id=charge.attempt_id)
        ours = payment is not None or bool(charge.attempt_id) or is_our_customer(session, charge.customer_id)
        session.commit()
    if payment is not None and payment.state is not PaymentState.SUCCEEDED:
        # Stripe took it and we have not heard: what follows from it comes first.
        try:
            refresh(session, gateway, payment_id=payment.id)
        except PaymentIsOver:
            session.rollback()
        payment = payment_of_stripe(session, attempt_id=payment.public_id)
        session.commit()
    return Origin(payment, ours)
