"""Refunds made in Stripe's dashboard: they get into the books whatever becomes of their events, once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine

from portal import clock
from portal.accounts.models import Account
from portal.audit.tags import Tag
from portal.billing.kinds import HoldReason
from portal.money import Money
from portal.notifications.models import Notification
from portal.payments.gateway.client import _event
from portal.payments.models import Payment, StripeCursor, StripeEvent
from portal.payments.service import Payer, prepare, refresh, start_payment
from portal.payments.state import PaymentState
from portal.payments.stripe_events.inbox import KeptEvent, keep, process_due
from portal.refunds.calendar import there_by
from portal.refunds.learning import learn, refresh_refund, refresh_refunds_of_charge, sweep_refunds
from portal.refunds.models import Refund, RefundPart
from portal.refunds.queries import refund_by_public_id, refunds_listed, refunds_of_payment, refunds_on_account
from portal.refunds.settle import MADE_AT_STRIPE, NOTHING_CAME
from portal.refunds.state import RefundState
from portal.worker import HANDLERS
from tests.unit.refunds.conftest import ZONE, Desk
from tests.web.paying import TESTA, client_of

DAY = 86_400
_AGREED: Any = {
    "customer_acceptance": {"type": "online", "online": {"ip_address": "127.0.0.1", "user_agent": "x"}}
}


def by_bank(desk: Desk, account: str = "pm_usBankAccount_success") -> Payment:
    """A payment from a bank account that is under way."""
    payment = _open(desk, Money(5_000))
    client_of(desk.standin).v1.payment_intents.confirm(
        payment.stripe_intent_id or "",
        {"payment_method": account, "mandate_data": _AGREED, "return_url": "http://localhost/back"},
    )
    refresh(desk.session, desk.gateway, payment_id=payment.id)
    assert payment.state is PaymentState.PROCESSING
    return payment


def _open(desk: Desk, amount: Money) -> Payment:
    account_id = desk.session.scalars(sa.select(Account.id).where(Account.ref == "JDC-1001")).one()
    payer = Payer(desk.clinic.user_id(TESTA))
    payment = start_payment(desk.session, desk.gateway, account_ids=[account_id], payer=payer, amount=amount)
    prepare(desk.session, desk.gateway, payment_id=payment.id)
    return payment


def charge_of(desk: Desk, payment: Payment) -> str:
    intent = client_of(desk.standin).v1.payment_intents.retrieve(payment.stripe_intent_id or "")
    return str(intent.latest_charge)


@pytest.fixture
def days(desk: Desk) -> Iterator[Any]:
    """``days(4)``: so many days from the test's start, for us and for Stripe."""
    began = clock.now()
    traveller = time_machine.travel(began, tick=False)
    moved = traveller.start()

    def go(count: float) -> None:
        moved.move_to(began + timedelta(days=count))
        desk.standin._run_timetable()

    yield go
    traveller.stop()


def only_refund(desk: Desk) -> Refund:
    desk.session.rollback()
    desk.session.expire_all()
    return desk.session.scalars(sa.select(Refund)).one()


# Its events are lost, or nobody subscribed to them


@pytest.mark.parametrize("made", [1_500, None])
def test_what_no_event_brings_the_list_does(desk: Desk, days: Any, made: int | None) -> None:
    payment = desk.pay(amount=Money(10_000))
    sweep_refunds(desk.session, desk.gateway)
    days(1)
    desk.standin.refund_in_dashboard(payment.stripe_charge_id or "", made)
    days(5)  # nobody was there for four days
    for _ in range(2):
        sweep_refunds(desk.session, desk.gateway)
    refund = only_refund(desk)
    assert (refund.note, refund.state, refund.amount) == (
        MADE_AT_STRIPE, RefundState.SUCCEEDED, Money(made or 10_000),
    )  # fmt: skip
    assert desk.bookings(payment) == [("payment", 10_000), ("refund", -(made or 10_000))]
    assert len(desk.mails("sent")) == 1
    assert desk.differences() == []
    days(5.2)
    asked = len(desk.standin.requests)
    sweep_refunds(desk.session, desk.gateway)
    assert [one["path"] for one in list(desk.standin.requests)[asked:]] == ["/v1/refunds"]  # it is known
    assert len(desk.bookings(payment)) == 2


