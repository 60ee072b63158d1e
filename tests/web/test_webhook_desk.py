"""The dashboard of Stripe's events, and the catch-up for what no webhook brought."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

from portal import clock
from portal.audit.models import AuditEvent
from portal.audit.service import record
from portal.audit.tags import Tag
from portal.db import writing
from portal.payments.errors import StripeUnreachable
from portal.payments.gateway import Event, StripeGateway
from portal.payments.kinds import EventSource
from portal.payments.models import Payment, StripeEvent
from portal.payments.state import PaymentState
from portal.payments.stripe_events import events, inbox
from portal.payments.stripe_events.inbox import CATCH_UP_EVERY, catch_up, keep, process_due, retry_event
from portal.sandbox.stripe import StandIn
from portal.worker import HANDLERS
from tests.conftest import Clinic
from tests.pages import JudgingClient
from tests.web.money_moves import Pay, gateway, pay
from tests.web.paying import client_of

BOTH_DATABASES = True

__all__ = ["gateway", "pay"]


def put(session: Session, name: str, *, ago: timedelta = timedelta(0), lag: int = 1, **facts: Any) -> StripeEvent:
    """An event that came in some time ago; dealt with unless said otherwise."""
    came = clock.now() - ago
    event = StripeEvent(
        **{
            "id": name,
            "type": "charge.succeeded",
            "created_at": came - timedelta(seconds=lag),
            "received_at": came,
            "lag_seconds": lag,
            "next_try_at": came,
            "processed_at": came,
            **facts,
        }
    )
    session.add(event)
    session.commit()
    return event


def listened(standin: StandIn) -> None:
    """An endpoint that is down, so that every event stays undelivered."""
    client_of(standin).v1.webhook_endpoints.create({"url": "http://127.0.0.1:9/x", "enabled_events": ["*"]})


def caught_up(session: Session, gateway: StripeGateway) -> int:
    with writing():
        return catch_up(session, gateway)


# Catching up


def test_what_no_webhook_brought_is_asked_for_and_dealt_with(
    session: Session, gateway: StripeGateway, standin: StandIn, pay: Pay, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert caught_up(session, gateway) == 0  # before the first payment there is nothing to ask for
    assert [one for one in standin.requests if one["path"] == "/v1/events"] == []
    listened(standin)
    payment = pay("60", settled=False)
    new = caught_up(session, gateway)
    assert new == session.query(StripeEvent).count() > 0
    assert {one.source for one in session.query(StripeEvent)} == {EventSource.CATCH_UP}
    with writing():
        process_due(session, gateway, HANDLERS)
    session.rollback()
    assert session.get_one(Payment, payment.id).state is PaymentState.SUCCEEDED
    assert caught_up(session, gateway) == 0  # its turn was a moment ago
    later = clock.now() + CATCH_UP_EVERY
    monkeypatch.setattr(clock, "now", lambda: later)
    assert caught_up(session, gateway) == 0  # asked again, and all of it known
    assert session.query(StripeEvent).count() == new
    asked = [one["params"]["created"]["gte"] for one in standin.requests if one["path"] == "/v1/events"]
    assert len(asked) == 2
    assert asked == sorted(asked)  # from later on: what was read is read again for a day only
    monkeypatch.setattr(clock, "now", lambda: later + timedelta(days=9))
    caught_up(session, gateway)
    monkeypatch.setattr(clock, "now", lambda: later + timedelta(days=10))
    caught_up(session, gateway)
    latest = int([one["params"]["created"]["gte"] for one in standin.requests if one["path"] == "/v1/events"][-1])
    assert latest == int((later + timedelta(days=8)).timestamp())


def test_a_webhook_that_comes_after_all_changes_nothing(
    session: Session, gateway: StripeGateway, standin: StandIn, pay: Pay
) -> None:
    listened(standin)
    pay("60")
    caught_up(session, gateway)
    first = session.scalars(sa.select(StripeEvent)).first()
    assert first is not None
    again = Event(first.id, first.type, False, first.object_id, first.intent_id, first.created_at)
    assert keep(session, again) is False


def test_a_turn_takes_so_many_and_the_next_takes_the_others(
    session: Session, gateway: StripeGateway, standin: StandIn, pay: Pay, monkeypatch: pytest.MonkeyPatch
) -> None:
    listened(standin)
    pay("60")
    there = len(standin.every("event"))
    monkeypatch.setattr(inbox, "MOST_AT_ONCE", 2)
    monkeypatch.setattr(inbox, "_OVERLAP", timedelta(0))
    taken, real = [], clock.now
    for turn in range(there):
        monkeypatch.setattr(clock, "now", lambda turn=turn: real() + (turn + 1) * CATCH_UP_EVERY)
        taken.append(caught_up(session, gateway))
    assert sum(taken) == session.query(StripeEvent).count() == there
    assert max(taken) == 2


def test_a_turn_that_stripe_did_not_answer_is_made_up_for(
    session: Session, gateway: StripeGateway, standin: StandIn, pay: Pay, monkeypatch: pytest.MonkeyPatch
) -> None:
    listened(standin)
    pay("60")
    standin.faults.add(kind="drop_before", path="/v1/events", times=9)
    with pytest.raises(StripeUnreachable):
        caught_up(session, gateway)
    session.rollback()
    standin.faults.clear()
    later = clock.now() + timedelta(days=3)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert caught_up(session, gateway) == len(standin.every("event"))


def test_how_long_an_event_took_is_kept(session: Session) -> None:
    made = clock.now() - timedelta(seconds=90)
    keep(session, Event("evt_late", "t", False, "", "", made))
    keep(session, Event("evt_ahead", "t", False, "", "", clock.now() + timedelta(seconds=30)))
    lags = dict(session.execute(sa.select(StripeEvent.id, StripeEvent.lag_seconds)).all())
    assert lags["evt_ahead"] == 0
    assert 90 <= lags["evt_late"] < 100


# Failing


def test_one_event_that_fails_keeps_no_other_waiting(session: Session, gateway: StripeGateway) -> None:
    put(session, "evt_bad", type="bad.one", processed_at=None)
    put(session, "evt_good", type="good.one", processed_at=None)

    def bad(*_given: Any) -> bool:
        raise ValueError("a status this version does not know")

    handlers: dict[str, Any] = {"bad.": bad, "good.": lambda *_given: True}
    with writing():
        assert process_due(session, gateway, handlers) == 1
    session.rollback()
    told = {one.id: (one.last_error, one.tries, one.processed_at is None) for one in session.query(StripeEvent)}
    assert told == {"evt_bad": ("ValueError", 1, True), "evt_good": ("", 1, False)}


def test_what_failed_is_tried_again_by_staff_and_forgotten_when_it_works(
    session: Session, gateway: StripeGateway, clinic: Clinic
) -> None:
    staff = clinic.user_id("staff@example.com")
    put(session, "evt_1", type="t.1", last_error="StripeRefused", ago=timedelta(days=4))
    assert events.failed(session, limit=5)[0][0].given_up
    assert events.stuck(session) == 1
    assert retry_event(session, event_id="evt_1", staff_user_id=staff)
    session.commit()
    with writing():
        assert process_due(session, gateway, {"t.": lambda *_given: True}) == 1
    session.rollback()
    assert events.failed(session, limit=5) == ([], 0)
    assert events.stuck(session) == 0
    assert not retry_event(session, event_id="evt_1", staff_user_id=staff)
    assert session.query(AuditEvent).filter(AuditEvent.tag == Tag.EVENT_RETRIED).one().subject == "evt_1"


# The dashboard


def test_the_figures(session: Session) -> None:
    for number, lag in enumerate((1, 2, 3, 500, 9000)):
        put(session, f"evt_{number}", lag=lag, ago=timedelta(hours=number))
    put(session, "evt_old", lag=99_999, ago=timedelta(days=2), source=EventSource.CATCH_UP)
    put(session, "evt_ancient", ago=timedelta(days=9))
    put(session, "evt_waits", ago=timedelta(minutes=20), processed_at=None, type="payout.paid")
    put(session, "evt_fails", ago=timedelta(minutes=2), processed_at=None, last_error="X", type="payout.paid")
    lag = events.lag(session)
    assert (lag.events, lag.median, lag.longest) == (7, 2, 9000)
    assert [(one.type, one.source.value, one.state.value, one.count) for one in events.counts(session)] == [
        ("charge.succeeded", "catch_up", "done", 1),
        ("charge.succeeded", "webhook", "done", 5),
        ("payout.paid", "webhook", "failed", 1),
        ("payout.paid", "webhook", "waiting", 1),
    ]
    assert events.stuck(session) == 1
    last = events.last_received(session)
    assert last is not None
    assert clock.now() - last < timedelta(minutes=1)


def test_silence_is_told_only_when_payments_were_made(
    session: Session, pay: Pay, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(session, "evt_1", ago=timedelta(hours=5))
    assert not events.is_silent(session, events.last_received(session))
    pay("60")
    assert events.is_silent(session, events.last_received(session))
    assert events.is_silent(session, None)
    put(session, "evt_2")
    assert not events.is_silent(session, events.last_received(session))
    later = clock.now() + timedelta(hours=9)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert not events.is_silent(session, events.last_received(session))  # a quiet night


@pytest.fixture
def desk(client: JudgingClient, clinic: Clinic, sign_in: Callable[..., Any]) -> JudgingClient:
    sign_in(client, "staff@example.com")
    return client


def test_staff_see_how_events_come_in_and_try_one_again(
    desk: JudgingClient, session: Session, pay: Pay, woken: list[str]
) -> None:
    payment = pay("60")
    text = desk.page("/desk/webhooks").text("main")
    for words in ("No event has ever come although", "None failed", "Nothing"):
        assert words in text
    put(session, "evt_stuck", type="charge.dispute.created", last_error="IntentMismatch", processed_at=None, tries=7)
    put(session, "evt_fine", source=EventSource.CATCH_UP, lag=180)
    for _ in range(3):
        record(session, Tag.PAYMENT_SURPRISING, account_id=payment.account_id, subject=payment.public_id)
    session.commit()
    page = desk.page("/desk/webhooks")
    text = page.text("main")
    for words in ("IntentMismatch", "charge.dispute.created", "3 minutes", "catch-up", "JDC-1001", "refund it there"):
        assert words in text
    assert "Stripe does not reach us" not in text
    woken.clear()
    assert desk.submit(page, {"event_id": "evt_stuck"}, field="event_id").status_code == 302
    assert woken == ["payments.process_events"]
    assert desk.submit(page, {"event_id": "evt_fine"}, field="event_id").status_code == 302
    assert desk.submit(page, {"event_id": "evt_none"}, field="event_id").status_code == 404
    assert woken == ["payments.process_events"]
    assert "Stripe’s events in detail" in desk.page("/desk/sync").text("main")


@pytest.fixture
def statements(app: Flask) -> Iterator[list[str]]:
    """Every statement that the app sends to its database."""
    from portal.web.database import db

    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        sent.append(statement)

    with app.app_context():
        engine = db.engine
    sa.event.listen(engine, "before_cursor_execute", note)
    yield sent
    sa.event.remove(engine, "before_cursor_execute", note)


def test_a_hundred_thousand_events_cost_no_more_queries(
    desk: JudgingClient, session: Session, statements: list[str]
) -> None:
    def cost() -> int:
        statements.clear()
        desk.page("/desk/webhooks")
        return len(statements)

    put(session, "evt_first")
    cost()  # the first page of an app looks at the schema
    before = cost()
    session.execute(
        sa.text(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) "
            "INSERT INTO stripe_event (id, type, object_id, intent_id, source, created_at, received_at, lag_seconds, "
            "next_try_at, tries, last_error, processed_at) "
            "SELECT 'evt_' || i, 'type.' || (i % 20), '', '', 'webhook', :at, :at, i % 60, :at, 1, "
            "CASE WHEN i % 10000 = 0 THEN 'StripeRefused' ELSE '' END, CASE WHEN i % 1000 = 0 THEN NULL ELSE :at END "
            "FROM n"
        ).bindparams(sa.bindparam("at", datetime.now(UTC) - timedelta(days=2), StripeEvent.received_at.type))
    )
    session.commit()
    assert cost() == before
    assert before < 25
    used = session.execute(
        sa.text(
            ("EXPLAIN " if session.get_bind().dialect.name == "postgresql" else "EXPLAIN QUERY PLAN ")
            + "SELECT id FROM stripe_event WHERE last_error <> '' ORDER BY received_at DESC LIMIT 25"
        )
    ).all()
    assert "ix_stripe_event_failed" in str(used)
