"""What the law counts: payments by the month they were for, and plans that have more to come than it lets be asked."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
import sqlalchemy as sa

from portal.money import Money
from portal.plans.beyond import beyond_the_law
from portal.plans.changes import Wish
from portal.plans.kinds import ChangeKind, Frequency, InstalmentState
from portal.plans.models import Instalment, Plan
from portal.plans.policy import states
from portal.plans.queries import last_paid_on, months_paid, plan_charges
from portal.plans.schedule import Rhythm
from portal.plans.worklists import at_risk_count, plans_at_risk
from tests.unit.plans.conftest import PlanWorld


@pytest.fixture
def world(world: PlanWorld) -> PlanWorld:
    world.policy = replace(world.policy, rule=replace(states()["CO"], most_payments=5))
    return world


def cap(world: PlanWorld, cents: int) -> None:
    world.session.execute(sa.update(Plan).values(month_cap=Money(cents)))
    world.session.commit()


def test_what_insurance_raises_beyond_the_laws_payments_is_on_the_desks_list(world: PlanWorld) -> None:
    world.enrol(each=5_000)
    cap(world, 5_000)
    charge = max(world.lines(), key=lambda line: line.sums.due).charge_id
    world.adjust(charge, -10_000)
    world.later(hours=2)
    world.work()
    world.wish(Wish(ChangeKind.AMOUNT_CHANGED, each=Money(3_000)))
    assert len(world.coming()) == 5
    assert beyond_the_law(world.session, conditions=world.conditions) == {}
    assert plans_at_risk(world.session, today=world.today, beyond={}) == []
    world.session.rollback()
    world.adjust(charge, 10_000)
    world.later(hours=2)
    world.work()
    assert len(world.coming()) == 9
    plan = world.plan()
    beyond = beyond_the_law(world.session, conditions=world.conditions)
    assert beyond == {plan.id: 5}
    (found,) = plans_at_risk(world.session, today=world.today, beyond=beyond)
    assert (found.plan.id, found.law_lets) == (plan.id, 5)
    assert at_risk_count(world.session, today=world.today, beyond=beyond) == 1


def test_without_a_cap_no_plan_is_beyond_the_law(world: PlanWorld) -> None:
    world.policy = replace(world.policy, rule=replace(states()["CO"], most_payments=1))
    world.enrol(each=5_000)
    assert beyond_the_law(world.session, conditions=world.conditions) == {}


def test_a_charge_that_is_put_off_counts_in_the_month_it_was_for(world: PlanWorld) -> None:
    """Also while a bank has it in its hands, so that no month is asked for twice and none is lost to the count."""
    world.enrol(each=5_000, rhythm=Rhythm(Frequency.MONTHLY, 25), method="pm_usBankAccount_success")
    cap(world, 5_000)
    first = world.instalments()[0]
    assert first.due_on == date(2029, 11, 25)
    world.session.execute(sa.update(Instalment).where(Instalment.id == first.id).values(charge_on=date(2029, 12, 3)))
    world.session.commit()
    counted = set()
    for _day in range(45):
        world.day_by_day(1)
        first = world.instalments()[0]
        if first.state in (InstalmentState.CHARGING, InstalmentState.PAID):
            found = months_paid(world.session, plan_charges(world.session, first.plan_id))
            counted.add((first.state.value, world.today.month, found))
            assert last_paid_on(world.session, world.account_id) == date(2029, 11, 25) or world.today.day >= 25
        if world.today.month == 12 and world.today.day == 24:
            break
    assert ("charging", 12, 1) in counted
    assert ("paid", 12, 1) in counted
    assert {count for _state, _month, count in counted} == {1}
