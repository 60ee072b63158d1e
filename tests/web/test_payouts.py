"""Payouts: Stripe's transfers against our books, and what does not fit."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal import clock
from portal.audit.models import AuditEvent
from portal.audit.tags import Tag
from portal.billing.kinds import EntryKind
from portal.billing.models import Entry, Posting
from portal.db import writing
from portal.disputes.jobs import dispute_changed
from portal.disputes.models import Dispute
from portal.ledger.reconcile import SUGGESTIONS
from portal.money import Money
from portal.payments.errors import StripeUnreachable
from portal.payments.gateway import StripeGateway
from portal.payments.models import Booking, Payment
from portal.payments.state import PaymentState
from portal.payments.stripe_events.inbox import KeptEvent
from portal.payouts.kinds import (
    _OF_ITS_OWN_ACCORD,
    _OF_KIND,
    _OF_OTHER_PRODUCTS,
    LOOKED_UP,
    Handled,
    Match,
    Oddity,
    Source,
    source_of,
)
from portal.payouts.models import BalanceMovement, Payout
from portal.payouts.queries import exceptions_open
from portal.payouts.service import COMPLETE_WITHIN, PULLED_EVERY, handle_exception, pull, refresh_payout
from portal.payouts.words import MATCHES, ODDITIES
from portal.refunds import settle
from portal.refunds.dealt_with import is_dealt_with
from portal.refunds.learning import learn, refresh_refund, sweep_refunds
from portal.refunds.models import Refund
from portal.refunds.state import RefundReason, RefundState
from portal.sandbox.stripe import StandIn
from tests.conftest import Clinic
from tests.pages import JudgingClient, as_page
from tests.shared_data import shared_path
from tests.web.money_moves import Pay, agrees, gateway, pay
from tests.web.paying import client_of

BOTH_DATABASES = True

__all__ = ["gateway", "pay"]

DAY = 86_400


@pytest.fixture
def days(standin: StandIn, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """``days(3)``: so many days pass, for us and for Stripe."""
    real = clock.now

    def go(count: float) -> None:
        standin.advance(int(count * DAY))
        monkeypatch.setattr(clock, "now", lambda: real() + (standin.now() - standin._clock()))

    return go


def read(session: Session, gateway: StripeGateway) -> int:
    with writing():
        done = pull(session, gateway)
    session.rollback()
    return done


def movements(session: Session) -> list[tuple[str, int, int, str]]:
    """Match, gross, fee and exception of every movement, in the order in which Stripe made them."""
    session.rollback()
    rows = session.scalars(sa.select(BalanceMovement).order_by(BalanceMovement.created_at, BalanceMovement.id))
    return [(one.match.value, one.gross.cents, one.fee.cents, one.exception) for one in rows]


def charge_of_others(standin: StandIn, amount: int = 900, **more: Any) -> str:
    intent = client_of(standin).v1.payment_intents.create(
        {"amount": amount, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True,
         "allowed_payment_method_types": ["card"], **more}
    )  # fmt: skip
    return str(intent.latest_charge)


def test_a_payout_is_the_sum_of_its_movements_each_matched(
    session: Session, gateway: StripeGateway, standin: StandIn, pay: Pay, days: Callable[[float], None]
) -> None:
    first, second = pay("60"), pay("40")
    assert read(session, gateway) == 2  # nothing paid out yet: two movements
    assert sorted(movements(session)) == [("payment", 4000, 146, ""), ("payment", 6000, 204, "")]
    days(3)  # available after two, paid out at midnight
    assert read(session, gateway) > 0
    payout = session.scalars(sa.select(Payout)).one()
    assert payout.amount == Money(10_000 - 350)
    assert payout.complete_at is not None
    assert {one.payout_id for one in session.query(BalanceMovement)} == {payout.id}
    assert {one.payment_id for one in session.query(BalanceMovement)} == {first.id, second.id}
    result = agrees(session, gateway)["payouts"]
    assert result == {
        "count": 1, "gross_cents": 10_000, "fee_cents": 350, "net_cents": 9_650, "difference_cents": 0,
        "exceptions": [],
    }  # fmt: skip
    assert session.query(AuditEvent).filter(AuditEvent.tag == Tag.PAYOUT_COMPLETED).count() == 1


def test_reading_twice_changes_nothing_and_its_turn_comes_round(
    session: Session, gateway: StripeGateway, standin: StandIn, pay: Pay, days: Callable[[float], None]
) -> None:
    pay("60")
    days(3)
    assert read(session, gateway) > 0
    before = movements(session)
    assert read(session, gateway) == 0  # a moment ago
    asked = len(standin.requests)
    days(PULLED_EVERY.total_seconds() / DAY * 1.1)
    read(session, gateway)
    assert len(standin.requests) > asked
    assert movements(session) == before
    assert session.query(AuditEvent).filter(AuditEvent.tag == Tag.PAYOUT_COMPLETED).count() == 1


def test_a_turn_that_breaks_off_begins_again_at_the_same_place(
    session: Session, gateway: StripeGateway, standin: StandIn, pay: Pay, days: Callable[[float], None]
) -> None:
    pay("60")
    standin.faults.add(kind="drop_before", path="/v1/balance_transactions", times=9)
    with pytest.raises(StripeUnreachable):
        read(session, gateway)
    standin.faults.clear()
    session.rollback()
    days(20)
    read(session, gateway)
    assert [one[0] for one in movements(session)] == ["payment"]


def test_disputes_and_their_fees_are_matched(
    session: Session, gateway: StripeGateway, standin: StandIn, pay: Pay, days: Callable[[float], None]
) -> None:
    payment = pay("60")
    made = standin.open_dispute(payment.stripe_charge_id or "")
    standin.close_dispute(made["id"], won=True)
    read(session, gateway)  # no webhook came: what is unknown is looked up, and settled
    assert session.scalars(sa.select(Dispute.payment_id)).one() == payment.id
    assert sorted(movements(session)) == [
        ("dispute", -6000, 1500, ""), ("dispute_returned", 6000, 0, ""), ("payment", 6000, 204, ""),
    ]  # fmt: skip
    assert exceptions_open(session) == 0
    agrees(session, gateway)


def test_a_payment_that_nobody_told_of_is_settled_on_the_way(
    session: Session, gateway: StripeGateway, pay: Pay
) -> None:
    payment = pay("60", settled=False)
    read(session, gateway)
    assert movements(session) == [("payment", 6000, 204, "")]
    assert session.get_one(Payment, payment.id).state is PaymentState.SUCCEEDED
    agrees(session, gateway)


def test_what_the_account_is_used_for_besides_is_none_of_ours(
    session: Session, gateway: StripeGateway, standin: StandIn, pay: Pay, days: Callable[[float], None]
) -> None:
    pay("60")
    other = charge_of_others(standin)
    client_of(standin).v1.refunds.create({"charge": other, "amount": 100})
    dispute = standin.open_dispute(other, amount=200)
    event = KeptEvent("evt_1", "charge.dispute.created", dispute["id"], "", clock.now())
    with writing():
        assert dispute_changed(session, gateway, event) is False  # not ours, or not yet: it has its time
    read(session, gateway)
    assert [one[0] for one in movements(session)].count("foreign") == 3
    assert exceptions_open(session) == 0
    days(3)
    read(session, gateway)
    assert session.scalars(sa.select(Payout.complete_at)).one() is not None
    agrees(session, gateway)


def test_money_with_our_marks_and_no_payment_is_an_exception_until_somebody_says_why(
    session: Session, gateway: StripeGateway, standin: StandIn, pay: Pay
) -> None:
    pay("60")
    charge_of_others(standin, metadata={"attempt_id": "e" * 32})
    read(session, gateway)
    assert ("none", 900, 56, "payment_unknown") in movements(session)
    assert exceptions_open(session) == 1


def test_a_refund_made_in_the_dashboard_is_booked_when_its_movement_is_read(
    session: Session, gateway: StripeGateway, standin: StandIn, pay: Pay
) -> None:
    payment = pay("60")
    standin.refund_in_dashboard(payment.stripe_charge_id or "", 1000)
    read(session, gateway)  # no event has come, and nobody has listed refunds
    assert sorted(movements(session)) == [("payment", 6000, 204, ""), ("refund", -1000, 0, "")]
    assert session.execute(sa.select(Booking.kind, Booking.amount).order_by(Booking.id)).all() == [
        ("payment", Money(6000)), ("refund", Money(-1000)),
    ]  # fmt: skip
    assert exceptions_open(session) == 0
    agrees(session, gateway)


def test_a_refund_that_a_bank_sent_back_is_booked_back_when_its_movement_is_read(
    session: Session, gateway: StripeGateway, standin: StandIn, pay: Pay, days: Callable[[float], None]
) -> None:
    payment = pay("60")
    made = standin.refund_in_dashboard(payment.stripe_charge_id or "", 1000)
    read(session, gateway)
    days(1)
    standin.fail_refund(made["id"])
    read(session, gateway)  # no event has come of either
    assert ("refund_returned", 1000, 0, "") in movements(session)
    session.rollback()
    assert session.execute(sa.select(Booking.kind, Booking.amount).order_by(Booking.id)).all() == [
        ("payment", Money(6000)), ("refund", Money(-1000)), ("refund_returned", Money(1000)),
    ]  # fmt: skip
    agrees(session, gateway)


def cannot_be_booked(
    session: Session, gateway: StripeGateway, standin: StandIn, payment: Payment
) -> tuple[str, dict[str, Any]]:
    """A refund whose movement was read when the books could not follow; the exception's id, and Stripe's refund."""
    made = standin.refund_in_dashboard(payment.stripe_charge_id or "", 1000)
    standin.store.save({**made, "amount": 99_000})
    read(session, gateway)
    standin.store.save(made)
    odd = session.scalars(sa.select(BalanceMovement).where(BalanceMovement.exception != "")).one()
    assert (odd.exception, odd.payment_id, odd.gross) == (Oddity.REFUND_UNKNOWN, payment.id, Money(-1000))
    session.rollback()
    return odd.public_id, made


def given_back(session: Session) -> list[int]:
    """Cents of each refund that was booked, and entered in the mirror, and posted: the three are the same."""
    session.rollback()
    booked = session.scalars(sa.select(Booking.amount).where(Booking.kind == "refund")).all()
    entered = session.scalars(sa.select(Entry.patient).where(Entry.kind == EntryKind.PATIENT_REFUND)).all()
    posted = session.scalars(sa.select(Posting.amount).where(Posting.kind == "patient_refund")).all()
    assert -sum(one.cents for one in booked) == sum(one.cents for one in entered)
    assert sorted(abs(one.cents) for one in posted) == sorted(abs(one.cents) for one in booked)
    return [-one.cents for one in booked]


def sweep(session: Session, gateway: StripeGateway, standin: StandIn, made: dict[str, Any]) -> None:
    """Everything else that brings a refund in: its event, the list, the movement."""
    with writing():
        sweep_refunds(session, gateway)
        refresh_refund(session, gateway, KeptEvent("evt_1", "refund.created", made["id"], "", clock.now()))
        pull(session, gateway)
    session.rollback()


@pytest.mark.parametrize("first", ["desk", "sweep"])
def test_what_the_desk_has_booked_and_the_sweep_finds_is_in_the_books_once(
    desk: JudgingClient,
    session: Session,
    gateway: StripeGateway,
    standin: StandIn,
    pay: Pay,
    days: Callable[[float], None],
    first: str,
) -> None:
    payment = pay("60")
    odd, made = cannot_be_booked(session, gateway, standin, payment)
    page = desk.page(f"/desk/payouts/exceptions/{odd}")
    assert "by hand" not in page.text("main")
    days(0.1)
    if first == "sweep":
        sweep(session, gateway, standin, made)
    for _ in range(2):
        assert desk.submit(page, action="/look-up").location == "/desk/payouts/exceptions"
    assert given_back(session) == [1000]
    days(1)
    sweep(session, gateway, standin, made)
    assert given_back(session) == [1000]
    assert exceptions_open(session) == 0
    agrees(session, gateway)
    told = session.scalars(sa.select(AuditEvent.facts).where(AuditEvent.tag == Tag.PAYOUT_EXCEPTION_HANDLED)).all()
    assert [facts["found"] for facts in told] == ["refund"] * (first == "desk")


def test_what_somebody_entered_in_the_back_office_is_not_entered_again_when_it_is_found(
    desk: JudgingClient,
    session: Session,
    gateway: StripeGateway,
    standin: StandIn,
    pay: Pay,
    days: Callable[[float], None],
) -> None:
    """They did what the desk had told them before: their word that it is dealt with stands, whatever finds it later."""
    odd, made = cannot_be_booked(session, gateway, standin, pay("60"))
    page = desk.page(f"/desk/payouts/exceptions/{odd}")
    assert "never enter it" in page.text("main")  # said before it is pressed
    desk.submit(page, {"note": "Entered in the back office"}, field="note")
    days(1)
    sweep(session, gateway, standin, made)
    days(0.1)
    sweep(session, gateway, standin, made)
    assert given_back(session) == []
    assert exceptions_open(session) == 0


@pytest.mark.parametrize("why", ["status", "refused"])
def test_the_mark_stands_also_where_the_payment_was_not_known(
    desk: JudgingClient,
    session: Session,
    gateway: StripeGateway,
    standin: StandIn,
    pay: Pay,
    days: Callable[[float], None],
    why: str,
) -> None:
    payment = pay("60")
    made = standin.refund_in_dashboard(payment.stripe_charge_id or "", 1000)
    if why == "status":
        standin.store.save({**made, "status": "on_a_ship"})
    else:
        standin.faults.add("key_expired", times=9, method="GET", path="/v1/refunds")
    read(session, gateway)
    standin.faults.clear()
    standin.store.save(made)
    odd = session.scalars(sa.select(BalanceMovement).where(BalanceMovement.exception != "")).one()
    assert (odd.exception, odd.payment_id) == (Oddity.REFUND_UNKNOWN, None)
    page = desk.page(f"/desk/payouts/exceptions/{odd.public_id}")
    desk.submit(page, {"note": "Entered in the back office"}, field="note")
    for day in (0.1, 1):
        days(day)
        sweep(session, gateway, standin, made)
    assert given_back(session) == []
    assert exceptions_open(session) == 0


def test_who_marks_what_the_sweep_has_booked_meanwhile_is_told_not_to_enter_it(
    desk: JudgingClient,
    session: Session,
    gateway: StripeGateway,
    standin: StandIn,
    pay: Pay,
    days: Callable[[float], None],
) -> None:
    odd, _made = cannot_be_booked(session, gateway, standin, pay("60"))
    page = desk.page(f"/desk/payouts/exceptions/{odd}")
    days(0.1)
    with writing():
        sweep_refunds(session, gateway)
    assert given_back(session) == [1000]
    assert exceptions_open(session) == 1  # nobody has looked at the movement again yet
    answer = desk.submit(page, {"note": "Entered in the back office"}, field="note", follow_redirects=True)
    told = as_page(answer).text("div", class_="notices")
    assert "Don’t enter it in the back office. If you have, reverse your entry there." in told
    session.rollback()
    movement = session.scalars(sa.select(BalanceMovement).where(BalanceMovement.public_id == odd)).one()
    assert (movement.handled_at, movement.match, movement.exception) == (None, Match.REFUND, "")
    agrees(session, gateway)


def test_marking_and_booking_at_once_is_one_after_the_other(
    session: Session,
    gateway: StripeGateway,
    standin: StandIn,
    clinic: Clinic,
    pay: Pay,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    odd, made = cannot_be_booked(session, gateway, standin, pay("60"))
    staff = clinic.user_id("staff@example.com")
    session.rollback()
    outcome: list[Handled] = []

    def mark() -> None:
        with writing(), Session(session.get_bind()) as another:
            outcome.append(handle_exception(another, public_id=odd, staff_user_id=staff, note="Entered"))
            another.commit()

    clerk = threading.Thread(target=mark)

    def asked(importing: Session, stripe_refund_id: str) -> bool:
        dealt_with = is_dealt_with(importing, stripe_refund_id)
        if not clerk.ident:
            clerk.start()
            clerk.join(timeout=0.5)  # it can't come to its end before the refund is booked
        return dealt_with

    monkeypatch.setattr(settle, "is_dealt_with", asked)
    with writing():
        assert learn(session, gateway, gateway.refunds.retrieve(made["id"]))
    clerk.join()
    assert outcome == [Handled.IN_BOOKS]
    assert given_back(session) == [1000]


def test_a_refund_of_ours_whose_answer_was_lost_and_that_staff_have_entered_is_not_booked(
    desk: JudgingClient, session: Session, gateway: StripeGateway, standin: StandIn, clinic: Clinic, pay: Pay
) -> None:
    odd, made = cannot_be_booked(session, gateway, standin, pay("60"))
    desk.submit(desk.page(f"/desk/payouts/exceptions/{odd}"), {"note": "Entered in the back office"}, field="note")
    session.rollback()
    now = clock.now()
    with writing():
        payment_id = session.scalars(sa.select(Payment.id)).one()
        refund = Refund(
            payment_id=payment_id, amount=Money(1000), reason=RefundReason.REQUESTED, state=RefundState.APPROVED,
            send_on=clock.clinic_day(now), created_at=now, requested_at=now, checked_at=now,
        )  # fmt: skip
        session.add(refund)
        session.commit()
        public_id = refund.public_id
        session.commit()
    standin.store.save({**made, "metadata": {"refund_id": public_id}})
    for _ in range(2):
        with writing():
            assert learn(session, gateway, gateway.refunds.retrieve(made["id"]))
    assert given_back(session) == []
    session.expire_all()
    assert (refund.state, refund.stripe_refund_id) == (RefundState.APPROVED, made["id"])
    assert session.query(AuditEvent).filter(AuditEvent.tag == Tag.REFUND_SURPRISING).count() == 1 + 1


def test_what_still_does_not_fit_and_a_stripe_that_is_away_are_told(
    desk: JudgingClient, session: Session, gateway: StripeGateway, standin: StandIn, pay: Pay
) -> None:
    odd, made = cannot_be_booked(session, gateway, standin, pay("60"))
    page = desk.page(f"/desk/payouts/exceptions/{odd}")
    standin.store.save({**made, "amount": 99_000})
    answer = desk.submit(page, action="/look-up", follow_redirects=True)
    assert "it still does not fit" in as_page(answer).text("div", class_="notices")
    standin.faults.add("drop_before", times=9, method="GET", path="/v1/refunds")
    answer = desk.submit(page, action="/look-up", follow_redirects=True)
    assert "Stripe does not answer just now" in as_page(answer).text("div", class_="notices")
    assert given_back(session) == []
    assert exceptions_open(session) == 1
    token = page.all("input", name="csrf_token")[0].get("value")
    unknown = f"/desk/payouts/exceptions/{'0' * 32}/look-up"
    assert desk.post(unknown, data={"csrf_token": token}).status_code == 404


@pytest.mark.parametrize("oddity", list(Oddity))
def test_no_advice_of_the_desk_is_to_enter_money_by_hand(oddity: Oddity) -> None:
    """What is found later would be in the back office twice."""
    words = str(ODDITIES[oddity].suggestion)
    assert "post it" not in words.lower()
    assert ("Look it up now" in words) is (oddity in LOOKED_UP)
    assert not any("by hand" in one and "post" in one for one in SUGGESTIONS.values())


def test_what_stripe_moves_of_its_own_accord_is_an_exception(
    session: Session, gateway: StripeGateway, standin: StandIn, pay: Pay, days: Callable[[float], None]
) -> None:
    pay("60")
    standin.adjust_balance(-100)
    with pytest.raises(ValueError, match="nothing"):
        standin.adjust_balance(0)
    read(session, gateway)
    assert ("none", -100, 0, Oddity.STRIPE_ADJUSTED) in movements(session)
    days(3)
    read(session, gateway)  # it goes out with the payout, which adds up
    assert session.scalars(sa.select(Payout.amount)).one() == Money(6000 - 204 - 100)
    assert exceptions_open(session) == 1
    assert standin.violations == []


def test_another_amount_is_an_exception_of_that_size(
    session: Session, gateway: StripeGateway, pay: Pay, days: Callable[[float], None]
) -> None:
    payment = pay("60")
    session.execute(sa.update(Payment).where(Payment.id == payment.id).values(amount=Money(5999)))
    session.commit()
    read(session, gateway)
    assert [one[3] for one in movements(session)] == ["amount_differs"]
    session.execute(sa.update(Payment).where(Payment.id == payment.id).values(amount=Money(6000)))
    session.commit()
    days(1)
    read(session, gateway)  # looked at again
    assert [one[3] for one in movements(session)] == [""]


def test_a_payout_that_comes_back_is_told_and_goes_out_again_with_the_next(
    session: Session, gateway: StripeGateway, standin: StandIn, pay: Pay, days: Callable[[float], None]
) -> None:
    pay("60")
    days(3)
    read(session, gateway)
    first = session.scalars(sa.select(Payout)).one()
    standin.fail_payout(first.stripe_payout_id)
    with writing():
        refresh_payout(session, gateway, stripe_payout_id=first.stripe_payout_id)
    session.rollback()
    assert session.scalars(sa.select(Payout.exception)).one() == Oddity.PAYOUT_FAILED
    assert agrees(session, gateway)["payouts"]["difference_cents"] == 0
    pay("40")
    days(3)
    read(session, gateway)
    done = session.scalars(sa.select(Payout).order_by(Payout.id)).all()
    assert len(done) == 3  # the first, its money once more, and the new payment
    assert sum(one.amount.cents for one in done) == 2 * (6000 - 204) + 4000 - 146
    assert all(one.complete_at for one in done)
    assert ("payout_returned", 5796, 0, "") in movements(session)


def test_a_payout_that_is_paid_is_asked_about_twice_a_day_and_not_at_every_turn(
    session: Session, gateway: StripeGateway, standin: StandIn, pay: Pay, days: Callable[[float], None]
) -> None:
    """Their bank may send it back within some days, and the event of it may be lost."""
    pay("60")
    days(4)  # made after the third midnight, and paid
    read(session, gateway)
    payout = session.scalars(sa.select(Payout)).one()
    payout_id = payout.stripe_payout_id
    days(4)  # the list of what is new has not got it any more
    read(session, gateway)
    assert session.scalars(sa.select(Payout.status)).one() == "paid"

    def asked() -> int:
        return sum(one["path"] == f"/v1/payouts/{payout_id}" for one in standin.requests)

    before = asked()
    for _turn in range(3):
        days(PULLED_EVERY.total_seconds() / DAY * 1.1)
        read(session, gateway)
    assert asked() == before
    standin.fail_payout(payout_id)
    days(0.6)
    read(session, gateway)
    assert asked() == before + 1
    assert session.scalars(sa.select(Payout.exception).where(Payout.stripe_payout_id == payout_id)).one() == (
        Oddity.PAYOUT_FAILED
    )


def test_a_payout_that_does_not_add_up_is_an_exception_after_a_day(
    session: Session, gateway: StripeGateway, standin: StandIn, pay: Pay, days: Callable[[float], None]
) -> None:
    pay("60")
    days(3)
    made = standin.every("payout")[0]
    standin.store.save({**made, "amount": made["amount"] + 7})
    read(session, gateway)
    assert session.scalars(sa.select(Payout)).one().complete_at is None
    days(COMPLETE_WITHIN / timedelta(days=1) + 0.1)
    read(session, gateway)
    assert session.scalars(sa.select(Payout.exception)).one() == Oddity.PAYOUT_INCOMPLETE
    from portal.ledger.adapters.embedded.ledger import EmbeddedLedger
    from portal.ledger.reconcile import reconcile

    result = reconcile(session, EmbeddedLedger(session), gateway)
    assert (result["agrees"], result["payouts"]["difference_cents"]) == (False, 7)
    (told,) = result["payouts"]["exceptions"]
    assert (told["kind"], told["key"], told["difference_cents"]) == ("payout_incomplete", made["id"], 7)
    assert "automatic" in told["suggestion"]


def test_a_payment_that_stripes_balance_never_had_is_an_exception(
    session: Session, gateway: StripeGateway, pay: Pay, days: Callable[[float], None]
) -> None:
    from portal.payouts.queries import odd

    payment = pay("60")
    days(4)
    session.rollback()
    assert odd(session) == []  # never read: nothing can be said
    read(session, gateway)
    assert odd(session) == []
    session.execute(sa.delete(BalanceMovement))
    assert [(one.kind, one.key, one.difference_cents) for one in odd(session)] == [
        (Oddity.NO_MOVEMENT, payment.public_id, 6000)
    ]


def test_every_kind_of_movement_has_its_words() -> None:
    assert set(ODDITIES) == set(Oddity)
    assert set(MATCHES) == set(Match)


@pytest.mark.parametrize(
    ("kind", "source", "of"),
    [
        ("charge", "ch_1", Source.CHARGE),
        ("payment", "py_1", Source.CHARGE),
        ("payment_refund", "pyr_1", Source.REFUND),
        ("adjustment", "du_1", Source.DISPUTE),
        ("adjustment", "dp_1", Source.DISPUTE),
        ("adjustment", "", None),
        ("stripe_fee", "", Source.STRIPE),
        ("payout_failure", "po_1", Source.PAYOUT),
        ("topup", "tu_1", Source.ELSEWHERE),
        ("payment_reversal", "py_1", None),
        ("payment_unreconciled", "py_1", None),
        ("reserve_release", "", None),
        ("something_new", "ch_1", None),
    ],
)
def test_what_a_movement_is_of(kind: str, source: str, of: Source | None) -> None:
    assert source_of(kind, source) is of


def test_every_kind_that_stripe_has_is_one_that_we_know() -> None:
    """Held to Stripe's own list, so that a kind of its next version is decided about and not overlooked."""
    described = json.loads(shared_path("stripe/openapi-2026-08-26.dahlia-pruned.json").read_text())
    kinds = described["components"]["schemas"]["balance_transaction"]["properties"]["type"]["enum"]
    known = {*_OF_KIND, *_OF_ITS_OWN_ACCORD}
    assert [kind for kind in kinds if kind not in known and not kind.startswith(_OF_OTHER_PRODUCTS)] == []
    assert {kind for kind in kinds if source_of(kind, "") is None} == _OF_ITS_OWN_ACCORD


