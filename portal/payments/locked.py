"""A payment as other features read it while they act on what became of it."""

from dataclasses import dataclass, fields
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
    return LockedPayment(**{fact.name: getattr(payment, fact.name) for fact in fields(LockedPayment)})
