"""What may go on a plan, by the operator's policy: no line that is too small, and none of too old a service."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import pytest
import sqlalchemy as sa

from portal.billing.models import Charge
from portal.billing.queries import Line
from portal.money import Money
from portal.plans.agreeing.drafting import candidates, draft
from portal.plans.changing.amending import may_be_added
from portal.plans.errors import LineCannotJoin, NoPlanPossible
from portal.plans.kinds import ChangeKind
from portal.plans.rules.changes import ChangeRequest
from tests.unit.plans.conftest import MONTHLY, PlanWorld


def offered(world: PlanWorld) -> dict[int, Money]:
    """The lines that may go on a plan, with what each asks for."""
    found = candidates(world.session, world.account_id, user_id=world.user_id, conditions=world.conditions)
    world.session.rollback()
    return {line.charge_id: amount for line, amount in found}


def served(world: PlanWorld, line: Line, on: date | None) -> None:
    """The service of a line was on that day."""
    world.session.execute(sa.update(Charge).where(Charge.id == line.charge_id).values(service_on=on))
    world.session.commit()


def payable(world: PlanWorld) -> Sequence[Line]:
    """The account's lines that ask for something, the smallest first."""
    return sorted((line for line in world.lines() if line.payable), key=lambda line: line.payable)


def test_a_line_below_the_smallest_stays_an_ordinary_bill(world: PlanWorld) -> None:
    lines = payable(world)
    assert len(lines) >= 3
    assert offered(world) == {line.charge_id: line.payable for line in lines}
    second = lines[1].payable
    assert lines[0].payable < second < lines[-1].payable
    world.with_policy(smallest_line=second)  # just as much is enough
    assert offered(world) == {line.charge_id: line.payable for line in lines if line.payable >= second}
    world.with_policy(smallest_line=second + Money(1))
    assert offered(world) == {line.charge_id: line.payable for line in lines if line.payable > second}
    world.enrol()
    assert world.due == Money.total(line.payable for line in lines if line.payable <= second)


def test_a_smallest_line_of_nothing_lets_in_no_line_that_asks_for_nothing(world: PlanWorld) -> None:
    world.with_policy(smallest_line=Money.zero())
    assert set(offered(world)) == {line.charge_id for line in payable(world)}
    assert len(world.lines()) > len(payable(world))


def test_a_line_of_too_old_a_service_stays_out(world: PlanWorld) -> None:
    lines = payable(world)
    old, edge, unknown, *others = lines
    for line in others:
        served(world, line, world.today)
    served(world, old, world.today - timedelta(days=91))
    served(world, edge, world.today - timedelta(days=90))
    served(world, unknown, None)
    assert set(offered(world)) == {line.charge_id for line in lines}
    world.with_policy(oldest_service_days=90)
    assert set(offered(world)) == {line.charge_id for line in lines} - {old.charge_id}
    with pytest.raises(LineCannotJoin):
        draft(
            world.session, world.account_id, user_id=world.user_id, each=Money(5_000), rhythm=MONTHLY,
            conditions=world.conditions, charge_ids=[old.charge_id, edge.charge_id],
        )  # fmt: skip
    world.session.rollback()
    world.later(days=1)  # at the clinic, and not by when the line was written
    assert set(offered(world)) == {line.charge_id for line in lines} - {old.charge_id, edge.charge_id}


def test_what_grows_too_old_stays_on_its_plan_and_can_not_be_added(world: PlanWorld) -> None:
    kept, left_out = (line.charge_id for line in payable(world)[-2:])
    for line in payable(world):
        served(world, line, world.today - timedelta(days=20))
    world.with_policy(oldest_service_days=30)
    world.enrol(charge_ids=[kept])
    coming = world.coming()

    def may_join() -> set[int]:
        found = may_be_added(world.session, world.plan(), conditions=world.conditions)
        world.session.rollback()
        return {line.charge_id for line, _amount in found}

    assert left_out in may_join()
    world.day_by_day(11)
    assert may_join() == set()
    with pytest.raises(LineCannotJoin):
        world.wanted(ChangeRequest(ChangeKind.LINES_ADDED, charges={left_out: Money.zero()}))
    world.session.rollback()
    assert world.coming() == coming


def test_where_every_line_stays_out_no_plan_is_possible(world: PlanWorld) -> None:
    for values in ({"smallest_line": Money(1_000_000)}, {"oldest_service_days": 1}):
        world.with_policy(smallest_line=Money(50), oldest_service_days=0)
        assert offered(world)
        world.with_policy(**values)
        assert offered(world) == {}
        with pytest.raises(NoPlanPossible):
            draft(
                world.session, world.account_id, user_id=world.user_id, each=Money(5_000), rhythm=MONTHLY,
                conditions=world.conditions,
            )  # fmt: skip
        world.session.rollback()
