"""The inbox: how long an event waits for what it is about, and whose events are taken in; and what settling refuses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine
from sqlalchemy.orm import Session

from portal import clock
from portal.audit.models import AuditEvent
from portal.audit.tags import Tag
from portal.db import writing
from portal.payments import service
from portal.payments.errors import IntentMismatch, StripeUnreachable
from portal.payments.gateway import Event, StripeGateway
from portal.payments.models import Booking, Payment, StripeEvent
from portal.payments.state import PaymentState
from portal.payments.stripe_events.events import surprises
from portal.payments.stripe_events.inbox import Handler, KeptEvent, catch_up, keep, process_due
from portal.payments.sweeping import sweep
from portal.sandbox.stripe import StandIn
from tests.web.money_moves import Pay, gateway, pay

__all__ = ["gateway", "pay"]

BEGAN = datetime.fromisoformat("2026-12-01T15:00:00+00:00")


@pytest.fixture
def at() -> Iterator[Any]:
    """``at(12)``: so many minutes after the test began."""
    traveller = time_machine.travel(BEGAN, tick=False)
    moved = traveller.start()
    yield lambda minutes: moved.move_to(BEGAN + timedelta(minutes=minutes))
    traveller.stop()


def an_event(session: Session, *, live: bool = False, name: str = "evt_1") -> None:
    made = Event(name, "thing.happened", live, "thing_1", "", clock.now())
    keep(session, made)
    session.commit()


def is_done(session: Session) -> bool:
    session.rollback()
    return session.scalar(sa.select(StripeEvent.processed_at)) is not None


def not_yet(_session: Session, _gateway: StripeGateway, _event: KeptEvent) -> bool:
    return False


def contradicts(_session: Session, _gateway: StripeGateway, _event: KeptEvent) -> bool:
    raise IntentMismatch("thing_1")


def is_away(_session: Session, _gateway: StripeGateway, _event: KeptEvent) -> bool:
    raise StripeUnreachable("thing_1")


def turn(session: Session, gateway: StripeGateway, handler: Handler) -> None:
    handlers: Mapping[str, Handler] = {"thing.": handler}
    with writing():
        process_due(session, gateway, handlers)
    session.rollback()


@pytest.mark.parametrize("away", [12, 4 * 24 * 60])
def test_an_event_of_something_unknown_waits_ten_minutes_from_its_first_try(
    session: Session, gateway: StripeGateway, at: Any, away: float
) -> None:
    an_event(session)
    for minutes in (0, 2, 6, 9):  # a worker that was away has tried nothing
        at(away + minutes)
        turn(session, gateway, not_yet)
        assert not is_done(session)
    at(away + 40)
    turn(session, gateway, not_yet)
    assert is_done(session)


def test_a_worker_that_is_away_after_the_first_try_does_not_use_the_patience_up(
    session: Session, gateway: StripeGateway, at: Any
) -> None:
    an_event(session)
    for minutes in (0, 12, 16):
        at(minutes)
        turn(session, gateway, not_yet)
        assert not is_done(session)


def test_while_stripe_is_away_nothing_was_tried(session: Session, gateway: StripeGateway, at: Any) -> None:
    an_event(session)
    for minutes in range(0, 400, 65):
        at(minutes)
        turn(session, gateway, is_away)
    at(460)
    turn(session, gateway, not_yet)
    assert not is_done(session)


@pytest.mark.parametrize("handler", [contradicts, is_away])
def test_an_answer_after_an_hour_of_errors_is_the_first_of_its_tries(
    session: Session, gateway: StripeGateway, at: Any, handler: Handler
) -> None:
    an_event(session)
    for minutes in range(0, 400, 65):
        at(minutes)
        turn(session, gateway, handler)
    for minutes in (460, 462, 464, 469):
        at(minutes)
        turn(session, gateway, not_yet)
        assert not is_done(session)
    assert session.execute(sa.select(StripeEvent.tries, StripeEvent.last_error)).one() == (4, "")
    at(500)
    turn(session, gateway, not_yet)
    assert is_done(session)


def test_one_that_contradicts_us_is_given_up_three_days_after_its_first_try(
    session: Session, gateway: StripeGateway, at: Any
) -> None:
    an_event(session)
    day = 24 * 60
    at(4 * day)
    turn(session, gateway, contradicts)
    assert not is_done(session)
    at(6.9 * day)
    turn(session, gateway, contradicts)
    assert not is_done(session)
    at(7.1 * day)
    turn(session, gateway, contradicts)
    assert is_done(session)
    assert session.scalar(sa.select(StripeEvent.last_error)) == "IntentMismatch"


@pytest.mark.parametrize("live", [False, True])
def test_catch_up_takes_in_no_event_of_the_other_mode(
    session: Session, gateway: StripeGateway, pay: Pay, monkeypatch: pytest.MonkeyPatch, live: bool
) -> None:
    """A test portal must not hear of live money, nor a live one of test money."""
    pay("60")
    monkeypatch.setattr(gateway, "live", live)
    made = [Event(f"evt_{mode}", "charge.updated", mode, "ch_1", "", clock.now()) for mode in (False, True)]
    monkeypatch.setattr(gateway, "undelivered_events", lambda *, since: iter(made))
    with writing():
        assert catch_up(session, gateway) == 1
    assert session.scalars(sa.select(StripeEvent.id)).all() == [f"evt_{live}"]


@pytest.mark.parametrize("received", [5_999, 0, 6_001])
def test_another_amount_than_was_asked_for_is_held_with_an_alarm_and_not_booked(
    session: Session, gateway: StripeGateway, standin: StandIn, pay: Pay, received: int
) -> None:
    payment = pay("60", settled=False)
    made = standin.every("payment_intent")[0]
    standin.store.save({**made, "amount_received": received})
    for _ in range(2):
        with writing(), pytest.raises(IntentMismatch):
            service.refresh(session, gateway, payment_id=payment.id)
    with time_machine.travel(clock.now() + timedelta(hours=1), tick=False), writing():
        sweep(session, gateway, older_than=timedelta(minutes=5))
    session.rollback()
    session.expire_all()
    assert session.get_one(Payment, payment.id).state is not PaymentState.SUCCEEDED
    assert session.scalars(sa.select(Booking.id)).all() == []
    # The desk sees one thing to look at.
    assert [one.payment_public_id for one in surprises(session, limit=9)] == [payment.public_id]
    told = session.scalars(sa.select(AuditEvent.facts).where(AuditEvent.tag == Tag.PAYMENT_SURPRISING)).all()
    assert [facts["what"] for facts in told] == ["mismatch"]
    standin.store.save({**made, "amount_received": 6_000})
    with writing():
        service.refresh(session, gateway, payment_id=payment.id)
    assert session.get_one(Payment, payment.id).state is PaymentState.SUCCEEDED
