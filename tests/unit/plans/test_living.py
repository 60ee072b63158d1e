"""Living with a plan: every change the patient can make, what a decline leads to, and many workers at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
import sqlalchemy as sa

from portal.money import Money
from portal.notifications.models import Notification
from portal.plans.agreeing.drafting import draft
from portal.plans.agreeing.enrollment import enrol, propose
from portal.plans.agreeing.offers import decline
from portal.plans.changing.amending import (
    amend,
    cancel,
    change_method,
    eases,
    preview,
    stop_charges,
)
from portal.plans.changing.pausing import ask_for_pause, decide_request
from portal.plans.collecting.by_hand import pay_more, pay_next
from portal.plans.collecting.charging import charge
from portal.plans.desk.worklists import plans_at_risk
from portal.plans.errors import (
    LineNotOnPlan,
    NoSkipLeft,
    NothingToChange,
    PlanTooLong,
    ReasonMissing,
    ScheduleMoved,
)
from portal.plans.kinds import ChangeKind, Frequency, InstallmentState, Need, PlanState
from portal.plans.models import Attempt, PlanRequest
from portal.plans.queries import plan_charges
from portal.plans.rows import look
from portal.plans.rules.changes import ChangeRequest
from portal.plans.rules.policy import states
from portal.plans.rules.schedule import Rhythm
from tests.unit.plans.conftest import MONTHLY, PlanWorld


def total(coming: list[tuple[str, int]]) -> int:
    return sum(cents for _day, cents in coming)


def test_moving_the_day_keeps_the_amounts(world: PlanWorld) -> None:
    world.enrol()
    before = world.coming()
    world.wanted(ChangeRequest(ChangeKind.DAY_MOVED, rhythm=Rhythm(Frequency.MONTHLY, 25)))
    after = world.coming()
    assert [cents for _day, cents in after] == [cents for _day, cents in before]
    assert {day[-2:] for day, _cents in after} == {"25"}
    assert world.changes()[-1].consent_id is not None


def test_a_smaller_amount_within_the_policy(world: PlanWorld) -> None:
    world.enrol(each=10_000)
    before = world.coming()
    with pytest.raises(PlanTooLong):
        world.wanted(ChangeRequest(ChangeKind.AMOUNT_CHANGED, each=Money(2_600)))
    world.session.rollback()
    world.wanted(ChangeRequest(ChangeKind.AMOUNT_CHANGED, each=Money(5_000)))
    assert total(world.coming()) == total(before)
    assert world.coming()[0] == (before[0][0], 5_000)


def test_one_skip_a_year(world: PlanWorld) -> None:
    world.enrol()
    before = world.coming()
    world.wanted(ChangeRequest(ChangeKind.SKIPPED))
    assert world.states()[0] == InstallmentState.SKIPPED
    assert world.coming()[0][0] == before[1][0]
    assert total(world.coming()) == total(before)
    with pytest.raises(NoSkipLeft):
        world.wanted(ChangeRequest(ChangeKind.SKIPPED))
    world.session.rollback()


def test_a_line_is_taken_out_and_put_back(world: PlanWorld) -> None:
    world.enrol()
    before, due = world.coming(), world.due
    line = next(one for one in world.lines() if one.on_plan)
    world.wanted(ChangeRequest(ChangeKind.LINES_REMOVED, charges={line.charge_id: Money.zero()}))
    assert total(world.coming()) == total(before) - line.sums.due.cents
    assert world.due == due + line.sums.due  # an ordinary bill again
    world.wanted(ChangeRequest(ChangeKind.LINES_ADDED, charges={line.charge_id: Money.zero()}))
    assert total(world.coming()) == total(before)
    assert line.charge_id in plan_charges(world.session, world.plan().id)
    everything = dict.fromkeys(plan_charges(world.session, world.plan().id), Money.zero())
    with pytest.raises(LineNotOnPlan):
        world.wanted(ChangeRequest(ChangeKind.LINES_REMOVED, charges=everything))
    world.session.rollback()


def test_two_tabs_do_not_skip_twice(world: PlanWorld) -> None:
    world.with_policy(skips_a_year=5)
    world.enrol()
    skip = ChangeRequest(ChangeKind.SKIPPED)
    seen = preview(world.session, plan_id=world.plan().id, wanted=skip, conditions=world.conditions)
    world.wanted(ChangeRequest(ChangeKind.SKIPPED))
    from portal.plans.changing.amending import change

    with pytest.raises(ScheduleMoved):
        change(
            world.session,
            plan_id=world.plan().id,
            user_id=world.user_id,
            wanted=ChangeRequest(ChangeKind.SKIPPED),
            seen=seen.seen,
            agree=world.agree,
            language="en",
            address="",
            conditions=world.conditions,
        )
    world.session.rollback()
    assert world.states().count("skipped") == 1


def test_paying_the_next_one_early_takes_it_off(world: PlanWorld) -> None:
    world.enrol()
    before = world.coming()
    pay_next(
        world.session, world.gateway, plan_id=world.plan().id, user_id=world.user_id, conditions=world.conditions
    )
    assert world.states()[0] == "charging"
    world.confirm_latest()
    world.work()
    assert world.states()[0] == "paid"
    assert world.coming() == before[1:]
    world.later(days=14)
    world.work()
    assert world.taken() == before[0][1]  # its day came, and nothing more was charged
    assert not [subject for subject in world.plan_mails() if subject.startswith("Payment plan: $50.00 on November")]


def test_what_the_mail_server_did_not_take_in_time_is_not_sent_after_having_paid(world: PlanWorld) -> None:
    world.enrol()
    world.mail_works = False
    world.later(days=11)
    world.work()
    assert [subject for subject in world.plan_mails() if subject.startswith("Payment plan: ")]
    pay_next(
        world.session, world.gateway, plan_id=world.plan().id, user_id=world.user_id, conditions=world.conditions
    )
    world.confirm_latest()
    world.work()
    assert world.states()[0] == "paid"
    assert not [subject for subject in world.plan_mails() if subject.startswith("Payment plan: ")]


def test_paying_extra_shortens_the_plan_and_paying_off_ends_it(world: PlanWorld) -> None:
    world.enrol()
    before = world.coming()
    pay_more(
        world.session,
        world.gateway,
        plan_id=world.plan().id,
        user_id=world.user_id,
        amount=Money(6_000),
        conditions=world.conditions,
    )
    world.confirm_latest()
    world.later(hours=2)
    world.work()
    assert total(world.coming()) == total(before) - 6_000
    assert world.coming()[0] == before[0]
    assert world.changes()[-1].kind is ChangeKind.PAID_OUTSIDE
    pay_more(
        world.session,
        world.gateway,
        plan_id=world.plan().id,
        user_id=world.user_id,
        amount=None,
        conditions=world.conditions,
    )
    world.confirm_latest()
    world.later(hours=2)
    world.work()
    assert world.plan().state is PlanState.PAID
    assert world.taken() == total(before)


def test_a_pause_is_asked_for_and_granted(world: PlanWorld) -> None:
    world.enrol()
    until = world.today + timedelta(days=60)
    ask_for_pause(
        world.session,
        plan_id=world.plan().id,
        user_id=world.user_id,
        until=until,
        note="I lost my work.",
        conditions=world.conditions,
    )
    with pytest.raises(NothingToChange):
        ask_for_pause(
            world.session,
            plan_id=world.plan().id,
            user_id=world.user_id,
            until=until,
            note="",
            conditions=world.conditions,
        )
    world.session.rollback()
    request = world.session.scalars(sa.select(PlanRequest)).one()
    decide_request(
        world.session,
        request_id=request.id,
        staff_user_id=world.user_id,
        granted=True,
        answer="Of course.",
        conditions=world.conditions,
    )
    assert world.plan().state is PlanState.PAUSED
    assert world.coming()[0][0] >= until.isoformat()
    first, last = (date.fromisoformat(world.coming()[place][0]) for place in (0, -1))
    told = world.session.scalars(sa.select(Notification.body).where(Notification.key.startswith("plan/request/"))).one()
    assert f"The next is $50.00 on {first:%B} {first.day}, {first.year}" in told
    assert f"on {last:%B} {last.day}, {last.year}." in told
    world.session.rollback()
    world.day_by_day(59)
    assert world.taken() == 0
    world.day_by_day(25)
    assert world.plan().state is PlanState.ACTIVE
    assert world.taken() == 5_000
    assert "About the pause you asked for" in world.plan_mails()


def test_cancelling_makes_ordinary_bills_and_charges_nothing_more(world: PlanWorld) -> None:
    due = world.due
    world.enrol()
    cancel(
        world.session,
        plan_id=world.plan().id,
        actor_user_id=world.user_id,
        by_staff=False,
        conditions=world.conditions,
    )
    assert world.due == due
    world.day_by_day(30)
    assert world.taken() == 0
    assert set(world.states()) == {"dropped"}


def test_the_link_in_a_notice_stops_the_charges(world: PlanWorld) -> None:
    world.enrol()
    for _pressed_twice in range(2):
        stop_charges(world.session, plan_id=world.plan().id, conditions=world.conditions)
    # Anybody with the mail can press it: its owner is told, once.
    assert world.plan_mails().count("The charges of your payment plan are stopped") == 1
    world.day_by_day(40)
    assert world.taken() == 0
    assert world.plan().state is PlanState.PAUSED
    world.wanted(ChangeRequest(ChangeKind.RESUMED))
    world.day_by_day(32)
    assert world.taken() == 5_000


def test_another_method_after_a_card_that_is_gone(world: PlanWorld) -> None:
    world.enrol(method="pm_card_chargeCustomerFail")
    world.day_by_day(26)
    assert world.plan().need is Need.METHOD
    at_risk = plans_at_risk(world.session, today=world.today, beyond={})
    assert [one.plan.public_id for one in at_risk] == [world.plan().public_id]
    other = world.save("pm_card_mastercard").public_id
    change_method(
        world.session,
        plan_id=world.plan().id,
        user_id=world.user_id,
        method_public_id=other,
        agree=world.agree,
        language="en",
        address="",
        conditions=world.conditions,
    )
    world.work()
    assert world.taken() == 5_000
    assert world.plan().need is Need.NOTHING


def test_two_workers_make_one_payment(world: PlanWorld) -> None:
    world.enrol()
    world.later(days=10)
    world.work()
    world.later(days=3)
    (first, *_rest) = world.installments()
    ids = first.id
    world.session.rollback()
    for _worker in range(3):
        charge(world.session, world.gateway, installment_id=ids, conditions=world.conditions)
    assert len(world.payments_of_plan()) == 1
    assert len(world.session.scalars(sa.select(Attempt)).all()) == 1


def test_a_held_line_leaves_and_comes_back(world: PlanWorld) -> None:
    from portal.billing.kinds import HoldReason
    from portal.billing.service import place_hold, release_holds

    world.enrol()
    before = world.coming()
    line = next(one for one in world.lines() if one.on_plan)
    place_hold(
        world.session, charge_id=line.charge_id, account_id=world.account_id, reason=HoldReason.STAFF
    )
    world.session.commit()
    world.later(hours=2)
    world.work()
    assert total(world.coming()) == total(before) - line.sums.due.cents
    assert world.changes()[-1].kind is ChangeKind.HELD
    release_holds(
        world.session,
        charge_id=line.charge_id,
        account_id=world.account_id,
        actor_user_id=world.user_id,
        note="It is right.",
    )
    world.session.commit()
    world.later(hours=2)
    world.work()
    assert world.coming() == before
    assert world.changes()[-1].kind is ChangeKind.HOLD_ENDED


def test_staff_can_ease_a_plan_and_not_tighten_it(world: PlanWorld) -> None:
    world.enrol(each=10_000)

    def try_it(wanted: ChangeRequest, reason: str = "They called.") -> None:
        seen = preview(world.session, plan_id=world.plan().id, wanted=wanted, conditions=world.conditions)
        world.session.rollback()
        amend(
            world.session,
            plan_id=world.plan().id,
            staff_user_id=world.user_id,
            wanted=wanted,
            seen=seen.seen,
            reason=reason,
            is_supervisor=False,
            conditions=world.conditions,
        )

    with pytest.raises(ReasonMissing):
        try_it(ChangeRequest(ChangeKind.AMOUNT_CHANGED, each=Money(5_000)), reason=" ")
    world.session.rollback()
    with pytest.raises(ReasonMissing):
        try_it(ChangeRequest(ChangeKind.AMOUNT_CHANGED, each=Money(12_000)))
    world.session.rollback()
    try_it(ChangeRequest(ChangeKind.AMOUNT_CHANGED, each=Money(5_000)))
    last = world.changes()[-1]
    assert (last.note, last.consent_id) == ("They called.", None)
    found = preview(
        world.session,
        plan_id=world.plan().id,
        wanted=ChangeRequest(ChangeKind.AMOUNT_CHANGED, each=Money(6_000)),
        conditions=world.conditions,
    )
    assert not eases(found.before, found.after)
    world.session.rollback()


def test_a_proposal_needs_a_yes(world: PlanWorld) -> None:
    due = world.due
    values = {
        "account_id": world.account_id,
        "user_id": world.user_id,
        "staff_user_id": world.user_id,
        "charge_ids": None,
        "each": Money(1_000),
        "rhythm": MONTHLY,
        "is_supervisor": True,
        "conditions": world.conditions,
    }
    with pytest.raises(ReasonMissing):
        propose(world.session, reason="", **values)  # type: ignore[arg-type]
    world.session.rollback()
    propose(world.session, reason="Hardship, agreed on the phone.", **values)  # type: ignore[arg-type]
    assert world.plan().state is PlanState.PROPOSED
    assert world.due == due
    decline(world.session, plan_id=world.plan().id, actor_user_id=world.user_id)
    assert world.plan().state is PlanState.DECLINED
    propose(world.session, reason="Hardship, agreed on the phone.", **values)  # type: ignore[arg-type]
    proposal = world.plan()
    found = draft(
        world.session,
        world.account_id,
        user_id=world.user_id,
        each=Money(1_000),
        rhythm=MONTHLY,
        conditions=world.conditions,
        charge_ids=plan_charges(world.session, proposal.id),
        exceed=True,
    )
    enrol(
        world.session,
        account_id=world.account_id,
        user_id=world.user_id,
        charge_ids=[line.charge_id for line, _amount in found.lines],
        each=Money(1_000),
        rhythm=MONTHLY,
        method_public_id=world.save().public_id,
        seen=found.seen,
        agree=world.agree,
        language="en",
        address="",
        conditions=world.conditions,
        proposal_id=proposal.id,
    )
    assert world.plan().state is PlanState.ACTIVE
    assert world.plan().public_id == proposal.public_id
    assert world.due == Money.zero()


def test_an_installment_notes_what_was_taken_for_it(world: PlanWorld) -> None:
    """Less became due between the minute that fits plans and the charge: no more is taken, and none is claimed."""
    world.enrol(each=20_000)
    world.day_by_day((world.installments()[0].charge_on - world.today).days - 1)
    world.later(days=1)
    owed = look(world.session, world.plan().id, today=world.today).schedule.left
    world.session.rollback()
    for charge_id, cents in owed.items():
        world.adjust(charge_id, -(cents.cents // 2))
    left = look(world.session, world.plan().id, today=world.today).schedule.total
    assert left < Money(20_000)
    first = world.installments()[0]
    assert (first.state, first.amount) == (InstallmentState.PLANNED, Money(20_000))
    installment_id = first.id
    world.session.rollback()
    charge(world.session, world.gateway, installment_id=installment_id, conditions=world.conditions)
    world.work()
    assert world.taken() == left.cents
    paid = world.installments()[0]
    assert (paid.state, paid.amount) == (InstallmentState.PAID, left)


def test_a_capped_months_share_is_not_asked_for_twice_by_another_plan(world: PlanWorld) -> None:
    """What the plan took in its last month leaves no room for the first payment of the one that replaces it."""
    world.policy = replace(world.policy, rule=states()["CO"])
    plan = world.enrol()
    paid_on = world.installments()[0].due_on
    world.day_by_day((paid_on - world.today).days + 1)
    assert world.taken() == 5_000
    values = {"user_id": world.user_id, "each": Money(2_000), "conditions": world.conditions, "replaces": plan.id}
    rhythm = Rhythm(Frequency.MONTHLY, 28)
    free = draft(world.session, world.account_id, rhythm=rhythm, exceed=True, **values)
    assert free.schedule.unpaid[0].on.month == paid_on.month
    capped = draft(world.session, world.account_id, rhythm=rhythm, exceed=True, month_cap=Money(5_000), **values)
    assert capped.schedule.unpaid[0].on == free.schedule.unpaid[1].on
    assert capped.schedule.months_paid == 1  # of the 36 that the law counts for these charges


def test_a_pause_granted_to_who_stopped_the_charges_says_that_they_stay_stopped(world: PlanWorld) -> None:
    world.enrol()
    plan_id, until = world.plan().id, world.today + timedelta(days=60)
    values = {"plan_id": plan_id, "conditions": world.conditions}
    ask_for_pause(world.session, user_id=world.user_id, until=until, note="", **values)
    stop_charges(world.session, **values)
    request_id = world.session.scalars(sa.select(PlanRequest.id)).one()
    world.session.rollback()
    decide_request(
        world.session,
        request_id=request_id,
        staff_user_id=world.user_id,
        granted=True,
        answer="",
        conditions=world.conditions,
    )
    told = world.session.scalars(sa.select(Notification.body).where(Notification.key.startswith("plan/request/"))).one()
    assert "Nothing is charged until it goes on." in told
    assert "The next is" not in told
    assert world.plan().paused_until is None
