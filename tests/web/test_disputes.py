"""Disputes: what a bank takes back moves the books once, and staff see what to answer by when."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

from portal import clock
from portal.audit.models import AuditEvent
from portal.audit.tags import Tag
from portal.billing.kinds import EntryKind, HoldReason
from portal.billing.models import Entry, Hold, Posting
from portal.db import writing
from portal.disputes.desk_views import time_left
from portal.disputes.models import Dispute, DisputePart
from portal.disputes.queries import desk_list, disputed, open_of_account, to_answer
from portal.disputes.service import settle_dispute, sweep_disputes
from portal.disputes.state import DisputeState
from portal.money import Money
from portal.payments import service
from portal.payments.gateway import StripeGateway
from portal.payments.models import Booking, Payment
from portal.payments.service import Payer, family_lines
from portal.payments.state import PaymentState
from portal.payments.stripe_events.inbox import process_due
from portal.sandbox.stripe import StandIn
from portal.worker import HANDLERS
from tests.conftest import Clinic
from tests.pages import JudgingClient
from tests.web.money_moves import Pay, agrees, gateway, pay
from tests.web.paying import TESTA, client_of, confirm

BOTH_DATABASES = True

__all__ = ["gateway", "pay"]


def settle(session: Session, gateway: StripeGateway, stripe_id: str) -> bool:
    with writing():
        return settle_dispute(session, gateway, gateway.disputes.retrieve(stripe_id))


def only(session: Session) -> Dispute:
    session.rollback()
    return session.scalars(sa.select(Dispute)).one()


def moved(session: Session) -> list[int]:
    """The cents of every booking of a dispute, in order."""
    session.rollback()
    rows = session.scalars(
        sa.select(Booking.amount).where(Booking.kind.in_(["dispute", "dispute_won"])).order_by(Booking.id)
    )
    return [amount.cents for amount in rows]


def chargebacks(session: Session) -> int:
    session.rollback()
    rows = session.scalars(sa.select(Entry.patient).where(Entry.kind == EntryKind.CHARGEBACK))
    return sum(amount.cents for amount in rows)


def held(session: Session) -> int:
    session.rollback()
    return (
        session.query(Hold).filter(Hold.reason == HoldReason.CHARGEBACK, Hold.released_at.is_(None)).count()
    )


def test_opened_takes_the_money_holds_the_lines_and_is_told_once(
    session: Session, gateway: StripeGateway, standin: StandIn, pay: Pay
) -> None:
    payment = pay("60")
    lines_before = service.payable_lines(session, payment.account_id, user_id=None)
    made = standin.open_dispute(payment.stripe_charge_id or "")
    for _ in range(3):
        assert settle(session, gateway, made["id"])
    dispute = only(session)
    assert (dispute.amount, dispute.reason, dispute.state) == (Money(6000), "fraudulent", DisputeState.NEEDS_RESPONSE)
    assert dispute.payment_id == payment.id
    assert dispute.answer_by is not None
    assert moved(session) == [-6000]
    assert chargebacks(session) == 6000
    assert held(session) == session.query(DisputePart).count() > 0
    lines_after = service.payable_lines(session, payment.account_id, user_id=None)
    gone = {one.charge_id for one in lines_before} - {one.charge_id for one in lines_after}
    assert {part.charge_id for part in session.query(DisputePart)} & {one.charge_id for one in lines_after} == set()
    assert gone <= {part.charge_id for part in session.query(DisputePart)}
    opened = session.query(AuditEvent).filter(AuditEvent.tag == Tag.DISPUTE_OPENED).count()
    assert (opened, disputed(session, payment.id), to_answer(session)) == (1, True, 1)
    assert [one.stripe_dispute_id for one in open_of_account(session, payment.account_id)] == [made["id"]]
    agrees(session, gateway)
    assert session.query(Posting).filter(Posting.kind == "patient_dispute").one().amount == Money(-6000)


def test_won_gives_the_money_back_and_ends_the_holds(
    session: Session, gateway: StripeGateway, standin: StandIn, pay: Pay
) -> None:
    payment = pay("60")
    made = standin.open_dispute(payment.stripe_charge_id or "")
    settle(session, gateway, made["id"])
    early = gateway.disputes.retrieve(made["id"])
    standin.close_dispute(made["id"], won=True)
    for _ in range(2):
        settle(session, gateway, made["id"])
    assert (moved(session), chargebacks(session), held(session)) == ([-6000, 6000], 0, 0)
    assert only(session).state is DisputeState.WON
    with writing():
        settle_dispute(session, gateway, early)  # an answer that was fetched before, and arrives late
    assert (moved(session), held(session), only(session).state) == ([-6000, 6000], 0, DisputeState.WON)
    assert not disputed(session, payment.id)
    agrees(session, gateway)


def test_lost_leaves_the_lines_on_hold_for_somebody_to_decide(
    session: Session, gateway: StripeGateway, standin: StandIn, pay: Pay
) -> None:
    payment = pay("60")
    made = standin.open_dispute(payment.stripe_charge_id or "")
    standin.close_dispute(made["id"], won=False)
    settle(session, gateway, made["id"])  # the first that we hear of it
    assert moved(session) == [-6000]
    assert held(session) > 0
    dispute = only(session)
    assert (dispute.state, dispute.closed_at is not None) == (DisputeState.LOST, True)
    assert not disputed(session, payment.id)
    agrees(session, gateway)


def test_won_before_we_heard_of_it_moves_both_ways(
    session: Session, gateway: StripeGateway, standin: StandIn, pay: Pay
) -> None:
    made = standin.open_dispute(pay("60").stripe_charge_id or "")
    standin.close_dispute(made["id"], won=True)
    settle(session, gateway, made["id"])
    assert (moved(session), chargebacks(session), held(session)) == ([-6000, 6000], 0, 0)
    agrees(session, gateway)


def test_a_part_is_taken_from_the_newest_line(
    session: Session, gateway: StripeGateway, standin: StandIn, pay: Pay
) -> None:
    payment = pay("60")
    lines = {one.charge_id: one for one in family_lines(session, [payment.account_id], user_id=None)}
    made = standin.open_dispute(payment.stripe_charge_id or "", reason="duplicate", amount=1234)
    settle(session, gateway, made["id"])
    assert moved(session) == [-1234]
    parts = session.query(DisputePart).all()
    assert sum(part.amount.cents for part in parts) == 1234
    paid = [lines[one].service_on for one in session.scalars(sa.text("SELECT charge_id FROM allocation"))]
    assert max(day for day in paid if day) in {lines[part.charge_id].service_on for part in parts}
    agrees(session, gateway)


def test_an_inquiry_moves_nothing_and_becomes_a_dispute(
    session: Session, gateway: StripeGateway, standin: StandIn, pay: Pay
) -> None:
    payment = pay("60")
    made = standin.open_inquiry(payment.stripe_charge_id or "")
    settle(session, gateway, made["id"])
    assert (moved(session), held(session), only(session).state) == ([], 0, DisputeState.INQUIRY)
    assert (disputed(session, payment.id), to_answer(session)) == (False, 1)
    agrees(session, gateway)
    standin.open_dispute(payment.stripe_charge_id or "")
    settle(session, gateway, made["id"])
    assert (moved(session), only(session).state) == ([-6000], DisputeState.NEEDS_RESPONSE)
    assert disputed(session, payment.id)
    agrees(session, gateway)


def test_an_inquiry_that_is_closed_changes_nothing(
    session: Session, gateway: StripeGateway, standin: StandIn, pay: Pay
) -> None:
    made = standin.open_inquiry(pay("60").stripe_charge_id or "")
    settle(session, gateway, made["id"])
    standin.close_dispute(made["id"], won=True)
    settle(session, gateway, made["id"])
    assert (moved(session), only(session).state, to_answer(session)) == ([], DisputeState.INQUIRY_CLOSED, 0)


def test_a_decided_dispute_that_the_bank_takes_up_again(
    session: Session, gateway: StripeGateway, standin: StandIn, pay: Pay
) -> None:
    """The stand-in does not do this; the answers are Stripe's, with more moved in each."""
    made = standin.open_dispute(pay("60").stripe_charge_id or "")
    found = gateway.disputes.retrieve(made["id"])
    course = [
        found,
        replace(found, status="won", returned=Money(6000)),
        replace(found, status="lost", returned=Money(6000), withdrawn=Money(12000)),
        replace(found, status="won", returned=Money(12000), withdrawn=Money(12000)),
    ]
    with writing():
        for number, answer in enumerate(course):
            settle_dispute(session, gateway, answer)
            for older in course[:number]:
                settle_dispute(session, gateway, older)
            assert only(session).state.value == answer.status
    assert (moved(session), chargebacks(session), held(session)) == ([-6000, 6000, -6000, 6000], 0, 0)
    assert len(set(session.scalars(sa.select(Booking.subject)))) == 3  # the payment's, and two of the dispute


