"""Telling people something once."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from portal import clock
from portal.notifications.kinds import NOBODY
from portal.notifications.models import Notification
from portal.notifications.transport import CannotSend, Transport
from portal.queue import wake

log = structlog.get_logger(__name__)

_FIRST_RETRY = timedelta(minutes=1)
_LONGEST_RETRY = timedelta(hours=4)
_GIVE_UP = timedelta(days=3)



def queue_email(session: Session, *, key: str, to: str, subject: str, body: str) -> bool:
    """Put one message in the outbox, in the caller's transaction; False when ``key`` is there already.

    ``subject`` and ``body`` carry nothing clinical or identifying (design, "Always true" 8).
    """
    if session.scalar(sa.select(Notification.id).where(Notification.key == key)) is not None:
        return False
    now = clock.now()
    session.add(Notification(key=key, to_email=to, subject=subject, body=body, created_at=now, next_try_at=now))
    return True


def sent_at(session: Session, *, key: str) -> datetime | None:
    """When the mail server took a message (UTC); None for one that it has not taken, or that is not there."""
    return session.scalar(sa.select(Notification.sent_at).where(Notification.key == key))


def withdraw_email(session: Session, *, key: str) -> None:
    """Take a message that was not sent out of the outbox, in the caller's transaction."""
    session.execute(sa.delete(Notification).where(Notification.key == key, Notification.sent_at.is_(None)))


def withdraw_emails(session: Session, *, keys: Collection[str]) -> set[str]:
    """Take messages that were not sent out of the outbox, in the caller's transaction; returns the keys of those."""
    return set(
        session.scalars(
            sa.delete(Notification)
            .where(Notification.key.in_(keys), Notification.sent_at.is_(None))
            .returning(Notification.key)
        )
    )


def put_off_emails(session: Session, *, keys: Collection[str], until: datetime) -> None:
    """Let messages that were not sent wait until a moment (UTC), sooner or later than they would have; in the caller's
    transaction.
    """
    session.execute(
        sa.update(Notification)
        .where(Notification.key.in_(keys), Notification.sent_at.is_(None))
        .values(next_try_at=until)
    )


def moments_of(session: Session, *, keys: Collection[str]) -> list[tuple[datetime, datetime | None]]:
    """When each of these messages was written and (None: not yet) taken by the mail server, in UTC."""
    rows = session.execute(
        sa.select(Notification.created_at, Notification.sent_at).where(Notification.key.in_(keys))
    )
    return [(row[0], row[1]) for row in rows]


def wake_sender() -> None:
    """Ask the worker to send soon; called after the commit that queued a message."""
    wake("notifications.send")


def send_due(session: Session, transport: Transport) -> int:
    """Send every message that is due, and throw away what is for nobody; returns how many went out.

    A message is claimed by moving its next try ahead before the network is touched: a sender that dies leaves it to
    a later run, at worst a second copy, never none.
    """
    sent = 0
    while (message := _claim(session)) is not None:
        if message.to == NOBODY:
            session.execute(sa.delete(Notification).where(Notification.id == message.id))
            session.commit()
            continue
        try:
            transport(to=message.to, subject=message.subject, body=message.body, key=message.key)
        except CannotSend as error:
            session.execute(
                sa.update(Notification).where(Notification.id == message.id).values(last_error=str(error)[:200])
            )
            session.commit()
            log.warning("notification.not_sent", notification=message.id)
            return sent  # the server is away for the others too; their turn comes
        session.execute(
            sa.update(Notification)
            .where(Notification.id == message.id)
            .values(sent_at=clock.now(), last_error="")
        )
        session.commit()
        sent += 1
    return sent


@dataclass(frozen=True, slots=True)
class _Claimed:
    """A message as it is sent: no row, so that no transaction is open while the mail server is asked."""

    id: int
    to: str
    subject: str
    body: str
    key: str


def _claim(session: Session) -> _Claimed | None:
    now = clock.now()
    row = session.scalar(
        sa.select(Notification)
        .where(
            Notification.sent_at.is_(None),
            Notification.next_try_at <= now,
            sa.or_(Notification.created_at > now - _GIVE_UP, Notification.to_email == NOBODY),
        )
        .order_by(Notification.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    if row is None:
        session.commit()
        return None
    row.tries += 1
    row.next_try_at = now + min(_FIRST_RETRY * 2 ** min(row.tries, 12), _LONGEST_RETRY)
    claimed = _Claimed(row.id, row.to_email, row.subject, row.body, row.key)
    session.commit()
    return claimed
