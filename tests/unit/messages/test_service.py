"""Asking and answering, against a database."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine
from sqlalchemy.orm import Session

from portal.accounts.models import AccessGrant
from portal.audit.models import AuditEvent
from portal.audit.tags import Tag
from portal.auth.models import User
from portal.db import RecordNotFound, new_public_id, writing
from portal.messages import queries, service
from portal.messages.emails import Email
from portal.messages.errors import BodyTooLong, EmptyBody, NewerMessage, TokenSpent
from portal.messages.kinds import ThreadState
from portal.messages.models import Message, Thread
from portal.notifications.models import Notification
from tests.unit.messages.conftest import Family

NOTICE = Email("There is an answer", "Sign in")


def ask(session: Session, family: Family, **changes: Any) -> service.Sent:
    facts: dict[str, Any] = {
        "account_id": family.account_id,
        "charge_id": family.charge_id,
        "user_id": family.guarantor_id,
        "subject": "Office visit",
        "body": "Why so much?",
        "token": new_public_id(),
    }
    return service.open_thread(session, **(facts | changes))


def answer(session: Session, family: Family, thread: str, **changes: Any) -> service.Sent:
    facts: dict[str, Any] = {
        "thread_public_id": thread,
        "staff_user_id": family.staff_id,
        "body": "Because of your deductible.",
        "token": new_public_id(),
        "seen": 1,
        "close": False,
        "notice": NOTICE,
    }
    return service.answer_thread(session, **(facts | changes))


def write(session: Session, family: Family, thread: str, body: str = "One more thing") -> service.Sent:
    return service.write_message(
        session, thread_public_id=thread, user_id=family.guarantor_id, body=body, token=new_public_id()
    )


def count(session: Session, model: Any) -> int:
    return int(session.scalar(sa.select(sa.func.count()).select_from(model)) or 0)


def tags(session: Session) -> list[Tag]:
    return list(session.scalars(sa.select(AuditEvent.tag).order_by(AuditEvent.id)))


def test_a_question_waits_for_staff_and_is_audited(session: Session, family: Family) -> None:
    sent = ask(session, family)
    thread = queries.thread_for(session, sent.thread_public_id, user_id=family.guarantor_id)
    assert sent.new
    assert thread.state is ThreadState.WAITING_FOR_STAFF
    assert thread.waiting_since == thread.opened_at
    assert (thread.description, thread.patient_name) == ("Office visit Gail", "Gail Sample")
    event = session.scalars(sa.select(AuditEvent)).one()
    assert (event.tag, event.account_id, event.subject) == (
        Tag.THREAD_OPENED,
        family.account_id,
        sent.thread_public_id,
    )
    assert event.facts == {}


def test_the_same_form_sends_one_thread(session: Session, family: Family) -> None:
    token = new_public_id()
    first = ask(session, family, token=token)
    second = ask(session, family, token=token)
    assert (first.new, second.new) == (True, False)
    assert second.thread_public_id == first.thread_public_id
    assert (count(session, Thread), count(session, Message)) == (1, 1)
    assert tags(session) == [Tag.THREAD_OPENED]


@pytest.mark.parametrize("change", [{"body": "Another text"}, {"charge_id": None}, {"user_id": "stranger"}])
def test_a_spent_token_never_swallows_another_message(session: Session, family: Family, change: dict[str, Any]) -> None:
    token = new_public_id()
    ask(session, family, token=token)
    if change.get("user_id"):
        change = {"user_id": family.stranger_id}
    with pytest.raises(TokenSpent):
        ask(session, family, token=token, **change)
    assert count(session, Message) == 1


def test_two_clicks_at_the_same_moment_send_once(engine: sa.Engine, session: Session, family: Family) -> None:
    token, results = new_public_id(), []
    barrier = threading.Barrier(2)

    def click() -> None:
        with writing(), Session(engine) as own:
            barrier.wait(10)
            results.append(ask(own, family, token=token))
            own.commit()

    clicks = [threading.Thread(target=click) for _ in range(2)]
    for thread in clicks:
        thread.start()
    for thread in clicks:
        thread.join(30)
    assert sorted(result.new for result in results) == [False, True]
    assert len({result.thread_public_id for result in results}) == 1
    assert (count(session, Thread), count(session, Message)) == (1, 1)


def test_a_click_that_loses_the_race_finds_the_others_thread(
    engine: sa.Engine, session: Session, family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The unique token decides, when both clicks looked before either wrote."""
    token = new_public_id()
    first = ask(session, family, token=token)
    session.commit()
    looked = []
    really = service._sent_with

    def too_early(*args: Any) -> Any:
        looked.append(1)
        return None if len(looked) == 1 else really(*args)

    monkeypatch.setattr(service, "_sent_with", too_early)
    second = ask(session, family, token=token)
    session.commit()
    assert (second.new, second.thread_public_id) == (False, first.thread_public_id)
    assert (count(session, Thread), count(session, Message)) == (1, 1)


