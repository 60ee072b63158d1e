"""Autopay charges what was announced, once, and stops when it is told to."""

from __future__ import annotations

from datetime import date

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal import clock
from portal.audit.models import AuditEvent
from portal.audit.tags import Tag
from portal.autopay.announcing import announce
from portal.autopay.errors import AutopayRuns, CapTooLow, MethodExpired
from portal.autopay.kinds import AutopayState, ChargeState
from portal.autopay.running import run_due
from portal.autopay.service import charge, start, stop
from portal.billing.kinds import HoldReason
from portal.billing.queries import lines_of_account
from portal.billing.service import place_hold
from portal.db import RecordNotFound
from portal.money import Money
from portal.notifications.models import Notification
from portal.payments.errors import StripeUnreachable
from portal.payments.models import Consent, SavedMethod
from portal.payments.service import Payer, start_payment
from portal.payments.state import PaymentState
from tests.unit.autopay.conftest import TIMEZONE, World


def url(charge_id: str) -> str:
    return f"http://localhost/autopay/stop/{charge_id}"


def test_told_ten_days_ahead_then_charged_once(world: World) -> None:
    due = world.due
    world.turn_on()
    world.work()
    (noticed,) = world.charges()
    assert (noticed.state, noticed.amount, noticed.charge_on) == (ChargeState.NOTICED, due, date(2026, 11, 12))
    assert world.taken() == 0
    for _day in range(9):
        world.later(days=1)
        world.work()
    assert (world.taken(), len(world.charges())) == (0, 1)
    world.later(days=1)
    for _again in range(3):
        world.work()
    assert world.taken() == due.cents
    assert [one.state for one in world.charges()] == [ChargeState.PAID]
    assert [one.state for one in world.payments()] == [PaymentState.SUCCEEDED]
    assert world.mails() == [
        "Your autopay agreement",
        f"Autopay: {due} on November 12, 2026",
        "Your payment was received",
    ]
    notice = world.session.scalars(sa.select(Notification).where(Notification.key.contains("/notice/"))).one()
    assert url(noticed.public_id).replace("/autopay", "") in notice.body
    assert str(due) in notice.body


def test_the_agreement_is_kept_word_for_word(world: World) -> None:
    world.turn_on()
    consent = world.session.get_one(Consent, world.autopay().consent_id)
    assert consent.text == "Charge my Visa ending 4242."
    assert (consent.address, consent.given_at) == ("192.0.2.1", clock.now())
    copy = world.session.scalars(sa.select(Notification).where(Notification.key.endswith("/copy"))).one()
    assert copy.body.endswith(consent.text)


def test_never_more_than_was_announced(world: World, session: Session) -> None:
    lines = [line for line in lines_of_account(session, world.account_id) if line.payable]
    place_hold(session, charge_id=lines[0].charge_id, reason=HoldReason.STAFF, account_id=world.account_id)
    session.commit()
    less = world.due
    world.turn_on()
    world.work()
    session.execute(sa.text("UPDATE hold SET released_at = placed_at"))
    session.commit()
    assert world.due > less
    world.later(days=10)
    world.work()
    assert world.taken() == less.cents
    # What came in the meantime is announced by itself.
    world.later(hours=2)
    world.work()
    assert [one.state for one in world.charges()] == [ChargeState.PAID, ChargeState.NOTICED]
    assert world.charges()[1].amount == world.due


def test_less_is_charged_when_less_is_owed(world: World, session: Session) -> None:
    world.turn_on()
    world.work()
    line = next(line for line in lines_of_account(session, world.account_id) if line.payable)
    place_hold(session, charge_id=line.charge_id, reason=HoldReason.STAFF, account_id=world.account_id)
    session.commit()
    left = world.due
    world.later(days=10)
    world.work()
    assert world.taken() == left.cents


def test_nothing_owed_any_more_is_skipped(world: World, session: Session) -> None:
    world.turn_on()
    world.work()
    for line in lines_of_account(session, world.account_id):
        if line.payable:
            place_hold(session, charge_id=line.charge_id, reason=HoldReason.STAFF, account_id=world.account_id)
    session.commit()
    world.later(days=10)
    world.work()
    assert world.taken() == 0
    assert [one.state for one in world.charges()] == [ChargeState.SKIPPED]
    assert world.payments() == []


def test_above_the_cap_nothing_is_charged_and_it_is_said_once(world: World) -> None:
    world.turn_on(cap=world.due.cents - 1)
    world.work()
    for _day in range(3):
        world.later(days=5)
        world.work()
    assert [one.state for one in world.charges()] == [ChargeState.ABOVE_CAP]
    assert world.mails() == ["Your autopay agreement", "A bill is above your autopay limit"]
    assert world.taken() == 0


