"""What the staff can do to a plan, and what only the patient can."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from portal.billing.models import Posting
from portal.money import Money
from portal.payments.models import Consent
from portal.plans.agreeing.drafting import draft, still_offered
from portal.plans.agreeing.enrollment import enrol, propose
from portal.plans.changing.amending import amend, preview, stop_charges
from portal.plans.changing.pausing import ask_for_pause, decide_request
from portal.plans.errors import (
    ConsentMissing,
    InstallmentTooSmall,
    NothingToChange,
    PauseTooLong,
    PlanRuns,
    PlanTooLong,
    PutOffTooFar,
    ScheduleMoved,
)
from portal.plans.kinds import ChangeKind, Frequency, PlanState
from portal.plans.models import Plan, PlanRequest
from portal.plans.queries import plan_charges
from portal.plans.rules.changes import ChangeRequest
from portal.plans.rules.schedule import Rhythm
from tests.unit.plans.conftest import MONTHLY, PlanWorld


def offer(world: PlanWorld, **values: Any) -> str:
    """What a supervisor proposes: all that may be on a plan, $50.00 a month."""
    given: dict[str, Any] = {
        "account_id": world.account_id,
        "user_id": world.user_id,
        "staff_user_id": world.user_id,
        "charge_ids": None,
        "each": Money(5_000),
        "rhythm": MONTHLY,
        "reason": "Agreed on the phone.",
        "is_supervisor": True,
        "conditions": world.conditions,
        **values,
    }
    return propose(world.session, **given)


def accept(world: PlanWorld, **values: Any) -> None:
    """The patient says yes, to what was offered or (``values``) to something else."""
    plan = world.plan()
    given: dict[str, Any] = {
        "each": plan.each,
        "rhythm": Rhythm(plan.frequency, plan.day),
        "charge_ids": still_offered(world.session, plan.id, conditions=world.conditions),
        **values,
    }
    seen = draft(
        world.session, world.account_id, user_id=world.user_id, conditions=world.conditions, exceed=True, **given
    ).seen
    world.session.rollback()
    enrol(
        world.session,
        account_id=world.account_id,
        user_id=world.user_id,
        method_public_id=world.save().public_id,
        seen=seen,
        agree=world.agree,
        language="en",
        address="",
        conditions=world.conditions,
        proposal_id=plan.id,
        **given,
    )


def by_staff(world: PlanWorld, wanted: ChangeRequest) -> None:
    seen = preview(world.session, plan_id=world.plan().id, wanted=wanted, conditions=world.conditions).seen
    world.session.rollback()
    amend(
        world.session,
        plan_id=world.plan().id,
        staff_user_id=world.user_id,
        wanted=wanted,
        seen=seen,
        reason="They called.",
        is_supervisor=True,
        conditions=world.conditions,
    )


def asked(world: PlanWorld, days: int) -> int:
    ask_for_pause(
        world.session,
        plan_id=world.plan().id,
        user_id=world.user_id,
        until=world.today + timedelta(days=days),
        note="",
        conditions=world.conditions,
    )
    return world.session.scalars(sa.select(PlanRequest.id)).one()


def grant(world: PlanWorld, request_id: int) -> None:
    world.session.rollback()
    decide_request(
        world.session,
        request_id=request_id,
        staff_user_id=world.user_id,
        granted=True,
        answer="",
        conditions=world.conditions,
    )


def test_a_day_that_the_policy_does_not_offer_can_be_proposed_and_accepted(world: PlanWorld) -> None:
    offer(world, rhythm=Rhythm(Frequency.MONTHLY, 7))
    assert world.plan().exceeds
    accept(world)
    assert world.plan().state is PlanState.ACTIVE
    assert {day[-2:] for day, _cents in world.coming()} == {"07"}


def test_a_small_balance_can_be_proposed_with_a_reason(world: PlanWorld) -> None:
    world.with_policy(smallest_balance=Money(100_000))
    offer(world)
    accept(world)
    assert world.plan().state is PlanState.ACTIVE


def test_an_offer_gives_no_leave_to_exceed_the_policy_otherwise(world: PlanWorld) -> None:
    offer(world, each=Money(1_000))
    with pytest.raises(InstallmentTooSmall):
        accept(world, each=Money(100))
    world.session.rollback()
    assert world.plan().state is PlanState.PROPOSED
    accept(world)


def test_what_was_within_the_policy_when_it_was_offered_can_be_accepted(world: PlanWorld) -> None:
    offer(world, reason="")
    world.with_policy(longest=((None, 2),))
    accept(world)
    assert world.plan().state is PlanState.ACTIVE


def test_what_no_card_can_pay_is_not_proposed_either(world: PlanWorld) -> None:
    for cents in (49, 1, 0, -5):
        with pytest.raises(InstallmentTooSmall):
            offer(world, each=Money(cents))
        world.session.rollback()
    world.enrol()
    with pytest.raises(InstallmentTooSmall):
        by_staff(world, ChangeRequest(ChangeKind.AMOUNT_CHANGED, each=Money(1), exceed=True))
    world.session.rollback()


def test_the_same_form_twice_offers_once_and_only_what_was_seen(world: PlanWorld) -> None:
    with pytest.raises(ScheduleMoved):
        offer(world, seen="something else")
    world.session.rollback()
    first = offer(world, public_id="a" * 32)
    assert offer(world, public_id="a" * 32) == first == "a" * 32
    assert world.session.scalar(sa.select(sa.func.count()).select_from(Plan)) == 1
    assert world.plan_mails().count("A payment plan for you") == 1


def test_a_pause_in_which_nothing_is_due_can_be_granted(world: PlanWorld) -> None:
    world.enrol()
    before = world.coming()
    grant(world, asked(world, days=5))
    assert world.plan().state is PlanState.PAUSED
    assert world.coming() == before


def test_a_pause_whose_day_has_passed_cannot(world: PlanWorld) -> None:
    world.enrol()
    request_id = asked(world, days=5)
    world.later(days=6)
    with pytest.raises(PauseTooLong):
        grant(world, request_id)
    world.session.rollback()


def test_staff_do_not_start_charges_again_that_the_patient_stopped(world: PlanWorld) -> None:
    world.enrol()
    request_id = asked(world, days=30)
    stop_charges(world.session, plan_id=world.plan().id, conditions=world.conditions)
    with pytest.raises(ConsentMissing):
        by_staff(world, ChangeRequest(ChangeKind.RESUMED))
    world.session.rollback()
    with pytest.raises(NothingToChange):
        by_staff(world, ChangeRequest(ChangeKind.PAUSED, until=world.today + timedelta(days=3)))
    world.session.rollback()
    grant(world, request_id)
    world.day_by_day(50)
    assert (world.plan().state, world.plan().paused_until, world.taken()) == (PlanState.PAUSED, None, 0)


def test_a_pause_is_made_longer_and_not_shorter(world: PlanWorld) -> None:
    world.enrol()
    long, short = (ChangeRequest(ChangeKind.PAUSED, until=world.today + timedelta(days=days)) for days in (40, 20))
    by_staff(world, short)
    by_staff(world, long)
    assert world.plan().paused_until == long.until
    with pytest.raises(NothingToChange):
        by_staff(world, short)
    world.session.rollback()


def test_the_day_can_be_moved_when_little_is_left_or_the_plan_exceeds_the_policy(world: PlanWorld) -> None:
    offer(world, each=Money(1_000))
    accept(world)
    world.wanted(ChangeRequest(ChangeKind.DAY_MOVED, rhythm=Rhythm(Frequency.MONTHLY, 20)))
    with pytest.raises(InstallmentTooSmall):
        world.wanted(ChangeRequest(ChangeKind.AMOUNT_CHANGED, each=Money(900)))
    world.session.rollback()
    world.with_policy(smallest_balance=Money(1_000_000), longest=((None, 1),))
    world.wanted(ChangeRequest(ChangeKind.DAY_MOVED, rhythm=Rhythm(Frequency.MONTHLY, 25)))
    with pytest.raises(PlanTooLong):  # as many weeks as months would be fine, as many months as weeks is longer
        world.wanted(ChangeRequest(ChangeKind.DAY_MOVED, rhythm=Rhythm(Frequency.TWO_WEEKLY, 2)))
    world.session.rollback()


def test_an_offer_takes_the_place_of_a_plan_once_the_patient_agrees(world: PlanWorld) -> None:
    old = world.enrol(each=5_000).public_id
    due = sum(cents for _day, cents in world.coming())
    with pytest.raises(PlanRuns):
        offer(world, each=Money(10_000))
    world.session.rollback()
    with pytest.raises(PlanRuns):  # somebody else's yes ends nobody's plan
        offer(world, each=Money(10_000), replaces=True, user_id=world.user_id + 1)
    world.session.rollback()
    new = offer(world, each=Money(10_000), replaces=True)

    def state(public_id: str) -> tuple[PlanState, str]:
        world.session.rollback()
        row = world.session.execute(sa.select(Plan.state, Plan.end_reason).where(Plan.public_id == public_id)).one()
        return row[0], row[1]

    assert state(old)[0] is PlanState.ACTIVE  # until they say yes it goes on
    world.day_by_day(14)
    assert world.taken() == 5_000
    accept(world)
    assert (state(old), state(new)[0]) == ((PlanState.CANCELED, "replaced"), PlanState.ACTIVE)
    assert sum(cents for _day, cents in world.coming()) == due - 5_000
    assert world.due == Money.zero()
    text = world.session.get_one(Consent, world.changes()[-1].consent_id).text
    assert "takes the place of my present payment plan" in text
    kinds = world.session.scalars(sa.select(Posting.kind).order_by(Posting.id)).all()
    assert kinds == ["plan_enrolled", "patient_payment", "plan_ended", "plan_enrolled"]
    world.day_by_day(31 * 3)
    assert world.taken() == due


def test_a_yes_to_what_has_moved_leaves_the_plan_that_runs(world: PlanWorld) -> None:
    world.enrol(each=5_000)
    old = world.plan().id
    offer(world, each=Money(10_000), replaces=True)
    proposal = world.plan()
    with pytest.raises(ScheduleMoved):
        enrol(
            world.session,
            account_id=world.account_id,
            user_id=world.user_id,
            charge_ids=plan_charges(world.session, proposal.id),
            each=proposal.each,
            rhythm=MONTHLY,
            method_public_id=world.save().public_id,
            seen="what was there yesterday",
            agree=world.agree,
            language="en",
            address="",
            conditions=world.conditions,
            proposal_id=proposal.id,
        )
    world.session.rollback()
    assert world.session.get_one(Plan, old).state is PlanState.ACTIVE
    assert plan_charges(world.session, old)
    world.session.rollback()


@pytest.mark.parametrize(
    ("now", "wanted", "before", "after"),
    [
        (1, 20, ["2030-01-01", "2030-02-01"], ["2030-01-20", "2030-02-20"]),
        (20, 1, ["2029-12-20", "2030-01-20"], ["2030-01-01", "2030-02-01"]),
    ],
    ids=["later in the month", "earlier in the month"],
)
def test_after_a_skip_the_desk_can_move_the_day_either_way(
    world: PlanWorld, now: int, wanted: int, before: list[str], after: list[str]
) -> None:
    """The first such day that is no sooner than the next payment is now: nothing that the patient has to agree to."""
    world.enrol(rhythm=Rhythm(Frequency.MONTHLY, now))
    by_staff(world, ChangeRequest(ChangeKind.SKIPPED))
    assert [day for day, _cents in world.coming()][:2] == before
    total = sum(cents for _day, cents in world.coming())
    by_staff(world, ChangeRequest(ChangeKind.DAY_MOVED, rhythm=Rhythm(Frequency.MONTHLY, wanted), not_sooner=True))
    assert [day for day, _cents in world.coming()][:2] == after
    assert sum(cents for _day, cents in world.coming()) == total


def moved_by_the_desk(world: PlanWorld, day: int, **values: Any) -> str:
    """The day on which the next payment is due after the desk moved the plan to this day of the month."""
    rhythm = Rhythm(Frequency.MONTHLY, day)
    by_staff(world, ChangeRequest(ChangeKind.DAY_MOVED, rhythm=rhythm, not_sooner=True, **values))
    return world.coming()[0][0]


def test_the_desk_puts_a_plan_off_by_one_payments_time_whatever_it_moves(world: PlanWorld) -> None:
    """One move after another is no way around what the policy says of pauses and skips."""
    world.enrol(rhythm=Rhythm(Frequency.MONTHLY, 25))
    assert world.coming()[0][0] == "2029-11-25"
    assert moved_by_the_desk(world, 20) == "2029-12-20"
    world.later(days=3)
    for day in (15, 10, 1):
        with pytest.raises(PutOffTooFar) as refused:
            moved_by_the_desk(world, day)
        world.session.rollback()
        assert refused.value.latest.isoformat() == "2029-12-26"
    assert moved_by_the_desk(world, 25) == "2029-12-25"  # back to the day that it had
    with pytest.raises(PutOffTooFar):
        moved_by_the_desk(world, 20)
    world.session.rollback()
    assert moved_by_the_desk(world, 20, exceed=True) == "2030-01-20"


def test_a_payment_or_the_patients_yes_lets_the_desk_move_the_day_again(world: PlanWorld) -> None:
    world.enrol(rhythm=Rhythm(Frequency.MONTHLY, 10))
    assert moved_by_the_desk(world, 5) == "2029-12-05"
    with pytest.raises(PutOffTooFar):
        moved_by_the_desk(world, 15)
    world.session.rollback()
    world.wanted(ChangeRequest(ChangeKind.AMOUNT_CHANGED, each=Money(6_000)))
    before = world.coming()[0][0]
    assert moved_by_the_desk(world, 1) > before
    while "paid" not in world.states():
        world.day_by_day(1)
    before = world.coming()[0][0]
    assert moved_by_the_desk(world, 25) > before
