"""What autopay waits for: the patient at their bank, a notice that went out, Stripe to be there again."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from portal.autopay import running
from portal.autopay.kinds import AutopayState, ChargeState
from portal.notifications.models import Notification
from portal.payments.errors import StripeAway, StripeUnreachable
from portal.payments.models import Payment, SavedMethod
from portal.payments.service import Payer, prepare, refresh, start_payment
from portal.payments.state import PaymentState
from tests.unit.autopay.conftest import World
from tests.unit.payments.test_closing import TYPED_IN
from tests.web.paying import client_of, confirm


def patient_pays(world: World, card: str = "") -> Payment:
    """The patient's own payment, waiting for their bank (``card`` empty: for small deposits)."""
    payment = start_payment(
        world.session, world.gateway, account_ids=[world.account_id], payer=Payer(world.user_id)
    )
    prepare(world.session, world.gateway, payment_id=payment.id)
    if card:
        confirm(world.standin, payment, card)
    else:
        client_of(world.standin).v1.payment_intents.confirm(str(payment.stripe_intent_id), TYPED_IN)
    refresh(world.session, world.gateway, payment_id=payment.id)
    return payment


@pytest.mark.parametrize(("card", "charge"), [("pm_card_threeDSecure2Required", "noticed"), ("", "skipped")])
def test_a_patient_at_their_bank_goes_first(world: World, card: str, charge: str) -> None:
    world.turn_on()
    world.work()
    world.later(days=10)
    payment = patient_pays(world, card)
    world.work()
    world.session.expire_all()
    assert world.session.get_one(Payment, payment.id).state is PaymentState.ACTION
    assert [one.state for one in world.charges()] == [ChargeState(charge)]
    world.later(hours=2)
    world.work()  # nothing new is announced meanwhile
    assert len(world.charges()) == 1


def test_nothing_is_charged_whose_notice_never_went_out(world: World) -> None:
    world.mail_works = False
    world.turn_on()
    world.to_charge_day()
    (charge,) = world.charges()
    assert charge.state is ChargeState.NOTICED
    assert (charge.charge_on - world.today).days >= 10
    assert world.payments() == []
    notices = world.session.scalars(sa.select(Notification.key).where(Notification.key.like("%/notice/%"))).all()
    assert notices == [f"autopay/{charge.public_id}/notice/{charge.charge_on.isoformat()}"]
    world.mail_works = True
    world.work()
    world.later(days=10)
    world.work()
    world.later(days=3)  # over a weekend
    world.work()
    assert [one.state for one in world.charges()] == [ChargeState.PAID]


@pytest.mark.parametrize("hours_late", [20, 60])
def test_a_notice_that_went_out_late_gives_its_ten_days_anew(world: World, hours_late: int) -> None:
    """12 CFR 1005.10(d): ten days before. The mail server was away when the charge was announced."""
    world.mail_works = False
    world.turn_on()
    world.work()
    (charge,) = world.charges()
    promised = charge.charge_on
    world.later(hours=hours_late)
    world.mail_works = True
    world.post()
    while world.today < promised:
        world.later(hours=12)
    world.work()
    assert world.payments() == [], "told nine days before or less, and charged"
    (charge,) = world.charges()
    assert (charge.charge_on - world.today).days >= 10
    body = world.session.scalars(sa.select(Notification.body).order_by(Notification.id.desc()).limit(1)).one()
    assert "came too late, so we did not make it" in body
    while world.today < charge.charge_on:
        world.later(hours=12)
        world.post()
    world.work()
    assert [one.state for one in world.charges()] == [ChargeState.PAID]


def test_nothing_is_announced_for_a_method_that_was_removed(world: World) -> None:
    world.turn_on()
    world.session.execute(sa.update(SavedMethod).values(removed_at=sa.func.now()))
    world.session.commit()
    world.work()
    assert world.charges() == []
    assert (world.autopay().state, world.autopay().stop_reason) == (AutopayState.STOPPED, "method_removed")
    assert world.mails()[-1] == "Autopay is off"


@pytest.mark.parametrize(("trouble", "asked"), [(StripeAway, 1), (StripeUnreachable, 3)])
def test_stripe_away_is_not_waited_for_once_more_for_each(
    world: World, monkeypatch: pytest.MonkeyPatch, trouble: type[Exception], asked: int
) -> None:
    """What went wrong with one alone keeps no other from its turn."""
    tried: list[int] = []

    def charge(_session: Any, _gateway: Any, *, charge_id: int) -> None:
        tried.append(charge_id)
        raise trouble("no answer")

    rows = iter([[], [1, 2, 3], []])  # to announce, to charge, under way
    monkeypatch.setattr(running, "_ids", lambda *_query: next(rows))
    monkeypatch.setattr(running, "announce_again", lambda *_args, **_facts: False)
    monkeypatch.setattr(running, "charge", charge)
    world.work_once()
    assert len(tried) == asked