def test_stopping_stops_the_announced_charge(world: World) -> None:
    world.turn_on()
    world.work()
    assert stop(world.session, autopay_id=world.autopay().id, actor_user_id=world.user_id)
    assert not stop(world.session, autopay_id=world.autopay().id, actor_user_id=world.user_id)
    world.later(days=10)
    world.work()
    assert world.taken() == 0
    assert (world.autopay().state, [one.state for one in world.charges()]) == (
        AutopayState.STOPPED,
        [ChargeState.STOPPED],
    )
    assert world.mails()[-1] == "Autopay is off"
    assert world.mails().count("Autopay is off") == 1


def test_stopped_between_claim_and_charge(world: World, session: Session) -> None:
    """The worker has looked, the patient stops, the worker goes on: nothing is charged."""
    world.turn_on()
    world.work()
    (noticed,) = world.charges()
    world.later(days=10)
    stop(session, autopay_id=world.autopay().id, actor_user_id=world.user_id)
    charge(session, world.gateway, charge_id=noticed.id)
    assert world.taken() == 0
    assert world.payments() == []


def test_two_workers_make_one_payment(world: World, session: Session) -> None:
    world.turn_on()
    world.work()
    (noticed,) = world.charges()
    world.later(days=10)
    charge(session, world.gateway, charge_id=noticed.id)
    charge(session, world.gateway, charge_id=noticed.id)
    world.work()
    assert len(world.payments()) == 1
    assert world.taken() == noticed.amount.cents


def test_a_lost_answer_is_found_again(world: World) -> None:
    due = world.due
    world.turn_on()
    world.work()
    world.later(days=10)
    world.standin.faults.add("drop_after", method="POST", path="/v1/payment_intents", times=2)
    world.work()
    assert world.taken() == due.cents
    for _tick in range(4):
        world.later(minutes=6)
        world.work()
    assert world.taken() == due.cents
    assert [one.state for one in world.charges()] == [ChargeState.PAID]
    assert len(world.payments()) == 1


def test_a_request_that_never_arrived_is_made_again(world: World) -> None:
    due = world.due
    world.turn_on()
    world.work()
    world.later(days=10)
    world.standin.faults.add("drop_before", method="POST", path="/v1/payment_intents", times=2)
    world.work()
    for _tick in range(4):
        world.later(minutes=6)
        world.work()
    assert world.taken() == due.cents
    assert [one.state for one in world.charges()] == [ChargeState.PAID]


def test_a_declined_card_is_told_and_the_second_time_in_a_row_ends_it(world: World) -> None:
    world.turn_on("pm_card_chargeCustomerFail")
    world.to_charge_day()
    assert [one.state for one in world.charges()] == [ChargeState.FAILED]
    assert [one.state for one in world.payments()] == [PaymentState.CANCELED]
    assert world.autopay().state is AutopayState.ACTIVE
    world.later(hours=2)
    world.to_charge_day()
    world.later(days=2)  # its tenth day was a Sunday
    world.work()
    assert [one.state for one in world.charges()] == [ChargeState.FAILED, ChargeState.FAILED]
    assert (world.autopay().state, world.autopay().stop_reason) == (AutopayState.STOPPED, "failed_twice")
    assert world.mails().count("Your autopay charge did not go through") == 2
    assert world.taken() == 0


def test_a_bank_that_wants_the_patient_is_a_failed_charge(world: World, session: Session) -> None:
    world.turn_on()
    saved = session.get_one(SavedMethod, world.autopay().method_id)
    other = client_method(world, "pm_card_authenticationRequired")
    saved.stripe_method_id = other
    session.commit()
    world.to_charge_day()
    assert [(one.state, one.failure_code) for one in world.charges()] == [
        (ChargeState.FAILED, "authentication_required")
    ]
    assert world.taken() == 0


def client_method(world: World, name: str) -> str:
    """Another card of the same customer's, attached without the bank having been asked."""
    from portal.payments.models import StripeCustomer
    from tests.web.paying import client_of

    customer = world.session.scalars(
        sa.select(StripeCustomer.customer_id).where(StripeCustomer.user_id == world.user_id)
    ).one()
    return client_of(world.standin).v1.payment_methods.attach(name, {"customer": str(customer)}).id


def test_a_bank_debit_is_reserved_then_paid(world: World) -> None:
    due = world.due
    world.turn_on("pm_usBankAccount_success")
    world.to_charge_day()
    assert [one.state for one in world.charges()] == [ChargeState.CHARGING]
    assert (world.due, world.taken()) == (Money(0), 0)
    world.later(days=5)
    world.work()
    assert [one.state for one in world.charges()] == [ChargeState.PAID]
    assert world.taken() == due.cents


