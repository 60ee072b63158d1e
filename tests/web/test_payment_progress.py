"""What the patient sees of a payment: paid, settled, posted, sent back; and the words when Stripe does not answer."""

from collections.abc import Callable
from typing import Any

import pytest
import stripe
from flask import Flask
from sqlalchemy.orm import Session

from portal import clock
from portal.db import writing
from portal.ledger.adapters.embedded.ledger import EmbeddedLedger
from portal.ledger.push import deliver_due
from portal.money import Money
from portal.notifications.models import Notification
from portal.payments.allocate import Part
from portal.payments.booking import book
from portal.payments.errors import StripeRefused
from portal.payments.gateway import StripeGateway
from portal.payments.kinds import BookingKind
from portal.payments.models import Allocation, Payment
from portal.payments.queries import reference
from portal.payments.state import PaymentState
from portal.sandbox.stripe import StandIn
from tests.conftest import Clinic
from tests.pages import JudgingClient
from tests.web.paying import TESTA, client_of, confirm, payment_at, start

ACCOUNT = "JDC-1001"
DAY = 86_400


@pytest.fixture
def patient(client: JudgingClient, clinic: Clinic, sign_in: Callable[..., Any]) -> JudgingClient:
    """A browser in which Testa is signed in."""
    sign_in(client, TESTA)
    return client


def debit(client: JudgingClient, clinic: Clinic, session: Session, standin: StandIn, bank: str) -> str:
    """Pay $5.00 from a bank account; returns the payment's address."""
    location: str = start(client, clinic.account(ACCOUNT), choice="amount", amount="5").location
    client.page(location)
    payment = payment_at(session, location)
    client_of(standin).v1.payment_intents.confirm(
        str(payment.stripe_intent_id),
        {
            "payment_method": bank,
            "mandate_data": {"customer_acceptance": {"type": "offline"}},
            "return_url": "http://localhost/back",
        },
    )
    return location


def done_steps(client: JudgingClient, location: str) -> int:
    return len(client.page(f"{location}/receipt").all("li", class_="is-done"))


def test_a_card_payment_is_paid_settled_and_then_posted(
    patient: JudgingClient, clinic: Clinic, session: Session, standin: StandIn
) -> None:
    location = start(patient, clinic.account(ACCOUNT), choice="amount", amount="5").location
    patient.page(location)
    confirm(standin, payment_at(session, location))
    patient.page(f"{location}/return")
    assert done_steps(patient, location) == 2
    assert "Being updated" in patient.page(f"{location}/receipt").text("main")
    session.rollback()
    with writing():
        deliver_due(session, EmbeddedLedger(session))
    assert done_steps(patient, location) == 3
    payment = payment_at(session, location)
    assert f"reference {reference(payment.public_id)}" in patient.page(f"{location}/receipt").text("main")


def test_a_bank_debit_is_paid_days_before_it_is_settled(
    patient: JudgingClient, clinic: Clinic, session: Session, standin: StandIn
) -> None:
    location = debit(patient, clinic, session, standin, "pm_usBankAccount_success")
    on_its_way = patient.page(f"{location}/return")
    assert "on its way" in on_its_way.text("h1")
    assert "up to 4 business days" in on_its_way.text("main")
    assert patient.get(f"{location}/receipt").status_code == 404
    standin.advance(5 * DAY)
    assert "receipt" in patient.page(f"{location}/return").url
    payment = payment_at(session, location)
    assert payment.confirmed_at
    assert payment.settled_at
    assert payment.confirmed_at < payment.settled_at


