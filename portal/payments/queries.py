"""Reading payments."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal.accounts.access import visible
from portal.accounts.models import Account
from portal.billing.models import Posting
from portal.billing.queries import line_names
from portal.db import RecordNotFound
from portal.money import Money
from portal.payments.models import Allocation, Payment, StripeCustomer, StripeEvent
from portal.payments.state import RESERVING, PaymentState


@dataclass(frozen=True, slots=True)
class PaymentRow:
    """A payment in a list."""

    id: int
    public_id: str
    account_id: int
    amount: Money
    state: PaymentState
    created_at: datetime
    settled_at: datetime | None
    method: str
    account_public_id: str
    known_to_stripe: bool

    @property
    def reference(self) -> str:
        """What people quote on the telephone: the first eight digits of the id, in two groups."""
        return reference(self.public_id)


@dataclass(frozen=True, slots=True)
class AllocatedLine:
    """A part of a payment with the line's name."""

    description: str
    service_on: date | None
    patient_name: str
    amount: Money


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof of a payment that succeeded."""

    public_id: str
    reference: str
    amount: Money
    paid_at: datetime
    method: str
    guarantor_name: str
    account_public_id: str
    lines: list[AllocatedLine]
    posted_at: datetime | None
    stripe_charge_id: str


def reference(public_id: str) -> str:
    """``1A2B-3C4D`` for a payment's public id."""
    return f"{public_id[:4]}-{public_id[4:8]}".upper()


_ROW = (
    Payment.id,
    Payment.public_id,
    Payment.account_id,
    Payment.amount,
    Payment.state,
    Payment.created_at,
    Payment.settled_at,
    Payment.method,
    sa.select(Account.public_id).where(Account.id == Payment.account_id).scalar_subquery(),
    Payment.stripe_intent_id.is_not(None),
)


def may_see(user_id: int) -> sa.ColumnElement[bool]:
    """Who sees a payment: whoever made it and still has access, and whoever has the whole account.

    A payment names every patient it was for, so access to one patient on the account does not open it.
    """
    own = sa.and_(Payment.user_id == user_id, visible(user_id, Payment.account_id))
    return sa.or_(own, visible(user_id, Payment.account_id, sa.null()))


def payment_for(session: Session, user_id: int, public_id: str) -> PaymentRow:
    """One payment by its public id. Raises :class:`RecordNotFound` for unknown and foreign alike."""
    row = session.execute(sa.select(*_ROW).where(Payment.public_id == public_id, may_see(user_id))).first()
    if row is None:
        raise RecordNotFound("payment")
    return PaymentRow(*row)


def payments_of(session: Session, user_id: int) -> list[PaymentRow]:
    """What a user may see of payments that came to something, newest first."""
    return [
        PaymentRow(*row)
        for row in session.execute(
            sa.select(*_ROW)
            .where(
                may_see(user_id), Payment.state.in_([PaymentState.SUCCEEDED, PaymentState.PROCESSING])
            )
            .order_by(Payment.created_at.desc())
            .limit(200)
        )
    ]


def payments_of_account(session: Session, account_id: int) -> list[PaymentRow]:
    """All attempts on an account, newest first, for staff."""
    return [
        PaymentRow(*row)
        for row in session.execute(
            sa.select(*_ROW).where(Payment.account_id == account_id).order_by(Payment.created_at.desc()).limit(200)
        )
    ]


def reserved(session: Session, account_id: int) -> dict[int, Money]:
    """What payments on their way hold of each line, by charge id."""
    rows = session.execute(
        sa.select(Allocation.charge_id, sa.func.sum(Allocation.amount))
        .join(Payment, Payment.id == Allocation.payment_id)
        .where(Payment.account_id == account_id, Payment.state.in_(sorted(RESERVING)))
        .group_by(Allocation.charge_id)
    )
    return dict(rows.all())


def allocated_lines(session: Session, payment_id: int) -> list[AllocatedLine]:
    """What a payment is for, in the order of its lines."""
    parts = session.execute(
        sa.select(Allocation.charge_id, Allocation.amount)
        .where(Allocation.payment_id == payment_id)
        .order_by(Allocation.charge_id)
    ).all()
    names = line_names(session, [charge_id for charge_id, _amount in parts])
    return [
        AllocatedLine(*names[charge_id], amount)
        for charge_id, amount in parts
    ]


def receipt_for(session: Session, user_id: int, public_id: str) -> Receipt:
    """The receipt of a payment that succeeded. Raises :class:`RecordNotFound`."""
    row: Any = session.execute(
        sa.select(
            Payment.id,
            Payment.amount,
            Payment.settled_at,
            Payment.method,
            Account.guarantor_name,
            Account.public_id,
            Posting.posted_at,
            Payment.stripe_charge_id,
        )
        .join(Account, Account.id == Payment.account_id)
        .join(Posting, Posting.key == Payment.public_id, isouter=True)
        .where(Payment.public_id == public_id, Payment.state == PaymentState.SUCCEEDED, may_see(user_id))
    ).first()
    if row is None:
        raise RecordNotFound("receipt")
    return Receipt(
        public_id=public_id,
        reference=reference(public_id),
        amount=row[1],
        paid_at=row[2],
        method=row[3],
        guarantor_name=row[4],
        account_public_id=row[5],
        lines=allocated_lines(session, row[0]),
        posted_at=row[6],
        stripe_charge_id=row[7] or "",
    )


@dataclass(frozen=True, slots=True)
class Capture:
    """A payment that succeeded, as reconciling wants it."""

    public_id: str
    account_id: int
    amount: Money
    intent_id: str
    settled_at: datetime


def captures(session: Session) -> list[Capture]:
    """Every payment that succeeded."""
    rows: Any = session.execute(
        sa.select(
            Payment.public_id, Payment.account_id, Payment.amount, Payment.stripe_intent_id, Payment.settled_at
        ).where(Payment.state == PaymentState.SUCCEEDED)
    )
    return [Capture(*row) for row in rows]


def customers(session: Session) -> dict[int, str]:
    """The Stripe customer of each account that has one."""
    rows = session.execute(
        sa.select(StripeCustomer.account_id, StripeCustomer.customer_id).where(
            StripeCustomer.customer_id.is_not(None)
        )
    )
    return {account_id: customer_id for account_id, customer_id in rows if customer_id}


def webhook_backlog(session: Session) -> tuple[int, datetime | None]:
    """How many events wait to be processed, and since when the oldest."""
    row = session.execute(
        sa.select(sa.func.count(), sa.func.min(StripeEvent.received_at)).where(StripeEvent.processed_at.is_(None))
    ).one()
    return row[0], row[1]

