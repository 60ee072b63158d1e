"""Sending refunds and settling them: once, whatever is lost, late, doubled or dead."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import stripe
import time_machine
from flask import Flask

from portal import clock
from portal.audit.tags import Tag
from portal.billing.kinds import HoldReason
from portal.db import writing
from portal.money import Money
from portal.payments.closing import RESEND_WITHIN
from portal.payments.errors import IntentMismatch
from portal.payments.gateway.refunds import Refunds
from portal.payments.models import Payment
from portal.payments.stripe_events.inbox import KeptEvent
from portal.refunds import service, settle
from portal.refunds.learning import refresh_refund, sweep_refunds
from portal.refunds.models import Refund
from portal.refunds.sending import send_due
from portal.refunds.settle import MADE_AT_STRIPE, project, settle_refund
from portal.refunds.state import RefundReason, RefundState
from portal.web.database import db
from tests.unit.refunds.conftest import ZONE, Desk, later
from tests.web.paying import client_of

PATH = "/v1/refunds"
FAR = "pm_card_pendingRefund"


def test_a_refund_is_sent_booked_told_and_held_once(desk: Desk, payment: Payment) -> None:
    refund = desk.ask(payment, amount=Money(500))
    charge_id = next(iter(desk.session.execute(_part(refund))))[0]
    before = desk.due(charge_id)
    assert (desk.send(), desk.send()) == (1, 0)
    (made,) = desk.at_stripe()
    assert (made.amount, made.metadata["refund_id"], made.payment_intent) == (
        500,
        refund.public_id,
        payment.stripe_intent_id,
    )
    assert sorted(made.metadata.to_dict()) == ["refund_id"]
    assert desk.state(refund) is RefundState.SUCCEEDED
    assert desk.bookings(payment) == [("payment", payment.amount.cents), ("refund", -500)]
    assert desk.due(charge_id) == before + 500
    assert desk.held(charge_id) == [HoldReason.REFUNDED]
    assert desk.mails("sent") == [f"refund/{refund.public_id}/sent"]
    assert (desk.audited(Tag.REFUND_SENT), desk.audited(Tag.REFUND_SUCCEEDED)) == (1, 1)
    for _ in range(2):  # the same answer again
        settle_refund(desk.session, refund_id=refund.id, found=desk.found(made))
    assert desk.bookings(payment) == [("payment", payment.amount.cents), ("refund", -500)]
    assert len(desk.mails("sent")) == 1
    assert desk.differences() == []


def _part(refund: Refund) -> Any:
    from sqlalchemy import select

    from portal.refunds.models import RefundPart

    return select(RefundPart.charge_id).where(RefundPart.refund_id == refund.id)


def test_what_was_paid_twice_is_not_put_on_hold(desk: Desk, payment: Payment) -> None:
    refund = desk.ask(payment, amount=Money(500), reason=RefundReason.DUPLICATE)
    charge_id = next(iter(desk.session.execute(_part(refund))))[0]
    desk.send()
    assert desk.held(charge_id) == []


def test_a_line_on_which_nothing_is_owed_again_is_not_put_on_hold(desk: Desk, payment: Payment) -> None:
    refund = desk.ask(payment, amount=Money(500), reason=RefundReason.INSURER_PAID)
    charge_id = next(iter(desk.session.execute(_part(refund))))[0]
    desk.insurer_takes_over(charge_id, Money(500))
    desk.send()
    assert (desk.due(charge_id), desk.held(charge_id)) == (0, [])


@pytest.mark.parametrize(
    ("fault", "made_at_once"),
    [("drop_before", 0), ("drop_after", 1), ("error_500_after", 1), ("rate_limited", 0)],
)
def test_a_lost_answer_is_asked_for_again_with_the_same_key(
    desk: Desk, payment: Payment, fault: str, made_at_once: int
) -> None:
    refund = desk.ask(payment, amount=Money(500))
    # The client itself asks twice (and a 429 is not asked again).
    desk.standin.faults.add(fault, method="POST", path=PATH, times=2)
    assert desk.send() == 0
    desk.standin.faults.clear()
    assert desk.state(refund) is RefundState.APPROVED
    assert len(desk.at_stripe()) == made_at_once
    assert desk.send() == 0  # its turn has not come again
    if fault == "error_500_after":
        return  # the failure is kept under the key: see the next test
    with time_machine.travel(later(seconds=70), tick=False):
        assert desk.send() == 1
    assert len(desk.at_stripe()) == 1
    assert (desk.state(refund), refund.tries) == (RefundState.SUCCEEDED, 0)
    assert desk.differences() == []


@pytest.mark.parametrize("after", [RESEND_WITHIN + timedelta(minutes=1), timedelta(hours=30)])
@pytest.mark.parametrize(("fault", "made"), [("error_500_after", 1), ("error_500", 0), ("drop_after", 1)])
def test_later_it_is_looked_up_and_only_then_tried_anew(
    desk: Desk, payment: Payment, fault: str, made: int, after: timedelta
) -> None:
    refund = desk.ask(payment, amount=Money(500))
    desk.standin.faults.add(fault, method="POST", path=PATH, times=2)
    desk.send()
    desk.standin.faults.clear()
    assert len(desk.at_stripe()) == made
    asked_before = _posts(desk)
    with time_machine.travel(clock.now() + after, tick=False):
        assert desk.send() == 1
        assert len(desk.at_stripe()) == 1
    # What Stripe had is taken up without another request; what it had not is asked for under another key.
    assert _posts(desk) - asked_before == 1 - made
    assert (desk.state(refund), refund.tries) == (RefundState.SUCCEEDED, 1 - made)
    assert desk.bookings(payment)[1:] == [("refund", -500)]


def _posts(desk: Desk) -> int:
    return sum(1 for one in desk.standin.requests if one["method"] == "POST" and one["path"] == PATH)


def test_a_worker_that_dies_after_stripe_has_acted_is_made_up_for(
    desk: Desk, payment: Payment, monkeypatch: pytest.MonkeyPatch
) -> None:
    refund = desk.ask(payment, amount=Money(500))
    create: Callable[..., Any] = Refunds.create

    def dies(self: Refunds, **asked: Any) -> Any:
        create(self, **asked)
        raise KeyboardInterrupt

    monkeypatch.setattr(Refunds, "create", dies)
    with pytest.raises(KeyboardInterrupt):
        desk.send()
    monkeypatch.undo()
    assert (desk.state(refund), len(desk.at_stripe())) == (RefundState.APPROVED, 1)
    with time_machine.travel(later(minutes=2), tick=False):
        assert desk.send() == 1
    assert (desk.state(refund), len(desk.at_stripe())) == (RefundState.SUCCEEDED, 1)
    assert desk.differences() == []


@pytest.mark.parametrize("where", ["book", "place_hold"])
def test_a_worker_that_dies_while_booking_leaves_nothing_half_done(
    desk: Desk, payment: Payment, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    refund = desk.ask(payment, amount=Money(500))

    def dies(*_given: Any, **_named: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(settle, where, dies)
    with pytest.raises(KeyboardInterrupt):
        desk.send()
    monkeypatch.undo()
    assert desk.state(refund) is RefundState.APPROVED
    assert desk.bookings(payment) == [("payment", payment.amount.cents)]
    with time_machine.travel(later(minutes=2), tick=False):
        desk.send()
    assert (desk.state(refund), len(desk.at_stripe())) == (RefundState.SUCCEEDED, 1)
    assert desk.differences() == []


def test_a_worker_that_dies_between_looking_up_and_trying_anew(
    desk: Desk, payment: Payment, monkeypatch: pytest.MonkeyPatch
) -> None:
    refund = desk.ask(payment, amount=Money(500))
    desk.standin.faults.add("error_500", method="POST", path=PATH)
    desk.send()
    create: Callable[..., Any] = Refunds.create

    def dies(self: Refunds, **asked: Any) -> Any:
        assert asked["key"] == f"{refund.public_id}-1"
        create(self, **asked)
        raise KeyboardInterrupt

    with time_machine.travel(later(minutes=12), tick=False):
        monkeypatch.setattr(Refunds, "create", dies)
        with pytest.raises(KeyboardInterrupt):
            desk.send()
        monkeypatch.undo()
    with time_machine.travel(later(minutes=14), tick=False):
        assert desk.send() == 1
    assert (desk.state(refund), refund.tries, len(desk.at_stripe())) == (RefundState.SUCCEEDED, 1, 1)


@pytest.mark.timeout(120)
def test_two_workers_at_once_send_once(app: Flask, desk: Desk, payment: Payment) -> None:
    for _ in range(3):
        desk.ask(payment, amount=Money(500))
    desk.session.rollback()
    gate = threading.Barrier(4)
    surprises: list[BaseException] = []

    def work() -> None:
        with app.app_context(), writing():
            gate.wait(30)
            try:
                send_due(db.session, desk.gateway, timezone=ZONE)
            except BaseException as error:
                surprises.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not surprises
    assert [one.amount for one in desk.at_stripe()] == [500] * 3
    assert len({one.metadata["refund_id"] for one in desk.at_stripe()}) == 3
    assert desk.bookings(payment)[1:] == [("refund", -500)] * 3
    assert desk.differences() == []


def test_a_pending_refund_is_booked_at_once_and_arrives_later(desk: Desk) -> None:
    payment = desk.pay(amount=Money(5_000), card=FAR)
    refund = desk.ask(payment, amount=Money(500))
    desk.send()
    assert desk.state(refund) is RefundState.PENDING
    assert desk.bookings(payment)[1:] == [("refund", -500)]
    desk.standin.advance(3 * 86_400)
    with time_machine.travel(later(hours=2), tick=False):
        assert sweep_refunds(desk.session, desk.gateway) == 1
        assert sweep_refunds(desk.session, desk.gateway) == 0
    assert desk.state(refund) is RefundState.SUCCEEDED
    assert desk.bookings(payment)[1:] == [("refund", -500)]
    assert desk.differences() == []


def test_a_refund_that_the_bank_sends_back_is_booked_back_and_the_desks(desk: Desk, payment: Payment) -> None:
    refund = desk.ask(payment, amount=Money(500))
    charge_id = next(iter(desk.session.execute(_part(refund))))[0]
    before = desk.due(charge_id)
    desk.send()
    (made,) = desk.at_stripe()
    late = desk.found(made)
    desk.standin.fail_refund(made.id)
    event = KeptEvent("evt_1", "refund.failed", made.id, "", clock.now())
    for _ in range(2):
        assert refresh_refund(desk.session, desk.gateway, event)
    assert (desk.state(refund), refund.failure_code) == (RefundState.FAILED, "unknown")
    assert desk.bookings(payment)[1:] == [("refund", -500), ("refund_returned", 500)]
    assert (desk.due(charge_id), desk.held(charge_id)) == (before, [])
    assert desk.mails("failed") == [f"refund/{refund.public_id}/failed"]
    assert desk.audited(Tag.REFUND_FAILED) == 1
    # An answer from before it failed changes nothing, and is no surprise.
    settle_refund(desk.session, refund_id=refund.id, found=late)
    assert (desk.state(refund), desk.audited(Tag.REFUND_SURPRISING)) == (RefundState.FAILED, 0)
    assert desk.differences() == []
    # The money can go back another time, and the failure is dealt with once.
    assert desk.ask(payment).amount == payment.amount
    service.handle(desk.session, public_id=refund.public_id, actor=desk.staff, note="A check was sent")
    desk.session.commit()
    with pytest.raises(service.TooLate):
        service.handle(desk.session, public_id=refund.public_id, actor=desk.staff, note="again")
    assert desk.audited(Tag.REFUND_HANDLED) == 1


def test_a_failure_whose_webhook_was_lost_is_found_by_the_sweep(desk: Desk) -> None:
    payment = desk.pay(amount=Money(5_000), card="pm_card_refundFail")
    refund = desk.ask(payment)
    desk.send()
    assert desk.state(refund) is RefundState.SUCCEEDED
    desk.standin.advance(3 * 86_400)
    with time_machine.travel(later(days=2), tick=False):
        sweep_refunds(desk.session, desk.gateway)
    assert desk.state(refund) is RefundState.FAILED
    assert desk.differences() == []


def test_what_stripe_refuses_is_the_desks_and_nothing_is_booked(desk: Desk, payment: Payment) -> None:
    refund = desk.ask(payment, amount=Money(500))
    desk.standin.faults.add("balance_insufficient", method="POST", path=PATH)
    assert desk.send() == 0
    assert (desk.state(refund), refund.failure_code) == (RefundState.FAILED, "balance_insufficient")
    assert desk.bookings(payment) == [("payment", payment.amount.cents)]
    assert desk.mails("sent") == desk.mails("failed") == []
    assert desk.ask(payment).amount == payment.amount


def test_our_own_bad_key_is_no_answer(desk: Desk, payment: Payment, monkeypatch: pytest.MonkeyPatch) -> None:
    from portal.payments.errors import StripeRefused

    refund = desk.ask(payment, amount=Money(500))

    def refuse(self: Refunds, **_asked: Any) -> Any:
        raise StripeRefused("api_key_expired")

    monkeypatch.setattr(Refunds, "create", refuse)
    assert desk.send() == 0
    assert desk.state(refund) is RefundState.APPROVED
    monkeypatch.undo()
    with time_machine.travel(later(minutes=2), tick=False):
        assert desk.send() == 1


def test_one_that_stripe_chokes_on_does_not_stop_the_others_for_ever(desk: Desk, payment: Payment) -> None:
    first, second = desk.ask(payment, amount=Money(500)), desk.ask(payment, amount=Money(600))
    desk.standin.faults.add("error_500", method="POST", path=PATH)
    desk.send()
    assert [desk.state(one) for one in (first, second)] == [RefundState.APPROVED] * 2
    desk.send()
    assert desk.state(second) is RefundState.SUCCEEDED


@pytest.mark.parametrize("made", [700, 9_900])
def test_a_refund_made_at_stripe_is_imported_once(desk: Desk, made: int) -> None:
    payment = desk.pay(amount=Money(10_000))
    client = client_of(desk.standin)
    stripes = client.v1.refunds.create({"payment_intent": payment.stripe_intent_id or "", "amount": made})
    found = desk.found(stripes)
    for _ in range(2):
        assert project(desk.session, found)
    (refund,) = desk.session.query(Refund).all()
    assert (refund.note, refund.requested_by, refund.state) == (MADE_AT_STRIPE, None, RefundState.SUCCEEDED)
    assert desk.bookings(payment) == [("payment", 10_000), ("refund", -made)]
    assert desk.differences() == []
    desk.standin.fail_refund(stripes.id)
    project(desk.session, desk.found(stripes))
    assert desk.bookings(payment)[2:] == [("refund_returned", made)]
    assert desk.differences() == []


def test_a_refund_made_at_stripe_takes_what_another_was_promised(desk: Desk) -> None:
    payment = desk.pay(amount=Money(5_000))
    promised = desk.ask(payment, amount=Money(3_000))
    client = client_of(desk.standin)
    made = client.v1.refunds.create({"payment_intent": payment.stripe_intent_id or "", "amount": 4_000})
    project(desk.session, desk.found(made))
    assert desk.send() == 0
    assert desk.state(promised) is RefundState.WITHDRAWN
    assert desk.differences() == []


def test_a_payment_that_is_not_ours_is_not_ours(desk: Desk) -> None:
    client = client_of(desk.standin)
    intent = client.v1.payment_intents.create(
        {"amount": 900, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True,
         "return_url": "https://shop.example/back"}
    )  # fmt: skip
    made = client.v1.refunds.create({"payment_intent": intent.id})
    assert project(desk.session, desk.found(made)) is False


def test_what_does_not_fit_is_audited_and_not_booked(desk: Desk, payment: Payment) -> None:
    from dataclasses import replace

    refund = desk.ask(payment, amount=Money(500))
    desk.standin.faults.add("drop_after", method="POST", path=PATH, times=2)
    desk.send()
    (made,) = desk.at_stripe()
    true = desk.found(made)
    for wrong in (
        replace(true, amount=Money(501)),
        replace(true, intent_id="pi_another"),
        replace(true, refund_id="0" * 32),
    ):
        with pytest.raises(IntentMismatch):
            settle_refund(desk.session, refund_id=refund.id, found=wrong)
    assert desk.audited(Tag.REFUND_SURPRISING) == 3
    assert desk.bookings(payment) == [("payment", payment.amount.cents)]
    settle_refund(desk.session, refund_id=refund.id, found=true)
    assert desk.bookings(payment)[1:] == [("refund", -500)]


def test_a_second_refund_under_our_id_is_in_the_books_and_a_surprise(desk: Desk, payment: Payment) -> None:
    refund = desk.ask(payment, amount=Money(500))
    desk.send()
    client: stripe.StripeClient = client_of(desk.standin)
    again = client.v1.refunds.create(
        {"payment_intent": payment.stripe_intent_id or "", "amount": 500, "metadata": {"refund_id": refund.public_id}}
    )
    project(desk.session, desk.found(again))
    assert desk.bookings(payment)[1:] == [("refund", -500)] * 2
    assert desk.audited(Tag.REFUND_SURPRISING) == 1
    assert desk.differences() == []
