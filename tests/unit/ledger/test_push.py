"""Postings reach the back office once, in order, whatever happens on the way."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.service import open_account
from portal.audit.models import AuditEvent
from portal.audit.tags import Tag
from portal.auth.models import User
from portal.billing import postings
from portal.billing.kinds import PostingState
from portal.billing.models import Posting
from portal.billing.postings import retry_posting
from portal.billing.service import queue_posting
from portal.ledger.adapters.embedded.ledger import EmbeddedLedger
from portal.ledger.port import LedgerUnreachable, Outcome, PostingAnswer, PostingRequest, VisitPart
from portal.ledger.push import deliver_due
from portal.money import Money


class Office(EmbeddedLedger):
    """The embedded ledger over a bad line: it notes what it was asked, and answers get lost on the way.

    ``lose`` are the keys whose next answer is lost after the posting was made, ``away`` those that never arrive,
    ``refuse`` those that are refused.
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.asked: list[tuple[str, str]] = []
        self.lose: set[str] = set()
        self.away: set[str] = set()
        self.refuse: set[str] = set()

    def push(self, posting: PostingRequest) -> PostingAnswer:
        self.asked.append(("push", posting.key[0]))
        if posting.key[0] in self.away:
            raise LedgerUnreachable
        if posting.key[0] in self.refuse:
            return PostingAnswer(Outcome.REJECTED, reason="closed period")
        answer = super().push(posting)
        if posting.key[0] in self.lose:
            self.lose.remove(posting.key[0])
            raise LedgerUnreachable
        return answer

    def lookup(self, key: str) -> PostingAnswer | None:
        self.asked.append(("lookup", key[0]))
        if key[0] in self.away:
            raise LedgerUnreachable
        return super().lookup(key)


@pytest.fixture
def office(session: Session) -> Office:
    return Office(session)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], datetime]:
    """``later(timedelta)`` moves the portal's clock on."""

    def move(by: timedelta) -> datetime:
        moved = clock.now() + by
        monkeypatch.setattr(clock, "now", lambda: moved)
        return moved

    return move


def queue(session: Session, name: str, *, account: str = "ACC-1") -> None:
    """A posting whose key starts with the letter ``name``."""
    row = open_account(session, ref=account, guarantor_name="Anna Sample")
    queue_posting(
        session,
        key=name + "0" * 31,
        account_id=row.id,
        kind="patient_payment",
        amount=Money(500),
        effective_on=date(2026, 11, 2),
        lines=[("V-1", Money(200)), ("V-2", Money(300))],
    )
    session.commit()


def states(session: Session) -> dict[str, str]:
    session.rollback()
    rows = session.execute(sa.select(Posting.key, Posting.state)).all()
    session.commit()
    return {key[0]: state.value for key, state in rows}


def test_a_posting_is_delivered_once(session: Session, office: Office) -> None:
    queue(session, "a")
    assert (deliver_due(session, office), deliver_due(session, office)) == (1, 0)
    assert office.asked == [("push", "a")]
    assert office.received() == {"a" + "0" * 31: Money(500)}
    row = session.scalars(sa.select(Posting)).one()
    assert (row.state, bool(row.ledger_ref), row.posted_at is not None) == (PostingState.POSTED, True, True)
    session.commit()


def test_a_lost_answer_is_looked_up_and_nothing_is_posted_twice(
    session: Session, office: Office, later: Callable[..., Any]
) -> None:
    queue(session, "a")
    office.lose = {"a"}
    assert deliver_due(session, office) == 0
    assert states(session) == {"a": "unknown"}
    assert deliver_due(session, office) == 0  # not due yet
    later(timedelta(minutes=2))
    assert deliver_due(session, office) == 1
    assert office.asked == [("push", "a"), ("lookup", "a")]
    assert (states(session), office.received()) == ({"a": "posted"}, {"a" + "0" * 31: Money(500)})


def test_what_never_arrived_is_looked_up_and_sent_again(
    session: Session, office: Office, later: Callable[..., Any]
) -> None:
    queue(session, "a")
    office.away = {"a"}
    deliver_due(session, office)
    later(timedelta(minutes=2))
    deliver_due(session, office)
    office.away = set()
    later(timedelta(minutes=4))
    assert deliver_due(session, office) == 1
    assert office.asked == [("push", "a"), ("lookup", "a"), ("lookup", "a"), ("push", "a")]


def test_an_accounts_order_is_kept_and_others_go_on(
    session: Session, office: Office, later: Callable[..., Any]
) -> None:
    for name, account in (("a", "ACC-1"), ("b", "ACC-1"), ("c", "ACC-2")):
        queue(session, name, account=account)
    office.away = {"a"}
    assert deliver_due(session, office) == 1
    assert states(session) == {"a": "unknown", "b": "waiting", "c": "posted"}
    office.away, office.asked = set(), []
    later(timedelta(minutes=2))
    assert deliver_due(session, office) == 2
    assert office.asked == [("lookup", "a"), ("push", "a"), ("push", "b")]