def test_a_refund_from_before_the_list_was_ever_read_is_found(desk: Desk, days: Any) -> None:
    payment = desk.pay(amount=Money(10_000))
    desk.standin.refund_in_dashboard(payment.stripe_charge_id or "", 700)
    days(80)
    sent_on = clock.clinic_day(clock.now() - timedelta(days=80))
    sweep_refunds(desk.session, desk.gateway)
    assert desk.bookings(payment) == [("payment", 10_000), ("refund", -700)]
    # The bank has shown it long ago: nobody is written that it is on its way, and it was not sent today.
    assert desk.mails("sent") == []
    (seen,) = refunds_of_payment(desk.session, desk.clinic.user_id(TESTA), payment.public_id, timezone=ZONE)
    assert (seen.sent_on, seen.there_by) == (sent_on, there_by(sent_on))
    assert refunds_on_account(desk.session, payment.account_id, desk.clinic.user_id(TESTA), timezone=ZONE) == []
    assert only_refund(desk).booked_at == clock.now()  # the books are of today


@pytest.mark.parametrize(("learned", "begins"), [(0, "We sent $7.00 back"), (3, "On {day} we sent $7.00 back")])
def test_the_mail_names_the_day_on_which_stripe_sent_it(desk: Desk, days: Any, learned: float, begins: str) -> None:
    payment = desk.pay(amount=Money(10_000))
    desk.standin.refund_in_dashboard(payment.stripe_charge_id or "", 700)
    day = clock.clinic_day(clock.now())
    days(learned)
    sweep_refunds(desk.session, desk.gateway)
    body = desk.session.scalars(sa.select(Notification.body).where(Notification.key.like("refund/%/sent"))).one()
    assert body.startswith(begins.format(day=f"{day:%B} {day.day}, {day.year}"))


def test_the_list_is_read_a_quarter_of_an_hour_apart(desk: Desk, days: Any) -> None:
    desk.pay(amount=Money(10_000))

    def lists() -> int:
        return sum(one["path"] == "/v1/refunds" for one in desk.standin.requests)

    for at, read in ((0.1, 1), (0.101, 1), (0.12, 2)):
        days(at)
        sweep_refunds(desk.session, desk.gateway)
        assert lists() == read


def test_one_that_can_not_be_taken_in_is_listed_again_for_a_month(desk: Desk, days: Any) -> None:
    payment = desk.pay(amount=Money(10_000))
    made = desk.standin.refund_in_dashboard(payment.stripe_charge_id or "", 700)
    # What can't be: Stripe gave more back than was ever taken here.
    desk.standin.store.save({**made, "amount": 10_700})
    days(1)
    sweep_refunds(desk.session, desk.gateway)
    assert desk.bookings(payment) == [("payment", 10_000)]
    assert desk.audited(Tag.REFUND_SURPRISING) == 1
    desk.standin.store.save(made)
    days(9)  # far beyond the overlap
    sweep_refunds(desk.session, desk.gateway)
    assert desk.bookings(payment) == [("payment", 10_000), ("refund", -700)]
    read_to = desk.session.scalar(sa.select(StripeCursor.read_to).where(StripeCursor.name == "refunds"))
    assert read_to is not None
    assert clock.now() - read_to < timedelta(minutes=1)


