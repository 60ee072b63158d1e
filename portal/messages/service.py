"""Asking and answering. Each function works in the caller's transaction.

A form is shown with a ``token`` of its own, and a token sends one message: a double click, a reload or a second
delivery of the same form finds the message it has sent already.
"""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal import clock
from portal.audit.service import record
from portal.audit.tags import Tag
from portal.auth.queries import active_email_of
from portal.db import RecordNotFound
from portal.messages.emails import Email
from portal.messages.errors import BodyTooLong, EmptyBody, NewerMessage, TokenSpent
from portal.messages.kinds import ThreadState
from portal.messages.models import Message, Thread
from portal.messages.queries import thread_for
from portal.notifications.service import queue_email

LONGEST_BODY = 5_000
LONGEST_SUBJECT = 120


@dataclass(frozen=True, slots=True)
class Sent:
    """Where a message went; ``new`` is False when the same form had sent it before."""

    thread_public_id: str
    new: bool


def tidy_body(text: str) -> str:
    """A message as it is stored: line breaks as ``\\n``, no blank space around it.

    Raises :class:`EmptyBody` when nothing in it can be seen and :class:`BodyTooLong` beyond :data:`LONGEST_BODY`.
    """
    # Browsers send CR LF, and count a line break as one character towards the field's limit.
    body = text.replace("\x00", "").replace("\r\n", "\n").replace("\r", "\n").strip()
    if not any(character.isprintable() and not character.isspace() for character in body):
        raise EmptyBody
    if len(body) > LONGEST_BODY:
        raise BodyTooLong(len(body) - LONGEST_BODY)
    return body


def open_thread(
    session: Session,
    *,
    account_id: int,
    charge_id: int | None,
    user_id: int,
    subject: str,
    body: str,
    token: str,
) -> Sent:
    """Ask about a charge, or about an account as a whole.

    The caller has looked both up for this user (``accounts.access``, ``billing.queries``). Raises
    :class:`EmptyBody`, :class:`BodyTooLong` and :class:`TokenSpent`.
    """
    body = tidy_body(body)

    def before() -> Sent | None:
        row = _sent_with(session, token)
        if row is None:
            return None
        message, thread = row
        same = (message.author_id, message.body, thread.account_id, thread.charge_id)
        if same != (user_id, body, account_id, charge_id):
            raise TokenSpent
        return Sent(thread.public_id, new=False)

    if sent := before():
        return sent
    now = clock.now()
    thread = Thread(
        account_id=account_id,
        charge_id=charge_id,
        opened_by=user_id,
        subject=subject[:LONGEST_SUBJECT],
        state=ThreadState.WAITING_FOR_STAFF,
        opened_at=now,
        last_message_at=now,
        waiting_since=now,
    )
    try:
        with session.begin_nested():
            session.add(thread)
            session.flush()
            session.add(
                Message(thread_id=thread.id, token=token, author_id=user_id, from_staff=False, body=body, sent_at=now)
            )
            session.flush()
    except IntegrityError:
        # The other click of a double click was faster.
        if sent := before():
            return sent
        raise
    record(session, Tag.THREAD_OPENED, actor_user_id=user_id, account_id=account_id, subject=thread.public_id)
    return Sent(thread.public_id, new=True)


def write_message(session: Session, *, thread_public_id: str, user_id: int, body: str, token: str) -> Sent:
    """Write on in a thread the user may read; a thread that was closed is open again.

    Raises :class:`RecordNotFound`, :class:`EmptyBody`, :class:`BodyTooLong` and :class:`TokenSpent`.
    """
    body = tidy_body(body)
    thread = _locked(session, thread_for(session, thread_public_id, user_id=user_id).id)
    if _send(session, thread, author_id=user_id, from_staff=False, body=body, token=token):
        if thread.waiting_since is None:
            thread.waiting_since = thread.last_message_at
        thread.state = ThreadState.WAITING_FOR_STAFF
        session.flush()
        return Sent(thread.public_id, new=True)
    return Sent(thread.public_id, new=False)


