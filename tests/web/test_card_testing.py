"""Stolen cards are tried: on one payment, and on guest payment as a whole."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import stripe
import time_machine
from flask import Flask
from sqlalchemy.orm import Session

from portal import clock
from portal.audit.models import AuditEvent
from portal.audit.tags import Tag
from portal.db import writing
from portal.guests.breaker import FEWEST_DECLINES, SHUT_FOR
from portal.guests.jobs import MEET, meet_card_testing
from portal.payments.gateway import StripeGateway
from portal.payments.models import Payment
from portal.payments.state import PaymentState
from portal.payments.tries import MOST_DECLINES, WAIT
from portal.sandbox.stripe import StandIn
from tests.conftest import Clinic
from tests.pages import JudgingClient, as_page
from tests.web import paying
from tests.web.guesting import choose, decline, deliver, enter, issue, knock, payment_at
from tests.web.paying import TESTA, client_of, confirm

SAMS, SAM_BORN = "SAMS000000000", "11/2/1951"
PAULAS, PAULA_BORN = "PAV1AS0000000", "7/21/1990"


@pytest.fixture
def gateway(app: Flask) -> StripeGateway:
    gateway: StripeGateway = app.extensions["plainbill_gateway"]
    return gateway


@pytest.fixture
def statements(session: Session, clinic: Clinic) -> None:
    """One for each account of the demo."""
    issue(session)
    issue(session, "JDC-1002", code=SAMS)
    issue(session, "JDC-1003", code=PAULAS)


@pytest.fixture
def guest_of(app: Flask, statements: None) -> Callable[..., JudgingClient]:
    """``guest_of(code, born_on)``: a browser of its own with a pass."""

    def act(*who: str) -> JudgingClient:
        client = app.test_client()
        assert isinstance(client, JudgingClient)
        enter(client, *who)
        return client

    return act


def open_payment(client: JudgingClient, session: Session, amount: str = "1.00") -> tuple[str, Payment]:
    """A guest's attempt that Stripe knows: its address and its row."""
    address = choose(client, choice="amount", amount=amount).location
    client.page(address)
    return address, payment_at(session, address)


def status_of(standin: StandIn, payment: Payment) -> str:
    return str(client_of(standin).v1.payment_intents.retrieve(payment.stripe_intent_id or "").status)


