"""Saved cards and bank accounts: kept while paying, added, named, offered first, removed; theirs alone."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import stripe
from flask import Flask
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.access import grant
from portal.accounts.kinds import Relationship
from portal.accounts.models import Account
from portal.audit.models import AuditEvent
from portal.audit.tags import Tag
from portal.db import writing
from portal.payments.gateway import StripeGateway
from portal.payments.kinds import ConsentKind, SetupState
from portal.payments.methods.jobs import look_after_methods, method_event, setup_event
from portal.payments.models import Consent, MethodSetup, Payment, SavedMethod
from portal.payments.state import PaymentState
from portal.payments.stripe_events.inbox import KeptEvent
from portal.sandbox.stripe import StandIn
from tests.conftest import Clinic
from tests.pages import JudgingClient, Page, as_page
from tests.web.paying import TESTA, client_of, confirm, payment_at, start

ACCOUNT = "JDC-1001"


@pytest.fixture
def patient(client: JudgingClient, clinic: Clinic, sign_in: Callable[..., Any]) -> JudgingClient:
    """A browser in which Testa is signed in."""
    sign_in(client, TESTA)
    return client


@pytest.fixture
def gateway(app: Flask) -> StripeGateway:
    gateway: StripeGateway = app.extensions["plainbill_gateway"]
    return gateway


def tick(client: JudgingClient, page: Page, *, keep: bool = True) -> int:
    """What pay.js sends when the box is ticked; returns the status."""
    (box,) = page.all("input", id="keep-method")
    data = {"csrf_token": box.get("data-token"), "keep": "1" if keep else "0"}
    return client.post(str(box.get("data-url")), data=data).status_code


def pay_and_keep(
    client: JudgingClient, clinic: Clinic, session: Session, standin: StandIn, *, card: str = "pm_card_visa"
) -> str:
    """Pay with a card and have it kept; returns the payment's address."""
    location: str = start(client, clinic.account(ACCOUNT), choice="amount", amount="5").location
    assert tick(client, client.page(location)) == 204
    confirm(standin, payment_at(session, location), card)
    assert "receipt" in client.page(f"{location}/return").url
    return location


def kept(session: Session) -> list[SavedMethod]:
    session.rollback()
    return session.query(SavedMethod).filter(SavedMethod.removed_at.is_(None)).order_by(SavedMethod.id).all()


def confirm_setup(standin: StandIn, session: Session, method: str = "pm_card_visa") -> Any:
    """Confirm the newest setup as the browser does."""
    session.rollback()
    setup = session.query(MethodSetup).order_by(MethodSetup.id.desc()).first()
    assert setup is not None
    assert setup.stripe_setup_intent_id
    return client_of(standin).v1.setup_intents.confirm(
        setup.stripe_setup_intent_id, {"payment_method": method, "return_url": "http://localhost/back"}
    )


def add_method(client: JudgingClient) -> Any:
    """Agree to keep a method and open its form; returns the form's page."""
    answer = client.submit(client.page("/methods/new"), {}, action="/methods/new")
    assert answer.status_code == 302
    return client.page(answer.location)


def test_a_card_kept_while_paying_is_there_once_with_what_was_agreed(
    patient: JudgingClient, clinic: Clinic, session: Session, standin: StandIn, gateway: StripeGateway
) -> None:
    location = pay_and_keep(patient, clinic, session, standin)
    with writing():
        for _again in range(2):
            look_after_methods(session, gateway)
    patient.page(f"{location}/return")
    (card,) = kept(session)
    assert (card.issuer, card.last4, card.kind, card.is_default) == ("Visa", "4242", "card", True)
    (consent,) = session.query(Consent).all()
    assert (consent.kind, consent.language, consent.address) == (ConsentKind.SAVE_METHOD, "en", "127.0.0.1")
    assert consent.subject == payment_at(session, location).public_id
    again = start(patient, clinic.account(ACCOUNT), choice="amount", amount="6", method="another").location
    shown = patient.page(again)
    assert shown.text("small", id="keep-words") == consent.text
    tags = [event.tag for event in session.query(AuditEvent).all()]
    assert (tags.count(Tag.CONSENT_GIVEN), tags.count(Tag.METHOD_SAVED)) == (1, 1)


