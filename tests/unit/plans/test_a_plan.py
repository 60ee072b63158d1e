"""A plan from the agreement to the last installment."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from portal.documents.models import Document
from portal.money import Money
from portal.payments.models import Consent
from portal.plans.agreeing.drafting import draft
from portal.plans.agreeing.enrollment import enrol
from portal.plans.errors import InstallmentTooSmall, PlanRuns, PlanTooLong, ScheduleMoved
from portal.plans.kinds import ChangeKind, InstallmentState, PlanState
from tests.unit.plans.conftest import MONTHLY, PlanWorld


def test_a_plan_is_charged_to_its_last_cent_and_never_twice(world: PlanWorld) -> None:
    due = world.due
    plan = world.enrol(each=5_000)
    assert plan.state is PlanState.ACTIVE
    coming = world.coming()
    assert sum(cents for _day, cents in coming) == due.cents
    assert [day for day, _cents in coming][:3] == ["2029-11-15", "2029-12-15", "2030-01-15"]
    assert world.due == Money.zero()  # on the plan, and not asked for besides
    world.day_by_day(31 * (len(coming) + 1))
    assert set(world.states()) == {"paid"}
    plan = world.plan()
    assert (plan.state, plan.end_reason) == (PlanState.PAID, "paid")
    assert world.taken() == due.cents
    assert len(world.payments_of_plan()) == len(coming)
    assert not any(line.on_plan for line in world.lines())
    assert world.plan_mails()[-1] == "Your payment plan is paid off"
    notices = [subject for subject in world.plan_mails() if subject.startswith("Payment plan:")]
    assert len(notices) == len(coming)


def test_what_was_agreed_to_is_kept_word_by_word(world: PlanWorld) -> None:
    world.enrol()
    (first,) = world.changes()
    assert first.kind is ChangeKind.ENROLLED
    consent = world.session.get_one(Consent, first.consent_id)
    assert (consent.kind, consent.address, consent.subject) == ("plan", "192.0.2.1", world.plan().public_id)
    assert "Truth in Lending" in consent.text
    assert all(f"{Money(cents)}" in consent.text for _day, cents in world.coming())
    document = world.session.get_one(Document, first.document_id)
    assert document.content.startswith(b"%PDF")
    assert "Your payment plan agreement" in world.plan_mails()


def test_the_policy_is_kept(world: PlanWorld) -> None:
    with pytest.raises(InstallmentTooSmall):
        world.enrol(each=2_000)
    world.session.rollback()
    world.with_policy(longest=((None, 2),))
    with pytest.raises(PlanTooLong) as caught:
        world.enrol(each=3_000)
    assert caught.value.most == 2
    world.session.rollback()
    world.enrol(each=caught.value.least.cents)


def test_one_plan_an_account_and_only_what_was_shown(world: PlanWorld) -> None:
    world.enrol()
    with pytest.raises(PlanRuns):
        enrol(
            world.session,
            account_id=world.account_id,
            user_id=world.user_id,
            charge_ids=[],
            each=Money(5_000),
            rhythm=MONTHLY,
            method_public_id=world.save("pm_card_mastercard").public_id,
            seen="",
            agree=world.agree,
            language="en",
            address="",
            conditions=world.conditions,
        )
    world.session.rollback()


def test_a_schedule_that_moved_is_shown_again(world: PlanWorld) -> None:
    found = draft(
        world.session,
        world.account_id,
        user_id=world.user_id,
        each=Money(5_000),
        rhythm=MONTHLY,
        conditions=world.conditions,
    )
    line = found.lines[0][0]
    world.session.rollback()
    world.adjust(line.charge_id, -500)
    with pytest.raises(ScheduleMoved):
        enrol(
            world.session,
            account_id=world.account_id,
            user_id=world.user_id,
            charge_ids=[one.charge_id for one, _amount in found.lines],
            each=Money(5_000),
            rhythm=MONTHLY,
            method_public_id=world.save().public_id,
            seen=found.seen,
            agree=world.agree,
            language="en",
            address="",
            conditions=world.conditions,
        )
    world.session.rollback()
    assert world.session.scalar(sa.text("SELECT count(*) FROM plan")) == 0


def test_the_insurer_pays_and_the_plan_gets_shorter(world: PlanWorld) -> None:
    world.enrol(each=5_000)
    before = world.coming()
    line = next(one for one in world.lines() if one.on_plan and one.sums.due >= Money(1_000))
    world.adjust(line.charge_id, -1_000)
    world.later(hours=2)
    world.work()
    after = world.coming()
    assert sum(cents for _day, cents in after) == sum(cents for _day, cents in before) - 1_000
    assert after[0] == before[0]
    assert world.changes()[-1].kind is ChangeKind.INSURANCE_MOVED
    assert "Your payment plan has changed" in world.plan_mails()


def test_what_the_insurer_adds_is_not_charged_by_the_plan(world: PlanWorld) -> None:
    world.enrol(each=5_000)
    before = world.coming()
    line = next(one for one in world.lines() if one.on_plan)
    world.adjust(line.charge_id, 2_500)
    world.later(hours=2)
    world.work()
    assert world.coming() == before


def test_a_card_that_is_declined_is_tried_again_and_then_missed(world: PlanWorld) -> None:
    world.enrol(each=5_000, method="pm_card_chargeCustomerFail")
    world.day_by_day(35)
    states = world.states()
    assert InstallmentState.MISSED.value in states
    payments = world.payments_of_plan()
    assert all(one.state == "canceled" for one in payments)
    assert world.taken() == 0
    world.day_by_day(70)
    plan = world.plan()
    assert (plan.state, plan.end_reason) == (PlanState.STOPPED, "missed")
    assert "Your payment plan has ended" in world.plan_mails()
    assert world.due > Money.zero()  # an ordinary bill again
