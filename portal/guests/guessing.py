"""Noticing that codes of statements are being guessed, and telling of it.

A code can't be guessed (``statements/codes.py``), so whoever tries does no harm but work; a door that is shut for
everybody would be the harm. So a count of everybody's refusals raises an alarm and slows each network down. It never
locks anybody out.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal import clock
from portal.audit.service import record
from portal.audit.tags import Tag
from portal.guests.models import GuessingAlarm

log = structlog.get_logger(__name__)

#: How long it stays on after the refusal that was one too many; a refusal too many after that raises the next.
ON_FOR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class GuessingRow:
    """An alarm in the desk's list."""

    raised_at: datetime
    on_until: datetime
    refusals: int
    is_on: bool


def is_on(session: Session) -> bool:
    """Whether codes are being guessed now, so that each network gets fewer tries."""
    query = sa.select(GuessingAlarm.id).where(GuessingAlarm.is_open, GuessingAlarm.on_until > clock.now())
    return session.scalar(query) is not None


def raise_alarm(session: Session, *, refusals: int) -> bool:
    """Tell that guests were refused more than ``refusals`` times in an hour; True when this call did. Commits.

    An alarm that is on already is left as it is, so that each is audited once, whoever calls this at the same time.
    """
    if is_on(session):
        session.commit()
        return False
    now = clock.now()
    session.execute(
        sa.update(GuessingAlarm).where(GuessingAlarm.is_open, GuessingAlarm.on_until <= now).values(is_open=False)
    )
    session.add(GuessingAlarm(raised_at=now, on_until=now + ON_FOR, refusals=refusals, is_open=True))
    record(session, Tag.GUESSING_MET, refusals=refusals)
    try:
        session.commit()
    except IntegrityError:  # another process was first
        session.rollback()
        return False
    log.error("guests.guessing", refusals=refusals)
    return True


def guessing_alarms(session: Session, *, limit: int = 20) -> list[GuessingRow]:
    """The latest alarms, newest first."""
    now = clock.now()
    rows = session.scalars(sa.select(GuessingAlarm).order_by(GuessingAlarm.id.desc()).limit(limit))
    return [GuessingRow(row.raised_at, row.on_until, row.refusals, row.is_open and row.on_until > now) for row in rows]