def test_a_tick_taken_away_keeps_nothing(
    patient: JudgingClient, clinic: Clinic, session: Session, standin: StandIn, gateway: StripeGateway
) -> None:
    location = start(patient, clinic.account(ACCOUNT), choice="amount", amount="5").location
    page = patient.page(location)
    for keep in (True, False, True, False):
        assert tick(patient, page, keep=keep) == 204
    confirm(standin, payment_at(session, location))
    patient.page(f"{location}/return")
    with writing():
        look_after_methods(session, gateway)
    assert kept(session) == []
    assert [one["customer"] for one in standin.every("payment_method")] == [None]


def test_an_answer_lost_while_ticking_is_made_good_by_reloading(
    patient: JudgingClient, clinic: Clinic, session: Session, standin: StandIn
) -> None:
    location = start(patient, clinic.account(ACCOUNT), choice="amount", amount="5").location
    page = patient.page(location)
    standin.faults.add("drop_before", method="POST", times=2)
    assert tick(patient, page) == 503
    (box,) = patient.page(location).all("input", id="keep-method")
    assert "checked" in box.attrib
    (intent,) = standin.every("payment_intent")
    assert intent["setup_future_usage"] == "off_session"


def test_what_could_not_be_collected_at_once_the_worker_collects(
    patient: JudgingClient, clinic: Clinic, session: Session, standin: StandIn, gateway: StripeGateway
) -> None:
    location = start(patient, clinic.account(ACCOUNT), choice="amount", amount="5").location
    tick(patient, patient.page(location))
    confirm(standin, payment_at(session, location))
    standin.faults.add("drop_before", method="GET", path="/v1/payment_methods", times=4)
    assert "receipt" in patient.page(f"{location}/return").url
    assert kept(session) == []
    standin.faults.clear()
    with writing():
        look_after_methods(session, gateway)
    assert len(kept(session)) == 1


def test_the_same_card_twice_is_one_entry_and_stripe_keeps_one(
    patient: JudgingClient, clinic: Clinic, session: Session, standin: StandIn, gateway: StripeGateway
) -> None:
    for amount in ("5", "6"):
        location = start(patient, clinic.account(ACCOUNT), choice="amount", amount=amount, method="another").location
        assert tick(patient, patient.page(location)) == 204
        confirm(standin, payment_at(session, location))
        patient.page(f"{location}/return")
    add_method(patient)
    confirm_setup(standin, session)
    session.rollback()
    public_id = session.query(MethodSetup).one().public_id
    patient.page(f"/methods/setups/{public_id}/return")
    with writing():
        look_after_methods(session, gateway)
    (card,) = kept(session)
    attached = [one["id"] for one in standin.every("payment_method") if one["customer"]]
    assert attached == [card.stripe_method_id]


def test_a_saved_card_is_offered_and_paid_with(
    patient: JudgingClient, clinic: Clinic, session: Session, standin: StandIn
) -> None:
    pay_and_keep(patient, clinic, session, standin)
    (card,) = kept(session)
    page = patient.page(f"/accounts/{clinic.account(ACCOUNT)}/pay")
    (radio,) = page.all("input", name="method", value=card.public_id)
    assert "checked" in radio.attrib
    answer = patient.submit(page, {"choice": "amount", "amount": "7"}, field="choice")
    pay_page = patient.page(answer.location)
    (form,) = pay_page.all("form", id="pay-form")
    assert form.get("data-saved-method") == card.stripe_method_id
    assert "Visa ending 4242" in pay_page.text("main")
    assert not pay_page.all("div", id="payment-element")
    payment = payment_at(session, answer.location)
    confirm(standin, payment, card.stripe_method_id)
    assert "$7.00" in patient.page(f"{answer.location}/return").text("h1")


