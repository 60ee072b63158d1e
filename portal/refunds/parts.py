"""What of a payment may still be given back, line by line."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal.accounts.joins import PATIENT
from portal.billing.joins import CHARGE, ENTRY, VISIT
from portal.db import MoneyType
from portal.money import Money
from portal.payments.allocate import Part
from portal.payments.booking import left_of_parts
from portal.refunds.models import Refund, RefundPart
from portal.refunds.state import RefundState

#: Promised and not booked yet; what is booked is off :func:`left_of_parts` already.
PROMISED = (RefundState.PROPOSED, RefundState.APPROVED)


def money_sum(column: Any) -> Any:
    """The exact sum of a column of cents as :class:`Money`."""
    return sa.type_coerce(sa.func.coalesce(sa.func.sum(sa.type_coerce(column, sa.BigInteger)), 0), MoneyType)


def promised_parts(
    session: Session,
    *,
    payment_id: int | None = None,
    charge_ids: Iterable[int] | None = None,
    but: int | None = None,
) -> dict[tuple[int, int], Money]:
    """What refunds that are not booked yet will take, by (payment, charge); ``but`` leaves one refund out."""
    query = (
        sa.select(Refund.payment_id, RefundPart.charge_id, money_sum(RefundPart.amount))
        .join(Refund, Refund.id == RefundPart.refund_id)
        .where(Refund.state.in_(PROMISED))
        .group_by(Refund.payment_id, RefundPart.charge_id)
    )
    if payment_id is not None:
        query = query.where(Refund.payment_id == payment_id)
    if charge_ids is not None:
        query = query.where(RefundPart.charge_id.in_(list(charge_ids)))
    if but is not None:
        query = query.where(Refund.id != but)
    return {(payment, charge): amount for payment, charge, amount in session.execute(query)}


def dues(session: Session, charge_ids: Iterable[int]) -> dict[int, Money]:
    """What the patient owes on lines, by charge id; negative is a credit."""
    rows = session.execute(
        sa.select(ENTRY.c.charge_id, money_sum(ENTRY.c.patient))
        .where(ENTRY.c.charge_id.in_(list(charge_ids)))
        .group_by(ENTRY.c.charge_id)
    )
    return dict(rows.all())


@dataclass(frozen=True, slots=True)
class LeftLine:
    """A line of a payment: what was paid on it, what of that may be given back, and what is due on it now."""

    charge_id: int
    public_id: str
    account_id: int
    visit_public_id: str
    description: str
    service_on: date | None
    patient_name: str
    amount: Money
    due: Money


def left_lines(session: Session, payment_id: int) -> list[LeftLine]:
    """What of a payment may be given back, oldest line first: taken, less what went back, less what is promised.

    Lines of which nothing is left are there with nothing.
    """
    left = left_of_parts(session, payment_id)
    promised = promised_parts(session, payment_id=payment_id)
    owed = dues(session, left)
    rows: Any = session.execute(
        sa.select(
            CHARGE.c.id,
            CHARGE.c.public_id,
            VISIT.c.account_id,
            VISIT.c.public_id,
            CHARGE.c.description,
            CHARGE.c.service_on,
            PATIENT.c.given_name + " " + PATIENT.c.family_name,
        )
        .join(VISIT, VISIT.c.id == CHARGE.c.visit_id)
        .join(PATIENT, PATIENT.c.id == VISIT.c.patient_id)
        .where(CHARGE.c.id.in_(list(left)))
        .order_by(
            sa.func.coalesce(CHARGE.c.service_on, VISIT.c.started_on, date(1900, 1, 1)), VISIT.c.id, CHARGE.c.ordinal
        )
    )
    zero = Money.zero()
    return [
        LeftLine(
            *[*row, max(zero, left[row[0]] - promised.get((payment_id, row[0]), zero)), owed.get(row[0], zero)]
        )
        for row in rows
    ]


def parts_of_refund(session: Session, refund_id: int) -> list[Part]:
    """Which part of a refund is for which line, by charge id."""
    rows = session.execute(
        sa.select(RefundPart.charge_id, RefundPart.amount)
        .where(RefundPart.refund_id == refund_id)
        .order_by(RefundPart.charge_id)
    )
    return [Part(*row) for row in rows]


def are_left(session: Session, payment_id: int, parts: Sequence[Part]) -> bool:
    """Whether the portal still holds every one of ``parts`` of a payment."""
    left = left_of_parts(session, payment_id)
    return all(part.amount <= left.get(part.charge_id, Money.zero()) for part in parts)