def test_refunds_of_other_business_cost_no_request_each(desk: Desk, days: Any) -> None:
    client = client_of(desk.standin)
    desk.pay(amount=Money(10_000))
    intent = client.v1.payment_intents.create(
        {"amount": 900, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True,
         "return_url": "https://shop.example/back"}
    )  # fmt: skip
    client.v1.refunds.create({"payment_intent": intent.id})
    days(0.5)
    asked = len(desk.standin.requests)
    sweep_refunds(desk.session, desk.gateway)
    assert [one["path"] for one in list(desk.standin.requests)[asked:]] == ["/v1/refunds"]
    assert desk.session.scalars(sa.select(Refund)).all() == []


def test_an_endpoint_that_hears_of_charges_only_hears_of_refunds(desk: Desk) -> None:
    assert HANDLERS["charge.refunded"] is refresh_refunds_of_charge
    payment = desk.pay(amount=Money(10_000))
    for cents in (700, 300):
        desk.standin.refund_in_dashboard(payment.stripe_charge_id or "", cents)
    event = KeptEvent(
        "evt_1", "charge.refunded", payment.stripe_charge_id or "", payment.stripe_intent_id or "", clock.now()
    )
    for _ in range(2):
        assert refresh_refunds_of_charge(desk.session, desk.gateway, event)
    assert sorted(desk.bookings(payment)[1:]) == [("refund", -700), ("refund", -300)]


# Its events come before those of its payment


@pytest.mark.parametrize("away", [timedelta(0), timedelta(minutes=12), timedelta(days=4)])
@pytest.mark.parametrize("order", list(itertools.permutations(["payment", "refund", "charge"])))
def test_the_order_of_events_does_not_matter_nor_how_long_nobody_looked(
    desk: Desk, days: Any, order: tuple[str, ...], away: timedelta
) -> None:
    """The worker is away after each event; nothing but the events themselves brings anything."""
    payment = _open(desk, Money(10_000))
    client_of(desk.standin).v1.payment_intents.confirm(
        payment.stripe_intent_id or "", {"payment_method": "pm_card_visa", "return_url": "http://localhost/back"}
    )
    desk.standin.refund_in_dashboard(charge_of(desk, payment), 1_500)
    types = {"payment": "payment_intent.succeeded", "refund": "refund.created", "charge": "charge.refunded"}
    made = {one["type"]: one for one in desk.standin.every("event")}
    passed = 0.0
    for name in order:
        keep(desk.session, _event(made[types[name]]))
        desk.session.commit()
        passed += away / timedelta(days=1)
        days(passed)
        process_due(desk.session, desk.gateway, HANDLERS)
    assert desk.bookings(payment) == [("payment", 10_000), ("refund", -1_500)]
    assert desk.session.scalar(sa.select(sa.func.count()).where(StripeEvent.processed_at.is_(None))) == 0
    assert desk.differences() == []


# It is of a bank debit that has not arrived


def test_of_a_debit_under_way_it_waits_and_goes_out_when_the_money_has_come(desk: Desk, days: Any) -> None:
    payment = by_bank(desk)
    made = desk.standin.refund_in_dashboard(charge_of(desk, payment), 2_000)
    assert (made["status"], made["pending_reason"]) == ("pending", "charge_pending")
    for _ in range(2):
        assert learn(desk.session, desk.gateway, desk.gateway.refunds.retrieve(made["id"]))
    refund = only_refund(desk)
    assert refund.state is RefundState.WAITING
    # Nothing is shown as paid back that was not received: neither booked nor told.
    assert (desk.bookings(payment), desk.mails("sent")) == ([], [])
    assert refunds_of_payment(desk.session, desk.clinic.user_id(TESTA), payment.public_id, timezone=ZONE) == []
    assert [one.public_id for one in refunds_listed(desk.session, "scheduled", limit=9)[0]] == [refund.public_id]
    assert desk.send() == 0  # and Stripe is not asked for it
    assert desk.differences() == []
    days(4.1)
    sweep_refunds(desk.session, desk.gateway)  # which settles the payment, too
    assert only_refund(desk).state is RefundState.PENDING
    assert desk.bookings(payment) == [("payment", 5_000), ("refund", -2_000)]
    (part,) = desk.session.execute(sa.select(RefundPart.charge_id, RefundPart.amount)).all()
    assert (part.amount, desk.held(part.charge_id)) == (Money(2_000), [HoldReason.REFUNDED])
    assert len(desk.mails("sent")) == 1
    (seen,) = refunds_of_payment(desk.session, desk.clinic.user_id(TESTA), payment.public_id, timezone=ZONE)
    assert seen.sent_on == clock.clinic_day(clock.now())  # when its payment arrived
    days(7)
    sweep_refunds(desk.session, desk.gateway)
    assert only_refund(desk).state is RefundState.SUCCEEDED
    assert len(desk.bookings(payment)) == 2
    assert desk.differences() == []


