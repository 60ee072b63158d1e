"""Reading disputes."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal.accounts.joins import ACCOUNT
from portal.billing.joins import CHARGE, VISIT
from portal.billing.queries import line_names
from portal.db import RecordNotFound
from portal.disputes.models import Dispute, DisputePart
from portal.disputes.state import FINAL, SERIES, TO_ANSWER, WITHHELD, DisputeState
from portal.money import Money
from portal.payments.joins import PAYMENT, PAYMENT_SHARE
from portal.payments.queries import reference


@dataclass(frozen=True, slots=True)
class DisputeRow:
    """A dispute as the desk shows it; without a payment, one that bears our marks and that we know nothing of."""

    id: int
    public_id: str
    stripe_dispute_id: str
    stripe_charge_id: str
    amount: Money
    reason: str
    state: DisputeState
    answer_by: datetime | None
    opened_at: datetime
    withdrawn_at: datetime | None
    returned_at: datetime | None
    closed_at: datetime | None
    checked_at: datetime
    payment_public_id: str | None
    payment_amount: Money | None
    paid_at: datetime | None
    account_public_id: str | None
    account_ref: str | None
    guarantor_name: str | None

    @property
    def payment_reference(self) -> str:
        """What people quote on the telephone; empty for a payment we do not know."""
        return reference(self.payment_public_id) if self.payment_public_id else ""

    @property
    def to_answer(self) -> bool:
        """Whether the clinic's answer is waited for."""
        return self.state in TO_ANSWER


_ROW: tuple[Any, ...] = (
    Dispute.id,
    Dispute.public_id,
    Dispute.stripe_dispute_id,
    Dispute.stripe_charge_id,
    Dispute.amount,
    Dispute.reason,
    Dispute.state,
    Dispute.answer_by,
    Dispute.opened_at,
    Dispute.withdrawn_at,
    Dispute.returned_at,
    Dispute.closed_at,
    Dispute.checked_at,
    PAYMENT.c.public_id,
    PAYMENT.c.amount,
    PAYMENT.c.settled_at,
    ACCOUNT.c.public_id,
    ACCOUNT.c.ref,
    ACCOUNT.c.guarantor_name,
)


def _rows() -> sa.Select[Any]:
    return (
        sa.select(*_ROW)
        .join(PAYMENT, PAYMENT.c.id == Dispute.payment_id, isouter=True)
        .join(ACCOUNT, ACCOUNT.c.id == PAYMENT.c.account_id, isouter=True)
    )


def disputed(session: Session, payment_id: int) -> bool:
    """Whether a bank withholds (a part of) a payment and has not decided: Stripe refuses refunds of it meanwhile.

    An inquiry withholds nothing, and refunding is one way to answer it.
    """
    found = sa.select(Dispute.id).where(Dispute.payment_id == payment_id, Dispute.state.in_(sorted(WITHHELD)))
    return session.scalar(found.limit(1)) is not None


def open_of_account(session: Session, account_id: int) -> list[DisputeRow]:
    """Disputes and inquiries about payments for an account that are not decided, oldest first."""
    shares = sa.select(PAYMENT_SHARE.c.payment_id).where(PAYMENT_SHARE.c.account_id == account_id)
    query = _rows().where(Dispute.payment_id.in_(shares), Dispute.state.not_in(sorted(FINAL)))
    return [DisputeRow(*row) for row in session.execute(query.order_by(Dispute.opened_at, Dispute.id))]


def open_on_charge(session: Session, charge_id: int) -> bool:
    """Whether a bank withholds money of a line and has not decided."""
    found = (
        sa.select(Dispute.id)
        .join(DisputePart, DisputePart.dispute_id == Dispute.id)
        .where(DisputePart.charge_id == charge_id, Dispute.state.in_(sorted(WITHHELD)))
    )
    return session.scalar(found.limit(1)) is not None


def to_answer(session: Session) -> int:
    """How many disputes and inquiries wait for the clinic's answer."""
    return session.scalar(sa.select(sa.func.count(Dispute.id)).where(Dispute.state.in_(sorted(TO_ANSWER)))) or 0


def desk_list(session: Session, *, limit: int, offset: int = 0) -> tuple[list[DisputeRow], int]:
    """Disputes for the desk: those to answer, the nearest end of time first, then those the bank looks at, then the
    decided ones, the latest first; and how many in all.
    """
    total = session.scalar(sa.select(sa.func.count(Dispute.id))) or 0
    place = sa.case((Dispute.state.in_(sorted(TO_ANSWER)), 0), (Dispute.state.not_in(sorted(FINAL)), 1), else_=2)
    query = _rows().order_by(
        place,
        sa.case((place < 2, Dispute.answer_by)).is_(None),
        sa.case((place < 2, Dispute.answer_by)),
        Dispute.opened_at.desc(),
        Dispute.id.desc(),
    )
    return [DisputeRow(*row) for row in session.execute(query.limit(limit).offset(offset))], int(total)


def dispute_by_public_id(session: Session, public_id: str) -> DisputeRow:
    """One dispute, for staff. Raises :class:`RecordNotFound`."""
    row = session.execute(_rows().where(Dispute.public_id == public_id)).first()
    if row is None:
        raise RecordNotFound("dispute")
    return DisputeRow(*row)


@dataclass(frozen=True, slots=True)
class DisputedLine:
    """A line of which a bank took something back."""

    description: str
    service_on: date | None
    patient_name: str
    amount: Money
    visit_public_id: str


def disputed_lines(session: Session, dispute_id: int) -> list[DisputedLine]:
    """Which lines a dispute took money of, in the order of the bill."""
    rows = session.execute(
        sa.select(DisputePart.charge_id, DisputePart.amount, VISIT.c.public_id)
        .join(CHARGE, CHARGE.c.id == DisputePart.charge_id)
        .join(VISIT, VISIT.c.id == CHARGE.c.visit_id)
        .where(DisputePart.dispute_id == dispute_id)
        .order_by(DisputePart.charge_id)
    ).all()
    names = line_names(session, [row[0] for row in rows])
    return [DisputedLine(*names[charge_id], amount, visit) for charge_id, amount, visit in rows]


@dataclass(frozen=True, slots=True)
class KnownDispute:
    """A dispute as a movement of Stripe's balance is matched with it."""

    payment_id: int | None
    amount: Money


def dispute_of_stripe(session: Session, stripe_dispute_id: str) -> KnownDispute | None:
    """The dispute that Stripe calls so; None where we have none."""
    row = session.execute(
        sa.select(Dispute.payment_id, Dispute.amount).where(Dispute.stripe_dispute_id == stripe_dispute_id)
    ).first()
    return None if row is None else KnownDispute(*row)


def dispute_ids(session: Session, subjects: Collection[str]) -> dict[str, str]:
    """Stripe's ids of the disputes that bookings name, by what the bookings call them.

    A dispute that a bank took up again is booked under a name that only begins like its public id.
    """
    series = {one[:SERIES] for one in subjects}
    # What begins so is a stretch of the index of public ids, which are hexadecimal; a part of a column has none.
    rows = session.execute(
        sa.select(Dispute.public_id, Dispute.stripe_dispute_id).where(
            sa.or_(sa.false(), *(Dispute.public_id.between(one, f"{one}g") for one in sorted(series)))
        )
    )
    found = {public_id[:SERIES]: stripe_id for public_id, stripe_id in rows}
    return {one: found[one[:SERIES]] for one in subjects if one[:SERIES] in found}
