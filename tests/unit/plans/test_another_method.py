"""Another method is tried at once, with what is due by then."""

from __future__ import annotations

from datetime import timedelta

from portal.plans.amending import change_method
from tests.unit.plans.conftest import PlanWorld


def choose_another(world: PlanWorld) -> None:
    saved = world.save("pm_card_mastercard").public_id
    change_method(
        world.session, plan_id=world.plan().id, user_id=world.user_id, method_public_id=saved, agree=world.agree,
        language="en", address="192.0.2.1", conditions=world.conditions,
    )  # fmt: skip


def test_what_was_turned_down_and_then_put_off_is_not_charged_before_its_day(world: PlanWorld) -> None:
    world.enrol()
    first, second = world.instalments()[:2]
    first.tries, first.due_on, first.charge_on = 1, world.today - timedelta(days=2), world.today + timedelta(days=3)
    second.tries, second.due_on, second.charge_on = 1, world.today + timedelta(days=2), world.today + timedelta(days=2)
    world.session.commit()
    choose_another(world)
    first, second = world.instalments()[:2]
    assert first.charge_on == world.today
    assert second.charge_on == second.due_on > world.today