def test_more_than_is_left_is_booked_all_the_same_and_told(
    session: Session, gateway: StripeGateway, standin: StandIn, pay: Pay
) -> None:
    made = standin.open_dispute(pay("60").stripe_charge_id or "")
    with writing():
        settle_dispute(session, gateway, replace(gateway.disputes.retrieve(made["id"]), withdrawn=Money(6100)))
    assert (moved(session), chargebacks(session)) == ([-6100], 6100)
    assert session.query(AuditEvent).filter(AuditEvent.tag == Tag.PAYMENT_SURPRISING).count() == 1


def test_a_family_payment_is_taken_back_on_each_account(
    session: Session, gateway: StripeGateway, standin: StandIn, clinic: Clinic, pay: Pay
) -> None:
    user_id = clinic.user_id(TESTA)
    from portal.accounts.models import Account

    ids = list(session.scalars(sa.select(Account.id).where(Account.ref.in_(["JDC-1001", "JDC-1002"]))))
    lines = family_lines(session, ids, user_id=None)
    large = [one for one in lines if one.payable > Money(100)]
    chosen = [next(one.charge_id for one in large if one.account_id == account) for account in ids]
    with pytest.MonkeyPatch.context() as patch, writing():
        # Testa has no access to the other account; whose it is makes no difference here.
        patch.setattr("portal.payments.service.family_lines", lambda *_a, **_k: lines)
        payment = service.start_payment(
            session, gateway, account_ids=ids, payer=Payer(user_id=user_id), charge_ids=chosen
        )
        payment_id = payment.id
        service.prepare(session, gateway, payment_id=payment_id)
        confirm(standin, session.get_one(Payment, payment_id))
        service.refresh(session, gateway, payment_id=payment_id)
    session.rollback()
    payment = session.get_one(Payment, payment_id)
    agrees(session, gateway)
    made = standin.open_dispute(payment.stripe_charge_id or "")
    settle(session, gateway, made["id"])
    assert len(moved(session)) == 2
    assert sum(moved(session)) == -payment.amount.cents
    result = agrees(session, gateway)
    assert {row["captures_cents"] for row in result["accounts"]} == {0}
    standin.close_dispute(made["id"], won=True)
    settle(session, gateway, made["id"])
    assert sum(moved(session)) == 0
    agrees(session, gateway)


