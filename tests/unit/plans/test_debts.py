"""A plan presents no debt that its bank sent back for good, whoever presented it before."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

import pytest
import sqlalchemy as sa

from portal.money import Money
from portal.notifications.models import Notification
from portal.payments.methods.queries import method_by_id
from portal.payments.models import DebitReturn, SavedMethod
from portal.payments.returns import standing_returns
from portal.payments.service import Payer, prepare, refresh, start_payment
from portal.plans.changing.amending import change_method
from portal.plans.collecting.by_hand import pay_next
from portal.plans.coverage import coverage, left_by_charge
from portal.plans.desk.uncollected import LeftBy, uncollected
from portal.plans.errors import DebtReturned
from portal.plans.kinds import ChangeKind, InstallmentState, Need, PlanState
from portal.plans.models import Installment
from portal.plans.returned import last_day_of
from portal.plans.rules.changes import ChangeRequest
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
    world.wanted(ChangeRequest(ChangeKind.SKIPPED))
    world.day_by_day(80)
    assert len(world.payments_of_plan()) == 3
    assert world.plan().need is Need.METHOD or world.plan().state is PlanState.STOPPED


def stopped_plan(world: PlanWorld, *, late: int = 0) -> None:
    """A plan that waits since its account sent a payment back that the patient had made with it.

    ``late``: the worker is away for so many days when the installment is due.
    """
    world.enrol(method=GOOD, each=12_500)
    plan = world.plan()
    saved = method_by_id(world.session, plan.method_id or 0).stripe_method_id
    world.standin.turn_into(saved, CLOSED)
    world.session.rollback()
    pay_next(world.session, world.gateway, plan_id=plan.id, user_id=world.user_id, conditions=world.conditions)
    payment_id = world.payments()[-1].id
    intent = prepare(world.session, world.gateway, payment_id=payment_id)
    client_of(world.standin).v1.payment_intents.confirm(
        intent.id,
        {
            "payment_method": saved,
            "return_url": "http://localhost/back",
            "mandate_data": {"customer_acceptance": {"type": "offline"}},
        },
    )
    refresh(world.session, world.gateway, payment_id=payment_id)
    world.day_by_day(5)
    while world.plan().need is Need.NOTHING:
        if late and next_row(world).charge_on == world.today + timedelta(days=1):
            world.later(days=late)
        world.day_by_day(1)
    assert world.plan().need is Need.METHOD


def next_row(world: PlanWorld) -> Installment:
    return next(row for row in world.installments() if row.state is InstallmentState.PLANNED)


def day_in_the_mail(world: PlanWorld) -> date:
    body = world.session.scalars(
        sa.select(Notification.body).where(Notification.key.endswith("/method-needed"))
    ).one()
    found = re.search(r"account by (\w+ \d+, \d{4})", body)
    assert found
    return datetime.strptime(found[1], "%B %d, %Y").date()


def pay_what_bounced(world: PlanWorld) -> None:
    """By card, as the mail says: all that is left of the lines that came back."""
    world.session.rollback()
    owed = {one for ones in [standing_returns(world.session, [world.account_id])] for one in ones}
    left = left_by_charge(coverage(world.session, world.plan().id, world.account_id))
    amount = Money.total(left[one] for one in owed)
    world.session.rollback()
    start_payment(
        world.session,
        world.gateway,
        account_ids=[world.account_id],
        payer=Payer(world.user_id),
        only={one: left[one] for one in owed},
        amount=amount,
    )
    world.confirm_latest()
    world.work()


def test_who_pays_what_was_sent_back_lets_the_plan_go_on(world: PlanWorld) -> None:
    stopped_plan(world)
    pay_what_bounced(world)
    assert world.plan().state is PlanState.ACTIVE
    assert world.plan().need is Need.NOTHING
    # The rest is announced anew before it is charged.
    row = next_row(world)
    assert row.noticed_at is None or row.charge_on > world.today
    plan = world.plan()
    world.standin.turn_into(method_by_id(world.session, plan.method_id or 0).stripe_method_id, GOOD)
    world.session.rollback()
    taken = world.taken()
    world.day_by_day(45)
    assert world.taken() > taken


def test_it_waits_on_where_its_own_method_is_gone(world: PlanWorld) -> None:
    stopped_plan(world)
    world.session.execute(sa.update(SavedMethod).values(removed_at=SavedMethod.saved_at))
    world.session.commit()
    pay_what_bounced(world)
    assert world.plan().need is Need.METHOD


@pytest.mark.parametrize("late", [0, 14])
def test_the_mail_names_the_last_day_before_it_is_missed(world: PlanWorld, late: int) -> None:
    stopped_plan(world, late=late)
    by, row = day_in_the_mail(world), next_row(world)
    assert last_day_of(world.session, row.id, row.due_on, world.conditions) == by
    row_id = row.id
    while world.session.get_one(Installment, row_id, populate_existing=True).state is InstallmentState.PLANNED:
        world.day_by_day(1)
        assert world.today < by + timedelta(days=5)
    assert world.today == by + timedelta(days=1)
