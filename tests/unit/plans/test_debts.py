"""A plan presents no debt that its bank sent back for good, whoever presented it before."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from portal.notifications.models import Notification
from portal.payments.method_queries import method_by_id
from portal.payments.models import DebitReturn
from portal.payments.service import Payer, prepare, refresh, start_payment
from portal.plans.amending import change_method
from portal.plans.changes import Wish
from portal.plans.errors import DebtReturned
from portal.plans.kinds import ChangeKind, Need, PlanState
from portal.plans.paying import pay_next
from portal.plans.uncollected import LeftBy, uncollected
from tests.unit.plans.conftest import PlanWorld
from tests.web.paying import client_of

EMPTY, CLOSED, GOOD = (f"pm_usBankAccount_{how}" for how in ("insufficientFunds", "accountClosed", "success"))


def came_back_for_good(world: PlanWorld) -> None:
    """A payment by hand from the closed account, which comes back after four days."""
    pay_by_hand(world, CLOSED)
    world.day_by_day(5)
    assert world.session.scalars(sa.select(DebitReturn.code)).all() == ["account_closed"]


def pay_by_hand(world: PlanWorld, token: str) -> None:
    world.session.rollback()
    made = start_payment(world.session, world.gateway, account_ids=[world.account_id], payer=Payer(world.user_id))
    payment_id = made.id
    intent = prepare(world.session, world.gateway, payment_id=payment_id)
    client_of(world.standin).v1.payment_intents.confirm(
        intent.id,
        {
            "payment_method": token,
            "return_url": "http://localhost/back",
            "mandate_data": {"customer_acceptance": {"type": "offline"}},
        },
    )
    refresh(world.session, world.gateway, payment_id=payment_id)


def test_a_plan_is_not_made_with_the_account_that_sent_it_back(world: PlanWorld) -> None:
    came_back_for_good(world)
    with pytest.raises(DebtReturned):
        world.enrol(method=CLOSED)
    world.session.rollback()
    assert world.enrol(method=GOOD).state is PlanState.ACTIVE


def test_nor_is_it_moved_to_that_account(world: PlanWorld) -> None:
    came_back_for_good(world)
    plan = world.enrol(method=GOOD)
    plan_id, closed = plan.id, world.save(CLOSED).public_id
    with pytest.raises(DebtReturned):
        change_method(
            world.session,
            plan_id=plan_id,
            user_id=world.user_id,
            method_public_id=closed,
            agree=world.agree,
            language="en",
            address="192.0.2.1",
            conditions=world.conditions,
        )


def test_one_that_the_patient_paid_by_hand_and_that_came_back_is_not_charged_by_the_plan(world: PlanWorld) -> None:
    """The plan has the same account: it waits, and says so."""
    world.enrol(method=GOOD)
    plan = world.plan()
    world.standin.turn_into(method_by_id(world.session, plan.method_id or 0).stripe_method_id, CLOSED)
    world.session.rollback()
    pay_next(
        world.session, world.gateway, plan_id=plan.id, user_id=world.user_id, conditions=world.conditions
    )
    latest = world.payments()[-1]
    payment_id, saved = latest.id, latest.method_id
    intent = prepare(world.session, world.gateway, payment_id=payment_id)
    client_of(world.standin).v1.payment_intents.confirm(
        intent.id,
        {
            "payment_method": saved or "",
            "return_url": "http://localhost/back",
            "mandate_data": {"customer_acceptance": {"type": "offline"}},
        },
    )
    refresh(world.session, world.gateway, payment_id=payment_id)
    world.day_by_day(30)
    assert world.payments_of_plan() == []
    assert world.plan().need is Need.METHOD
    mail = world.session.scalars(
        sa.select(Notification.body).where(Notification.key.endswith("/method-needed"))
    ).one()
    assert "sent an earlier payment back" in mail
    (listed,) = uncollected(world.session)
    assert listed.left_by is LeftBy.PLAN
    world.session.rollback()
    change_method(
        world.session,
        plan_id=plan.id,
        user_id=world.user_id,
        method_public_id=world.save("pm_card_visa").public_id,
        agree=world.agree,
        language="en",
        address="192.0.2.1",
        conditions=world.conditions,
    )
    assert uncollected(world.session) == []
    world.session.rollback()
    world.day_by_day(45)
    assert world.taken()


def test_moving_the_day_starts_no_new_count(world: PlanWorld) -> None:
    """The row's own count of tries begins anew then; the debt's does not."""
    world.enrol(method=EMPTY)
    while len(world.payments_of_plan()) < 2:
        world.day_by_day(1)
    world.day_by_day(5)
    world.wish(Wish(ChangeKind.SKIPPED))
    world.day_by_day(80)
    assert len(world.payments_of_plan()) == 3
    assert world.plan().need is Need.METHOD or world.plan().state is PlanState.STOPPED
