"""Importing 835 files: each transaction whole or not at all, each one once.

How a payer's decision becomes entries is told in docs/remittances.md; the arithmetic is in ``decide``, which is pure.
"""

import hashlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import IO, Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal import clock
from portal.audit.service import record
from portal.audit.tags import Tag
from portal.billing.checks.run import check_accounts
from portal.ledger.port import RemittanceLedger
from portal.money import Money
from portal.remittances.kinds import RemittanceState
from portal.remittances.load_claim import load_claim, lock_accounts_of
from portal.remittances.models import QuarantineReason, RemittanceFile, RemittanceTransaction
from portal.remittances.whose import clip
from portal.remittances.x12.balancing import imbalances
from portal.remittances.x12.model import Transaction
from portal.remittances.x12.remittance import RemittanceFile as Reader


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One reason why a transaction was not loaded."""

    transaction: str
    place: str
    reason: str
    difference: Money


@dataclass(slots=True)
class ImportReport:
    """What came of one file."""

    file: str
    already_imported: bool = False
    transactions: int = 0
    loaded: int = 0
    duplicates: int = 0
    quarantined: int = 0
    claims: int = 0
    reasons: list[Quarantined] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def import_stream(
    session: Session,
    stream: IO[bytes],
    name: str,
    *,
    ledger: RemittanceLedger | None,
    actor_user_id: int | None = None,
    progress: Callable[[ImportReport], None] = lambda _report: None,
) -> ImportReport:
    """Import one 835 file, committing transaction by transaction; ``progress`` is called after each.

    ``ledger`` takes each decision in with the mirror; None where the back office posts its own remittances.

    The same content again changes nothing; an import that was killed is finished by importing the file again.
    A transaction that does not add up is quarantined with its reasons and the others still load.
    Raises :class:`portal.remittances.x12.errors.NotA835` before anything is stored.
    """
    with tempfile.SpooledTemporaryFile(max_size=1 << 22) as copy:
        digest = hashlib.sha256()
        while chunk := stream.read(1 << 16):
            digest.update(chunk)
            copy.write(chunk)
        copy.seek(0)
        return _import(session, copy, name, digest.hexdigest(), ledger, actor_user_id, progress)


def _import(
    session: Session,
    stream: Any,
    name: str,
    sha256: str,
    ledger: RemittanceLedger | None,
    actor_user_id: int | None,
    progress: Callable[[ImportReport], None],
) -> ImportReport:
    report = ImportReport(file=name)
    reader = Reader(stream, name)
    file_id: int | None = None
    for transaction in reader:
        if file_id is None:
            file_id, finished = _open_file(session, sha256, name)
            if finished:
                report.already_imported = True
                return report
        report.transactions += 1
        _import_transaction(session, transaction, file_id, clip(name, 255), report, ledger, actor_user_id)
        progress(report)
    report.errors.extend(str(problem.message) for problem in reader.errors)
    session.execute(
        sa.update(RemittanceFile).where(RemittanceFile.id == file_id).values(finished_at=clock.now())
    )
    session.commit()
    return report


def _open_file(session: Session, sha256: str, name: str) -> tuple[int, bool]:
    row = session.scalar(sa.select(RemittanceFile).where(RemittanceFile.sha256 == sha256))
    if row is None:
        row = RemittanceFile(sha256=sha256, name=clip(name, 255), imported_at=clock.now())
        session.add(row)
        try:
            session.commit()
        except IntegrityError:  # somebody imports the same file now
            session.rollback()
            row = session.scalars(sa.select(RemittanceFile).where(RemittanceFile.sha256 == sha256)).one()
    result = (row.id, row.finished_at is not None)
    session.commit()
    return result


def _import_transaction(
    session: Session,
    transaction: Transaction,
    file_id: int,
    file_name: str,
    report: ImportReport,
    ledger: RemittanceLedger | None,
    actor_user_id: int | None,
) -> None:
    if session.get_bind().dialect.name == "postgresql":
        # One import at a time: matching lines reads what another import may be writing.
        session.execute(sa.select(sa.func.pg_advisory_xact_lock(835)))
    known = session.scalar(
        sa.select(RemittanceTransaction.state).where(
            RemittanceTransaction.file_id == file_id, RemittanceTransaction.ordinal == transaction.ordinal
        )
    )
    if known is not None:  # done by an import that was killed later
        session.commit()
        _count(report, known, len(transaction.claims))
        return
    key, digest = _key(transaction), _digest(transaction)
    row = RemittanceTransaction(
        file_id=file_id,
        ordinal=transaction.ordinal,
        control=clip(transaction.control, 20),
        key=None,
        digest=digest,
        payer_name=clip(transaction.payer_name, 120),
        trace_number=clip(transaction.trace_number, 60),
        paid_on=transaction.paid_on,
        paid=transaction.payment,
        claims=len(transaction.claims),
        state=RemittanceState.LOADED,
    )
    reasons = _reasons(transaction)
    earlier = session.execute(
        sa.select(RemittanceTransaction.digest).where(RemittanceTransaction.key == key)
    ).scalar()
    if earlier == digest:
        row.state = RemittanceState.DUPLICATE
    elif earlier is not None:
        reasons.append(
            Quarantined(
                transaction.control,
                "transaction",
                "another payment was loaded under the same trace and control number",
                Money.zero(),
            )
        )
    if reasons:
        row.state = RemittanceState.QUARANTINED
    session.add(row)
    session.flush()
    if row.state is RemittanceState.QUARANTINED:
        session.add_all(
            QuarantineReason(
                transaction_id=row.id,
                place=clip(reason.place, 120),
                reason=clip(reason.reason, 300),
                difference=reason.difference,
            )
            for reason in reasons
        )
        report.reasons.extend(reasons)
        record(session, Tag.REMITTANCE_QUARANTINED, actor_user_id=actor_user_id, transaction=row.id)
    elif row.state is RemittanceState.LOADED:
        row.key = key
        lock_accounts_of(session, transaction)
        changed = [
            load_claim(session, transaction, claim, transaction_key=key, file_name=file_name, ledger=ledger)
            for claim in transaction.claims
        ]
        # Before the bills are anybody's to pay: the same transaction loads and checks.
        check_accounts(session, [account_id for account_id in changed if account_id is not None])
        record(session, Tag.REMITTANCE_IMPORTED, actor_user_id=actor_user_id, transaction=row.id)
    state = row.state
    session.commit()
    _count(report, state, len(transaction.claims))


def _count(report: ImportReport, state: RemittanceState, claims: int) -> None:
    if state is RemittanceState.LOADED:
        report.loaded += 1
        report.claims += claims
    elif state is RemittanceState.DUPLICATE:
        report.duplicates += 1
    else:
        report.quarantined += 1


def _reasons(transaction: Transaction) -> list[Quarantined]:
    return [
        Quarantined(
            transaction=transaction.control,
            place=_place(fault.claim, fault.line, fault.segment),
            reason=fault.explanation,
            difference=fault.difference,
        )
        for fault in imbalances(transaction)
    ]


def _place(claim: str | None, line: int | None, segment: int) -> str:
    parts = [f"claim {claim}" if claim else "transaction", f"line {line}" if line else "", f"segment {segment}"]
    return ", ".join(part for part in parts if part)


def _key(transaction: Transaction) -> str:
    """(TRN03, TRN02, ST02): what makes a payment the same one in another file."""
    parts = [transaction.trace_payer, transaction.trace_number, transaction.control]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _digest(transaction: Transaction) -> str:
    """A fingerprint of what the payer said, without where in the file it stood."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(part) for key, part in value.items() if key not in _POSITIONS}
        if isinstance(value, (list, tuple)):
            return [plain(part) for part in value]
        return value.isoformat() if isinstance(value, date) else str(value)

    return hashlib.sha256(json.dumps(plain(asdict(transaction)), sort_keys=True).encode()).hexdigest()


#: Also where a payment stands among those of its file: another file may bring it alone.
_POSITIONS = frozenset({"ordinal", "segment", "errors", "interchange_control", "group_control"})