def answer_thread(
    session: Session,
    *,
    thread_public_id: str,
    staff_user_id: int,
    body: str,
    token: str,
    seen: int,
    close: bool,
    notice: Email,
) -> Sent:
    """Answer as staff, and close the thread where nothing is left to do.

    ``seen`` is how many messages the one who answers had before them. The thread's opener gets ``notice``, once for
    each answer, while they may still read the thread. Raises :class:`RecordNotFound`, :class:`EmptyBody`,
    :class:`BodyTooLong`, :class:`TokenSpent` and :class:`NewerMessage`.
    """
    body = tidy_body(body)
    thread = _locked(session, thread_for(session, thread_public_id, user_id=None).id)
    if _sent_in(session, thread, author_id=staff_user_id, body=body, token=token):
        return Sent(thread.public_id, new=False)
    _refuse_newer(session, thread, seen)
    if not _send(session, thread, author_id=staff_user_id, from_staff=True, body=body, token=token):
        return Sent(thread.public_id, new=False)
    thread.state = ThreadState.CLOSED if close else ThreadState.ANSWERED
    thread.waiting_since = None
    session.flush()
    record(
        session,
        Tag.THREAD_ANSWERED,
        actor_user_id=staff_user_id,
        account_id=thread.account_id,
        subject=thread.public_id,
    )
    if close:
        _record_closed(session, thread, staff_user_id)
    if to := _opener_email(session, thread):
        queue_email(session, key=f"message-answer/{token}", to=to, subject=notice.subject, body=notice.body)
    return Sent(thread.public_id, new=True)


def close_thread(session: Session, *, thread_public_id: str, staff_user_id: int, seen: int) -> bool:
    """Mark a thread as done without another answer; False when it was already.

    Raises :class:`RecordNotFound` and :class:`NewerMessage`.
    """
    thread = _locked(session, thread_for(session, thread_public_id, user_id=None).id)
    if thread.state is ThreadState.CLOSED:
        return False
    _refuse_newer(session, thread, seen)
    thread.state = ThreadState.CLOSED
    thread.waiting_since = None
    session.flush()
    _record_closed(session, thread, staff_user_id)
    return True


def note_seen(session: Session, *, thread_public_id: str, account_id: int, user_id: int) -> None:
    """Note that somebody opened a thread's page."""
    record(session, Tag.THREAD_SEEN, actor_user_id=user_id, account_id=account_id, subject=thread_public_id)


def mark_answers_read(session: Session, *, thread_id: int) -> int:
    """Note that the answers of a thread were shown to the patient's side; returns how many were new."""
    read = session.execute(
        sa.update(Message)
        .where(Message.thread_id == thread_id, Message.from_staff.is_(True), Message.read_at.is_(None))
        .values(read_at=clock.now())
        .returning(Message.id)
    ).all()
    return len(read)


def _locked(session: Session, thread_id: int) -> Thread:
    return session.scalars(
        sa.select(Thread).where(Thread.id == thread_id).with_for_update().execution_options(populate_existing=True)
    ).one()


def _sent_with(session: Session, token: str) -> tuple[Message, Thread] | None:
    row = session.execute(
        sa.select(Message, Thread).join(Thread, Thread.id == Message.thread_id).where(Message.token == token)
    ).first()
    return None if row is None else (row[0], row[1])


def _sent_in(session: Session, thread: Thread, *, author_id: int, body: str, token: str) -> bool:
    row = _sent_with(session, token)
    if row is None:
        return False
    message, its_thread = row
    if (its_thread.id, message.author_id, message.body) != (thread.id, author_id, body):
        raise TokenSpent
    return True


def _send(session: Session, thread: Thread, *, author_id: int, from_staff: bool, body: str, token: str) -> bool:
    """Append to a locked thread; False when this form had sent it already."""
    if _sent_in(session, thread, author_id=author_id, body=body, token=token):
        return False
    now = clock.now()
    try:
        with session.begin_nested():
            session.add(
                Message(
                    thread_id=thread.id,
                    token=token,
                    author_id=author_id,
                    from_staff=from_staff,
                    body=body,
                    sent_at=now,
                )
            )
            session.flush()
    except IntegrityError:
        # The token was used in another thread at the same moment; the thread's lock excludes this one.
        raise TokenSpent from None
    thread.last_message_at = now
    return True


def _refuse_newer(session: Session, thread: Thread, seen: int) -> None:
    messages = session.scalar(sa.select(sa.func.count(Message.id)).where(Message.thread_id == thread.id)) or 0
    if messages > seen:
        raise NewerMessage


def _record_closed(session: Session, thread: Thread, staff_user_id: int) -> None:
    record(
        session,
        Tag.THREAD_CLOSED,
        actor_user_id=staff_user_id,
        account_id=thread.account_id,
        subject=thread.public_id,
    )


def _opener_email(session: Session, thread: Thread) -> str | None:
    """Where to tell the opener; None for somebody who could not read the answer any more."""
    try:
        thread_for(session, thread.public_id, user_id=thread.opened_by)
    except RecordNotFound:
        return None
    return active_email_of(session, thread.opened_by)
