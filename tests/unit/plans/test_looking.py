"""What the worker looks at each minute: as much as can have to be done, and not every plan there is."""

from __future__ import annotations

import pytest

from portal.billing.kinds import HoldReason
from portal.billing.service import place_hold
from portal.plans import jobs
from portal.plans.changes import Wish
from portal.plans.jobs import run_due
from portal.plans.kinds import ChangeKind
from portal.plans.reshaping import to_look_at
from tests.unit.plans.conftest import PlanWorld


def looked_at(world: PlanWorld) -> list[int]:
    found = to_look_at(world.session, today=world.today)
    world.session.rollback()
    return found


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


def test_the_end_of_a_pause_is_seen(world: PlanWorld) -> None:
    plan_id = world.enrol().id
    world.later(hours=2)
    from portal.plans.pausing import ask_for_pause, decide_request
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
    monkeypatch.setattr(jobs, "notice", lambda _session, *, instalment_id, conditions: seen.append(instalment_id))
    run_due(world.session, world.gateway, conditions=world.conditions)
    assert seen == []
    while world.today.day != 12:
        world.later(days=1)
    run_due(world.session, world.gateway, conditions=world.conditions)
    assert len(seen) == 1
    world.wish(Wish(ChangeKind.SKIPPED))