# The desk


@pytest.fixture
def desk(client: JudgingClient, clinic: Clinic, sign_in: Callable[..., Any]) -> JudgingClient:
    sign_in(client, "staff@example.com")
    return client


def test_staff_see_payouts_and_deal_with_what_does_not_fit(
    desk: JudgingClient,
    session: Session,
    gateway: StripeGateway,
    standin: StandIn,
    pay: Pay,
    days: Callable[[float], None],
) -> None:
    assert "No payouts yet" in desk.page("/desk/payouts").text("main")
    payment = pay("60")
    odd, _made = cannot_be_booked(session, gateway, standin, payment)
    assert "$60.00" in desk.page("/desk/payouts/not-paid-out").text("main")
    days(1)
    # The refund goes out with the payment's money; it is a day old, so that nobody asks Stripe about it again.
    standin.advance(2 * DAY)
    days(0.1)
    read(session, gateway)
    listed = desk.page("/desk/payouts").text("main")
    for words in ("$47.96", "$2.04", "1 exception"):
        assert words in listed
    payout = session.scalars(sa.select(Payout.public_id)).one()
    session.commit()
    text = desk.page(f"/desk/payouts/{payout}").text("main")
    for words in ("$50.00", "−$10.00", "A refund that was not made here", "Choose Look it up now"):
        assert words in text
    assert "Exceptions in payouts: 1" in desk.page("/desk/").text("main")
    assert "1 to look at" in desk.page("/desk/payouts/exceptions").text("main")
    page = desk.page(f"/desk/payouts/exceptions/{odd}")
    answer = desk.submit(page, {"note": "   "}, field="note")
    assert answer.status_code == 200
    page = desk.page(f"/desk/payouts/exceptions/{odd}")
    for _ in range(2):
        assert desk.submit(page, {"note": "Made by phone, posted by hand."}, field="note").status_code == 302
    assert "Everything fits" in desk.page("/desk/payouts/exceptions").text("main")
    assert "Made by phone" in desk.page(f"/desk/payouts/{payout}").text("main")
    assert "Made by phone" in desk.page(f"/desk/payouts/exceptions/{odd}").text("main")
    assert "Exceptions" not in desk.page("/desk/").text("main")
    session.rollback()
    told = session.query(AuditEvent).filter(AuditEvent.tag == Tag.PAYOUT_EXCEPTION_HANDLED).all()
    assert [(one.subject, one.facts["kind"]) for one in told] == [(odd, "refund_unknown")]
    days(1)
    read(session, gateway)  # what was dealt with stays so
    assert exceptions_open(session) == 0
