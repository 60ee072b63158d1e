"""A payment as other features read it while they act on what became of it."""

from dataclasses import dataclass
from datetime import datetime

from portal.payments.models import Payment
from portal.payments.state import PaymentState


@dataclass(frozen=True, slots=True)
class LockedPayment:
    """A payment whose row, and those of its accounts, the reader holds: until then nothing of it changes."""

    id: int
    public_id: str
    account_id: int
    user_id: int | None
    state: PaymentState
    stripe_intent_id: str | None
    method_id: str | None
    method: str
    method_kind: str
    receipt_email: str
    created_at: datetime
    confirmed_at: datetime | None
    settled_at: datetime | None


def as_locked(payment: Payment) -> LockedPayment:
    """What other features may know of a payment that is held."""
    return LockedPayment(
        id=payment.id,
        public_id=payment.public_id,
        account_id=payment.account_id,
        user_id=payment.user_id,
        state=payment.state,
        stripe_intent_id=payment.stripe_intent_id,
        method_id=payment.method_id,
        method=payment.method,
        method_kind=payment.method_kind,
        receipt_email=payment.receipt_email,
        created_at=payment.created_at,
        confirmed_at=payment.confirmed_at,
        settled_at=payment.settled_at,
    )
