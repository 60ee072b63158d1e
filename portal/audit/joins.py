"""What other features may join: the subjects that an event was noted of."""

from typing import Any

import sqlalchemy as sa

from portal.audit.models import AuditEvent
from portal.audit.tags import Tag


def is_tagged(tag: Tag) -> sa.ColumnElement[bool]:
    """The SQL condition that an event has a tag, written out: the index of one tag is found by its words only."""
    return AuditEvent.tag == sa.literal_column(f"'{tag.value}'")


def subjects_of(tag: Tag) -> sa.Select[str]:
    """The subjects of all events with a tag."""
    return sa.select(AuditEvent.subject).where(is_tagged(tag))


def latest_subjects(tag: Tag, *, limit: int) -> sa.Subquery[Any]:
    """The subjects of events with a tag, the latest first: ``subject``, ``account_id``, ``times`` and ``last_at``."""
    return (
        sa.select(
            AuditEvent.subject.label("subject"),
            sa.func.max(AuditEvent.account_id).label("account_id"),
            sa.func.count().label("times"),
            sa.func.max(AuditEvent.at).label("last_at"),
        )
        .where(is_tagged(tag))
        .group_by(AuditEvent.subject)
        .order_by(sa.func.max(AuditEvent.at).desc())
        .limit(limit)
        .subquery()
    )