def test_a_debit_without_funds_is_tried_twice_more_each_announced(world: World) -> None:
    world.turn_on("pm_usBankAccount_insufficientFunds")
    world.to_charge_day()
    for _try in range(8):
        world.later(days=5)
        world.work()
    (only,) = [one for one in world.charges() if one.tries]
    assert (only.state, only.tries) == (ChargeState.FAILED, 2)
    assert world.taken() == 0
    notices = world.session.scalars(
        sa.select(Notification.key).where(Notification.key.startswith(f"autopay/{only.public_id}/notice/"))
    ).all()
    assert len(notices) == 3


def test_a_removed_method_ends_autopay_instead_of_charging(world: World, session: Session) -> None:
    world.turn_on()
    world.work()
    session.get_one(SavedMethod, world.autopay().method_id).removed_at = clock.now()
    session.commit()
    world.later(days=10)
    world.work()
    assert world.taken() == 0
    assert (world.autopay().state, world.autopay().stop_reason) == (AutopayState.STOPPED, "method_removed")


def test_an_open_window_does_not_pay_twice(world: World, session: Session) -> None:
    """The patient has the pay page open when the charge falls due."""
    world.turn_on()
    world.work()
    world.later(days=10)
    due = world.due
    session.commit()
    by_hand = start_payment(
        session, world.gateway, account_ids=[world.account_id], payer=Payer(world.user_id)
    )
    by_hand_id = by_hand.id
    world.work()
    states = {one.id: one.state for one in world.payments()}
    assert states.pop(by_hand_id) is PaymentState.CANCELED
    assert list(states.values()) == [PaymentState.SUCCEEDED]
    assert world.taken() == due.cents


def test_stripe_away_waits(world: World) -> None:
    due = world.due
    world.turn_on()
    world.work()
    world.later(days=10)
    world.standin.faults.add("drop_before", times=1000)
    world.work()
    world.standin.faults.clear()
    for _tick in range(5):
        world.later(minutes=20)
        world.work()
    for _day in range(12):
        world.later(days=1)
        world.work()
    assert world.taken() == due.cents


def test_who_may_start_and_with_what(world: World, session: Session) -> None:
    saved = world.save()
    method, expires = saved.public_id, saved.expires_on
    assert expires is not None

    def begin(**changed: object) -> str:
        facts: dict[str, object] = {
            "account_id": world.account_id,
            "user_id": world.user_id,
            "method_public_id": method,
            "cap": Money(10_000),
            "agreement": lambda _row: "Yes.",
            "language": "en",
            "address": "",
            "today": world.today,
            **changed,
        }
        return start(session, **facts)  # type: ignore[arg-type]

    with pytest.raises(RecordNotFound):
        begin(user_id=world.user_id + 1)
    with pytest.raises(MethodExpired):
        begin(today=date(expires.year + 1, 1, 1))
    with pytest.raises(CapTooLow):
        begin(cap=Money(49))
    begin()
    with pytest.raises(AutopayRuns):
        begin()


def test_every_step_is_audited(world: World, session: Session) -> None:
    world.turn_on()
    world.to_charge_day()
    stop(session, autopay_id=world.autopay().id, actor_user_id=world.user_id)
    tags = [tag for tag in session.scalars(sa.select(AuditEvent.tag).order_by(AuditEvent.id)) if "autopay" in tag]
    assert tags == [Tag.AUTOPAY_STARTED, Tag.AUTOPAY_NOTICED, Tag.AUTOPAY_CHARGED, Tag.AUTOPAY_STOPPED]


def test_announcing_twice_is_announcing_once(world: World, session: Session) -> None:
    world.turn_on()
    autopay_id = world.autopay().id
    assert announce(session, autopay_id=autopay_id, today=world.today, stop_url=url)
    assert not announce(session, autopay_id=autopay_id, today=world.today, stop_url=url)


def test_one_charge_that_waits_does_not_hold_up_the_others(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.turn_on()
    world.work()
    world.later(days=10)

    def away(*_args: object, **_more: object) -> None:
        raise StripeUnreachable("away")

    with monkeypatch.context() as patch:
        patch.setattr("portal.autopay.running.charge", away)
        run_due(world.session, world.gateway, today=world.today, stop_url=url, timezone=TIMEZONE)
    assert [one.state for one in world.charges()] == [ChargeState.NOTICED]
    world.work()
    assert [one.state for one in world.charges()] == [ChargeState.PAID]
