"""How far Stripe's lists were read: a job asks whether its turn has come, and from when on to read.

A list is read again from some time before its end of last time, since Stripe shows an object a moment after it was
made. What was read twice changes nothing. The search for credits uses it for our own books.
"""

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal import clock
from portal.payments.models import Payment, StripeCursor


def take_turn(session: Session, name: str, *, every: timedelta, overlap: timedelta) -> datetime | None:
    """The moment (UTC) from which the list ``name`` is to be read now; None when it was read less than ``every`` ago.

    Commits. Two workers do not get the same turn. A list that was never read begins with the first payment; before
    that there is nothing of ours to find.
    """
    now = clock.now()
    cursor = session.scalars(
        sa.select(StripeCursor)
        .where(StripeCursor.name == name)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one_or_none()
    if cursor is not None and now - cursor.asked_at < every:
        session.commit()
        return None
    begin = cursor.read_to if cursor is not None else None
    if begin is None:
        begin = session.scalar(sa.select(sa.func.min(Payment.created_at)))
        if begin is None:
            session.commit()
            return None
    if cursor is None:
        session.add(StripeCursor(name=name, asked_at=now, read_to=None))
    else:
        cursor.asked_at = now
    try:
        session.commit()
    except IntegrityError:  # another worker's first turn
        session.rollback()
        return None
    return begin - overlap


def note_read(session: Session, name: str, *, to: datetime) -> None:
    """Everything that Stripe made before ``to`` was read; commits."""
    session.execute(sa.update(StripeCursor).where(StripeCursor.name == name).values(read_to=to))
    session.commit()


def read_to(session: Session, name: str) -> datetime | None:
    """Up to which moment (UTC) a list is known; None while it was never read to its end."""
    return session.scalar(sa.select(StripeCursor.read_to).where(StripeCursor.name == name))