def test_somebody_elses_method_is_not_there(
    patient: JudgingClient,
    app: Flask,
    clinic: Clinic,
    session: Session,
    standin: StandIn,
    sign_in: Callable[..., Any],
) -> None:
    """Not for a proxy of the same account either: neither the method nor the page that would charge it."""
    pay_and_keep(patient, clinic, session, standin)
    (card,) = kept(session)
    mine = start(patient, clinic.account(ACCOUNT), choice="amount", amount="7", method=card.public_id).location
    patient.page(mine)
    account_id = session.query(Account.id).filter(Account.ref == ACCOUNT).scalar()
    grant(session, user_id=clinic.user_id("sam@example.com"), account_id=account_id, relationship=Relationship.PROXY)
    session.commit()
    other = app.test_client()
    sign_in(other, "sam@example.com")
    assert other.get(f"/methods/{card.public_id}").status_code == 404
    assert other.get(mine).status_code == 404
    token = other.page(f"/accounts/{clinic.account(ACCOUNT)}/pay").all("input", name="csrf_token")[0].get("value")
    for address, data in (
        (f"/methods/{card.public_id}/remove", {}),
        (f"/methods/{card.public_id}/default", {}),
        (f"/methods/{card.public_id}", {"label": "mine now"}),
        (f"{mine}/keep", {"keep": "1"}),
        (f"{mine}/cancel", {}),
        (f"/accounts/{clinic.account(ACCOUNT)}/pay", {"choice": "all", "method": card.public_id}),
    ):
        assert other.post(address, data={"csrf_token": token, **data}).status_code == 404, address
    assert "4242" not in other.page(f"/accounts/{clinic.account(ACCOUNT)}/pay").text("main")
    (still,) = kept(session)
    assert (still.label, still.is_default) == ("", True)


def test_a_method_is_added_named_put_first_and_removed(
    patient: JudgingClient, clinic: Clinic, session: Session, standin: StandIn
) -> None:
    for card in ("pm_card_visa", "pm_card_mastercard"):
        assert add_method(patient).all("form", id="pay-form")
        confirm_setup(standin, session, card)
        public_id = session.query(MethodSetup).order_by(MethodSetup.id.desc()).first().public_id
        assert "It is saved" in patient.page(f"/methods/setups/{public_id}/return").text()
    visa, master = kept(session)
    assert (visa.is_default, master.is_default) == (True, False)

    page = patient.page(f"/methods/{master.public_id}")
    too_long = patient.submit(page, {"label": "x" * 41}, field="label")
    assert "40 letters" in as_page(too_long).text("main")
    patient.submit(page, {"label": "  Joint   card "}, field="label")
    patient.submit(patient.page(f"/methods/{master.public_id}"), {}, action="/default")
    visa, master = kept(session)
    assert (master.label, master.is_default, visa.is_default) == ("Joint card", True, False)
    assert "Joint card" in patient.page("/methods").text("main")

    patient.submit(patient.page(f"/methods/{master.public_id}/remove"), {}, action="/remove")
    (left,) = kept(session)
    assert (left.public_id, left.is_default) == (visa.public_id, True)
    assert patient.get(f"/methods/{master.public_id}").status_code == 404
    assert [one["card"]["brand"] for one in standin.every("payment_method") if one["customer"]] == ["visa"]


def test_removing_holds_although_stripe_is_away(
    patient: JudgingClient, clinic: Clinic, session: Session, standin: StandIn, gateway: StripeGateway
) -> None:
    pay_and_keep(patient, clinic, session, standin)
    (card,) = kept(session)
    page = patient.page(f"/methods/{card.public_id}/remove")
    standin.faults.add("drop_before", method="POST", path="/v1/payment_methods", times=4)
    patient.submit(page, {}, action="/remove")
    assert kept(session) == []
    assert [one for one in standin.every("payment_method") if one["customer"]]
    standin.faults.clear()
    with writing():
        look_after_methods(session, gateway)
    assert not [one for one in standin.every("payment_method") if one["customer"]]


def test_a_card_removed_in_another_tab_is_not_charged(
    patient: JudgingClient, clinic: Clinic, session: Session, standin: StandIn
) -> None:
    pay_and_keep(patient, clinic, session, standin)
    (card,) = kept(session)
    location = start(patient, clinic.account(ACCOUNT), choice="amount", amount="7", method=card.public_id).location
    patient.submit(patient.page(f"/methods/{card.public_id}/remove"), {}, action="/remove")
    page = patient.page(location)
    assert "no longer saved" in page.text()
    assert payment_at(session, location).state is PaymentState.CANCELED


