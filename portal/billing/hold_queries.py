"""Holds as the desk reads them: those of a visit, and every charge that somebody has to look at."""

from dataclasses import dataclass
from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal.accounts.joins import ACCOUNT
from portal.billing.kinds import HoldReason
from portal.billing.models import Charge, Entry, Hold, Visit
from portal.money import Money


@dataclass(frozen=True, slots=True)
class HoldRow:
    """A hold that nobody has released."""

    charge_id: int
    reason: HoldReason
    placed_at: datetime


def open_holds(session: Session, visit_id: int) -> dict[int, list[HoldRow]]:
    """The open holds on a visit's lines, by charge id."""
    rows = session.execute(
        sa.select(Hold.charge_id, Hold.reason, Hold.placed_at)
        .join(Charge, Charge.id == Hold.charge_id)
        .where(Charge.visit_id == visit_id, Hold.released_at.is_(None))
        .order_by(Hold.id)
    )
    holds: dict[int, list[HoldRow]] = {}
    for row in rows:
        holds.setdefault(row[0], []).append(HoldRow(*row))
    return holds


@dataclass(frozen=True, slots=True)
class ChargeToCheck:
    """A charge that somebody has to look at; ``reason`` None means that more was decided than was billed."""

    charge_id: int
    charge_public_id: str
    visit_public_id: str
    account_ref: str
    description: str
    service_on: date | None
    reason: HoldReason | None
    since: datetime | None
    due: Money
    with_insurer: Money


def charges_to_check(session: Session, *, limit: int, offset: int = 0) -> tuple[list[ChargeToCheck], int]:
    """Charges on hold, the longest wait first, then those whose insurer's side is below nothing; and how many in all.

    Nobody is asked for either, so without somebody looking they would stay unpaid for ever.
    """
    sums = (
        sa.select(
            Entry.charge_id,
            sa.func.sum(Entry.insurer).label("insurer"),
            sa.func.sum(Entry.patient).label("patient"),
        )
        .group_by(Entry.charge_id)
        .subquery()
    )
    found = (
        sa.select(
            Charge.id,
            Charge.public_id.label("charge_public_id"),
            Visit.public_id,
            ACCOUNT.c.ref,
            Charge.description,
            Charge.service_on,
            Hold.reason,
            Hold.placed_at,
            sums.c.patient,
            sums.c.insurer,
        )
        .select_from(Charge)
        .join(Visit, Visit.id == Charge.visit_id)
        .join(ACCOUNT, ACCOUNT.c.id == Visit.account_id)
        .join(sums, sums.c.charge_id == Charge.id)
        .join(Hold, sa.and_(Hold.charge_id == Charge.id, Hold.released_at.is_(None)), isouter=True)
        .where(sa.or_(Hold.id.is_not(None), sa.type_coerce(sums.c.insurer, sa.BigInteger) < 0))
    )
    total = session.scalar(sa.select(sa.func.count()).select_from(found.subquery())) or 0
    rows = session.execute(
        found.order_by(Hold.placed_at.is_(None), Hold.placed_at, Charge.id).limit(limit).offset(offset)
    )
    return [ChargeToCheck(*row) for row in rows], int(total)
