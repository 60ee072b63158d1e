"""What other features may join: read-only columns of the mirror, and conditions on them."""

from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from portal.billing.models import Charge, Entry, Hold, Posting, Visit
from portal.db import joinable
from portal.money import Money


class VisitColumns(sa.TypedColumns):
    """What others may ask of a visit."""

    id: sa.Named[int]
    public_id: sa.Named[str]
    account_id: sa.Named[int]
    patient_id: sa.Named[int]
    started_on: sa.Named[date | None]


class ChargeColumns(sa.TypedColumns):
    """What others may ask of a line of a visit."""

    id: sa.Named[int]
    public_id: sa.Named[str]
    visit_id: sa.Named[int]
    ordinal: sa.Named[int]
    service_on: sa.Named[date | None]
    description: sa.Named[str]
    on_plan: sa.Named[bool]


class EntryColumns(sa.TypedColumns):
    """What others may ask of an entry: whose it is, and what it moves."""

    account_id: sa.Named[int]
    charge_id: sa.Named[int]
    insurer: sa.Named[Money]
    patient: sa.Named[Money]


class PostingColumns(sa.TypedColumns):
    """What others may ask of a posting: when the back office had it."""

    key: sa.Named[str]
    posted_at: sa.Named[datetime | None]


VISIT = joinable(Visit, VisitColumns)
CHARGE = joinable(Charge, ChargeColumns)
ENTRY = joinable(Entry, EntryColumns)
POSTING = joinable(Posting, PostingColumns)


def is_held(charge_id: Any) -> sa.ColumnElement[bool]:
    """The SQL condition that nobody may be asked for a line."""
    return sa.exists().where(Hold.charge_id == charge_id, Hold.released_at.is_(None))


def accounts_with_entries_since(since: datetime) -> sa.Select[int]:
    """The accounts on which an entry was written at or after a moment (UTC), each as often as that was."""
    # Entries are only added: what is newer than the last older one stands at the end of the table.
    older = sa.select(Entry.id).where(Entry.created_at < since).order_by(Entry.id.desc()).limit(1).scalar_subquery()
    return sa.select(Entry.account_id).where(Entry.id > sa.func.coalesce(older, 0))


def accounts_with_holds_since(since: datetime) -> sa.Select[int]:
    """The accounts on which a hold was placed or released at or after a moment (UTC), each as often as that was."""
    return (
        sa.select(Visit.account_id)
        .join(Charge, Charge.visit_id == Visit.id)
        .join(Hold, Hold.charge_id == Charge.id)
        .where(sa.or_(Hold.placed_at >= since, Hold.released_at >= since))
    )
