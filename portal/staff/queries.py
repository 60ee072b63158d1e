"""What the desk shows that no single feature shows: holds, remittances, and what waits to be sent somewhere."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal.accounts.models import Account
from portal.billing.kinds import HoldReason, PostingState
from portal.billing.models import Charge, Entry, Hold, Posting, Visit
from portal.db import RecordNotFound
from portal.ledger.kinds import RemittanceState
from portal.ledger.models import QuarantineReason, RemittanceFile, RemittanceTransaction
from portal.money import Money
from portal.notifications.models import Notification
from portal.notifications.service import NOBODY


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
            Account.ref,
            Charge.description,
            Charge.service_on,
            Hold.reason,
            Hold.placed_at,
            sums.c.patient,
            sums.c.insurer,
        )
        .select_from(Charge)
        .join(Visit, Visit.id == Charge.visit_id)
        .join(Account, Account.id == Visit.account_id)
        .join(sums, sums.c.charge_id == Charge.id)
        .join(Hold, sa.and_(Hold.charge_id == Charge.id, Hold.released_at.is_(None)), isouter=True)
        .where(sa.or_(Hold.id.is_not(None), sa.type_coerce(sums.c.insurer, sa.BigInteger) < 0))
    )
    total = session.scalar(sa.select(sa.func.count()).select_from(found.subquery())) or 0
    rows = session.execute(
        found.order_by(Hold.placed_at.is_(None), Hold.placed_at, Charge.id).limit(limit).offset(offset)
    )
    return [ChargeToCheck(*row) for row in rows], int(total)


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


@dataclass(frozen=True, slots=True)
class PostingRow:
    """Something the back office has not confirmed."""

    key: str
    account_public_id: str
    account_ref: str
    kind: str
    amount: Money
    state: PostingState
    created_at: datetime
    next_try_at: datetime
    tries: int
    last_error: str


#: What needs somebody comes first.
_POSTING_ORDER = {PostingState.REJECTED: 0, PostingState.UNKNOWN: 1, PostingState.WAITING: 2}


def open_postings(session: Session, *, limit: int, offset: int = 0) -> tuple[list[PostingRow], int]:
    """Postings the back office has not confirmed, rejected ones first, then the oldest; and how many in all."""
    is_open = Posting.state.in_(list(_POSTING_ORDER))
    total = session.scalar(sa.select(sa.func.count(Posting.id)).where(is_open)) or 0
    rows: Any = session.execute(
        sa.select(
            Posting.key,
            Account.public_id,
            Account.ref,
            Posting.kind,
            Posting.amount,
            Posting.state,
            Posting.created_at,
            Posting.next_try_at,
            Posting.tries,
            Posting.last_error,
        )
        .join(Account, Account.id == Posting.account_id)
        .where(is_open)
        .order_by(sa.case(*[(Posting.state == state, place) for state, place in _POSTING_ORDER.items()]), Posting.id)
        .limit(limit)
        .offset(offset)
    )
    return [PostingRow(*row) for row in rows], int(total)


@dataclass(frozen=True, slots=True)
class MailBacklog:
    """E-mails that have not gone out."""

    unsent: int
    oldest: datetime | None
    last_error: str


def mail_backlog(session: Session) -> MailBacklog:
    """What the outbox of e-mails still holds, those it has given up included."""
    unsent = sa.and_(Notification.sent_at.is_(None), Notification.to_email != NOBODY)
    count, oldest = session.execute(
        sa.select(sa.func.count(Notification.id), sa.func.min(Notification.created_at)).where(unsent)
    ).one()
    last_error = session.scalar(
        sa.select(Notification.last_error)
        .where(unsent, Notification.last_error != "")
        .order_by(Notification.id.desc())
        .limit(1)
    )
    return MailBacklog(count, oldest, last_error or "")


def accounts_by_id(session: Session, account_ids: Iterable[int]) -> dict[int, tuple[str, str]]:
    """Accounts' public ids and numbers, by id."""
    rows = session.execute(
        sa.select(Account.id, Account.public_id, Account.ref).where(Account.id.in_(list(account_ids)))
    )
    return {row[0]: (row[1], row[2]) for row in rows}


def visits_by_id(session: Session, visit_ids: Iterable[int]) -> dict[int, tuple[str, str, date | None]]:
    """The public id, the account's number and the first day of each visit, by id."""
    rows = session.execute(
        sa.select(Visit.id, Visit.public_id, Account.ref, Visit.started_on)
        .join(Account, Account.id == Visit.account_id)
        .where(Visit.id.in_(list(visit_ids)))
    )
    return {row[0]: (row[1], row[2], row[3]) for row in rows}
