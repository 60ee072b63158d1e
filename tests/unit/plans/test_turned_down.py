"""After a decline: a try that was promised is made, and what is waited for is waited for, and no longer."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from portal import clock
from portal.notifications.models import Notification
from portal.payments.methods.queries import method_by_id
from portal.plans.collecting.by_hand import pay_next
from portal.plans.kinds import ChangeKind, Frequency, InstallmentState, Need, PlanState
from portal.plans.models import Attempt, Installment
from portal.plans.rules.changes import ChangeRequest
from portal.plans.rules.schedule import Rhythm
from tests.unit.plans.conftest import PlanWorld


def mails(world: PlanWorld, kind: str) -> list[str]:
    """What was written about the first installment."""
    about = f"plan/{first_row(world).public_id}/{kind}"
    found = sa.select(Notification.body).where(Notification.key.startswith(about)).order_by(Notification.id)
    return list(world.session.scalars(found))


def first_row(world: PlanWorld) -> Installment:
    world.session.rollback()
    return world.session.scalars(sa.select(Installment).order_by(Installment.id)).first()  # type: ignore[return-value]


def enrolled_with(world: PlanWorld, token: str) -> None:
    """A plan on a card that behaves like ``token``'s once it is saved."""
    plan = world.enrol()
    world.standin.turn_into(method_by_id(world.session, plan.method_id or 0).stripe_method_id, token)
    while world.plan().need is Need.NOTHING:
        assert not world.taken()
        world.day_by_day(1)


def pay_by_hand(world: PlanWorld, card: str = "pm_card_mastercard") -> None:
    pay_next(
        world.session, world.gateway, plan_id=world.plan().id, user_id=world.user_id, conditions=world.conditions
    )
    world.confirm_latest(card)
    world.work()


@pytest.mark.parametrize("weekday", range(5))
def test_a_debit_that_comes_back_late_is_tried_again_as_promised_before_it_counts_as_missed(
    world: PlanWorld, weekday: int
) -> None:
    """Each return takes days, so that the last try lies beyond the grace for some days of the week."""
    world.enrol(each=12_500, method="pm_usBankAccount_insufficientFunds", rhythm=Rhythm(Frequency.TWO_WEEKLY, weekday))
    last_of_all = None
    while (row := first_row(world)).state is not InstallmentState.MISSED:
        if row.tries and world.plan().need is Need.METHOD:
            last_of_all = last_of_all or world.today
        world.day_by_day(1)
        assert world.today - row.due_on < timedelta(days=60)
    promised = [
        datetime.strptime(day[1], "%B %d, %Y").date()
        for body in mails(world, "failed/")
        if (day := re.search(r"try again on (.*)\. You", body))
    ]
    tried = [
        clock.clinic_day(at)
        for at in world.session.scalars(
            sa.select(Attempt.made_at).where(Attempt.installment_id == row.id).order_by(Attempt.id)
        )
    ]
    assert len(promised) == 2
    assert tried[1:] == promised
    # Then there are days to choose another method, and the mail that asks for it does not name one that is past.
    assert last_of_all is not None
    asked_by = re.search(r"choose another one by (\w+ \d+, \d{4})", mails(world, "failed/")[-1])
    assert asked_by
    by = datetime.strptime(asked_by[1], "%B %d, %Y").date()
    assert by >= last_of_all + timedelta(days=4)
    assert world.today == by + timedelta(days=1)
    assert "choose another one: until then nothing is charged" in mails(world, "missed")[0]


def test_paying_one_with_another_card_does_not_make_the_plans_own_any_better(world: PlanWorld) -> None:
    enrolled_with(world, "pm_card_visa_chargeDeclinedStolenCard")
    assert world.plan().need is Need.METHOD
    tried = len(world.payments_of_plan())
    pay_by_hand(world)
    assert first_row(world).state is InstallmentState.PAID
    assert world.plan().need is Need.METHOD
    world.day_by_day(40)
    assert len(world.payments_of_plan()) == tried  # the stolen card is not asked again


def test_paying_what_the_bank_wants_confirmed_lets_the_plan_go_on(world: PlanWorld) -> None:
    enrolled_with(world, "pm_card_authenticationRequired")
    assert world.plan().need is Need.CONFIRMATION
    assert "press “Pay the next one now”" in mails(world, "failed/")[-1]
    pay_by_hand(world, "pm_card_visa")
    assert first_row(world).state is InstallmentState.PAID
    assert world.plan().need is Need.NOTHING


@pytest.mark.parametrize(
    "wanted",
    [ChangeRequest(ChangeKind.SKIPPED), ChangeRequest(ChangeKind.DAY_MOVED, rhythm=Rhythm(Frequency.MONTHLY, 20))],
    ids=["skipped", "moved"],
)
def test_what_was_turned_down_is_let_go_of_when_it_is_put_off(world: PlanWorld, wanted: ChangeRequest) -> None:
    enrolled_with(world, "pm_card_authenticationRequired")
    tried = len(world.payments_of_plan())
    world.wanted(wanted)
    assert world.plan().need is Need.NOTHING
    assert world.plan().state is PlanState.ACTIVE
    assert all(not row.tries and not row.failure_code for row in world.installments() if row.state == "planned")
    world.day_by_day(45)
    assert len(world.payments_of_plan()) > tried  # the next one is announced and asked for as usual
