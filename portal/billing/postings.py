"""The outbox to the back office: taking what is due, and noting what came of it."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
import sqlalchemy.orm
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.joins import ACCOUNT
from portal.audit.service import record
from portal.audit.tags import Tag
from portal.billing.kinds import MOVES_NO_MONEY, PostingState
from portal.billing.models import Posting
from portal.db import RecordNotFound
from portal.money import Money

_FIRST_RETRY = timedelta(seconds=30)
_LONGEST_RETRY = timedelta(hours=1)
#: So long it is tried; then it is the staff's.
GIVE_UP_AFTER = timedelta(hours=48)

_OPEN = (PostingState.WAITING, PostingState.UNKNOWN)


@dataclass(frozen=True, slots=True)
class DuePosting:
    """One posting taken for delivery; ``unknown`` says that an earlier try may have arrived."""

    id: int
    key: str
    account_ref: str
    kind: str
    amount: Money
    effective_on: date
    parts: list[tuple[str, Money]]
    unknown: bool


def take_due(session: Session) -> DuePosting | None:
    """Take the next posting: the oldest of an account first, so that each account's order is kept. Commits.

    It is marked unknown before the network is touched: a worker that dies in between leaves a posting that is
    looked up before it is sent again.
    """
    now = clock.now()
    older = sa.orm.aliased(Posting)
    first_of_account = ~sa.exists().where(
        older.account_id == Posting.account_id, older.id < Posting.id, older.state.in_(_OPEN)
    )
    row = session.execute(
        sa.select(Posting, ACCOUNT.c.ref)
        .join(ACCOUNT, ACCOUNT.c.id == Posting.account_id)
        .where(Posting.state.in_(_OPEN), Posting.next_try_at <= now, first_of_account)
        .order_by(Posting.id)
        .limit(1)
        .with_for_update(of=Posting, skip_locked=True)
    ).first()
    if row is None:
        session.commit()
        return None
    posting, account_ref = row
    due = DuePosting(
        id=posting.id,
        key=posting.key,
        account_ref=account_ref,
        kind=posting.kind,
        amount=posting.amount,
        effective_on=posting.effective_on,
        parts=[(line["visit_ref"], Money(line["cents"])) for line in posting.lines],
        unknown=posting.state is PostingState.UNKNOWN,
    )
    posting.state = PostingState.UNKNOWN
    posting.tries += 1
    posting.next_try_at = now + min(_FIRST_RETRY * 2 ** min(posting.tries, 8), _LONGEST_RETRY)
    session.commit()
    return due


def mark_posted(session: Session, posting_id: int, *, ledger_ref: str) -> None:
    """The back office has it."""
    posting = session.get_one(Posting, posting_id)
    posting.state, posting.posted_at = PostingState.POSTED, clock.now()
    posting.ledger_ref, posting.last_error = ledger_ref[:64], ""
    record(session, Tag.POSTING_DELIVERED, account_id=posting.account_id, subject=posting.key)
    session.commit()


def mark_rejected(session: Session, posting_id: int, *, reason: str) -> None:
    """The back office refused it: somebody must look."""
    posting = session.get_one(Posting, posting_id)
    posting.state, posting.last_error = PostingState.REJECTED, reason[:200]
    record(session, Tag.POSTING_REJECTED, account_id=posting.account_id, subject=posting.key)
    session.commit()


def mark_unanswered(session: Session, posting_id: int, *, reason: str) -> None:
    """No answer came: tried again later, and after :data:`GIVE_UP_AFTER` shown to staff."""
    posting = session.get_one(Posting, posting_id)
    posting.last_error = reason[:200]
    if clock.now() - posting.created_at > GIVE_UP_AFTER:
        posting.state = PostingState.REJECTED
        record(session, Tag.POSTING_REJECTED, account_id=posting.account_id, subject=posting.key)
    session.commit()


def retry_posting(session: Session, *, key: str, staff_user_id: int) -> bool:
    """Have a posting that the back office rejected delivered again, now; False when it is not rejected any more.

    It goes back as ``unknown``: one that was given up on may have arrived, so it is looked up before it is sent
    again, under the same key (design, "Always true" 5). Raises :class:`RecordNotFound`.
    """
    posting = session.scalars(
        sa.select(Posting).where(Posting.key == key).with_for_update().execution_options(populate_existing=True)
    ).one_or_none()
    if posting is None:
        raise RecordNotFound("posting")
    if posting.state is not PostingState.REJECTED:
        return False
    posting.state = PostingState.UNKNOWN
    posting.next_try_at = clock.now()
    record(session, Tag.POSTING_RETRIED, actor_user_id=staff_user_id, account_id=posting.account_id, subject=key)
    session.flush()
    return True


def undelivered_keys(session: Session) -> dict[str, tuple[int, Money, PostingState]]:
    """Keys of money that the back office has not confirmed: (account, amount, state), for reconciling."""
    rows = session.execute(
        sa.select(Posting.key, Posting.account_id, Posting.amount, Posting.state).where(
            Posting.state != PostingState.POSTED, Posting.kind.not_in(sorted(MOVES_NO_MONEY))
        )
    )
    return {key: (account_id, amount, state) for key, account_id, amount, state in rows}


@dataclass(frozen=True, slots=True)
class PostingRow:
    """Something the back office has not confirmed."""

    key: str
    account_public_id: str
    account_ref: str
    kind: str
    amount: Money
    state: PostingState
    created_at: datetime
    next_try_at: datetime
    tries: int
    last_error: str


#: What needs somebody comes first.
_POSTING_ORDER = {PostingState.REJECTED: 0, PostingState.UNKNOWN: 1, PostingState.WAITING: 2}


def open_postings(session: Session, *, limit: int, offset: int = 0) -> tuple[list[PostingRow], int]:
    """Postings the back office has not confirmed, rejected ones first, then the oldest; and how many in all."""
    is_open = Posting.state.in_(list(_POSTING_ORDER))
    total = session.scalar(sa.select(sa.func.count(Posting.id)).where(is_open)) or 0
    rows: Any = session.execute(
        sa.select(
            Posting.key,
            ACCOUNT.c.public_id,
            ACCOUNT.c.ref,
            Posting.kind,
            Posting.amount,
            Posting.state,
            Posting.created_at,
            Posting.next_try_at,
            Posting.tries,
            Posting.last_error,
        )
        .join(ACCOUNT, ACCOUNT.c.id == Posting.account_id)
        .where(is_open)
        .order_by(sa.case(*[(Posting.state == state, place) for state, place in _POSTING_ORDER.items()]), Posting.id)
        .limit(limit)
        .offset(offset)
    )
    return [PostingRow(*row) for row in rows], int(total)
