"""Writing the mirror: entries, holds and postings. Each function works in the caller's transaction."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.service import mark_check_due
from portal.audit.service import record
from portal.audit.tags import Tag
from portal.billing.kinds import PATIENT_MONEY, EntryKind, FindingState, HoldReason, PostingState
from portal.billing.models import Charge, CheckFinding, Claim, Entry, Hold, Posting, Visit
from portal.db import RecordNotFound
from portal.money import Money


@dataclass(frozen=True, slots=True)
class NewEntry:
    """An entry to write: its effect on both buckets, and where it comes from."""

    account_id: int
    charge_id: int
    kind: EntryKind
    insurer: Money
    patient: Money
    source: str
    source_id: str
    stated: Money | None = None
    claim_id: int | None = None
    group_code: str = ""
    reason_code: str = ""
    remarks: Sequence[str] = ()
    effective_on: date | None = None
    revision: int = 1


def _fitting(remarks: Sequence[str], length: int = 120) -> str:
    """As many whole codes as the column holds: half a code would be another one."""
    while len(" ".join(remarks)) > length:
        remarks = remarks[:-1]
    return " ".join(remarks)


def write_entries(session: Session, entries: Iterable[NewEntry]) -> int:
    """Append entries; those that are there already (same source, id and revision) change nothing.

    Returns how many were new. The database refuses a CO entry with a patient's side.
    """
    wanted = list(entries)
    known = {
        tuple(row)
        for row in session.execute(
            sa.select(Entry.source, Entry.source_id, Entry.revision).where(
                # The unique index begins with the source: without it every entry there is would be read.
                Entry.source.in_(sorted({entry.source for entry in wanted})),
                Entry.source_id.in_([entry.source_id for entry in wanted]),
            )
        )
    }
    now, written, changed = clock.now(), 0, set[int]()
    for entry in wanted:
        if (entry.source, entry.source_id, entry.revision) in known:
            continue
        amount = entry.insurer + entry.patient
        session.add(
            Entry(
                account_id=entry.account_id,
                charge_id=entry.charge_id,
                claim_id=entry.claim_id,
                kind=entry.kind,
                amount=amount,
                insurer=entry.insurer,
                patient=entry.patient,
                stated=amount if entry.stated is None else entry.stated,
                group_code=entry.group_code,
                reason_code=entry.reason_code,
                remark_codes=_fitting(entry.remarks),
                effective_on=entry.effective_on,
                source=entry.source,
                source_id=entry.source_id,
                revision=entry.revision,
                created_at=now,
            )
        )
        written += 1
        changed.add(entry.account_id)
    session.flush()
    # Whoever asks for money next, or the worker, checks what has changed (``checks/run.py``).
    mark_check_due(session, changed)
    return written


def visit_of(
    session: Session,
    *,
    account_id: int,
    patient_id: int,
    ref: str,
    started_on: date | None,
    ended_on: date | None,
    provider_name: str,
) -> Visit:
    """The visit with the back office's number ``ref`` on an account, made when it is new."""
    visit = session.scalar(sa.select(Visit).where(Visit.account_id == account_id, Visit.ref == ref))
    if visit is None:
        visit = Visit(
            account_id=account_id,
            patient_id=patient_id,
            ref=ref,
            started_on=started_on,
            ended_on=ended_on,
            provider_name=provider_name,
        )
        session.add(visit)
        session.flush()
    return visit


@dataclass(frozen=True, slots=True)
class BilledLine:
    """A charge as it was billed, to be matched with a payer's lines."""

    id: int
    ordinal: int
    whole_visit: bool
    service_on: date | None
    code: str
    modifiers: str
    line_control: str
    billed: Money


def charges_of(session: Session, visit_id: int) -> list[BilledLine]:
    """A visit's charges in their order."""
    rows = session.execute(
        sa.select(
            Charge.id,
            Charge.ordinal,
            Charge.whole_visit,
            Charge.service_on,
            Charge.code,
            Charge.modifiers,
            Charge.line_control,
            Charge.billed,
        )
        .where(Charge.visit_id == visit_id)
        .order_by(Charge.ordinal)
    )
    return [BilledLine(*row) for row in rows]


def add_charge(session: Session, *, visit_id: int, ordinal: int, billed: Money, **facts: Any) -> int:
    """Put a line on a visit; its id. ``facts`` are the columns of :class:`Charge`."""
    charge = Charge(visit_id=visit_id, ordinal=ordinal, billed=billed, **facts)
    session.add(charge)
    session.flush()
    return charge.id


def add_claim(session: Session, **facts: Any) -> Claim | None:
    """Note a payer's decision; None when its ``source_key`` is known. ``facts`` are the columns of :class:`Claim`."""
    if session.scalar(sa.select(Claim.id).where(Claim.source_key == facts["source_key"])) is not None:
        return None
    claim = Claim(loaded_at=clock.now(), **facts)
    session.add(claim)
    session.flush()
    return claim