def test_a_dispute_that_comes_before_its_payment_settles_that_first(
    session: Session, gateway: StripeGateway, standin: StandIn, pay: Pay
) -> None:
    payment = pay("60", settled=False)
    assert payment.state is not PaymentState.SUCCEEDED
    charge = standin.every("charge")[0]["id"]
    made = standin.open_dispute(charge)
    settle(session, gateway, made["id"])
    session.rollback()
    assert session.get_one(Payment, payment.id).state is PaymentState.SUCCEEDED
    assert moved(session) == [-6000]
    agrees(session, gateway)


def test_a_charge_that_is_none_of_ours_is_left_alone(
    session: Session, gateway: StripeGateway, standin: StandIn, clinic: Clinic
) -> None:
    intent = client_of(standin).v1.payment_intents.create(
        {"amount": 900, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True,
         "allowed_payment_method_types": ["card"]}
    )  # fmt: skip
    made = standin.open_dispute(str(intent.latest_charge))
    assert settle(session, gateway, made["id"]) is False
    assert session.query(Dispute).count() == 0
    agrees(session, gateway)


def test_a_charge_that_bears_our_marks_and_has_no_payment_is_kept_for_staff(
    session: Session, gateway: StripeGateway, standin: StandIn, clinic: Clinic
) -> None:
    intent = client_of(standin).v1.payment_intents.create(
        {"amount": 900, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True,
         "allowed_payment_method_types": ["card"], "metadata": {"attempt_id": "f" * 32}}
    )  # fmt: skip
    made = standin.open_dispute(str(intent.latest_charge))
    assert settle(session, gateway, made["id"]) is True
    assert (only(session).payment_id, moved(session)) == (None, [])
    rows, total = desk_list(session, limit=10)
    assert (total, rows[0].payment_reference, rows[0].stripe_charge_id) == (1, "", str(intent.latest_charge))


