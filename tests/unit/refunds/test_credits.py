"""Credit balances: found once, given back to the payments that paid them, and checked again before they are sent."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask

from portal import clock
from portal.billing.kinds import HoldReason
from portal.billing.service import place_hold
from portal.db import writing
from portal.money import Money
from portal.payments.models import Payment
from portal.refunds import service
from portal.refunds.credits import credits_without_payment, find_credits
from portal.refunds.models import Refund
from portal.refunds.parts import parts_of_refund
from portal.refunds.queries import refunds_on_account
from portal.refunds.state import RefundReason, RefundState
from portal.web.database import db
from tests.unit.refunds.conftest import DAYS, LIMIT, ZONE, Desk, today
from tests.web.paying import TESTA


def line_of(desk: Desk, payment: Payment) -> int:
    """The line of which the payment took the most."""
    parts = desk.parts(payment)
    return max(parts, key=lambda charge_id: parts[charge_id])


def refunds(desk: Desk, *states: RefundState) -> list[Refund]:
    desk.session.expire_all()
    found = desk.session.scalars(sa.select(Refund).order_by(Refund.id)).all()
    return [one for one in found if not states or one.state in states]


def test_a_credit_is_found_once_and_sent_on_its_day(desk: Desk, payment: Payment) -> None:
    assert desk.find() == 0
    charge_id = line_of(desk, payment)
    desk.insurer_takes_over(charge_id, Money(1_200))
    assert (desk.find(), desk.find()) == (1, 0)
    (refund,) = refunds(desk)
    assert (refund.reason, refund.requested_by, refund.state) == (
        RefundReason.CREDIT_BALANCE,
        None,
        RefundState.APPROVED,
    )
    assert refund.send_on == today() + timedelta(days=DAYS)
    assert [(part.charge_id, part.amount) for part in parts_of_refund(desk.session, refund.id)] == [
        (charge_id, Money(1_200))
    ]
    account_id = payment.account_id
    (seen,) = refunds_on_account(desk.session, account_id, desk.clinic.user_id(TESTA), timezone=ZONE)
    assert (seen.amount, seen.method, seen.send_on, seen.is_credit) == (
        Money(1_200),
        "Visa ending 4242",
        refund.send_on,
        True,
    )
    assert desk.send() == 0
    with time_machine.travel(clock.now() + timedelta(days=DAYS), tick=False):
        assert desk.send() == 1
    assert (desk.state(refund), desk.due(charge_id), desk.held(charge_id)) == (RefundState.SUCCEEDED, 0, [])
    assert desk.find() == 0
    assert desk.differences() == []


def test_above_the_limit_it_needs_a_supervisor(desk: Desk, payment: Payment) -> None:
    desk.insurer_takes_over(line_of(desk, payment), Money(1_200))
    assert desk.find(limit=Money(1_000)) == 1
    (refund,) = refunds(desk)
    assert (refund.state, refund.needs_approval) == (RefundState.PROPOSED, True)
    assert desk.find(limit=Money(1_000)) == 0
    with time_machine.travel(clock.now() + timedelta(days=DAYS), tick=False):
        assert desk.send() == 0
    service.approve(desk.session, public_id=refund.public_id, actor=desk.supervisor, today=today())
    desk.session.commit()
    with time_machine.travel(clock.now() + timedelta(days=DAYS), tick=False):
        assert desk.send() == 1


@pytest.mark.parametrize("change", [300, 900])
def test_a_credit_that_has_changed_is_proposed_anew(desk: Desk, payment: Payment, change: int) -> None:
    charge_id = line_of(desk, payment)
    desk.insurer_takes_over(charge_id, Money(900))
    desk.find()
    (first,) = refunds(desk)
    desk.insurer_takes_over(charge_id, Money(-change))  # the insurer takes some of it, or all, back
    # Sent before anybody looked: seen then, too.
    with time_machine.travel(clock.now() + timedelta(days=DAYS), tick=False):
        assert desk.send() == 0
    assert desk.state(first) is RefundState.WITHDRAWN
    assert desk.find() == (1 if change < 900 else 0)
    assert [one.amount.cents for one in refunds(desk, RefundState.APPROVED)] == ([900 - change] if change < 900 else [])
    assert desk.at_stripe() == []


def test_a_shrunk_credit_is_seen_before_its_day_and_a_grown_one_gets_the_rest(desk: Desk, payment: Payment) -> None:
    charge_id = line_of(desk, payment)
    desk.insurer_takes_over(charge_id, Money(900))
    desk.find()
    desk.insurer_takes_over(charge_id, Money(-400))
    assert desk.find() == 1
    assert [one.amount.cents for one in refunds(desk, RefundState.APPROVED)] == [500]
    desk.insurer_takes_over(charge_id, Money(200))
    assert desk.find() == 1
    assert [one.amount.cents for one in refunds(desk, RefundState.APPROVED)] == [500, 200]
    with time_machine.travel(clock.now() + timedelta(days=DAYS), tick=False):
        assert desk.send() == 2
    assert desk.due(charge_id) == 0


def test_the_newest_payment_gives_back_first(desk: Desk) -> None:
    older = desk.pay(amount=Money(1_000))
    charge_id = line_of(desk, older)
    with time_machine.travel(clock.now() + timedelta(minutes=1), tick=False):
        newer = desk.pay(amount=Money(600))
        assert desk.parts(newer) == {charge_id: Money(600)}
    share = desk.due(charge_id) + 1_600
    desk.insurer_takes_over(charge_id, Money(share - 1_600 + 900))
    assert desk.find() == 2
    assert [(one.payment_id, one.amount.cents) for one in refunds(desk)] == [(newer.id, 600), (older.id, 300)]
    with time_machine.travel(clock.now() + timedelta(days=DAYS), tick=False):
        assert desk.send() == 2
    assert desk.due(charge_id) == 0


def test_a_line_that_somebody_looks_into_is_left_alone(desk: Desk, payment: Payment) -> None:
    charge_id = line_of(desk, payment)
    desk.insurer_takes_over(charge_id, Money(900))
    place_hold(desk.session, charge_id=charge_id, reason=HoldReason.STAFF, account_id=payment.account_id)
    desk.session.commit()
    assert desk.find() == 0


def test_what_staff_gave_back_is_not_found_again(desk: Desk, payment: Payment) -> None:
    charge_id = line_of(desk, payment)
    desk.insurer_takes_over(charge_id, desk.parts(payment)[charge_id])
    desk.ask(payment, charge_ids={charge_id}, reason=RefundReason.INSURER_PAID)
    assert desk.find() == 0


def test_what_staff_withdrew_or_refused_is_not_proposed_again_and_is_the_desks(desk: Desk, payment: Payment) -> None:
    charge_id = line_of(desk, payment)
    desk.insurer_takes_over(charge_id, Money(900))
    desk.find()
    assert credits_without_payment(desk.session) == []
    (refund,) = refunds(desk)
    service.withdraw(desk.session, public_id=refund.public_id, actor=desk.staff, note="sent a check")
    desk.session.commit()
    assert desk.find() == 0
    (row,) = credits_without_payment(desk.session)
    assert (row.account_ref, row.amount) == ("JDC-1001", Money(900))


def test_a_credit_that_the_bank_sent_back_is_the_desks_and_is_not_sent_for_ever(desk: Desk) -> None:
    payment = desk.pay(card="pm_card_refundFail")
    charge_id = line_of(desk, payment)
    desk.insurer_takes_over(charge_id, Money(900))
    desk.find(days=0)
    assert desk.send() == 1
    (made,) = desk.at_stripe()
    desk.standin.fail_refund(made.id)
    from portal.refunds.settle import project

    project(desk.session, desk.found(made))
    assert desk.due(charge_id) == -900  # the credit stands again
    assert desk.find(days=0) == 0
    assert desk.send() == 0
    assert [one.state for one in refunds(desk)] == [RefundState.FAILED]
    assert credits_without_payment(desk.session) == []  # it is among the failed ones, once


def test_send_it_today(desk: Desk, payment: Payment) -> None:
    desk.insurer_takes_over(line_of(desk, payment), Money(900))
    desk.find()
    (refund,) = refunds(desk)
    service.send_today(desk.session, public_id=refund.public_id, actor=desk.staff, today=today())
    desk.session.commit()
    assert desk.send() == 1
    with pytest.raises(service.TooLate):
        service.send_today(desk.session, public_id=refund.public_id, actor=desk.staff, today=today())


@pytest.mark.timeout(120)
def test_workers_at_once_propose_once(app: Flask, desk: Desk, payment: Payment) -> None:
    for charge_id in desk.parts(payment):
        desk.insurer_takes_over(charge_id, Money(100))
    lines = len(desk.parts(payment))
    desk.session.rollback()
    gate = threading.Barrier(5)
    surprises: list[BaseException] = []

    def work() -> None:
        with app.app_context(), writing():
            gate.wait(30)
            try:
                find_credits(db.session, timezone=ZONE, limit=LIMIT, days=DAYS)
            except BaseException as error:
                surprises.append(error)

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not surprises
    (refund,) = refunds(desk)
    assert refund.amount == Money(100 * lines)
