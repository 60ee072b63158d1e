"""What is on a plan is not asked for besides it: not by autopay, a statement, a guest's page, or "pay everything"."""

from __future__ import annotations

import pytest

from portal.autopay.running import run_due as run_autopay
from portal.billing.balance import LineState
from portal.money import Money
from portal.payments.errors import NothingToPay
from portal.payments.queries import reserved
from portal.payments.service import Payer, payable_lines, start_payment
from portal.plans.kinds import ChangeKind
from portal.plans.rules.changes import ChangeRequest
from portal.statements.service import due_lines
from tests.unit.plans.conftest import PlanWorld


def test_nothing_on_a_plan_is_asked_for_besides_it(world: PlanWorld) -> None:
    assert due_lines(world.session, world.account_id, reserved)
    world.session.rollback()
    world.enrol()
    assert {line.state for line in world.lines() if line.on_plan} == {LineState.ON_PLAN}
    assert due_lines(world.session, world.account_id, reserved) == []
    assert payable_lines(world.session, world.account_id, user_id=None) == []
    world.session.rollback()
    with pytest.raises(NothingToPay):
        start_payment(
            world.session, world.gateway, account_ids=[world.account_id], payer=Payer(user_id=world.user_id)
        )
    world.session.rollback()


def test_autopay_takes_what_is_not_on_the_plan_only(world: PlanWorld) -> None:
    world.enrol()
    world.turn_on("pm_card_mastercard")

    def autopay() -> None:
        run_autopay(
            world.session,
            world.gateway,
            today=world.today,
            stop_url=lambda one: f"http://localhost/stop/{one}",
            timezone="America/Chicago",
        )

    autopay()
    assert world.charges() == []
    line = next(one for one in world.lines() if one.on_plan)
    world.wanted(ChangeRequest(ChangeKind.LINES_REMOVED, charges={line.charge_id: Money.zero()}))
    world.later(hours=2)
    autopay()
    (charge,) = world.charges()
    assert charge.amount == line.sums.due
