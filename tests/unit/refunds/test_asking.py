"""Asking for refunds and deciding about them: what may be asked, who may decide, and that nothing is promised twice."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.exc import IntegrityError

from portal import clock
from portal.audit.tags import Tag
from portal.db import RecordNotFound, new_public_id, writing
from portal.disputes.models import Dispute
from portal.disputes.state import DisputeState
from portal.money import Money
from portal.payments.models import Payment
from portal.payments.service import Payer, start_payment
from portal.refunds import service
from portal.refunds.errors import (
    AmountAboveLeft,
    LineNotRefundable,
    NothingLeft,
    NotRefundable,
    OwnRequest,
    PaymentDisputed,
    TooLate,
)
from portal.refunds.models import Refund, RefundPart
from portal.refunds.parts import left_lines, parts_of_refund
from portal.refunds.state import RefundReason, RefundState
from portal.web.database import db
from tests.unit.refunds.conftest import LIMIT, ZONE, Desk, today
from tests.web.paying import TESTA


def dispute(desk: Desk, payment: Payment, state: DisputeState) -> None:
    now = clock.now()
    desk.session.add(
        Dispute(
            stripe_dispute_id=f"dp_{new_public_id()}",
            payment_id=payment.id,
            amount=Money(100),
            reason="fraudulent",
            state=state,
            opened_at=now,
            checked_at=now,
        )
    )
    desk.session.commit()


def test_a_small_refund_is_approved_at_once_and_leaves_that_much_less(desk: Desk, payment: Payment) -> None:
    newest = left_lines(desk.session, payment.id)[-1]
    refund = desk.ask(payment, amount=Money(500))
    assert (refund.state, refund.needs_approval, refund.send_on) == (RefundState.APPROVED, False, today())
    assert [part.charge_id for part in parts_of_refund(desk.session, refund.id)] == [newest.charge_id]
    left = Money.total(line.amount for line in left_lines(desk.session, payment.id))
    assert left == payment.amount - Money(500)
    assert desk.audited(Tag.REFUND_REQUESTED) == 1
    with pytest.raises(AmountAboveLeft):
        desk.ask(payment, amount=left + Money(1))


def test_by_line_and_all_of_it(desk: Desk, payment: Payment) -> None:
    charge_id, amount = next(iter(desk.parts(payment).items()))
    refund = desk.ask(payment, charge_ids={charge_id})
    assert [(part.charge_id, part.amount) for part in parts_of_refund(desk.session, refund.id)] == [(charge_id, amount)]
    with pytest.raises(LineNotRefundable):
        desk.ask(payment, charge_ids={charge_id})
    desk.session.rollback()
    rest = desk.ask(payment)
    assert rest.amount == payment.amount - amount
    with pytest.raises(NothingLeft):
        desk.ask(payment)


def test_the_limit_needs_a_second_person_also_in_slices(desk: Desk, payment: Payment) -> None:
    assert payment.amount > LIMIT + LIMIT
    assert desk.ask(payment, amount=LIMIT).state is RefundState.APPROVED
    slice_ = desk.ask(payment, amount=Money(1))
    assert (slice_.state, slice_.needs_approval) == (RefundState.PROPOSED, True)
    assert desk.send() == 1
    assert desk.state(slice_) is RefundState.PROPOSED


def test_a_supervisor_who_is_someone_else_approves(desk: Desk, payment: Payment) -> None:
    refund = desk.ask(payment, amount=LIMIT + Money(1))
    assert desk.send() == 0
    with pytest.raises(OwnRequest):
        service.approve(desk.session, public_id=refund.public_id, actor=desk.staff, today=today())
    desk.session.rollback()
    service.approve(desk.session, public_id=refund.public_id, actor=desk.supervisor, today=today())
    desk.session.commit()
    assert desk.send() == 1
    assert desk.state(refund) is RefundState.SUCCEEDED
    with pytest.raises(TooLate):
        service.approve(desk.session, public_id=refund.public_id, actor=desk.supervisor, today=today())


def test_the_database_itself_refuses_approval_by_oneself(desk: Desk, payment: Payment) -> None:
    refund = desk.ask(payment, amount=LIMIT + Money(1))
    with pytest.raises(IntegrityError):
        desk.session.execute(sa.update(Refund).where(Refund.id == refund.id).values(approved_by=desk.staff))


def test_approved_later_it_is_sent_later(desk: Desk, payment: Payment) -> None:
    refund = desk.ask(payment, amount=LIMIT + Money(1))
    tomorrow = today() + timedelta(days=1)
    service.approve(desk.session, public_id=refund.public_id, actor=desk.supervisor, today=tomorrow)
    desk.session.commit()
    assert (refund.send_on, desk.send()) == (tomorrow, 0)


def test_a_refusal_says_why_and_frees_the_money(desk: Desk, payment: Payment) -> None:
    refund = desk.ask(payment)
    with pytest.raises(OwnRequest):
        service.refuse(desk.session, public_id=refund.public_id, actor=desk.staff, note="no")
    desk.session.rollback()
    service.refuse(desk.session, public_id=refund.public_id, actor=desk.supervisor, note="Not agreed")
    desk.session.commit()
    assert (desk.state(refund), refund.handled_note) == (RefundState.REFUSED, "Not agreed")
    assert desk.ask(payment).amount == payment.amount


def test_withdrawn_before_stripe_heard_and_not_after(desk: Desk, payment: Payment) -> None:
    refund = desk.ask(payment, amount=Money(500))
    service.withdraw(desk.session, public_id=refund.public_id, actor=desk.staff, note="a mistake")
    desk.session.commit()
    assert desk.send() == 0
    assert (desk.state(refund), desk.at_stripe()) == (RefundState.WITHDRAWN, [])
    sent = desk.ask(payment, amount=Money(500))
    desk.standin.faults.add("drop_after", method="POST", path="/v1/refunds", times=9)
    desk.send()
    assert desk.state(sent) is RefundState.APPROVED
    with pytest.raises(TooLate):
        service.withdraw(desk.session, public_id=sent.public_id, actor=desk.staff, note="too late")


@pytest.mark.parametrize(
    ("state", "refused"),
    [
        (DisputeState.NEEDS_RESPONSE, True),
        (DisputeState.UNDER_REVIEW, True),
        (DisputeState.INQUIRY, False),
        (DisputeState.WON, False),
    ],
)
def test_a_payment_that_the_bank_called_back_is_not_refunded(
    desk: Desk, payment: Payment, state: DisputeState, refused: bool
) -> None:
    dispute(desk, payment, state)
    if refused:
        with pytest.raises(PaymentDisputed):
            desk.ask(payment, amount=Money(500))
    else:
        assert desk.ask(payment, amount=Money(500)).state is RefundState.APPROVED


def test_a_dispute_that_opens_meanwhile_stops_approval_and_sending(desk: Desk, payment: Payment) -> None:
    proposed, approved = desk.ask(payment, amount=LIMIT + Money(1)), desk.ask(payment, amount=Money(100))
    assert approved.state is RefundState.APPROVED
    dispute(desk, payment, DisputeState.NEEDS_RESPONSE)
    with pytest.raises(PaymentDisputed):
        service.approve(desk.session, public_id=proposed.public_id, actor=desk.supervisor, today=today())
    desk.session.rollback()
    assert desk.send() == 0
    assert (desk.state(approved), desk.at_stripe()) == (RefundState.APPROVED, [])


def test_only_what_was_paid_can_go_back(desk: Desk) -> None:
    with pytest.raises(RecordNotFound):
        service.request_refund(
            desk.session,
            payment_public_id=new_public_id(),
            actor=desk.staff,
            reason=RefundReason.GOODWILL,
            note="",
            today=today(),
            limit=LIMIT,
        )
    desk.session.rollback()
    account_id = desk.session.execute(sa.text("SELECT id FROM account WHERE ref = 'JDC-1001'")).scalar_one()
    started = start_payment(
        desk.session, desk.gateway, account_ids=[account_id], payer=Payer(desk.clinic.user_id(TESTA))
    )
    with pytest.raises(NotRefundable):
        desk.ask(started)


def test_the_same_form_asks_once_and_anothers_form_is_not_taken_up(desk: Desk, payment: Payment) -> None:
    token = new_public_id()
    first = desk.ask(payment, amount=Money(500), public_id=token)
    assert desk.ask(payment, amount=Money(500), public_id=token).id == first.id
    with pytest.raises(RecordNotFound):
        desk.ask(payment, amount=Money(500), public_id=token, actor=desk.supervisor)


@pytest.mark.timeout(120)
def test_many_ask_at_once_and_never_get_more_than_was_paid(app: Flask, desk: Desk) -> None:
    payment = desk.pay(amount=Money(10_000))
    public_id, staff = payment.public_id, desk.staff
    desk.session.rollback()
    gate = threading.Barrier(6)
    surprises: list[BaseException] = []

    def ask() -> None:
        with app.app_context(), writing():
            gate.wait(30)
            try:
                service.request_refund(
                    db.session,
                    payment_public_id=public_id,
                    actor=staff,
                    reason=RefundReason.REQUESTED,
                    note="",
                    today=clock.today(ZONE),
                    limit=LIMIT,
                    amount=Money(3_000),
                )
                db.session.commit()
            except AmountAboveLeft:
                db.session.rollback()
            except BaseException as error:
                surprises.append(error)

    threads: list[Any] = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not surprises
    assert desk.session.scalars(sa.select(Refund.amount)).all() == [Money(3_000)] * 3
    assert sum(part.cents for part in desk.session.scalars(sa.select(RefundPart.amount))) == 9_000