@pytest.mark.parametrize(
    ("bank", "words"),
    [
        ("pm_usBankAccount_insufficientFunds", "not enough money in the bank account"),
        ("pm_usBankAccount_accountClosed", "account is closed"),
        ("pm_usBankAccount_noAccount", "could not find this account"),
        ("pm_usBankAccount_debitNotAuthorized", "does not allow us"),
    ],
)
def test_a_bank_debit_that_comes_back_says_why_and_what_to_do(
    patient: JudgingClient, clinic: Clinic, session: Session, standin: StandIn, bank: str, words: str
) -> None:
    location = debit(patient, clinic, session, standin, bank)
    patient.page(f"{location}/return")
    standin.advance(5 * DAY)
    page = patient.page(f"{location}/return")
    assert "did not go through" in page.text("h1")
    assert words in page.text("main")
    assert payment_at(session, location).state is PaymentState.CANCELED
    assert "Your bank sent it back" in patient.page("/payments").text("main")
    assert "did not go through" in patient.page(location).text("h1")
    (mail,) = session.query(Notification).filter(Notification.key.like("returned/%")).all()
    assert mail.to_email == TESTA
    assert "$5.00" in mail.body
    assert "testa" not in f"{mail.subject} {mail.body}".lower()


def test_an_attempt_that_was_given_up_is_no_returned_debit(
    patient: JudgingClient, clinic: Clinic, session: Session
) -> None:
    location = start(patient, clinic.account(ACCOUNT), choice="amount", amount="5").location
    patient.submit(patient.page(location), {}, action="/cancel")
    assert patient.get(f"{location}/returned").location == location
    assert "sent it back" not in patient.page("/payments").text("main")


def test_money_that_was_sent_back_is_shown_with_its_day_and_amount(
    patient: JudgingClient, clinic: Clinic, session: Session, standin: StandIn
) -> None:
    location = start(patient, clinic.account(ACCOUNT), choice="amount", amount="5").location
    patient.page(location)
    confirm(standin, payment_at(session, location))
    patient.page(f"{location}/return")
    payment = payment_at(session, location)
    charge_id = session.query(Allocation.charge_id).filter_by(payment_id=payment.id).limit(1).scalar()
    with writing():
        session.commit()
        book(
            session,
            kind=BookingKind.REFUND,
            payment_id=payment.id,
            home_account_id=payment.account_id,
            subject="a" * 32,
            parts=[Part(charge_id, Money(123))],
            at=clock.now(),
        )
        session.commit()
    receipt = patient.page(f"{location}/receipt").text("main")
    assert "We sent you back" in receipt
    assert "$1.23" in receipt
    assert "Reference AAAA-AAAA" in receipt
    assert "$1.23 of it was sent back to you" in patient.page("/payments").text("main")


def test_small_deposits_wait_on_the_start_page_and_in_the_list(
    patient: JudgingClient, clinic: Clinic, session: Session, standin: StandIn
) -> None:
    location = start(patient, clinic.account(ACCOUNT), choice="amount", amount="5").location
    patient.page(location)
    client_of(standin).v1.payment_intents.confirm(
        str(payment_at(session, location).stripe_intent_id),
        {
            "payment_method_data": {
                "type": "us_bank_account",
                "us_bank_account": {
                    "account_holder_type": "individual",
                    "account_number": "000123456789",
                    "routing_number": "110000000",
                },
                "billing_details": {"name": "A Person", "email": "a@example.com"},
            },
            "mandate_data": {"customer_acceptance": {"type": "offline"}},
            "return_url": "http://localhost/back",
        },
    )
    waits = patient.page(f"{location}/return")
    assert "small deposits" in waits.text("main")
    assert "/microdeposits/" in waits.links()["Confirm the small deposits"]
    assert "return" in patient.page(location).url
    assert "Waiting for you" in patient.page("/").text("main")
    assert "Waiting for you to confirm" in patient.page("/payments").text("main")
    choose = patient.page(f"/accounts/{clinic.account(ACCOUNT)}/pay").text("main")
    assert "Starting another payment here cancels it" in choose
    client_of(standin).v1.payment_intents.verify_microdeposits(
        str(payment_at(session, location).stripe_intent_id), {"descriptor_code": "SM11AA"}
    )
    assert "on its way" in patient.page(f"{location}/return").text("h1")
    assert "Waiting for you" not in patient.page("/").text("main")


