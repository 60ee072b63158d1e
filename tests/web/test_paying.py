"""Paying through the pages, with a real (simulated) Stripe behind them."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import stripe
from flask import Flask
from sqlalchemy.orm import Session

from portal import clock
from portal.billing.kinds import HoldReason
from portal.billing.models import Entry, Posting
from portal.billing.service import place_hold
from portal.db import writing
from portal.ledger.adapters.embedded.ledger import EmbeddedLedger
from portal.ledger.push import deliver_due
from portal.ledger.reconcile import reconcile
from portal.money import Money
from portal.notifications.models import Notification
from portal.payments import service
from portal.payments.errors import StripeRefused, StripeUnreachable
from portal.payments.gateway import StripeGateway
from portal.payments.jobs import sweep_payments
from portal.payments.models import Payment, StripeEvent
from portal.payments.state import PaymentState
from portal.payments.stripe_events.inbox import process_due
from portal.sandbox.stripe import StandIn
from portal.worker import HANDLERS
from tests.conftest import Clinic
from tests.pages import JudgingClient, as_page
from tests.web.paying import TESTA, client_of, confirm, payment_at, start

BOTH_DATABASES = True

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


def due(session: Session) -> Money:
    """What Testa may be asked for."""
    from portal.accounts.models import Account
    from portal.auth.models import User

    session.rollback()
    account_id = session.scalars(sa.select(Account.id).where(Account.ref == ACCOUNT)).one()
    user_id = session.scalars(sa.select(User.id).where(User.email == TESTA)).one()
    return Money.total(line.amount for line in service.payable_lines(session, account_id, user_id=user_id))


def paid_entries(session: Session) -> int:
    session.rollback()
    return session.execute(
        sa.select(sa.func.coalesce(sa.func.sum(sa.type_coerce(Entry.amount, sa.BigInteger)), 0)).where(
            Entry.source == "payment"
        )
    ).scalar_one()


def test_an_amount_is_paid_booked_once_and_reconciles(
    patient: JudgingClient, clinic: Clinic, session: Session, standin: StandIn, gateway: StripeGateway
) -> None:
    before = due(session)
    answer = start(patient, clinic.account(ACCOUNT), choice="amount", amount="12.34")
    assert answer.status_code == 302
    card_page = patient.page(answer.location)
    assert "$12.34" in card_page.text("main")
    payment = payment_at(session, answer.location)
    confirm(standin, payment)

    receipt = patient.page(f"{answer.location}/return")
    assert "receipt" in receipt.url
    assert "$12.34" in receipt.text("main")
    assert "Visa ending 4242" in receipt.text("main")
    for _again in range(3):  # reloads and the back button
        patient.page(f"{answer.location}/return")
        patient.page(answer.location)
    assert (paid_entries(session), due(session)) == (-1234, before - Money(1234))
    assert [row.amount for row in session.query(Posting)] == [Money(1234)]
    assert len(client_of(standin).v1.charges.list().data) == 1

    result = reconcile(session, EmbeddedLedger(session), gateway)
    assert (result["agrees"], result["total"]["in_transit_cents"]) == (True, 1234)
    with writing():
        assert deliver_due(session, EmbeddedLedger(session)) == 1
        assert deliver_due(session, EmbeddedLedger(session)) == 0
    total = reconcile(session, EmbeddedLedger(session), gateway)["total"]
    assert (total["captures_cents"], total["stripe_cents"], total["posted_cents"]) == (1234, 1234, 1234)
    assert (total["in_transit_cents"], total["difference_cents"]) == (0, 0)


def test_the_receipts_mail_says_nothing_about_anybody(
    patient: JudgingClient, clinic: Clinic, session: Session, standin: StandIn
) -> None:
    answer = start(patient, clinic.account(ACCOUNT), choice="amount", amount="5")
    patient.page(answer.location)
    confirm(standin, payment_at(session, answer.location))
    patient.page(f"{answer.location}/return")
    patient.page(f"{answer.location}/return")
    session.rollback()
    mails = session.query(Notification).filter(Notification.key.like("receipt/%")).all()
    assert [mail.to_email for mail in mails] == [TESTA]
    words = f"{mails[0].subject} {mails[0].body}".lower()
    assert "$5.00" in words
    for secret in ("testa", "demopatient", "99213", "visit", "health plan", "juniper"):
        assert secret not in words


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("0", "above $0.00"),
        ("-5", "above $0.00"),
        ("abc", "numbers only"),
        ("1e9", "numbers only"),
        ("12.345", "numbers only"),
        ("999999", "The most is"),
        ("999999999999999999999", "numbers only"),
        ("0.49", "at least $0.50"),
        ("", "Write the amount"),
    ],
)
def test_bad_amounts_get_words_and_lose_nothing(
    patient: JudgingClient, clinic: Clinic, session: Session, typed: str, words: str
) -> None:
    answer = start(patient, clinic.account(ACCOUNT), choice="amount", amount=typed)
    assert answer.status_code == 422
    page = as_page(answer)
    assert words in page.text("main")
    (field,) = page.all("input", name="amount")
    assert field.get("value", "") == typed
    session.rollback()
    assert session.query(Payment).count() == 0


def test_a_line_of_another_account_cannot_be_chosen(patient: JudgingClient, clinic: Clinic, session: Session) -> None:
    foreign = clinic.charge("V-260729-1", "99214")
    for tampered in (foreign, "f" * 32, "1", "' OR 1=1"):
        answer = start(patient, clinic.account(ACCOUNT), choice="lines", lines=tampered)
        assert answer.status_code == 422
        assert "can’t be paid now" in as_page(answer).text("main")
    session.rollback()
    assert session.query(Payment).count() == 0


def test_the_account_in_the_address_must_be_ones_own(patient: JudgingClient, clinic: Clinic) -> None:
    assert patient.get(f"/accounts/{clinic.account('JDC-1002')}/pay").status_code == 404
    page = patient.page(f"/accounts/{clinic.account(ACCOUNT)}/pay")
    token = page.all("input", name="csrf_token")[0].get("value")
    for account in (clinic.account("JDC-1002"), "0" * 32, "1", "../admin"):
        answer = patient.post(f"/accounts/{account}/pay", data={"csrf_token": token, "choice": "all"})
        assert answer.status_code == 404


def test_a_form_without_its_token_changes_nothing(patient: JudgingClient, clinic: Clinic, session: Session) -> None:
    answer = patient.post(f"/accounts/{clinic.account(ACCOUNT)}/pay", data={"choice": "all"})
    assert answer.status_code == 400
    assert "expired" in as_page(answer).text("h1")
    session.rollback()
    assert session.query(Payment).count() == 0


def test_the_same_choice_twice_is_one_payment_and_another_closes_it(
    patient: JudgingClient, clinic: Clinic, session: Session, standin: StandIn
) -> None:
    account = clinic.account(ACCOUNT)
    first = start(patient, account, choice="amount", amount="20").location
    assert start(patient, account, choice="amount", amount="20").location == first
    patient.page(first)
    other = start(patient, account, choice="amount", amount="30").location
    assert other != first
    assert payment_at(session, first).state is PaymentState.CANCELED
    with pytest.raises(stripe.InvalidRequestError):
        confirm(standin, payment_at(session, first))
    patient.page(other)
    confirm(standin, payment_at(session, other))
    patient.page(f"{other}/return")
    assert paid_entries(session) == -3000


def test_a_payment_confirmed_in_another_tab_is_never_taken_twice(
    patient: JudgingClient, clinic: Clinic, session: Session, standin: StandIn
) -> None:
    """Tab A is paid at Stripe but its return was never seen; tab B then asks to pay everything."""
    account, everything = clinic.account(ACCOUNT), due(session)
    first = start(patient, account).location
    patient.page(first)
    confirm(standin, payment_at(session, first))
    answer = start(patient, account)
    assert answer.location == first  # the same choice is the same attempt, which turns out to be paid
    assert "receipt" in patient.page(answer.location).url
    assert payment_at(session, first).state is PaymentState.SUCCEEDED
    page = patient.page(f"/accounts/{account}/pay")
    assert "nothing to pay" in page.text("main")
    token = page.all("input", name="csrf_token")[0].get("value")
    sent = patient.post(f"/accounts/{account}/pay", data={"csrf_token": token, "choice": "amount", "amount": "1"})
    assert sent.status_code == 422
    assert paid_entries(session) == -everything.cents


@pytest.mark.parametrize(
    ("card", "words"),
    [
        ("pm_card_chargeDeclined", "Your bank declined the card"),
        ("pm_card_chargeDeclinedInsufficientFunds", "not have enough money"),
        ("pm_card_chargeDeclinedExpiredCard", "has expired"),
        ("pm_card_chargeDeclinedProcessingError", "Wait a minute"),
    ],
)
def test_a_decline_says_what_to_do_and_the_next_card_works(
    patient: JudgingClient, clinic: Clinic, session: Session, standin: StandIn, card: str, words: str
) -> None:
    location = start(patient, clinic.account(ACCOUNT), choice="amount", amount="10").location
    patient.page(location)
    with pytest.raises(stripe.CardError):
        confirm(standin, payment_at(session, location), card)
    page = patient.page(f"{location}/return")
    assert words in page.text("main")
    assert "You have not been charged." in page.text("main")
    assert paid_entries(session) == 0
    confirm(standin, payment_at(session, location))
    assert "receipt" in patient.page(f"{location}/return").url
    assert paid_entries(session) == -1000


def test_stripe_out_of_reach_loses_and_doubles_nothing(
    patient: JudgingClient, clinic: Clinic, session: Session, standin: StandIn
) -> None:
    # Each drop is met twice: stripe-python asks once more by itself, with the same key.
    for kind in ("drop_before", "drop_after"):
        standin.faults.add(kind, method="POST", path="/v1/payment_intents$", times=2)
        location = start(patient, clinic.account(ACCOUNT), choice="amount", amount="15").location
        page = patient.page(location)
        assert "try again" in page.text("main").lower()
    patient.page(location)
    payment = payment_at(session, location)
    assert payment.stripe_intent_id
    assert len(client_of(standin).v1.payment_intents.list().data) == 1
    assert [one.amount for one in session.query(Payment)] == [Money(1500)]


def test_an_answer_lost_for_a_day_is_looked_up_and_not_sent_again(
    patient: JudgingClient,
    clinic: Clinic,
    session: Session,
    standin: StandIn,
    gateway: StripeGateway,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    standin.faults.add("drop_after", method="POST", path="/v1/payment_intents$", times=2)
    location = start(patient, clinic.account(ACCOUNT), choice="amount", amount="15").location
    patient.page(location)
    payment = payment_at(session, location)
    assert (payment.state, payment.stripe_intent_id) == (PaymentState.CREATED, None)
    later = clock.now() + timedelta(hours=25)
    standin.advance(25 * 3600)
    monkeypatch.setattr(clock, "now", lambda: later)
    with writing():
        service.prepare(session, gateway, payment_id=payment.id)
    assert len(client_of(standin).v1.payment_intents.list().data) == 1
    assert payment_at(session, location).stripe_intent_id


def deliver(app: Flask, standin: StandIn, *, times: int = 1) -> list[int]:
    """Stripe's events to the portal's webhook; returns the answers."""
    statuses: list[int] = []

    def post(_url: str, body: bytes, headers: Any) -> int:
        for _time in range(times):
            answer = app.test_client().post("/stripe/webhook", data=body, headers=dict(headers))
            statuses.append(answer.status_code)
        return 200

    standin.deliver_due(post)
    return statuses


def test_the_webhook_alone_settles_once(
    app: Flask, patient: JudgingClient, clinic: Clinic, session: Session, standin: StandIn, gateway: StripeGateway
) -> None:
    """The browser is closed right after confirming; every event comes three times."""
    client_of(standin).v1.webhook_endpoints.create(
        {"url": "http://127.0.0.1:9/stripe/webhook", "enabled_events": ["*"]}
    )
    secret = standin.store.hidden(standin.every("webhook_endpoint")[0]["id"])["secret"]
    gateway._webhook_secret = secret
    location = start(patient, clinic.account(ACCOUNT), choice="amount", amount="40").location
    patient.page(location)
    confirm(standin, payment_at(session, location))
    statuses = deliver(app, standin, times=3)
    assert statuses
    assert set(statuses) == {200}
    session.rollback()
    assert session.query(StripeEvent).count() * 3 == len(statuses)
    with writing():
        process_due(session, gateway, HANDLERS)
        process_due(session, gateway, HANDLERS)
    assert payment_at(session, location).state is PaymentState.SUCCEEDED
    assert paid_entries(session) == -4000
    assert session.query(Posting).count() == 1
    waiting = session.query(StripeEvent).filter(StripeEvent.processed_at.is_(None), StripeEvent.intent_id != "")
    assert waiting.count() == 0


def test_the_sweep_finds_what_no_webhook_told(
    patient: JudgingClient,
    clinic: Clinic,
    session: Session,
    standin: StandIn,
    gateway: StripeGateway,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    location = start(patient, clinic.account(ACCOUNT), choice="amount", amount="25").location
    patient.page(location)
    confirm(standin, payment_at(session, location))
    with writing():
        sweep_payments(session, gateway)
    assert paid_entries(session) == 0  # too fresh: the return page has its turn first
    later = clock.now() + timedelta(minutes=10)
    monkeypatch.setattr(clock, "now", lambda: later)
    with writing():
        sweep_payments(session, gateway)
    assert paid_entries(session) == -2500


def test_an_attempt_nobody_confirmed_is_closed_after_a_day(
    patient: JudgingClient,
    clinic: Clinic,
    session: Session,
    standin: StandIn,
    gateway: StripeGateway,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    location = start(patient, clinic.account(ACCOUNT), choice="amount", amount="25").location
    patient.page(location)
    later = clock.now() + timedelta(hours=25)
    monkeypatch.setattr(clock, "now", lambda: later)
    with writing():
        sweep_payments(session, gateway)
    payment = payment_at(session, location)
    assert payment.state is PaymentState.CANCELED
    assert client_of(standin).v1.payment_intents.retrieve(str(payment.stripe_intent_id)).status == "canceled"


def test_the_sweep_goes_on_when_stripe_is_away(
    patient: JudgingClient, clinic: Clinic, session: Session, gateway: StripeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = start(patient, clinic.account(ACCOUNT), choice="amount", amount="25").location
    patient.page(location)

    def away(_self: StripeGateway, _intent_id: str) -> Any:
        raise StripeUnreachable

    monkeypatch.setattr(StripeGateway, "retrieve_intent", away)
    later = clock.now() + timedelta(minutes=10)
    monkeypatch.setattr(clock, "now", lambda: later)
    with writing():
        sweep_payments(session, gateway)
    assert payment_at(session, location).state is PaymentState.OPEN


def test_canceling_closes_the_intent(
    patient: JudgingClient, clinic: Clinic, session: Session, standin: StandIn
) -> None:
    location = start(patient, clinic.account(ACCOUNT), choice="amount", amount="25").location
    page = patient.page(location)
    answer = patient.submit(page, action="/cancel", follow_redirects=True)
    assert "have not been charged" in as_page(answer).text()
    payment = payment_at(session, location)
    assert payment.state is PaymentState.CANCELED
    with pytest.raises(stripe.InvalidRequestError):
        confirm(standin, payment)


def test_stripe_is_told_ids_and_amounts_and_nothing_else(
    patient: JudgingClient, clinic: Clinic, session: Session, standin: StandIn
) -> None:
    location = start(patient, clinic.account(ACCOUNT)).location
    patient.page(location)
    sent = [request for request in standin.requests if request["method"] == "POST"]
    assert {request["path"] for request in sent} == {"/v1/customers", "/v1/payment_intents"}
    allowed = {"amount", "currency", "customer", "metadata", "allowed_payment_method_types", "expand"}
    for request in sent:
        assert set(request["params"]) <= allowed
        assert set(request["params"].get("metadata", {})) <= {"attempt_id", "payer_key"}
    text = str(sent).lower()
    for secret in ("testa", "demopatient", "jdc-", "v-26", "99213", "example.com", "health"):
        assert secret not in text


def test_a_line_still_with_the_insurer_or_held_is_never_offered(
    patient: JudgingClient, clinic: Clinic, session: Session, app: Flask
) -> None:
    from portal.accounts.models import Account
    from portal.billing.queries import lines_of_account

    account_id = session.scalars(sa.select(Account.id).where(Account.ref == ACCOUNT)).one()
    waiting = [line for line in lines_of_account(session, account_id) if line.sums.with_insurer or line.held]
    assert waiting, "the demo clinic has such lines"
    session.rollback()
    page = patient.page(f"/accounts/{clinic.account(ACCOUNT)}/pay")
    offered = {box.get("value") for box in page.all("input", name="lines")}
    assert offered
    assert not offered & {line.public_id for line in waiting}
    for line in waiting:
        answer = start(patient, clinic.account(ACCOUNT), choice="lines", lines=line.public_id)
        assert answer.status_code == 422



def test_a_failure_that_stripe_keeps_under_the_key_ends_the_attempt_and_not_the_account(
    patient: JudgingClient,
    clinic: Clinic,
    session: Session,
    standin: StandIn,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Stripe answers a 500 and replays it for a day to whoever comes with that key."""
    standin.faults.add("error_500", method="POST", path="/v1/payment_intents$", times=1)
    first = start(patient, clinic.account(ACCOUNT), choice="amount", amount="15").location
    assert "have not been charged" in patient.page(first).text("main")
    other = start(patient, clinic.account(ACCOUNT), choice="amount", amount="16").location
    assert patient.page(other).all("form", id="pay-form")
    assert payment_at(session, first).state is PaymentState.CANCELED
    again = start(patient, clinic.account(ACCOUNT), choice="amount", amount="15").location
    later = clock.now() + timedelta(minutes=15)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert patient.page(again).all("form", id="pay-form")