def test_a_setup_that_was_given_up_is_closed_and_a_lost_answer_is_found(
    patient: JudgingClient,
    session: Session,
    standin: StandIn,
    gateway: StripeGateway,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    standin.faults.add("drop_after", method="POST", path="/v1/setup_intents$", times=2)
    page = add_method(patient)
    assert "try again" in page.text("main").lower()
    session.rollback()
    setup = session.query(MethodSetup).one()
    assert (setup.state, setup.stripe_setup_intent_id) == (SetupState.CREATED, None)
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(minutes=20))
    with writing():
        look_after_methods(session, gateway)
    session.rollback()
    setup = session.query(MethodSetup).one()
    assert (setup.state, len(standin.every("setup_intent"))) == (SetupState.OPEN, 1)
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(hours=25))
    with writing():
        look_after_methods(session, gateway)
    session.rollback()
    assert session.query(MethodSetup).one().state is SetupState.CANCELED
    assert standin.every("setup_intent")[0]["status"] == "canceled"


def _deposits_setup(patient: JudgingClient, session: Session, standin: StandIn) -> MethodSetup:
    add_method(patient)
    session.rollback()
    setup = session.query(MethodSetup).one()
    client_of(standin).v1.setup_intents.confirm(
        str(setup.stripe_setup_intent_id),
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
    return setup


def test_small_deposits_wait_for_the_patient_and_then_the_bank_account_is_there(
    patient: JudgingClient, session: Session, standin: StandIn, gateway: StripeGateway
) -> None:
    setup = _deposits_setup(patient, session, standin)
    waits = patient.page(f"/methods/setups/{setup.public_id}/return")
    assert "small deposits" in waits.text("main")
    assert "Confirm the small deposits" in waits.links()
    for place in ("/", "/methods"):
        assert "Waiting for you" in patient.page(place).text("main")
    client_of(standin).v1.setup_intents.verify_microdeposits(
        str(setup.stripe_setup_intent_id), {"descriptor_code": "SM11AA"}
    )
    event = KeptEvent("evt_1", "setup_intent.succeeded", str(setup.stripe_setup_intent_id), "", clock.now())
    with writing():
        for _again in range(2):
            assert setup_event(session, gateway, event)
    (bank,) = kept(session)
    assert (bank.kind, bank.last4) == ("us_bank_account", "6789")
    assert "Waiting for you" not in patient.page("/").text("main")


def test_a_card_that_stripe_let_go_of_is_not_offered_any_more(
    patient: JudgingClient, clinic: Clinic, session: Session, standin: StandIn, gateway: StripeGateway
) -> None:
    pay_and_keep(patient, clinic, session, standin)
    (card,) = kept(session)
    client_of(standin).v1.payment_methods.detach(card.stripe_method_id)
    event = KeptEvent("evt_2", "payment_method.detached", card.stripe_method_id, "", clock.now())
    with writing():
        assert method_event(session, gateway, event)
    assert kept(session) == []


def test_an_expired_card_is_shown_as_such_and_cannot_be_chosen(
    patient: JudgingClient, clinic: Clinic, session: Session, standin: StandIn
) -> None:
    pay_and_keep(patient, clinic, session, standin)
    (card,) = kept(session)
    card.expires_on = clock.today("America/Chicago") - timedelta(days=1)
    session.commit()
    assert "Expired" in patient.page("/methods").text("main")
    page = patient.page(f"/accounts/{clinic.account(ACCOUNT)}/pay")
    (radio,) = page.all("input", name="method", value=card.public_id)
    assert "disabled" in radio.attrib
    (another,) = page.all("input", id="method-another")
    assert "checked" in another.attrib


def test_a_card_that_the_bank_declines_is_not_saved(
    patient: JudgingClient, session: Session, standin: StandIn
) -> None:
    add_method(patient)
    with pytest.raises(stripe.CardError):
        confirm_setup(standin, session, "pm_card_chargeDeclined")
    session.rollback()
    public_id = session.query(MethodSetup).one().public_id
    page = patient.page(f"/methods/setups/{public_id}/return")
    assert "Your bank declined the card" in page.text("main")
    assert kept(session) == []


def test_a_payment_that_failed_keeps_nothing(
    patient: JudgingClient, clinic: Clinic, session: Session, standin: StandIn, gateway: StripeGateway
) -> None:
    location = start(patient, clinic.account(ACCOUNT), choice="amount", amount="5").location
    page = patient.page(location)
    tick(patient, page)
    patient.submit(page, {}, action="/cancel")
    with writing():
        look_after_methods(session, gateway)
    session.rollback()
    payment = session.query(Payment).one()
    assert (payment.state, payment.kept_at is None) == (PaymentState.CANCELED, False)
    assert kept(session) == []