def test_a_rejected_one_is_shown_and_the_others_go_on(session: Session, office: Office) -> None:
    for name in "abc":
        queue(session, name)
    office.refuse = {"b"}
    assert deliver_due(session, office) == 2
    assert states(session) == {"a": "posted", "b": "rejected", "c": "posted"}
    row = session.scalars(sa.select(Posting).where(Posting.state == PostingState.REJECTED)).one()
    assert row.last_error == "closed period"
    tags = session.scalars(sa.select(AuditEvent.tag).where(AuditEvent.subject == row.key)).all()
    assert list(tags) == [Tag.POSTING_REJECTED]
    session.commit()


def test_a_rejected_one_is_looked_up_before_staff_send_it_again(session: Session, office: Office) -> None:
    staff = User(email="staff@example.test", created_at=clock.now())
    session.add(staff)
    queue(session, "a")
    office.refuse = {"a"}
    deliver_due(session, office)
    office.refuse, office.asked = set(), []
    assert retry_posting(session, key="a" + "0" * 31, staff_user_id=staff.id)
    session.commit()
    assert deliver_due(session, office) == 1
    assert office.asked == [("lookup", "a"), ("push", "a")]


def test_a_worker_that_dies_before_the_answer_leaves_it_to_the_next_run(
    session: Session, engine: sa.Engine, later: Callable[..., Any]
) -> None:
    queue(session, "a")
    assert postings.take_due(session) is not None
    session.close()  # the worker is gone, before it asked anybody
    with Session(engine) as fresh:
        office = Office(fresh)
        assert (states(fresh), deliver_due(fresh, office)) == ({"a": "unknown"}, 0)
        later(timedelta(minutes=2))
        assert deliver_due(fresh, office) == 1
        assert office.asked == [("lookup", "a"), ("push", "a")]


def test_a_worker_that_dies_after_the_posting_does_not_post_again(
    session: Session, engine: sa.Engine, later: Callable[..., Any]
) -> None:
    queue(session, "a")
    due = postings.take_due(session)
    assert due is not None
    parts = [("V-1", Money(200)), ("V-2", Money(300))]
    assert due.parts == parts
    with pytest.raises(KeyboardInterrupt):
        deliver_and_die(session, due)
    session.close()
    with Session(engine) as fresh:
        office = Office(fresh)
        later(timedelta(minutes=2))
        assert deliver_due(fresh, office) == 1
        assert office.asked == [("lookup", "a")]
        assert office.received() == {due.key: Money(500)}


def deliver_and_die(session: Session, due: postings.DuePosting) -> None:
    request = PostingRequest(
        due.key, due.kind, due.account_ref, due.amount, due.effective_on, [VisitPart(*part) for part in due.parts]
    )
    assert EmbeddedLedger(session).push(request).outcome is Outcome.POSTED
    raise KeyboardInterrupt


def test_tries_come_ever_later_and_end_with_staff(
    session: Session, office: Office, later: Callable[..., Any]
) -> None:
    queue(session, "a")
    office.away = {"a"}
    waits = []
    for _try in range(6):
        deliver_due(session, office)
        due_at = session.scalars(sa.select(Posting.next_try_at)).one()
        session.commit()
        waits.append(due_at - clock.now())
        later(due_at - clock.now())
    assert waits == sorted(waits)
    assert waits[0] >= timedelta(seconds=30)
    later(postings.GIVE_UP_AFTER)
    deliver_due(session, office)
    assert states(session) == {"a": "rejected"}


def test_the_same_key_with_other_content_is_refused(session: Session) -> None:
    ledger = EmbeddedLedger(session)
    first = PostingRequest(
        "a" * 32, "patient_payment", "ACC-1", Money(500), date(2026, 11, 2), [VisitPart("V-1", Money(500))]
    )
    other = PostingRequest(
        "a" * 32, "patient_payment", "ACC-1", Money(400), date(2026, 11, 2), [VisitPart("V-1", Money(400))]
    )
    unbalanced = PostingRequest(
        "b" * 32, "patient_payment", "ACC-1", Money(500), date(2026, 11, 2), [VisitPart("V-1", Money(400))]
    )
    outcomes = [ledger.push(one).outcome for one in (first, first, other, unbalanced)]
    assert outcomes == [Outcome.POSTED, Outcome.DUPLICATE, Outcome.REJECTED, Outcome.REJECTED]
    assert ledger.received() == {"a" * 32: Money(500)}
