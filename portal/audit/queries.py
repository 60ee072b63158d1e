"""Reading the audit trail."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal.audit.joins import is_tagged
from portal.audit.models import AuditEvent
from portal.audit.tags import Tag
from portal.db import UTCDateTime


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


def facts_of(session: Session, *, tag: Tag, subject: str) -> list[dict[str, Any]]:
    """What the events with a tag say about ``subject``."""
    return list(session.scalars(sa.select(AuditEvent.facts).where(is_tagged(tag), AuditEvent.subject == subject)))


def times_since_last(session: Session, *, account_id: int, subject: str, tag: Tag, since: Tag) -> int:
    """How often ``tag`` was noted of ``subject``, a record of an account, after ``since`` last was."""
    about = (AuditEvent.account_id == account_id, AuditEvent.subject == subject)
    last = sa.select(sa.func.coalesce(sa.func.max(AuditEvent.id), 0)).where(*about, AuditEvent.tag == since)
    return session.scalar(
        sa.select(sa.func.count())
        .select_from(AuditEvent)
        .where(*about, AuditEvent.tag == tag, AuditEvent.id > last.scalar_subquery())
    ) or 0


def times_for(
    session: Session, *, tags: Collection[Tag], why: Collection[str], since: datetime, after: sa.ScalarSelect[Any]
) -> int:
    """How often one of ``tags`` was noted for one of the reasons ``why``, since a moment (UTC) and after another.

    ``after`` is asked in the same query; where it finds nothing, ``since`` alone counts.
    """
    noted = sa.select(sa.func.count()).where(
        AuditEvent.tag.in_(list(tags)),
        AuditEvent.at > since,
        AuditEvent.at > sa.func.coalesce(after, sa.literal(since, UTCDateTime())),
        AuditEvent.facts["why"].as_string().in_(sorted(why)),
    )
    return session.scalar(noted) or 0