@pytest.mark.parametrize("heard", [True, False])
@pytest.mark.parametrize("cents", [2_000, None])
def test_of_a_debit_that_bounces_nothing_goes_back(desk: Desk, days: Any, cents: int | None, heard: bool) -> None:
    payment = by_bank(desk, "pm_usBankAccount_insufficientFunds")
    made = desk.standin.refund_in_dashboard(charge_of(desk, payment), cents)
    if heard:
        assert learn(desk.session, desk.gateway, desk.gateway.refunds.retrieve(made["id"]))
    days(4.1)
    sweep_refunds(desk.session, desk.gateway)
    desk.session.expire_all()
    assert desk.gateway.refunds.retrieve(made["id"]).status == "canceled"
    assert (desk.bookings(payment), desk.mails("sent"), desk.mails("failed")) == ([], [], [])
    refunds = desk.session.scalars(sa.select(Refund)).all()
    assert [(one.state, one.handled_note) for one in refunds] == [(RefundState.CANCELED, NOTHING_CAME)] * heard
    assert refunds_listed(desk.session, "failed", limit=9) == ([], 0)
    assert refunds_of_payment(desk.session, desk.clinic.user_id(TESTA), payment.public_id, timezone=ZONE) == []
    for one in refunds:
        assert refund_by_public_id(desk.session, one.public_id).never_went
    refresh(desk.session, desk.gateway, payment_id=payment.id)
    assert desk.differences() == []
    # An older answer that arrives late, and one that is looked at again, change nothing and surprise nobody.
    days(9)
    event = KeptEvent("evt_1", "refund.updated", made["id"], "", clock.now())
    assert refresh_refund(desk.session, desk.gateway, event)
    assert (desk.bookings(payment), desk.audited(Tag.REFUND_SURPRISING)) == ([], 0)


def test_events_alone_bring_it_about_too(desk: Desk, days: Any) -> None:
    payment = by_bank(desk)
    desk.standin.refund_in_dashboard(charge_of(desk, payment), 2_000)
    for day in (0.1, 4.1, 6.2, 7):
        days(day)
        for made in desk.standin.every("event"):
            keep(desk.session, _event(made))
        desk.session.commit()
        process_due(desk.session, desk.gateway, HANDLERS)
    assert only_refund(desk).state is RefundState.SUCCEEDED
    assert desk.bookings(payment) == [("payment", 5_000), ("refund", -2_000)]


def test_money_that_stripe_gave_back_of_a_payment_that_never_came_is_a_surprise_and_not_booked(
    desk: Desk, days: Any
) -> None:
    payment = by_bank(desk, "pm_usBankAccount_insufficientFunds")
    made = desk.standin.refund_in_dashboard(charge_of(desk, payment), 2_000)
    learn(desk.session, desk.gateway, desk.gateway.refunds.retrieve(made["id"]))
    days(4.1)
    desk.standin.store.save({**made, "status": "succeeded"})
    for _ in range(2):
        learn(desk.session, desk.gateway, desk.gateway.refunds.retrieve(made["id"]))
    assert (only_refund(desk).state, desk.bookings(payment)) == (RefundState.WAITING, [])
    assert desk.audited(Tag.REFUND_SURPRISING) == 1