def decided_charges(session: Session, charge_ids: Iterable[int]) -> set[int]:
    """Those of the lines on which a payer has decided anything."""
    rows = session.scalars(
        sa.select(Entry.charge_id)
        .where(
            Entry.charge_id.in_(list(charge_ids)),
            Entry.kind.not_in([EntryKind.CHARGE, *PATIENT_MONEY]),
        )
        .distinct()
    )
    return set(rows)


def bucket_sums(session: Session, charge_ids: Iterable[int]) -> dict[int, tuple[Money, Money]]:
    """What stands in each line's insurer and patient buckets, the patient's own money left out."""
    rows = session.execute(
        sa.select(Entry.charge_id, sa.func.sum(Entry.insurer), sa.func.sum(Entry.patient))
        .where(Entry.charge_id.in_(list(charge_ids)), Entry.kind.not_in(PATIENT_MONEY))
        .group_by(Entry.charge_id)
    )
    return {charge_id: (insurer, patient) for charge_id, insurer, patient in rows}


def place_hold(
    session: Session, *, charge_id: int, reason: HoldReason, account_id: int, actor_user_id: int | None = None
) -> bool:
    """Stop asking for a line; False when it is held for that reason already."""
    held = session.scalar(
        sa.select(Hold.id).where(
            Hold.charge_id == charge_id, Hold.reason == reason, Hold.released_at.is_(None)
        )
    )
    if held is not None:
        return False
    session.add(Hold(charge_id=charge_id, reason=reason, placed_at=clock.now()))
    record(
        session,
        Tag.HOLD_PLACED,
        actor_user_id=actor_user_id,
        account_id=account_id,
        reason=reason.value,
        charge=charge_id,
    )
    return True


def end_holds(session: Session, *, charge_ids: Iterable[int], reason: HoldReason) -> None:
    """Take off the holds of one reason, because what they waited for has come."""
    session.execute(
        sa.update(Hold)
        .where(Hold.charge_id.in_(list(charge_ids)), Hold.reason == reason, Hold.released_at.is_(None))
        .values(released_at=clock.now(), release_note="came")
    )


def told_again_charges(session: Session, charge_ids: Iterable[int]) -> set[int]:
    """Those of the lines whose newest CARC 23 entry moved nothing: earlier payers' decisions were in the books."""
    newest: dict[int, Money] = dict(
        session.execute(
            sa.select(Entry.charge_id, Entry.insurer)
            .where(
                Entry.charge_id.in_(list(charge_ids)), Entry.group_code == "OA", Entry.reason_code == "23"
            )
            .order_by(Entry.id)
        ).all()
    )
    return {charge_id for charge_id, moved in newest.items() if not moved}


def release_holds(session: Session, *, charge_id: int, account_id: int, actor_user_id: int, note: str) -> None:
    """Ask for a line again after somebody has looked; ``note`` says what they found. Raises RecordNotFound."""
    released = session.execute(
        sa.update(Hold)
        .where(Hold.charge_id == charge_id, Hold.released_at.is_(None))
        .values(released_at=clock.now(), released_by=actor_user_id, release_note=note)
        .returning(Hold.id)
    ).all()
    if not released:
        raise RecordNotFound("hold")
    record(session, Tag.HOLD_RELEASED, actor_user_id=actor_user_id, account_id=account_id, charge=charge_id)
    # The checks will find the same again: remembered, so that it holds the line no more.
    looked_at = session.execute(
        sa.update(CheckFinding)
        .where(CheckFinding.charge_id == charge_id, CheckFinding.state == FindingState.OPEN)
        .values(state=FindingState.RELEASED, closed_at=clock.now(), released_by=actor_user_id, release_note=note)
        .returning(CheckFinding.check, CheckFinding.fingerprint)
    ).all()
    for check, fingerprint in looked_at:
        record(
            session,
            Tag.FINDING_RELEASED,
            actor_user_id=actor_user_id,
            account_id=account_id,
            charge=charge_id,
            check=check.value,
            finding=fingerprint,
        )


def queue_posting(
    session: Session,
    *,
    key: str,
    account_id: int,
    kind: str,
    amount: Money,
    effective_on: date,
    lines: list[tuple[str, Money]],
) -> None:
    """Tell the back office about money, in the transaction that took it, or (MOVES_NO_MONEY) about a payment plan.

    ``lines`` are (visit ref, amount); they sum to ``amount``. A positive amount lessens what the patient owes, a
    negative one (a refund, a chargeback) adds to it. ``key`` is 32 letters and digits (some ledgers take
    no more), the same for ever.
    """
    if Money.total(part for _ref, part in lines) != amount:
        raise ValueError("the posting's lines do not sum to its amount")
    now = clock.now()
    session.add(
        Posting(
            key=key,
            account_id=account_id,
            kind=kind,
            amount=amount,
            effective_on=effective_on,
            lines=[{"visit_ref": ref, "cents": part.cents} for ref, part in lines],
            state=PostingState.WAITING,
            created_at=now,
            next_try_at=now,
        )
    )


def set_on_plan(session: Session, charge_ids: Iterable[int], *, on_plan: bool) -> None:
    """Say of lines whether they are paid in installments; those that are, are not asked for besides them."""
    session.execute(sa.update(Charge).where(Charge.id.in_(list(charge_ids))).values(on_plan=on_plan))
