"""Attempts that Stripe has lost, or has otherwise than they were written down, keep nobody from paying."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.models import Account
from portal.audit.models import AuditEvent
from portal.audit.tags import Tag
from portal.money import Money
from portal.notifications.models import Notification
from portal.payments.errors import IntentMismatch, SetupIsOver, StripeAway, StripeRefused
from portal.payments.gateway import StripeGateway
from portal.payments.kinds import ConsentKind, PaymentSource
from portal.payments.methods import service as methods
from portal.payments.methods import setups
from portal.payments.methods.customers import customer_of
from portal.payments.models import Consent, MethodSetup, Payment, SavedMethod
from portal.payments.service import Payer, prepare, refresh, start_payment
from portal.payments.settle import settle
from portal.payments.state import DEPOSITS, PaymentState
from portal.payments.stripe_events.events import contradicted
from portal.payments.sweeping import sweep
from portal.sandbox.privacy import JudgedHTTPClient
from portal.sandbox.stripe import StandIn
from tests.conftest import Clinic, _leaks
from tests.web.paying import TESTA, client_of, confirm

AGREED = methods.Agreement("Keep it.", "en", "192.0.2.1")
#: A bank account whose number was typed in: it is confirmed with small deposits.
TYPED_IN: Any = {
    "payment_method_data": {
        "type": "us_bank_account",
        "us_bank_account": {
            "account_holder_type": "individual", "account_number": "000123456789", "routing_number": "110000000",
        },
        "billing_details": {"name": "A Person", "email": "a@example.com"},
    },
    "mandate_data": {"customer_acceptance": {"type": "offline"}},
    "return_url": "http://localhost/back",
}  # fmt: skip
PENDING = "pm_usBankAccount_processing"


@dataclass
class Till:
    """What the tests pay with."""

    session: Session
    gateway: StripeGateway
    standin: StandIn
    travel: time_machine.Traveller
    account_id: int
    user_id: int

    def open(self, cents: int = 1500) -> Payment:
        """An attempt whose intent Stripe has."""
        payment = start_payment(
            self.session, self.gateway, account_ids=[self.account_id], payer=Payer(self.user_id), amount=Money(cents)
        )
        prepare(self.session, self.gateway, payment_id=payment.id)
        return payment

    def look(self, payment: Payment) -> Payment:
        """The payment as it is in the database."""
        self.session.rollback()
        self.session.expire_all()
        return self.session.get_one(Payment, payment.id)

    def later(self, **by: float) -> None:
        self.travel.shift(timedelta(**by))
        self.standin.advance(0)

    def sweep(self) -> None:
        self.later(minutes=6)
        sweep(self.session, self.gateway, older_than=timedelta(minutes=5))

    def surprises(self) -> int:
        self.session.rollback()
        query = sa.select(sa.func.count(AuditEvent.id)).where(AuditEvent.tag == Tag.PAYMENT_SURPRISING)
        return self.session.scalar(query) or 0

    def contradicted(self) -> int:
        found = contradicted(self.session)
        self.session.rollback()
        return found

    def mails(self, start: str) -> int:
        self.session.rollback()
        query = sa.select(sa.func.count(Notification.id)).where(Notification.key.startswith(start))
        return self.session.scalar(query) or 0

    def change_at_stripe(self, payment: Payment) -> None:
        """Somebody changes the amount in Stripe's dashboard."""
        client_of(self.standin).v1.payment_intents.update(str(payment.stripe_intent_id), {"amount": 700})

    def debit(self, payment: Payment, account: str) -> None:
        """The patient confirms with a bank account they signed in to."""
        client_of(self.standin).v1.payment_intents.confirm(
            str(payment.stripe_intent_id),
            {
                "payment_method": account,
                "mandate_data": {"customer_acceptance": {"type": "offline"}},
                "return_url": "http://localhost/back",
            },
        )

    def confirm_typed_in(self, payment: Payment) -> None:
        client_of(self.standin).v1.payment_intents.confirm(str(payment.stripe_intent_id), TYPED_IN)

    def save(self, method: str = "pm_card_visa", *, default: bool = False, removed: bool = False) -> SavedMethod:
        """A saved method, as the pages would leave it."""
        customer = customer_of(self.session, self.gateway, user_id=self.user_id, account_id=self.account_id)
        found = client_of(self.standin).v1.payment_methods.attach(method, {"customer": customer})
        agreed = Consent(
            user_id=self.user_id, kind=ConsentKind.SAVE_METHOD, version="1", language="en", text="x",
            given_at=clock.now(),
        )  # fmt: skip
        self.session.add(agreed)
        self.session.flush()
        saved = SavedMethod(
            user_id=self.user_id, stripe_method_id=found.id, kind="card", consent_id=agreed.id, is_default=default,
            saved_at=clock.now(), removed_at=clock.now() if removed else None,
        )  # fmt: skip
        self.session.add(saved)
        self.session.commit()
        return saved

    def method(self, saved: SavedMethod) -> SavedMethod:
        self.session.rollback()
        self.session.expire_all()
        return self.session.get_one(SavedMethod, saved.id)