@pytest.mark.parametrize("body", ["", "  \r\n\t ", "\x00", "\u200b\u200b", "\u00a0"])
def test_nothing_to_read_is_refused(session: Session, family: Family, body: str) -> None:
    with pytest.raises(EmptyBody):
        ask(session, family, body=body)
    assert count(session, Thread) == 0


def test_the_limit_counts_a_line_break_once() -> None:
    longest = ("x" * 99 + "\r\n") * 49 + "y" * 100
    assert len(service.tidy_body(longest)) == service.LONGEST_BODY
    with pytest.raises(BodyTooLong) as refused:
        service.tidy_body(longest + "zz")
    assert refused.value.over == 2


def test_a_body_is_kept_as_written_but_for_nul_and_blank_edges() -> None:
    assert service.tidy_body("\n  <b>a\x00b</b>\r\n\r\nc\rd \n") == "<b>ab</b>\n\nc\nd"


def test_writing_on_keeps_the_place_in_the_queue(session: Session, family: Family) -> None:
    start = datetime(2026, 5, 1, 12, tzinfo=UTC)
    with time_machine.travel(start, tick=False):
        sent = ask(session, family)
    with time_machine.travel(start + timedelta(hours=5), tick=False):
        write(session, family, sent.thread_public_id)
    thread = queries.thread_for(session, sent.thread_public_id, user_id=None)
    assert thread.waiting_since == start
    assert thread.last_message_at == start + timedelta(hours=5)


def test_an_answer_tells_the_opener_once_and_is_unread_until_shown(session: Session, family: Family) -> None:
    sent, token = ask(session, family), new_public_id()
    assert answer(session, family, sent.thread_public_id, token=token).new
    assert not answer(session, family, sent.thread_public_id, token=token).new
    thread = queries.thread_for(session, sent.thread_public_id, user_id=family.guarantor_id)
    assert (thread.state, thread.waiting_since, thread.unread) == (ThreadState.ANSWERED, None, True)
    mail = session.scalars(sa.select(Notification)).one()
    assert (mail.key, mail.to_email) == (f"message-answer/{token}", "gail@example.test")
    assert (mail.subject, mail.body) == (NOTICE.subject, NOTICE.body)
    assert tags(session) == [Tag.THREAD_OPENED, Tag.THREAD_ANSWERED]

    assert queries.unread_answers(session, family.guarantor_id) == 1
    assert service.mark_answers_read(session, thread_id=thread.id) == 1
    assert service.mark_answers_read(session, thread_id=thread.id) == 0
    assert queries.unread_answers(session, family.guarantor_id) == 0
    assert not queries.thread_for(session, sent.thread_public_id, user_id=None).unread


@pytest.mark.parametrize("lost", ["grant", "user"])
def test_who_cannot_read_the_answer_is_not_told_of_it(session: Session, family: Family, lost: str) -> None:
    sent = ask(session, family)
    if lost == "grant":
        session.execute(sa.update(AccessGrant).values(revoked_at=datetime(2026, 1, 1, tzinfo=UTC)))
    else:
        session.execute(sa.update(User).where(User.id == family.guarantor_id).values(active=False))
    assert answer(session, family, sent.thread_public_id).new
    assert count(session, Notification) == 0


def test_answer_and_close_then_a_new_message_reopens(session: Session, family: Family) -> None:
    sent = ask(session, family)
    answer(session, family, sent.thread_public_id, close=True)
    assert queries.thread_for(session, sent.thread_public_id, user_id=None).state is ThreadState.CLOSED
    assert tags(session)[-2:] == [Tag.THREAD_ANSWERED, Tag.THREAD_CLOSED]
    assert not service.close_thread(
        session, thread_public_id=sent.thread_public_id, staff_user_id=family.staff_id, seen=2
    )
    write(session, family, sent.thread_public_id)
    thread = queries.thread_for(session, sent.thread_public_id, user_id=None)
    assert thread.state is ThreadState.WAITING_FOR_STAFF
    assert thread.waiting_since == thread.last_message_at


