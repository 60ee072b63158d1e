"""Reading the audit trail."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal.audit.models import AuditEvent
from portal.audit.tags import Tag


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happened to a record."""

    at: datetime
    tag: Tag
    facts: dict[str, Any]


def history_of(session: Session, *, account_id: int | None, subject: str, tags: Collection[Tag]) -> list[Step]:
    """What happened to ``subject``, a record of an account, as far as ``tags`` tell; oldest first."""
    account = AuditEvent.account_id.is_(None) if account_id is None else AuditEvent.account_id == account_id
    rows = session.execute(
        sa.select(AuditEvent.at, AuditEvent.tag, AuditEvent.facts)
        .where(account, AuditEvent.subject == subject, AuditEvent.tag.in_(list(tags)))
        .order_by(AuditEvent.id)
    )
    return [Step(*row) for row in rows]


def latest_of(session: Session, *, account_id: int, subjects: Collection[str], tag: Tag) -> Step | None:
    """The latest event of ``tag`` about one of ``subjects``, records of an account."""
    row = session.execute(
        sa.select(AuditEvent.at, AuditEvent.tag, AuditEvent.facts)
        .where(AuditEvent.account_id == account_id, AuditEvent.subject.in_(list(subjects)), AuditEvent.tag == tag)
        .order_by(AuditEvent.id.desc())
        .limit(1)
    ).first()
    return None if row is None else Step(*row)