def test_a_refusal_closes_the_attempt(
    patient: JudgingClient, clinic: Clinic, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_self: StripeGateway, **_facts: Any) -> Any:
        raise StripeRefused("resource_missing")

    with monkeypatch.context() as patch:
        patch.setattr(StripeGateway, "create_intent", refuse)
        location = start(patient, clinic.account(ACCOUNT), choice="amount", amount="15").location
        patient.page(location)
    assert payment_at(session, location).state is PaymentState.CANCELED
    again = start(patient, clinic.account(ACCOUNT), choice="amount", amount="15").location
    assert again != location
    assert patient.page(again).all("form", id="pay-form")


def test_a_bill_that_changed_closes_the_card_page_that_is_open(
    patient: JudgingClient, clinic: Clinic, session: Session, standin: StandIn
) -> None:
    charge = clinic.charge("V-260604-1", "99213")
    location = start(patient, clinic.account(ACCOUNT), choice="lines", lines=charge).location
    patient.page(location)
    line = session.execute(
        sa.text("SELECT c.id, v.account_id FROM charge c JOIN visit v ON v.id = c.visit_id WHERE c.public_id = :id"),
        {"id": charge},
    ).one()
    session.rollback()
    with writing():
        place_hold(session, charge_id=line[0], reason=HoldReason.STAFF, account_id=line[1])
        session.commit()
    page = patient.page(location)
    assert "Your bill has changed" in page.text()
    assert payment_at(session, location).state is PaymentState.CANCELED
    with pytest.raises(stripe.InvalidRequestError):
        confirm(standin, payment_at(session, location))


def test_nobody_is_told_that_they_were_not_charged_when_we_cannot_know(
    patient: JudgingClient, clinic: Clinic, session: Session, standin: StandIn
) -> None:
    location = start(patient, clinic.account(ACCOUNT), choice="amount", amount="15").location
    patient.page(location)
    confirm(standin, payment_at(session, location))
    standin.faults.add("drop_before", times=6)
    words = patient.page(location).text("main")
    assert "You have not been charged" not in words
    assert "don’t know yet" in words
