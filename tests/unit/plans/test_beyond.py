"""What the law counts: payments by the month they were for, and plans that have more to come than it lets be asked."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
import sqlalchemy as sa

from portal.money import Money
from portal.plans.desk.beyond import beyond_the_law
from portal.plans.desk.worklists import at_risk_count, plans_at_risk
from portal.plans.kinds import ChangeKind, Frequency, InstallmentState
from portal.plans.models import Installment, Plan
from portal.plans.queries import last_paid_on, months_paid, plan_charges
from portal.plans.rules.changes import ChangeRequest
from portal.plans.rules.policy import LawCapsPayments, limits, states
from portal.plans.rules.schedule import Rhythm
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
    world.wanted(ChangeRequest(ChangeKind.AMOUNT_CHANGED, each=Money(3_000)))
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


def paid_in(world: PlanWorld, first: date, months: int) -> None:
    """An installment on the same day of so many months, paid by the newest plan before what is to come."""
    plan_id = world.plan().id
    world.session.add_all(
        Installment(
            plan_id=plan_id, ordinal=first.month * 100 + place, amount=Money(100), state=InstallmentState.PAID,
            due_on=day, charge_on=day,
        )
        for place in range(months)
        for day in [date(first.year + (first.month - 1 + place) // 12, (first.month - 1 + place) % 12 + 1, first.day)]
    )  # fmt: skip
    world.session.commit()


def test_a_payment_to_come_after_as_many_months_as_the_law_lets_is_on_the_list(world: PlanWorld) -> None:
    """Also where it is the only one that is left."""
    world.policy = replace(world.policy, rule=states()["CO"])
    world.enrol(each=30_000)
    cap(world, 30_000)
    assert len(world.coming()) == 1
    paid_in(world, date(2026, 12, 15), 35)
    assert beyond_the_law(world.session, conditions=world.conditions) == {}
    paid_in(world, date(2026, 11, 15), 1)
    assert beyond_the_law(world.session, conditions=world.conditions) == {world.plan().id: 0}


@pytest.mark.parametrize("frequency", [Frequency.WEEKLY, Frequency.TWO_WEEKLY], ids=["weekly", "two-weekly"])
def test_payments_of_one_month_take_one_of_the_laws_months(world: PlanWorld, frequency: Frequency) -> None:
    """A lawful plan by the week stays one after its first payment: the others of that month take no other month."""
    world.policy = replace(world.policy, rule=replace(states()["CO"], most_payments=4), minimum_installment=Money(100))
    rhythm = Rhythm(frequency, 0)
    count = {Frequency.WEEKLY: 17, Frequency.TWO_WEEKLY: 8}[frequency]
    world.enrol(each=-(-24_832 // count), rhythm=rhythm)
    cap(world, 24_832)
    months = {day[:7] for day, _cents in world.coming()}
    assert months == {"2029-11", "2029-12", "2030-01", "2030-02"}
    assert beyond_the_law(world.session, conditions=world.conditions) == {}
    world.day_by_day(4)
    assert world.states().count("paid") == 1
    assert beyond_the_law(world.session, conditions=world.conditions) == {}
    world.policy = replace(world.policy, rule=replace(states()["CO"], most_payments=3))
    lets = sum(day < "2030-02" for day, _cents in world.coming())
    assert beyond_the_law(world.session, conditions=world.conditions) == {world.plan().id: lets}


def test_no_month_is_left_after_the_last_that_the_law_lets(world: PlanWorld) -> None:
    """Neither for a plan that begins anew with the same charges."""
    policy, cap = replace(world.policy, rule=states()["CO"]), Money(30_000)
    assert limits(policy, Money(24_832), Frequency.MONTHLY, month_cap=cap, months_paid=35).most == 1
    for paid in (36, 37):
        with pytest.raises(LawCapsPayments):
            limits(policy, Money(24_832), Frequency.MONTHLY, month_cap=cap, months_paid=paid)


def test_without_a_cap_no_plan_is_beyond_the_law(world: PlanWorld) -> None:
    world.policy = replace(world.policy, rule=replace(states()["CO"], most_payments=1))
    world.enrol(each=5_000)
    assert beyond_the_law(world.session, conditions=world.conditions) == {}


def test_a_charge_that_is_put_off_counts_in_the_month_it_was_for(world: PlanWorld) -> None:
    """Also while a bank has it in its hands, so that no month is asked for twice and none is lost to the count."""
    world.enrol(each=5_000, rhythm=Rhythm(Frequency.MONTHLY, 25), method="pm_usBankAccount_success")
    cap(world, 5_000)
    first = world.installments()[0]
    assert first.due_on == date(2029, 11, 25)
    world.session.execute(sa.update(Installment).where(Installment.id == first.id).values(charge_on=date(2029, 12, 3)))
    world.session.commit()
    counted = set()
    for _day in range(45):
        world.day_by_day(1)
        first = world.installments()[0]
        if first.state in (InstallmentState.CHARGING, InstallmentState.PAID):
            found = months_paid(world.session, plan_charges(world.session, first.plan_id))
            counted.add((first.state.value, world.today.month, found))
            assert last_paid_on(world.session, world.account_id) == date(2029, 11, 25) or world.today.day >= 25
        if world.today.month == 12 and world.today.day == 24:
            break
    assert ("charging", 12, 1) in counted
    assert ("paid", 12, 1) in counted
    assert {count for _state, _month, count in counted} == {1}
