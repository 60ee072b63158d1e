"""Reading threads: for those who may see them, and for the desk."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal.accounts.access import granted, visible
from portal.accounts.joins import ACCOUNT, PATIENT
from portal.auth.joins import USER
from portal.billing.joins import CHARGE, VISIT
from portal.db import RecordNotFound
from portal.messages.kinds import ThreadState
from portal.messages.models import Message, Thread


@dataclass(frozen=True, slots=True)
class ThreadView:
    """A thread with what it is about; ``charge_public_id`` is None when that is the whole account."""

    id: int
    public_id: str
    subject: str
    state: ThreadState
    opened_by: int
    opened_at: datetime
    last_message_at: datetime
    waiting_since: datetime | None
    unread: bool
    account_id: int
    account_public_id: str
    account_ref: str
    guarantor_name: str
    charge_public_id: str | None
    description: str
    service_on: date | None
    visit_public_id: str | None
    patient_name: str
    #: What it is about, in the reader's words; views fill it in.
    about: str = ""


@dataclass(frozen=True, slots=True)
class MessageView:
    """One message as it is shown."""

    author_name: str
    from_staff: bool
    body: str
    sent_at: datetime
    unread: bool


def readable(user_id: int) -> sa.ColumnElement[bool]:
    """The SQL condition that ``user_id`` may read a thread, for queries that outer-join its charge and visit.

    A thread about a charge is open to whoever may see the charge. One about an account may touch everybody on it, so
    it is open to those who were granted the whole account; somebody who was granted one patient of it reads what
    they wrote themselves.
    """
    may = sa.or_(
        # Without a charge the joined patient is NULL, which equals nobody: whole-account grants are left.
        visible(user_id, Thread.account_id, VISIT.c.patient_id),
        sa.and_(Thread.charge_id.is_(None), Thread.opened_by == user_id, visible(user_id, Thread.account_id)),
    )
    return sa.and_(Thread.account_id.in_(granted(user_id)), may)


_HAS_UNREAD_ANSWER = sa.exists().where(
    Message.thread_id == Thread.id, Message.from_staff.is_(True), Message.read_at.is_(None)
)


_THREAD: tuple[Any, ...] = (
    Thread.id,
    Thread.public_id,
    Thread.subject,
    Thread.state,
    Thread.opened_by,
    Thread.opened_at,
    Thread.last_message_at,
    Thread.waiting_since,
    _HAS_UNREAD_ANSWER,
    Thread.account_id,
    ACCOUNT.c.public_id,
    ACCOUNT.c.ref,
    ACCOUNT.c.guarantor_name,
    CHARGE.c.public_id,
    sa.func.coalesce(CHARGE.c.description, ""),
    sa.func.coalesce(CHARGE.c.service_on, VISIT.c.started_on),
    VISIT.c.public_id,
    sa.func.coalesce(PATIENT.c.given_name + " " + PATIENT.c.family_name, ""),
)


def _threads() -> sa.Select[Any]:
    return _join(sa.select(*_THREAD))


def _join(query: sa.Select[Any]) -> sa.Select[Any]:
    return (
        query.select_from(Thread)
        .join(ACCOUNT, ACCOUNT.c.id == Thread.account_id)
        .join(CHARGE, CHARGE.c.id == Thread.charge_id, isouter=True)
        .join(VISIT, VISIT.c.id == CHARGE.c.visit_id, isouter=True)
        .join(PATIENT, PATIENT.c.id == VISIT.c.patient_id, isouter=True)
    )


def threads_of_user(session: Session, user_id: int) -> list[ThreadView]:
    """The threads a user may read, the latest first."""
    rows = session.execute(
        _threads().where(readable(user_id)).order_by(Thread.last_message_at.desc(), Thread.id.desc())
    )
    return [ThreadView(*row) for row in rows]


def thread_for(session: Session, public_id: str, *, user_id: int | None) -> ThreadView:
    """One thread by its public id; ``user_id`` None is staff. Raises :class:`RecordNotFound`."""
    query = _threads().where(Thread.public_id == public_id)
    if user_id is not None:
        query = query.where(readable(user_id))
    row = session.execute(query).first()
    if row is None:
        raise RecordNotFound("thread")
    return ThreadView(*row)


def threads_about_visit(session: Session, visit_id: int, *, user_id: int | None) -> list[ThreadView]:
    """The threads about a visit's lines, the latest first; ``user_id`` None is staff."""
    query = _threads().where(CHARGE.c.visit_id == visit_id).order_by(Thread.last_message_at.desc(), Thread.id.desc())
    if user_id is not None:
        query = query.where(readable(user_id))
    return [ThreadView(*row) for row in session.execute(query)]


def threads_of_account(session: Session, account_id: int) -> list[ThreadView]:
    """An account's threads for staff, the latest first."""
    rows = session.execute(
        _threads().where(Thread.account_id == account_id).order_by(Thread.last_message_at.desc(), Thread.id.desc())
    )
    return [ThreadView(*row) for row in rows]


def unread_answers(session: Session, user_id: int) -> int:
    """How many answers the user may read that nobody has read yet."""
    return int(
        session.scalar(
            _join(sa.select(sa.func.count(Message.id)))
            .join(Message, Message.thread_id == Thread.id)
            .where(Message.from_staff.is_(True), Message.read_at.is_(None), readable(user_id))
        )
        or 0
    )


def messages_of(session: Session, thread_id: int) -> list[MessageView]:
    """A thread's messages in the order they were sent."""
    rows = session.execute(
        sa.select(USER.c.display_name, Message.from_staff, Message.body, Message.sent_at, Message.read_at.is_(None))
        .join(USER, USER.c.id == Message.author_id)
        .where(Message.thread_id == thread_id)
        .order_by(Message.sent_at, Message.id)
    )
    return [MessageView(*row) for row in rows]


def inbox(
    session: Session, states: Sequence[ThreadState], *, limit: int, offset: int = 0
) -> tuple[list[ThreadView], int]:
    """The desk's threads in the given states, and how many there are in all.

    Those that wait for staff come first, the longest wait on top; then the rest, the latest first.
    """
    total = session.scalar(sa.select(sa.func.count(Thread.id)).where(Thread.state.in_(states))) or 0
    rows = session.execute(
        _threads()
        .where(Thread.state.in_(states))
        .order_by(
            sa.case((Thread.state == ThreadState.WAITING_FOR_STAFF, 0), else_=1),
            Thread.waiting_since,
            Thread.last_message_at.desc(),
            Thread.id,
        )
        .limit(limit)
        .offset(offset)
    )
    return [ThreadView(*row) for row in rows], int(total)


def counts_by_state(session: Session) -> dict[ThreadState, int]:
    """How many threads are in each state; states without any are in it with 0."""
    counts = dict.fromkeys(ThreadState, 0)
    for state, count in session.execute(sa.select(Thread.state, sa.func.count(Thread.id)).group_by(Thread.state)):
        counts[state] = count
    return counts
