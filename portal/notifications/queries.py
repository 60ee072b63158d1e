"""What the outbox of emails still holds."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal.notifications.kinds import NOBODY
from portal.notifications.models import Notification


@dataclass(frozen=True, slots=True)
class MailBacklog:
    """Emails that have not gone out."""

    unsent: int
    oldest: datetime | None
    last_error: str


def mail_backlog(session: Session) -> MailBacklog:
    """What the outbox of emails still holds, those it has given up included."""
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
