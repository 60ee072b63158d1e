"""Another method is tried at once, with what is due by then."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from portal.billing.kinds import HoldReason
from portal.billing.service import place_hold
from portal.notifications.models import Notification
from portal.payments.models import Consent
from portal.plans.changing.amending import change_method
from tests.unit.plans.conftest import PlanWorld


def choose_another(world: PlanWorld, method: str = "pm_card_mastercard") -> None:
    saved = world.save(method).public_id
    change_method(
        world.session, plan_id=world.plan().id, user_id=world.user_id, method_public_id=saved, agree=world.agree,
        language="en", address="192.0.2.1", conditions=world.conditions,
    )  # fmt: skip


def test_what_was_turned_down_and_then_put_off_is_not_charged_before_its_day(world: PlanWorld) -> None:
    world.enrol()
    first, second = world.installments()[:2]
    first.tries, first.due_on, first.charge_on = 1, world.today - timedelta(days=2), world.today + timedelta(days=3)
    second.tries, second.due_on, second.charge_on = 1, world.today + timedelta(days=2), world.today + timedelta(days=2)
    world.session.commit()
    choose_another(world)
    first, second = world.installments()[:2]
    assert first.charge_on == world.today
    assert second.charge_on == second.due_on > world.today


def last_copy(world: PlanWorld) -> str:
    mails = sa.select(Notification.body).where(Notification.key.contains("/copy/")).order_by(Notification.id.desc())
    return str(world.session.scalars(mails).first())


def last_agreed(world: PlanWorld) -> str:
    return str(world.session.scalars(sa.select(Consent.text).order_by(Consent.id.desc())).first())


def hold_all_but(world: PlanWorld, kept: int) -> None:
    on_plan = [line for line in world.lines() if line.on_plan]
    for line in on_plan[kept:]:
        place_hold(world.session, charge_id=line.charge_id, account_id=world.account_id, reason=HoldReason.STAFF)
    world.session.commit()


def test_an_agreement_while_all_is_on_hold_says_so_and_lists_nothing(world: PlanWorld) -> None:
    world.enrol()
    hold_all_but(world, 0)
    choose_another(world)
    said = "For now there is no payment to come: what is left is on hold, with "
    for words in (last_copy(world), last_agreed(world)):
        assert said in words
        assert "0 payments" not in words
        assert "$0.00" not in words


def test_one_payment_is_counted_as_one(world: PlanWorld) -> None:
    world.enrol(each=12_500)
    assert " in 2 payments, every month on the 15th, by " in last_copy(world)
    hold_all_but(world, 1)
    choose_another(world)
    assert " in one payment, by " in last_copy(world)
