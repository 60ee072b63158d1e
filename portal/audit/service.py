"""Writing the audit trail: one function, in the caller's own transaction."""

from sqlalchemy.orm import Session

from portal import clock
from portal.audit.models import AuditEvent
from portal.audit.tags import Tag


def record(
    session: Session,
    tag: Tag,
    *,
    actor_user_id: int | None = None,
    account_id: int | None = None,
    subject: str = "",
    **facts: str | int,
) -> None:
    """Add one event; it is kept exactly when the caller's transaction is.

    ``subject`` is an opaque public id. ``facts`` are short values without names or clinical words.
    """
    session.add(
        AuditEvent(
            at=clock.now(),
            tag=tag,
            actor_user_id=actor_user_id,
            account_id=account_id,
            subject=subject,
            facts=facts,
        )
    )