def test_staff_does_not_answer_or_close_past_a_message_they_have_not_seen(session: Session, family: Family) -> None:
    sent = ask(session, family)
    write(session, family, sent.thread_public_id)
    with pytest.raises(NewerMessage):
        answer(session, family, sent.thread_public_id, seen=1)
    with pytest.raises(NewerMessage):
        service.close_thread(session, thread_public_id=sent.thread_public_id, staff_user_id=family.staff_id, seen=1)
    assert (count(session, Message), count(session, Notification)) == (2, 0)
    answer(session, family, sent.thread_public_id, seen=2)
    assert count(session, Message) == 3


def test_an_answer_that_was_sent_is_known_whatever_came_after(session: Session, family: Family) -> None:
    """Reloading the page after the patient wrote again sends nothing and complains of nothing."""
    sent, token = ask(session, family), new_public_id()
    answer(session, family, sent.thread_public_id, token=token)
    write(session, family, sent.thread_public_id)
    assert not answer(session, family, sent.thread_public_id, token=token).new
    assert queries.thread_for(session, sent.thread_public_id, user_id=None).state is ThreadState.WAITING_FOR_STAFF


def test_who_reads_what(session: Session, family: Family) -> None:
    own = ask(session, family).thread_public_id
    child = ask(session, family, charge_id=family.child_charge_id).thread_public_id
    account = ask(session, family, charge_id=None).thread_public_id
    proxys = ask(session, family, charge_id=None, user_id=family.child_proxy_id).thread_public_id

    def seen_by(user_id: int) -> set[str]:
        listed = {thread.public_id for thread in queries.threads_of_user(session, user_id)}
        opened = set()
        for public_id in (own, child, account, proxys):
            try:
                opened.add(queries.thread_for(session, public_id, user_id=user_id).public_id)
            except RecordNotFound:
                continue
        assert opened == listed
        return listed

    assert seen_by(family.guarantor_id) == {own, child, account, proxys}
    assert seen_by(family.child_proxy_id) == {child, proxys}
    assert seen_by(family.stranger_id) == set()
    session.execute(sa.update(AccessGrant).values(revoked_at=datetime(2026, 1, 1, tzinfo=UTC)))
    assert seen_by(family.guarantor_id) == seen_by(family.child_proxy_id) == set()


def test_a_stranger_cannot_write_and_learns_nothing(session: Session, family: Family) -> None:
    sent = ask(session, family)
    for thread in (sent.thread_public_id, new_public_id()):
        with pytest.raises(RecordNotFound):
            service.write_message(
                session, thread_public_id=thread, user_id=family.stranger_id, body="Hello", token=new_public_id()
            )
    assert count(session, Message) == 1


def test_unread_answers_counts_only_what_may_be_read(session: Session, family: Family) -> None:
    for charge_id in (family.charge_id, family.child_charge_id):
        answer(session, family, ask(session, family, charge_id=charge_id).thread_public_id)
    assert queries.unread_answers(session, family.guarantor_id) == 2
    assert queries.unread_answers(session, family.child_proxy_id) == 1
    assert queries.unread_answers(session, family.stranger_id) == 0


def test_the_inbox_puts_the_longest_wait_first_and_answered_after(session: Session, family: Family) -> None:
    start = datetime(2026, 5, 1, 12, tzinfo=UTC)
    threads = []
    for hour in range(4):
        with time_machine.travel(start + timedelta(hours=hour), tick=False):
            threads.append(ask(session, family, token=new_public_id()).thread_public_id)
    with time_machine.travel(start + timedelta(hours=9), tick=False):
        answer(session, family, threads[1])
        write(session, family, threads[0])
    with time_machine.travel(start + timedelta(hours=10), tick=False):
        answer(session, family, threads[2])
    states = [ThreadState.WAITING_FOR_STAFF, ThreadState.ANSWERED]
    rows, total = queries.inbox(session, states, limit=10)
    assert [row.public_id for row in rows] == [threads[0], threads[3], threads[2], threads[1]]
    assert total == 4
    rows, total = queries.inbox(session, states, limit=2, offset=1)
    assert ([row.public_id for row in rows], total) == ([threads[3], threads[2]], 4)
    assert queries.counts_by_state(session) == {
        ThreadState.WAITING_FOR_STAFF: 2,
        ThreadState.ANSWERED: 2,
        ThreadState.CLOSED: 0,
    }


def test_threads_about_a_visit_are_its_readers_only(session: Session, family: Family) -> None:
    mine = ask(session, family).thread_public_id
    ask(session, family, charge_id=family.child_charge_id)
    ask(session, family, charge_id=None)
    found = queries.threads_about_visit(session, family.visit_id, user_id=family.guarantor_id)
    assert [thread.public_id for thread in found] == [mine]
    assert queries.threads_about_visit(session, family.visit_id, user_id=family.child_proxy_id) == []
    assert len(queries.threads_of_account(session, family.account_id)) == 3