@pytest.mark.parametrize(
    ("fault", "words"),
    [("rate_limited", "very busy"), ("drop_before", "can’t reach"), ("error_500", "can’t reach")],
)
def test_stripe_in_trouble_has_words_that_say_what_to_do(
    patient: JudgingClient, clinic: Clinic, session: Session, standin: StandIn, fault: str, words: str
) -> None:
    location = start(patient, clinic.account(ACCOUNT), choice="amount", amount="5").location
    standin.faults.add(fault, method="POST", path="/v1/payment_intents$", times=2)
    page = patient.page(location).text("main")
    assert words in page
    assert "You have not been charged." in page
    assert "Wait a minute" in page


@pytest.mark.parametrize("path", ["/v1/customers$", "/v1/payment_intents$"])
def test_an_expired_key_has_calm_words_for_the_patient_and_a_row_for_the_desk(
    app: Flask,
    patient: JudgingClient,
    clinic: Clinic,
    session: Session,
    standin: StandIn,
    sign_in: Callable[..., Any],
    path: str,
) -> None:
    """Of the four the others are above (too busy) and, told by the card's bank (declined, its own error), below."""
    told = "refused because Stripe doesn’t take our key"
    desk = app.test_client()
    assert isinstance(desk, JudgingClient)
    sign_in(desk, "staff@example.com")
    location = start(patient, clinic.account(ACCOUNT), choice="amount", amount="5").location
    assert told not in desk.page("/desk/").text("main")
    standin.faults.add("key_expired", method="POST", path=path)
    page = patient.page(location).text("main")
    assert "wrong on our side, not with your card" in page
    assert "You have not been charged." in page
    assert "call (555) 010-0199 to pay by phone" in page
    assert told in desk.page("/desk/").text("main")
    again = start(patient, clinic.account(ACCOUNT), choice="amount", amount="5").location
    assert patient.page(again).all("form", id="pay-form")
    assert told not in desk.page("/desk/").text("main")


@pytest.mark.parametrize(
    ("card", "words"),
    [
        ("pm_card_chargeDeclined", "Try another card, or call the number on the back of it."),
        ("pm_card_chargeDeclinedProcessingError", "Wait a minute and try again."),
    ],
)
def test_what_the_cards_bank_says_has_words_that_say_what_to_do(
    patient: JudgingClient, clinic: Clinic, session: Session, standin: StandIn, card: str, words: str
) -> None:
    location = start(patient, clinic.account(ACCOUNT), choice="amount", amount="5").location
    patient.page(location)
    with pytest.raises(stripe.CardError):
        confirm(standin, payment_at(session, location), card)
    page = patient.page(location)
    assert words in page.text("main")
    assert "You have not been charged." in page.text("main")
    assert page.all("form", id="pay-form")


def test_a_rate_limit_after_the_button_may_have_been_pressed_promises_nothing(
    patient: JudgingClient, clinic: Clinic, session: Session, standin: StandIn
) -> None:
    location = start(patient, clinic.account(ACCOUNT), choice="amount", amount="5").location
    patient.page(location)
    confirm(standin, payment_at(session, location))
    standin.faults.add("rate_limited", times=6)
    page = patient.page(location).text("main")
    assert "You have not been charged" not in page
    assert "don’t pay again" in page
    standin.faults.clear()
    assert "receipt" in patient.page(location).url


def test_an_expired_key_is_our_fault_and_says_so(
    patient: JudgingClient, app: Flask, clinic: Clinic, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def expired(*_args: Any, **_facts: Any) -> Any:
        raise StripeRefused("api_key_expired")

    location = start(patient, clinic.account(ACCOUNT), choice="amount", amount="5").location
    with monkeypatch.context() as patch:
        patch.setattr(StripeGateway, "create_customer", expired)
        page = patient.page(location).text("main")
    assert "not with your card" in page
    assert "You have not been charged." in page
    assert session.query(Payment).one()
    # The same attempt goes on once the key is right again.
    assert patient.page(location).all("form", id="pay-form")