def test_webhooks_and_the_sweep_end_in_the_same_place(
    session: Session,
    gateway: StripeGateway,
    standin: StandIn,
    pay: Pay,
    app: Flask,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = pay("60", card="pm_card_createDispute")  # disputed as it succeeds
    standin.advance(1)
    made = standin.every("dispute")[0]
    with writing():
        assert sweep_disputes(session, gateway) == 1  # no webhook came
    assert (moved(session), only(session).stripe_dispute_id) == ([-6000], made["id"])
    standin.close_dispute(made["id"], won=True)
    with writing():
        assert sweep_disputes(session, gateway) == 0  # a moment ago
        later = clock.now() + timedelta(hours=2)
        monkeypatch.setattr(clock, "now", lambda: later)
        assert sweep_disputes(session, gateway) == 2  # the open one again, and the list
    assert (moved(session), held(session)) == ([-6000, 6000], 0)
    assert first.amount == Money(6000)


def test_the_events_are_handled_by_type(
    session: Session, gateway: StripeGateway, standin: StandIn, pay: Pay
) -> None:
    from portal.payments.stripe_events.inbox import catch_up

    pay("60", card="pm_card_createDispute")
    client_of(standin).v1.webhook_endpoints.create({"url": "http://127.0.0.1:9/x", "enabled_events": ["*"]})
    made = standin.close_dispute(standin.every("dispute")[0]["id"], won=True)  # this one's events have nowhere to go
    with writing():
        assert catch_up(session, gateway) > 0
        process_due(session, gateway, HANDLERS)
    assert (moved(session), only(session).stripe_dispute_id) == ([-6000, 6000], made["id"])


# The desk


@pytest.fixture
def desk(client: JudgingClient, clinic: Clinic, sign_in: Callable[..., Any]) -> JudgingClient:
    sign_in(client, "staff@example.com")
    return client


def test_staff_see_what_to_answer_by_when_and_the_end_of_it(
    desk: JudgingClient, session: Session, gateway: StripeGateway, standin: StandIn, pay: Pay, clinic: Clinic
) -> None:
    assert "No disputes" in desk.page("/desk/disputes").text("main")
    payment = pay("60")
    made = standin.open_dispute(payment.stripe_charge_id or "", reason="product_not_received")
    settle(session, gateway, made["id"])
    listed = desk.page("/desk/disputes").text("main")
    assert "1 to answer" in listed
    assert "days left" in listed
    assert "did not get what they paid for" in listed
    address = f"/desk/disputes/{only(session).public_id}"
    text = desk.page(address).text("main")
    for words in ("$60.00", made["id"], "How to answer", "on hold until the bank has decided", "The bank took the"):
        assert words in text
    assert "https://dashboard.stripe.com/test/disputes/" in desk.get(address).get_data(as_text=True)
    account = desk.page(f"/desk/accounts/{clinic.account('JDC-1001')}").text("main")
    assert "A bank disputes a payment of $60.00" in account
    assert "Disputes to answer: 1" in desk.page("/desk/").text("main")
    standin.close_dispute(made["id"], won=False)
    settle(session, gateway, made["id"])
    text = desk.page(address).text("main")
    assert "The bank keeps the money" in text
    assert "How to answer" not in text
    assert "Disputes to answer" not in desk.page("/desk/").text("main")


def test_a_hold_is_not_taken_off_while_the_bank_decides(
    desk: JudgingClient, session: Session, gateway: StripeGateway, standin: StandIn, pay: Pay, clinic: Clinic
) -> None:
    payment = pay("60")
    made = standin.open_dispute(payment.stripe_charge_id or "")
    settle(session, gateway, made["id"])
    from portal.billing.models import Charge

    charge = session.scalars(
        sa.select(Charge.public_id).join(DisputePart, DisputePart.charge_id == Charge.id).limit(1)
    ).one()
    session.commit()
    before = held(session)
    for _ in range(2):
        page = desk.page(f"/desk/charges/{charge}/release")
        desk.submit(page, {"note": "looked"}, field="note")
        if only(session).state is DisputeState.NEEDS_RESPONSE:
            assert held(session) == before
            standin.close_dispute(made["id"], won=False)
            settle(session, gateway, made["id"])
    assert held(session) == before - 1


def test_how_long_there_is_to_answer(app: Flask) -> None:
    now = clock.now()
    with app.test_request_context():
        assert time_left(None, now) is None
        told = {days: time_left(now + timedelta(days=days, minutes=5), now) for days in (-1, 0, 1, 3, 9)}
    assert {days: (one.words, one.kind) if one else None for days, one in told.items()} == {
        -1: ("Too late to answer", "danger"),
        0: ("Less than a day left", "danger"),
        1: ("1 day left", "hold"),
        3: ("3 days left", "hold"),
        9: ("9 days left", "due"),
    }
