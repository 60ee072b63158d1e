"""Imported remittances as the desk reads them."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal.db import RecordNotFound
from portal.money import Money
from portal.remittances.kinds import RemittanceState
from portal.remittances.models import QuarantineReason, RemittanceFile, RemittanceTransaction


@dataclass(frozen=True, slots=True)
class ReasonRow:
    """One thing that does not add up, and by how much."""

    place: str
    reason: str
    difference: Money


@dataclass(frozen=True, slots=True)
class RemittanceRow:
    """One payment by one payer, as a file told it."""

    id: int
    file_name: str
    imported_at: datetime
    ordinal: int
    control: str
    payer_name: str
    trace_number: str
    paid_on: date | None
    paid: Money
    claims: int
    state: RemittanceState
    reasons: tuple[ReasonRow, ...]


_REMITTANCE: tuple[Any, ...] = (
    RemittanceTransaction.id,
    RemittanceFile.name,
    RemittanceFile.imported_at,
    RemittanceTransaction.ordinal,
    RemittanceTransaction.control,
    RemittanceTransaction.payer_name,
    RemittanceTransaction.trace_number,
    RemittanceTransaction.paid_on,
    RemittanceTransaction.paid,
    RemittanceTransaction.claims,
    RemittanceTransaction.state,
)


def _remittances(session: Session, query: sa.Select[Any]) -> list[RemittanceRow]:
    rows = session.execute(query.join(RemittanceFile, RemittanceFile.id == RemittanceTransaction.file_id)).all()
    reasons: dict[int, list[ReasonRow]] = {}
    found = session.execute(
        sa.select(
            QuarantineReason.transaction_id,
            QuarantineReason.place,
            QuarantineReason.reason,
            QuarantineReason.difference,
        )
        .where(QuarantineReason.transaction_id.in_([row[0] for row in rows]))
        .order_by(QuarantineReason.id)
    )
    for transaction_id, place, reason, difference in found:
        reasons.setdefault(transaction_id, []).append(ReasonRow(place, reason, difference))
    return [RemittanceRow(*[*row, tuple(reasons.get(row[0], ()))]) for row in rows]


def remittances(session: Session, *, limit: int, offset: int = 0) -> tuple[list[RemittanceRow], int]:
    """Imported transactions, quarantined ones first, then the latest; and how many there are in all."""
    total = session.scalar(sa.select(sa.func.count(RemittanceTransaction.id))) or 0
    query = (
        sa.select(*_REMITTANCE)
        .order_by(
            sa.case((RemittanceTransaction.state == RemittanceState.QUARANTINED, 0), else_=1),
            RemittanceTransaction.id.desc(),
        )
        .limit(limit)
        .offset(offset)
    )
    return _remittances(session, query), int(total)


def remittance(session: Session, transaction_id: int) -> RemittanceRow:
    """One imported transaction. Raises :class:`RecordNotFound`."""
    # A number beyond 64 bits is in no table, and no database takes it.
    if transaction_id >= 2**63:
        raise RecordNotFound("remittance")
    rows = _remittances(session, sa.select(*_REMITTANCE).where(RemittanceTransaction.id == transaction_id))
    if not rows:
        raise RecordNotFound("remittance")
    return rows[0]


def unfinished_files(session: Session) -> list[tuple[str, datetime]]:
    """Files whose import has not come to its end: (name, since when)."""
    rows = session.execute(
        sa.select(RemittanceFile.name, RemittanceFile.imported_at)
        .where(RemittanceFile.finished_at.is_(None))
        .order_by(RemittanceFile.id)
    )
    return [(name, since) for name, since in rows]
