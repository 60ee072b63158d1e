"""Stolen cards are tried: on one payment, and on guest payment as a whole."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import stripe
import time_machine
from flask import Flask
from sqlalchemy.orm import Session

from portal import clock
from portal.audit.models import AuditEvent
from portal.audit.tags import Tag
from portal.db import writing
from portal.guests.breaker import FEWEST_DECLINES, SHUT_FOR, WINDOW
from portal.guests.jobs import MEET, meet_card_testing
from portal.guests.models import GuestPayment
from portal.payments.gateway import StripeGateway
from portal.payments.models import Payment
from portal.payments.state import PaymentState
from portal.payments.tries import MOST_DECLINES, WAIT
from portal.sandbox.stripe import StandIn
from tests.conftest import Clinic
from tests.pages import JudgingClient, as_page
from tests.web import paying
from tests.web.guesting import choose, comes_from, decline, deliver, enter, issue, payment_at, token_of
from tests.web.paying import TESTA, client_of, confirm

BOTH_DATABASES = True

SAMS, SAMS_OTHER, SAM_BORN = "SAMS000000000", "SAMS000000001", "11/2/1951"
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
    """As many declines as it takes, on three statements, from three networks; the browsers and the payments' addresses.

    The third statement is an older one of Sam's: Testa's is left alone.
    """
    issue(session, "JDC-1002", code=SAMS_OTHER)
    browsers = []
    papers = ((SAMS, SAM_BORN, 3), (PAULAS, PAULA_BORN, 6), (SAMS_OTHER, SAM_BORN, 3))
    for number, (code, born_on, times) in enumerate(papers):
        client = comes_from(guest_of(code, born_on), f"198.51.100.{number}")
        address, payment = open_payment(client, session)
        decline(standin, payment, times=times)
        browsers.append((client, address))
    assert sum(times for *_paper, times in papers) == FEWEST_DECLINES
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
    # Whoever has a code is let in and sees what is due and whom to call; but there is no way to a card.
    stranger = app.test_client()
    assert isinstance(stranger, JudgingClient)
    start = stranger.page("/guest")
    assert "You can still see what is due. To pay now, call (555) 010-0199" in start.text("main")
    enter(stranger)
    for client in (stranger, paid, *[one for one, _address in browsers]):
        page = client.page("/guest/bill")
        text = page.text("main")
        assert "Amount due now $" in text
        assert "call us at (555) 010-0199" in text
        assert page.links()["sign in"] == "/sign-in"
        assert not page.all("input", name="choice")
        answer = client.post("/guest/bill", data={"csrf_token": token_of(page), "choice": "all", "seen": "1"})
        assert answer.status_code == 503
        assert "Guest payment is paused" in as_page(answer).text("main")
        assert "call us at (555) 010-0199" in as_page(answer).text("main")
        assert 0 < int(answer.headers["Retry-After"]) <= SHUT_FOR.total_seconds()
    # What was paid stays to be seen, and what was closed says so.
    assert "You paid $1.00" in paid.page(f"{receipt}/receipt").text("main")
    answer = paid.get(f"{bystander}/return")
    assert (answer.status_code, answer.location) == (302, "/guest/bill")

    (event,) = session.query(AuditEvent).filter_by(tag=Tag.CARD_TESTING_MET).all()
    assert event.facts == {"declines": 12, "tries": 13, "statements": 3, "networks": 3}
    # The pages for people with an account are open as ever.
    assert stranger.get("/sign-in").status_code == 200

    with time_machine.travel(clock.now() + SHUT_FOR + timedelta(seconds=1)):
        assert "paused" not in stranger.page("/guest").text("main")
        meet(session, gateway)
        assert "paused" not in stranger.page("/guest").text("main")
        back = guest_of()
        assert choose(back, choice="amount", amount="1.00").status_code == 302


def test_a_form_sent_while_it_is_paused_starts_nothing(
    app: Flask, guest_of: Callable[..., JudgingClient], session: Session, standin: StandIn, gateway: StripeGateway
) -> None:
    guest = guest_of()
    bill = guest.page("/guest/bill")
    attack(guest_of, session, standin)
    deliver(session, gateway, standin)
    session.rollback()
    before = session.query(Payment).count()
    answer = guest.submit(bill, {"choice": "amount", "amount": "1.00"}, field="choice")
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
    # Sam's other paper is of the same account: taking it up closed what his first one had open.
    for _client, address in attack(guest_of, session, standin)[1:]:
        confirm(standin, payment_at(session, address))
    deliver(session, gateway, standin)
    assert guest.page("/guest/bill").all("input", name="choice")
    assert session.query(AuditEvent).filter_by(tag=Tag.CARD_TESTING_MET).count() == 0


def test_one_network_with_many_bills_waits_alone(
    app: Flask, guest_of: Callable[..., JudgingClient], session: Session, standin: StandIn, gateway: StripeGateway
) -> None:
    """Nobody can shut guest payment for the others from one network, though an IPv6 one has no end of addresses."""
    issue(session, "JDC-1002", code=SAMS_OTHER)
    papers = ((SAMS, SAM_BORN), (PAULAS, PAULA_BORN), (SAMS_OTHER, SAM_BORN))
    for number, who in enumerate(papers):
        client = comes_from(guest_of(*who), f"2001:db8:1:2:{number}::7")
        _address, payment = open_payment(client, session)
        decline(standin, payment, times=4)
    deliver(session, gateway, standin)
    meet(session, gateway)
    assert session.query(AuditEvent).filter_by(tag=Tag.CARD_TESTING_MET).count() == 0
    neighbour = comes_from(guest_of(), "2001:db8:1:3::7")
    assert choose(neighbour, choice="amount", amount="1.00").status_code == 302
    theirs = comes_from(guest_of(), "2001:db8:1:2:ffff::1")
    page = theirs.page("/guest/bill")
    assert not page.all("input", name="choice")
    answer = theirs.post("/guest/bill", data={"csrf_token": token_of(page), "choice": "all", "seen": "1"})
    assert answer.status_code == 503
    with time_machine.travel(clock.now() + WINDOW + timedelta(seconds=1)):
        assert theirs.page("/guest/bill").all("input", name="choice")


def test_what_is_kept_of_a_network_is_no_address(
    guest_of: Callable[..., JudgingClient], session: Session
) -> None:
    for address in ("198.51.100.7", "198.51.100.7", "198.51.100.8"):
        open_payment(comes_from(guest_of(), address), session)
    kept = list(session.scalars(sa.select(GuestPayment.network).order_by(GuestPayment.payment_id)))
    session.commit()
    assert [len(one) for one in kept] == [64] * len(kept)
    assert len(set(kept)) == 2
    plain = {hashlib.sha256(f"{word}198.51.100.7".encode()).hexdigest() for word in ("", "network ")}
    assert not plain & set(kept)


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
    enter(client)
    assert not client.page("/guest/bill").all("input", name="choice")

    answer = boss.submit(boss.page("/desk/guest-payment"), action="/open", follow_redirects=True)
    text = as_page(answer).text("main")
    assert "Guest payment is open again" in text
    assert "Opened by a supervisor" in text
    meet(session, gateway)
    assert client.page("/guest/bill").all("input", name="choice")
    (event,) = session.query(AuditEvent).filter_by(tag=Tag.CARD_TESTING_LIFTED).all()
    assert event.actor_user_id is not None
