"""Reading all entries of an account, or of some lines: one query each, whatever its size."""

from collections.abc import Iterable
from datetime import date
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal.accounts.joins import ACCOUNT
from portal.billing.entries import EntryRow
from portal.billing.kinds import EntryKind
from portal.billing.models import Charge, Entry, Visit
from portal.billing.queries import entries_where, on_account
from portal.money import Money


def entries_of_account(session: Session, account_id: int, *, user_id: int | None = None) -> list[EntryRow]:
    """An account's entries in the order they were written; with ``user_id``, those this user may see."""
    return entries_where(session, on_account(account_id, user_id))


class MoveRow(NamedTuple):
    """An entry as far as the picture reads it, and its visit."""

    visit_id: int
    charge_id: int
    kind: EntryKind
    insurer: Money
    patient: Money
    group_code: str
    reason_code: str


def moves_of_account(session: Session, account_id: int, *, user_id: int | None = None) -> list[MoveRow]:
    """An account's entries without their sources: all that the picture of a long account needs."""
    rows = session.execute(
        sa.select(
            Charge.visit_id,
            Entry.charge_id,
            Entry.kind,
            Entry.insurer,
            Entry.patient,
            Entry.group_code,
            Entry.reason_code,
        )
        .join(Charge, Charge.id == Entry.charge_id)
        .join(Visit, Visit.id == Charge.visit_id)
        .where(on_account(account_id, user_id))
        .order_by(Entry.id)
    )
    return [MoveRow(*row) for row in rows]


def patient_entries(session: Session, charge_ids: Iterable[int]) -> list[tuple[int, EntryKind, Money, str]]:
    """What moved the patient's part of these lines, in the order it was written: charge, kind, amount, source's id."""
    rows = session.execute(
        sa.select(Entry.charge_id, Entry.kind, Entry.patient, Entry.source_id)
        .where(Entry.charge_id.in_(list(charge_ids)))
        .order_by(Entry.id)
    )
    return [(row[0], row[1], row[2], row[3]) for row in rows]


def visits_by_id(session: Session, visit_ids: Iterable[int]) -> dict[int, tuple[str, str, date | None]]:
    """The public id, the account's number and the first day of each visit, by id."""
    rows = session.execute(
        sa.select(Visit.id, Visit.public_id, ACCOUNT.c.ref, Visit.started_on)
        .join(ACCOUNT, ACCOUNT.c.id == Visit.account_id)
        .where(Visit.id.in_(list(visit_ids)))
    )
    return {row[0]: (row[1], row[2], row[3]) for row in rows}