@pytest.fixture
def till(clinic: Clinic, session: Session, app: Flask, standin: StandIn) -> Iterator[Till]:
    account_id = session.scalars(sa.select(Account.id).where(Account.ref == "JDC-1001")).one()
    gateway = StripeGateway("sk_test_plainbill_standin", "whsec_x", http_client=JudgedHTTPClient(standin, _leaks))
    user_id = clinic.user_id(TESTA)
    with time_machine.travel(datetime(2026, 11, 2, 15, 0, tzinfo=UTC), tick=False) as travel, app.app_context():
        yield Till(session, gateway, standin, travel, account_id, user_id)


def missing(*_args: Any, **_facts: Any) -> Any:
    raise StripeRefused("resource_missing")


def test_an_intent_that_stripe_no_longer_knows_blocks_nobody(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = till.open()
    with monkeypatch.context() as patch:
        patch.setattr(till.gateway, "cancel_intent", missing)
        other = till.open(1600)
    assert till.look(lost).state is PaymentState.CANCELED
    assert till.look(other).state is PaymentState.OPEN
    assert till.surprises() == 1


def test_the_sweep_closes_what_stripe_no_longer_knows_and_says_so_once(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = till.open()
    monkeypatch.setattr(till.gateway, "retrieve_intent", missing)
    for _again in range(2):
        till.sweep()
    assert till.look(lost).state is PaymentState.CANCELED
    assert till.surprises() == 1


def test_money_on_its_way_that_stripe_no_longer_knows_stays_for_the_desk(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = till.open()
    till.debit(lost, PENDING)
    refresh(till.session, till.gateway, payment_id=lost.id)
    monkeypatch.setattr(till.gateway, "retrieve_intent", missing)
    for _again in range(2):
        till.sweep()
    assert till.look(lost).state is PaymentState.PROCESSING
    assert (till.surprises(), till.contradicted()) == (1, 1)


def test_an_intent_that_is_not_what_was_asked_for_is_closed_and_told_once(till: Till) -> None:
    payment = till.open()
    till.change_at_stripe(payment)
    for _again in range(2):
        till.sweep()
    assert till.look(payment).state is PaymentState.CANCELED
    assert till.standin.every("payment_intent")[0]["status"] == "canceled"
    assert (till.surprises(), till.contradicted()) == (1, 0)
    assert till.look(till.open(1600)).state is PaymentState.OPEN


def test_another_amount_that_was_taken_is_the_desks_until_it_is_given_back_at_stripe(till: Till) -> None:
    payment = till.open()
    till.change_at_stripe(payment)
    confirm(till.standin, payment)
    for _again in range(3):
        till.sweep()
    assert till.look(payment).state is PaymentState.OPEN
    assert (till.surprises(), till.contradicted()) == (1, 1)
    with pytest.raises(IntentMismatch):
        till.open(1600)
    client_of(till.standin).v1.refunds.create({"payment_intent": str(payment.stripe_intent_id)})
    till.sweep()
    assert till.look(payment).state is PaymentState.CANCELED
    assert (till.surprises(), till.contradicted()) == (1, 0)


def test_a_customer_deleted_at_stripe_is_made_anew(till: Till) -> None:
    saved = till.save(default=True)
    old = customer_of(till.session, till.gateway, user_id=till.user_id, account_id=till.account_id)
    client_of(till.standin).v1.customers.delete(old)
    with pytest.raises(StripeRefused):
        till.open()
    gone = till.method(saved)
    assert gone.removed_at is not None
    assert gone.detached_at is not None
    assert not gone.is_default
    payment = till.look(till.open())
    assert payment.state is PaymentState.OPEN
    assert payment.customer_id not in (None, old)


def test_an_older_answer_that_a_newer_one_has_overtaken_surprises_nobody(till: Till) -> None:
    debit = till.open()
    older = till.gateway.retrieve_intent(str(debit.stripe_intent_id))
    till.debit(debit, "pm_usBankAccount_success")
    on_its_way = refresh(till.session, till.gateway, payment_id=debit.id)
    assert settle(till.session, payment_id=debit.id, intent=older) is PaymentState.PROCESSING
    till.later(days=5)
    refresh(till.session, till.gateway, payment_id=debit.id)
    for late in (older, on_its_way):
        assert settle(till.session, payment_id=debit.id, intent=late) is PaymentState.SUCCEEDED
    assert till.surprises() == 0


def test_what_contradicts_the_end_of_a_payment_is_still_told_once(till: Till) -> None:
    payment = till.open()
    intent = till.gateway.retrieve_intent(str(payment.stripe_intent_id))
    till.gateway.cancel_intent(intent.id)
    refresh(till.session, till.gateway, payment_id=payment.id)
    for _again in range(2):
        settle(till.session, payment_id=payment.id, intent=replace(intent, status="succeeded", received=intent.amount))
    assert till.look(payment).state is PaymentState.CANCELED
    assert till.surprises() == 1


def test_the_sweep_looks_before_it_closes_for_age(till: Till) -> None:
    """A debit confirmed in a browser that never came back; Stripe could still cancel it."""
    debit = till.open()
    till.debit(debit, PENDING)
    till.later(hours=25)
    till.sweep()
    assert till.look(debit).state is PaymentState.PROCESSING
    assert till.standin.every("payment_intent")[0]["status"] == "processing"


def test_small_deposits_have_their_ten_days_from_the_confirmation(till: Till) -> None:
    payment = till.open()
    till.later(hours=20)
    till.confirm_typed_in(payment)
    refresh(till.session, till.gateway, payment_id=payment.id)
    till.later(days=9, hours=12)  # more than ten days after the attempt began
    till.sweep()
    assert till.look(payment).state is PaymentState.ACTION
    assert till.mails("deposits/") == 0


def test_small_deposits_that_nobody_named_in_time_are_told_by_mail_once(till: Till) -> None:
    payment = till.open()
    till.confirm_typed_in(payment)
    refresh(till.session, till.gateway, payment_id=payment.id)
    till.later(days=10, hours=1)
    for _again in range(2):
        till.sweep()
    assert till.look(payment).state is PaymentState.CANCELED
    mail = till.session.scalars(sa.select(Notification).where(Notification.key.startswith("deposits/"))).one()
    assert "You have not been charged" in mail.body
    assert "pay again" in mail.body


def _setup(till: Till) -> MethodSetup:
    public_id = setups.start_setup(till.session, user_id=till.user_id, agreement=AGREED)
    setup = till.session.scalars(sa.select(MethodSetup).where(MethodSetup.public_id == public_id)).one()
    setups.look(till.session, till.gateway, setup_id=setup.id)
    return setup


@pytest.mark.parametrize(("by_guest", "mails"), [(True, 1), (False, 0)])
def test_whose_small_deposits_somebody_else_ends_is_told(till: Till, by_guest: bool, mails: int) -> None:
    """Who pays another way themselves has been told on the page; who finds a payment gone that waited has not."""
    waiting = till.open()
    till.confirm_typed_in(waiting)
    assert till.look(waiting).state is PaymentState.OPEN
    refresh(till.session, till.gateway, payment_id=waiting.id)
    assert till.look(waiting).action == DEPOSITS
    start_payment(
        till.session,
        till.gateway,
        account_ids=[till.account_id],
        payer=Payer(None, PaymentSource.GUEST) if by_guest else Payer(till.user_id),
        amount=Money(1_700),
    )
    assert till.look(waiting).state is PaymentState.CANCELED
    assert till.mails("deposits/") == mails


def test_small_deposits_of_a_bank_account_to_save_are_told_by_mail_once(till: Till) -> None:
    setup = _setup(till)
    client_of(till.standin).v1.setup_intents.confirm(str(setup.stripe_setup_intent_id), TYPED_IN)
    setups.look(till.session, till.gateway, setup_id=setup.id)
    till.later(days=10, hours=1)
    for _again in range(2):
        till.later(minutes=6)
        setups.sweep_setups(till.session, till.gateway, older_than=timedelta(minutes=5))
    assert till.mails("deposits/") == 1


def test_a_setup_that_was_closed_here_can_not_be_used_at_stripe(till: Till) -> None:
    setup = _setup(till)
    till.session.execute(sa.update(MethodSetup).values(state="canceled"))
    till.session.commit()
    with pytest.raises(SetupIsOver):
        setups.look(till.session, till.gateway, setup_id=setup.id)
    assert till.standin.every("setup_intent")[0]["status"] == "canceled"


def test_a_tick_and_its_undoing_that_cross_end_as_the_payer_said_last(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = till.open()
    payment_id, intent_id = payment.id, str(payment.stripe_intent_id)
    till.session.commit()
    real, told = till.gateway.keep_method, []

    def slow(intent: str, *, wanted: bool = True) -> Any:
        told.append(wanted)
        if told == [True]:  # the payer takes the tick away while Stripe is told of it
            with Session(till.session.get_bind()) as other:
                methods.choose_to_keep(
                    other, till.gateway, payment_id=payment_id, user_id=till.user_id, agreement=None
                )
        return real(intent, wanted=wanted)

    monkeypatch.setattr(till.gateway, "keep_method", slow)
    methods.choose_to_keep(till.session, till.gateway, payment_id=payment_id, user_id=till.user_id, agreement=AGREED)
    assert not till.gateway.retrieve_intent(intent_id).keeps_method


def test_a_method_that_was_kept_against_the_payers_wish_is_let_go_of(till: Till) -> None:
    payment = till.open()
    methods.choose_to_keep(till.session, till.gateway, payment_id=payment.id, user_id=till.user_id, agreement=AGREED)
    till.session.execute(sa.update(Payment).values(keep_method=False))  # Stripe never heard of it
    till.session.commit()
    confirm(till.standin, payment)
    intent = refresh(till.session, till.gateway, payment_id=payment.id)
    assert till.gateway.methods.retrieve(intent.method_id).customer_id
    assert methods.collect_due(till.session, till.gateway) == 1
    assert not till.gateway.methods.retrieve(intent.method_id).customer_id
    assert till.look(payment).kept_at is not None
    assert methods.collect_due(till.session, till.gateway) == 0


def test_a_payment_whose_method_is_gone_has_nothing_to_collect(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    payment = till.open()
    methods.choose_to_keep(till.session, till.gateway, payment_id=payment.id, user_id=till.user_id, agreement=AGREED)
    confirm(till.standin, payment)
    refresh(till.session, till.gateway, payment_id=payment.id)
    monkeypatch.setattr(till.gateway.methods, "retrieve", missing)
    assert methods.collect_due(till.session, till.gateway) == 1
    assert till.look(payment).kept_at is not None


def test_what_stripe_will_not_let_go_of_keeps_no_other_from_its_turn(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown, refused, other = (till.save(removed=True) for _each in range(3))
    real = till.gateway.methods.detach

    def detach(method_id: str) -> None:
        if method_id == unknown.stripe_method_id:
            raise StripeRefused("resource_missing")
        if method_id == refused.stripe_method_id:
            raise StripeRefused("something_else")
        real(method_id)

    monkeypatch.setattr(till.gateway.methods, "detach", detach)
    assert methods.detach_due(till.session, till.gateway) == 2
    assert [till.method(one).detached_at is not None for one in (unknown, refused, other)] == [True, False, True]


def test_stripe_away_is_asked_once_and_not_for_each(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    for _each in range(3):
        till.save(removed=True)
    asked = []

    def away(method_id: str) -> None:
        asked.append(method_id)
        raise StripeAway("APIConnectionError")

    monkeypatch.setattr(till.gateway.methods, "detach", away)
    with pytest.raises(StripeAway):
        methods.detach_due(till.session, till.gateway)
    assert len(asked) == 1


def test_a_default_that_stripe_let_go_of_has_an_heir(till: Till) -> None:
    first, second = till.save(default=True), till.save("pm_card_mastercard")
    client_of(till.standin).v1.payment_methods.detach(first.stripe_method_id)
    assert methods.refresh_method(till.session, till.gateway, stripe_method_id=first.stripe_method_id)
    assert till.method(first).removed_at is not None
    assert till.method(second).is_default