def attack(
    guest_of: Callable[..., JudgingClient], session: Session, standin: StandIn
) -> list[tuple[JudgingClient, str]]:
    """As many declines as it takes, on two statements; the browsers and the payments' addresses."""
    browsers = []
    for who in ((SAMS, SAM_BORN), (PAULAS, PAULA_BORN)):
        client = guest_of(*who)
        address, payment = open_payment(client, session)
        decline(standin, payment, times=FEWEST_DECLINES // 2)
        browsers.append((client, address))
    return browsers


def meet(session: Session, gateway: StripeGateway) -> None:
    """The worker's job, as the worker runs it."""
    session.rollback()
    with writing():
        meet_card_testing(session, gateway)


# --- One payment ---


def test_the_sixth_decline_closes_a_guests_payment_and_the_next_one_waits(
    app: Flask,
    guest_of: Callable[..., JudgingClient],
    session: Session,
    standin: StandIn,
    gateway: StripeGateway,
) -> None:
    guest = guest_of()
    address, payment = open_payment(guest, session)
    decline(standin, payment, times=MOST_DECLINES - 1)
    deliver(session, gateway, standin)
    assert status_of(standin, payment) == "requires_payment_method"
    assert "The payment did not go through" in guest.page(address).text("main")
    decline(standin, payment, times=1)
    deliver(session, gateway, standin)
    assert status_of(standin, payment) == "canceled"
    with pytest.raises(stripe.InvalidRequestError):
        confirm(standin, payment)  # a good card, too late

    answer = guest.get(f"{address}/return", follow_redirects=True)
    assert "Please wait an hour before you try again, or call (555) 010-0199" in as_page(answer).text("main")
    answer = choose(guest, choice="amount", amount="1.00")
    assert answer.status_code == 422
    assert "wait an hour" in as_page(answer).text("main")
    # Guest payment as a whole is open, and so are other statements.
    other = guest_of(SAMS, SAM_BORN)
    assert choose(other, choice="amount", amount="1.00").status_code == 302
    with time_machine.travel(clock.now() + WAIT):
        later = guest_of()
        assert choose(later, choice="amount", amount="1.00").status_code == 302


def test_the_same_for_somebody_who_is_signed_in(
    app: Flask,
    client: JudgingClient,
    clinic: Clinic,
    session: Session,
    standin: StandIn,
    gateway: StripeGateway,
    sign_in: Callable[..., Any],
) -> None:
    sign_in(client, TESTA)
    account = clinic.account("JDC-1001")
    address = paying.start(client, account, choice="amount", amount="1.00").location
    client.page(address)
    payment = paying.payment_at(session, address)
    decline(standin, payment, times=MOST_DECLINES)
    deliver(session, gateway, standin)
    assert status_of(standin, payment) == "canceled"
    answer = client.get(f"{address}/return", follow_redirects=True)
    assert "Please wait an hour before you try again" in as_page(answer).text("main")
    answer = paying.start(client, account, choice="amount", amount="1.00")
    assert answer.status_code == 422
    assert "wait an hour" in as_page(answer).text("main")


def test_a_payment_that_went_through_after_declines_stays(
    app: Flask, guest_of: Callable[..., JudgingClient], session: Session, standin: StandIn, gateway: StripeGateway
) -> None:
    guest = guest_of()
    address, payment = open_payment(guest, session)
    decline(standin, payment, times=MOST_DECLINES)
    confirm(standin, payment)  # before the events came in
    deliver(session, gateway, standin)
    assert payment_at(session, address).state is PaymentState.SUCCEEDED
    assert "You paid $1.00" in guest.page(f"{address}/return").text("main")


# --- All of guest payment ---


def test_many_declines_pause_guest_payment_and_nothing_of_it_can_be_confirmed(
    app: Flask,
    guest_of: Callable[..., JudgingClient],
    session: Session,
    standin: StandIn,
    gateway: StripeGateway,
    woken: list[str],
) -> None:
    paid = guest_of()
    receipt, first = open_payment(paid, session)
    confirm(standin, first)
    paid.page(f"{receipt}/return")
    bystander, waiting = open_payment(paid, session)
    browsers = attack(guest_of, session, standin)
    deliver(session, gateway, standin)
    assert MEET in woken
    meet(session, gateway)

    assert status_of(standin, waiting) == "canceled"
    session.rollback()
    assert session.query(Payment).filter(Payment.state.in_(["created", "open", "action"])).count() == 0
    stranger = app.test_client()
    assert isinstance(stranger, JudgingClient)
    shut = [(stranger, "/guest"), *[(one, "/guest/bill") for one, _address in browsers], (paid, "/guest/bill")]
    for client, address in shut:
        answer = client.get(address)
        assert answer.status_code == 503, address
        text = as_page(answer).text("main")
        assert "Guest payment is paused" in text
        assert "call us at (555) 010-0199" in text
        assert as_page(answer).links()["sign in"] == "/sign-in"
        assert 0 < int(answer.headers["Retry-After"]) <= SHUT_FOR.total_seconds()
    # What was paid stays to be seen, and what was closed says so.
    assert "You paid $1.00" in paid.page(f"{receipt}/receipt").text("main")
    answer = paid.get(f"{bystander}/return")
    assert (answer.status_code, answer.location) == (302, "/guest/bill")

    (event,) = session.query(AuditEvent).filter_by(tag=Tag.CARD_TESTING_MET).all()
    assert event.facts == {"declines": 12, "tries": 13}
    # The pages for people with an account are open as ever.
    assert stranger.get("/sign-in").status_code == 200

    with time_machine.travel(clock.now() + SHUT_FOR + timedelta(seconds=1)):
        assert stranger.get("/guest").status_code == 200
        meet(session, gateway)
        assert stranger.get("/guest").status_code == 200
        back = guest_of()
        assert choose(back, choice="amount", amount="1.00").status_code == 302


def test_a_form_sent_while_it_is_paused_starts_nothing(
    app: Flask, guest_of: Callable[..., JudgingClient], session: Session, standin: StandIn, gateway: StripeGateway
) -> None:
    guest = guest_of()
    bill = guest.page("/guest/bill")
    knocking = app.test_client()
    assert isinstance(knocking, JudgingClient)
    start = knocking.page("/guest")
    attack(guest_of, session, standin)
    deliver(session, gateway, standin)
    session.rollback()
    before = session.query(Payment).count()
    answer = guest.submit(bill, {"choice": "amount", "amount": "1.00"}, field="choice")
    assert answer.status_code == 503
    answer = knocking.submit(start, {"code": "7H3JKPQRS4TVX", "born_on": "3/14/1984"}, field="code")
    assert answer.status_code == 503
    session.rollback()
    assert session.query(Payment).count() == before


def test_what_was_written_just_before_the_pause_is_not_shown_to_a_card(
    app: Flask, guest_of: Callable[..., JudgingClient], session: Session, standin: StandIn, gateway: StripeGateway
) -> None:
    guest = guest_of()
    address = choose(guest, choice="amount", amount="1.00").location
    attack(guest_of, session, standin)
    deliver(session, gateway, standin)
    assert guest.get(address).status_code == 503
    assert payment_at(session, address).stripe_intent_id is None


def test_a_card_that_went_through_just_before_the_pause_is_not_called_uncharged(
    guest_of: Callable[..., JudgingClient], session: Session, standin: StandIn, gateway: StripeGateway
) -> None:
    guest = guest_of()
    address, payment = open_payment(guest, session)
    attack(guest_of, session, standin)
    deliver(session, gateway, standin)
    answer = guest.get(address, follow_redirects=True)
    assert answer.status_code == 503
    confirm(standin, payment)  # in the browser; no event has come in yet
    assert "You paid $1.00" in guest.page(address).text("main")


def test_a_busy_clinic_with_a_few_bad_cards_is_not_paused(
    app: Flask, guest_of: Callable[..., JudgingClient], session: Session, standin: StandIn, gateway: StripeGateway
) -> None:
    """The same declines, among as many cards that are good: 12 of 21 tries are 57 %."""
    guest, sam, paula = guest_of(), guest_of(SAMS, SAM_BORN), guest_of(PAULAS, PAULA_BORN)
    for one in (guest, guest, guest, sam, sam, paula, paula):
        address, payment = open_payment(one, session)
        confirm(standin, payment)
        one.page(f"{address}/return")
    for _client, address in attack(guest_of, session, standin):
        confirm(standin, payment_at(session, address))
    deliver(session, gateway, standin)
    assert guest.get("/guest/bill").status_code == 200
    assert session.query(AuditEvent).filter_by(tag=Tag.CARD_TESTING_MET).count() == 0


def test_a_supervisor_opens_it_again_and_staff_see_why_it_is_shut(
    app: Flask,
    guest_of: Callable[..., JudgingClient],
    session: Session,
    standin: StandIn,
    gateway: StripeGateway,
    sign_in: Callable[..., Any],
) -> None:
    staff, boss, patient = (app.test_client() for _ in range(3))
    assert isinstance(staff, JudgingClient)
    assert isinstance(boss, JudgingClient)
    assert isinstance(patient, JudgingClient)
    sign_in(staff, "staff@example.com")
    sign_in(boss, "supervisor@example.com")
    sign_in(patient, TESTA)
    assert "It was never paused" in staff.page("/desk/guest-payment").text("main")
    attack(guest_of, session, standin)
    deliver(session, gateway, standin)
    page = staff.page("/desk/guest-payment")
    assert "Guest payment is paused until" in page.text("main")
    assert "A supervisor can open it early" in page.text("main")
    assert not page.all("form", action="/desk/guest-payment/open")
    token = next(field.get("value") for field in page.all("input", name="csrf_token"))
    assert staff.post("/desk/guest-payment/open", data={"csrf_token": token}).status_code == 404
    assert patient.get("/desk/guest-payment").status_code == 404
    client = app.test_client()
    assert isinstance(client, JudgingClient)
    assert client.get("/guest").status_code == 503

    answer = boss.submit(boss.page("/desk/guest-payment"), action="/open", follow_redirects=True)
    text = as_page(answer).text("main")
    assert "Guest payment is open again" in text
    assert "Opened by a supervisor" in text
    assert knock(client).status_code == 302
    meet(session, gateway)
    assert client.get("/guest/bill").status_code == 200
    (event,) = session.query(AuditEvent).filter_by(tag=Tag.CARD_TESTING_LIFTED).all()
    assert event.actor_user_id is not None
