"""What the worker looks at each minute: as much as can have to be done, and not every plan there is."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from portal import clock
from portal.accounts.models import Account
from portal.billing.kinds import HoldReason
from portal.billing.service import place_hold
from portal.money import Money
from portal.payments.methods.queries import method_by_id
from portal.payments.sweeping import sweep
from portal.plans.collecting import jobs
from portal.plans.collecting.by_hand import pay_more
from portal.plans.collecting.fitting import to_look_at
from portal.plans.collecting.jobs import run_due
from portal.plans.kinds import ChangeKind, Frequency, PlanState
from portal.plans.models import Plan
from portal.plans.rules.changes import ChangeRequest
from tests.unit.plans.conftest import PlanWorld


def looked_at(world: PlanWorld) -> list[int]:
    found = to_look_at(world.session, today=world.today)
    world.session.rollback()
    return found


def pay_forty_extra(world: PlanWorld, method: str) -> None:
    plan_id = world.plan().id
    pay_more(
        world.session,
        world.gateway,
        plan_id=plan_id,
        user_id=world.user_id,
        amount=Money(40_00),
        conditions=world.conditions,
    )
    world.confirm_latest(method)


def test_a_plan_is_compared_where_something_happened_and_once_a_week(world: PlanWorld) -> None:
    plan_id = world.enrol().id
    world.later(hours=3)
    world.work()
    world.later(hours=3)
    assert looked_at(world) == []
    line = next(one for one in world.lines() if one.on_plan)
    world.adjust(line.charge_id, -100)
    assert looked_at(world) == [plan_id]
    for _twice in range(2):  # once more after it: what a long transaction wrote is seen only when it is committed
        world.work()
        world.later(hours=3)
    assert looked_at(world) == []
    place_hold(world.session, charge_id=line.charge_id, reason=HoldReason.STAFF, account_id=world.account_id)
    world.session.commit()
    assert looked_at(world) == [plan_id]
    for _twice in range(2):
        world.work()
        world.later(hours=3)
    world.later(days=6, hours=12)
    assert looked_at(world) == []
    world.later(hours=13)
    assert looked_at(world) == [plan_id]


def test_who_has_just_paid_extra_reads_it_on_the_plan_within_a_minute(world: PlanWorld) -> None:
    plan_id = world.enrol().id
    before = world.coming()
    world.later(minutes=1)
    pay_forty_extra(world, "pm_card_visa")
    world.later(minutes=1)
    assert looked_at(world) == [plan_id]
    world.work()
    assert sum(cents for _day, cents in world.coming()) == sum(cents for _day, cents in before) - 40_00
    world.later(minutes=2)
    assert looked_at(world) == []


def test_paying_extra_by_bank_debit_is_told_as_money_that_came_in(world: PlanWorld) -> None:
    """Nothing is booked before a debit has arrived, and it was no insurer."""
    plan = world.enrol(method="pm_usBankAccount_success")
    saved = method_by_id(world.session, plan.method_id or 0).stripe_method_id
    world.later(minutes=1)
    pay_forty_extra(world, saved)
    world.later(minutes=1)
    world.work()
    assert world.changes()[-1].kind is ChangeKind.PAID_OUTSIDE


def test_a_debit_that_comes_back_is_something_that_happened(world: PlanWorld) -> None:
    """Nothing is written on a line then; what was on its way is owed again."""
    plan = world.enrol(method="pm_usBankAccount_insufficientFunds")
    plan_id = plan.id
    world.day_by_day(15)
    assert world.states()[0] == "charging"
    world.later(hours=3)
    world.work()
    world.later(days=4)
    world.work()
    assert world.plan().id == plan_id
    assert world.states()[0] == "planned"
    assert sum(cents for _day, cents in world.coming()) == sum(
        line.sums.due.cents for line in world.lines() if line.on_plan
    )


def test_a_plan_is_not_compared_again_for_what_it_was_compared_with(world: PlanWorld) -> None:
    """Another plan that was not looked at for days does not make this one be looked at again for what is older."""
    plan_id = world.enrol().id
    world.later(hours=3)
    world.work()
    world.later(days=2)
    line = next(one for one in world.lines() if one.on_plan)
    world.adjust(line.charge_id, -100)
    assert looked_at(world) == [plan_id]
    for _twice in range(2):
        world.work()
        world.later(hours=3)
    other = world.session.scalars(sa.select(Account.id).where(Account.id != world.account_id)).first()
    world.session.add(Plan(
        account_id=other, user_id=world.user_id, method_id=world.plan().method_id, state=PlanState.ACTIVE,
        frequency=Frequency.MONTHLY, day=15,
        each=Money(50_00), started_at=clock.now(), checked_at=clock.now() - timedelta(days=3),
    ))  # fmt: skip
    world.session.commit()
    assert plan_id not in looked_at(world)


def test_a_debit_on_its_way_is_asked_about_and_nothing_happened(world: PlanWorld) -> None:
    world.enrol(method="pm_usBankAccount_success")
    while "charging" not in world.states():
        world.later(days=1)
        world.work()
    for _twice in range(2):
        world.later(hours=3)
        world.work()
    world.later(hours=3)
    sweep(world.session, world.gateway, older_than=timedelta(minutes=5))
    assert world.states()[0] == "charging"
    assert looked_at(world) == []


def test_the_end_of_a_pause_is_seen(world: PlanWorld) -> None:
    plan_id = world.enrol().id
    world.later(hours=2)
    from portal.plans.changing.pausing import ask_for_pause, decide_request
    from portal.plans.queries import open_requests

    until = world.today.replace(day=20)
    ask_for_pause(
        world.session, plan_id=plan_id, user_id=world.user_id, until=until, note="", conditions=world.conditions
    )
    decide_request(
        world.session, request_id=open_requests(world.session)[0].id, staff_user_id=world.user_id, granted=True,
        answer="", conditions=world.conditions,
    )  # fmt: skip
    world.work()
    world.later(days=3)
    assert looked_at(world) == []
    while world.today < until:
        world.later(days=1)
    assert looked_at(world) == [plan_id]


def test_only_what_may_have_to_be_told_of_is_looked_at(world: PlanWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten days before a charge only what is of another amount than the usual one can have to be told of."""
    world.enrol(each=5_000)
    while world.today.day != 8:
        world.later(days=1)
        world.work()
    seen: list[int] = []
    monkeypatch.setattr(jobs, "notice", lambda _session, *, installment_id, conditions: seen.append(installment_id))
    run_due(world.session, world.gateway, conditions=world.conditions)
    assert seen == []
    while world.today.day != 12:
        world.later(days=1)
    run_due(world.session, world.gateway, conditions=world.conditions)
    assert len(seen) == 1
    world.wanted(ChangeRequest(ChangeKind.SKIPPED))
