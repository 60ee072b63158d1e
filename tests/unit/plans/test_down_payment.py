"""What is paid down: on the day of the agreement, told by it, and the rest as agreed."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from portal.money import Money
from portal.plans.agreeing.drafting import Draft, draft
from portal.plans.agreeing.enrollment import enrol
from portal.plans.changing.amending import stop_charges
from portal.plans.errors import PlanTooLong, ScheduleMoved
from portal.plans.kinds import ChangeKind
from portal.plans.rules.changes import ChangeRequest
from portal.plans.rules.policy import states
from tests.unit.plans.conftest import MONTHLY, PlanWorld
from tests.unit.plans.test_another_method import choose_another, last_agreed, last_copy

TODAY = date(2029, 11, 2)


@pytest.fixture
def world(world: PlanWorld) -> PlanWorld:
    world.with_policy(down_payment_percent=20)
    assert (world.today, world.due) == (TODAY, Money(24_832))
    return world


def drafted(world: PlanWorld, each: int, month_cap: int | None = None) -> Draft:
    found = draft(
        world.session, world.account_id, user_id=world.user_id, each=Money(each), rhythm=MONTHLY,
        conditions=world.conditions, month_cap=None if month_cap is None else Money(month_cap),
    )  # fmt: skip
    world.session.rollback()
    return found


def dues(found: Draft) -> list[tuple[date, int]]:
    return [(due.on, due.amount.cents) for due in found.schedule.unpaid]


def test_it_is_due_today_and_the_rest_on_the_rhythms_days(world: PlanWorld) -> None:
    found = drafted(world, 10_000)
    assert dues(found) == [(TODAY, 4_967), (date(2029, 11, 15), 10_000), (date(2029, 12, 15), 9_865)]
    assert (found.total, found.schedule.each) == (Money(24_832), Money(10_000))
    world.with_policy(down_payment_percent=0)
    assert dues(drafted(world, 10_000))[0] == (date(2029, 11, 15), 10_000)


def test_it_is_no_less_than_the_smallest_installment(world: PlanWorld) -> None:
    world.with_policy(down_payment_percent=1)
    assert dues(drafted(world, 10_000))[0] == (TODAY, 2_500)


def test_it_comes_besides_as_many_installments_as_may_be(world: PlanWorld) -> None:
    world.with_policy(longest=((None, 4),), down_payment_percent=10)
    assert len(dues(drafted(world, 6_000))) == 1 + 4
    with pytest.raises(PlanTooLong):
        drafted(world, 5_000)


def test_none_is_asked_where_the_law_caps_a_month(world: PlanWorld) -> None:
    world.policy = replace(world.policy, rule=states()["CO"])
    assert dues(drafted(world, 10_000, month_cap=10_000))[0] == (date(2029, 11, 15), 10_000)
    assert dues(drafted(world, 10_000))[0] == (TODAY, 4_967)


@pytest.mark.parametrize("method", ["pm_card_visa", "pm_usBankAccount_success"], ids=["card", "bank"])
def test_the_worker_charges_it_on_the_same_day_and_once(world: PlanWorld, method: str) -> None:
    """The agreement has told of it, and no mail does; for a bank account neither, though the amount is another one."""
    world.enrol(each=10_000, method=method)
    world.work()
    world.work()
    assert [one.amount for one in world.payments_of_plan()] == [Money(4_967)]
    assert not [one for one in world.plan_mails() if one.startswith("Payment plan:")]
    assert world.coming() == [("2029-11-15", 10_000), ("2029-12-15", 9_865)]
    world.day_by_day(13)
    assert (world.today, world.plan_mails()[-1]) == (
        date(2029, 11, 15), "Payment plan: $100.00 on November 15, 2029"
    )  # fmt: skip
    assert [one.amount.cents for one in world.payments_of_plan()] == [4_967, 10_000]
    world.day_by_day(40)
    assert (set(world.states()), world.taken()) == ({"paid"}, 24_832)


def test_today_is_the_day_it_is_agreed_to(world: PlanWorld) -> None:
    """A page that is open since yesterday says another day: the plan is shown again."""
    found, method = drafted(world, 10_000), world.save().public_id
    world.later(days=1)

    def agree(found: Draft) -> str:
        return enrol(
            world.session, account_id=world.account_id, user_id=world.user_id, each=Money(10_000), rhythm=MONTHLY,
            charge_ids=[line.charge_id for line, _amount in found.lines], method_public_id=method, seen=found.seen,
            agree=world.agree, language="en", address="", conditions=world.conditions,
        )  # fmt: skip

    with pytest.raises(ScheduleMoved):
        agree(found)
    world.session.rollback()
    agree(drafted(world, 10_000))
    assert world.coming()[0] == ("2029-11-03", 4_967)


def test_what_is_declined_is_tried_again_and_nothing_else_is_due_sooner(world: PlanWorld) -> None:
    world.enrol(each=10_000, method="pm_card_chargeCustomerFail")
    world.work()
    first = world.installments()[0]
    assert (first.tries, first.due_on, first.charge_on) == (1, TODAY, date(2029, 11, 5))
    assert world.coming()[1:] == [("2029-11-15", 10_000), ("2029-12-15", 9_865)]
    assert world.plan_mails()[-1] == "A payment of your plan did not go through"


def test_one_that_was_declined_is_not_financed_by_choosing_another_method(world: PlanWorld) -> None:
    """What is agreed to anew names it as before, and the disclosure counts the others only."""
    world.enrol(each=4_000, method="pm_card_chargeCustomerFail")
    world.work()
    assert (world.installments()[0].tries, len(world.coming())) == (1, 6)
    first = last_agreed(world)
    world.later(days=1)
    choose_another(world)
    for text in (first, last_agreed(world)):
        assert "Nov 2, 2029: $49.67 (down payment)" in text
        assert "Amount financed (the amount of credit provided to you): $198.65" in text
        assert "with your down payment of $49.67): $248.32" in text
        assert "Number of payments: 5" in text
        assert "Amount of payments: 4 of $40.00, then 1 of $38.65" in text
    assert "the down payment today and the others every month" in first
    assert "This changes my payment plan." in last_agreed(world)
    world.work()
    assert [one.amount for one in world.payments_of_plan() if one.state == "succeeded"] == [Money(4_967)]


@pytest.mark.parametrize("why", ["a bank's customer knows of it ten days before", "the plan is paused"])
def test_one_that_is_not_charged_at_once_is_not_promised_for_today(world: PlanWorld, why: str) -> None:
    """It stays a down payment, on the day it was due."""
    paused = "paused" in why
    world.enrol(each=4_000, method="pm_card_chargeCustomerFail")
    assert "You pay $49.67 today." in last_copy(world)
    if paused:
        world.work()
        stop_charges(world.session, plan_id=world.plan().id, conditions=world.conditions)
    choose_another(world, "pm_card_mastercard" if paused else "pm_usBankAccount_success")
    world.work()
    assert "succeeded" not in [one.state for one in world.payments_of_plan()]
    assert paused or world.installments()[0].charge_on == date(2029, 11, 12)
    for text in (last_agreed(world), last_copy(world)):
        assert "today" not in text.replace("Agreed to today", "")
    assert "Nov 2, 2029: $49.67 (down payment)" in last_agreed(world)
    assert "You pay $198.65 in 5 payments, every month on the 15th" in last_copy(world)


@pytest.mark.parametrize("kind", [ChangeKind.AMOUNT_CHANGED, ChangeKind.LINES_ADDED], ids=["amount", "bill"])
def test_what_takes_the_place_of_a_declined_one_is_financed(world: PlanWorld, kind: ChangeKind) -> None:
    """Another amount, or another bill, makes the payments anew: none of them is paid down, and all are disclosed."""
    joinable = [line.charge_id for line, _amount in drafted(world, 10_000).lines]
    last = max((line for line in world.lines() if line.charge_id in joinable), key=lambda line: line.sums.due)
    if kind is ChangeKind.LINES_ADDED:
        joinable.remove(last.charge_id)
    world.enrol(each=4_000, method="pm_card_chargeCustomerFail", charge_ids=joinable)
    world.work()
    world.later(days=2)
    assert (world.installments()[0].tries, world.coming()[0][0]) == (1, TODAY.isoformat())
    added = {last.charge_id: Money.zero()} if kind is ChangeKind.LINES_ADDED else {}
    world.wanted(ChangeRequest(kind, charges=added, each=Money(6_000)))
    assert world.coming()[0] == (TODAY.isoformat(), 6_000)
    agreed = last_agreed(world)
    assert "down payment)" not in agreed
    assert "Amount financed (the amount of credit provided to you): $248.32" in agreed
    assert "with your down payment of $0.00): $248.32" in agreed
    assert "Number of payments: 5" in agreed
    choose_another(world)
    assert "Number of payments: 5" in last_agreed(world)  # nor is it one again with another method


def test_an_installment_of_the_day_of_a_change_is_no_down_payment(world: PlanWorld) -> None:
    world.with_policy(down_payment_percent=0)
    world.enrol(each=5_000)
    world.later(days=13)
    assert world.coming()[0] == (world.today.isoformat(), 5_000)
    choose_another(world)
    assert "down payment)" not in last_agreed(world)
    assert "Number of payments: 5" in last_agreed(world)
