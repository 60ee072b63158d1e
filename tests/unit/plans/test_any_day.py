"""A plan that is agreed to on any day of a month, also late in the evening and while the clocks change."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest

from portal import clock
from portal.money import Money
from portal.plans.kinds import Frequency, PlanState
from portal.plans.rules.schedule import Rhythm
from tests import days
from tests.unit.plans.conftest import PlanWorld


def go_to(world: PlanWorld, day: date, hour: datetime) -> None:
    """It is that day at the clinic, at the hour on the wall at which it all began; nothing where that is over."""
    then = datetime.combine(day, hour.time(), tzinfo=days.CLINIC)
    if then > clock.now():
        world.travel.move_to(then)
        world.standin.advance(0)
    assert world.today >= day


@pytest.mark.parametrize("start", days.NASTY)
def test_it_is_told_in_time_and_charged_on_its_days(world: PlanWorld, start: str) -> None:
    began, notice = days.moment(start), timedelta(days=world.policy.notice_days)
    world.travel.move_to(began)
    world.standin.advance(0)
    due = world.due
    plan = world.enrol(each=10_000, rhythm=Rhythm(Frequency.MONTHLY, 1))
    agreed = [(date.fromisoformat(day), cents) for day, cents in world.coming()]
    assert sum(cents for _day, cents in agreed) == due.cents
    assert all(day.day == 1 for day, _cents in agreed)
    assert agreed[0][0] >= began.date() + notice
    assert plan.state is PlanState.ACTIVE
    world.work()
    for number, (day, _cents) in enumerate(agreed):
        go_to(world, day - notice, began)
        world.work()
        go_to(world, day - timedelta(days=1), began)
        world.work()
        assert len(world.payments_of_plan()) == number  # not a day early
        go_to(world, day, began)
        world.work()
    assert [(clock.clinic_day(one.created_at), one.amount.cents) for one in world.payments_of_plan()] == agreed
    assert (world.plan().state, world.taken(), world.due) == (PlanState.PAID, due.cents, Money.zero())
