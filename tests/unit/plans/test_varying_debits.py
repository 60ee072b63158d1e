"""A bank debit of another amount than the usual one is told of ten days ahead: Regulation E, 12 CFR 1005.10(d)."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
import sqlalchemy as sa

from portal.notifications.models import Notification
from portal.plans.changing.amending import change_method
from portal.plans.collecting.charging import VARYING_NOTICE_DAYS, notice
from portal.plans.kinds import Need
from tests.unit.plans.conftest import PlanWorld

BANK, OTHER_BANK, CARD = "pm_usBankAccount_success", "pm_usBankAccount_dispute", "pm_card_visa"
UNUSUAL = "It is not the usual amount."

#: The day it was written on, its subject, and whether it says that the amount is not the usual one.
Notice = tuple[date, str, bool]


def notices(world: PlanWorld) -> list[tuple[str, bool]]:
    world.session.rollback()
    return [
        (subject, UNUSUAL in body)
        for subject, body in world.session.execute(
            sa.select(Notification.subject, Notification.body)
            .where(Notification.key.contains("/notice/"))
            .order_by(Notification.id)
        )
    ]


def told_day_by_day(world: PlanWorld, until: date) -> list[Notice]:
    """The notices that are written until that day, each with the day on which it was."""
    found, before = list[Notice](), len(notices(world))
    while world.today < until:
        world.day_by_day(1)
        told = notices(world)
        found += [(world.today, *one) for one in told[before:]]
        before = len(told)
    return found


def choose(world: PlanWorld, method: str) -> None:
    saved = world.save(method).public_id
    change_method(
        world.session, plan_id=world.plan().id, user_id=world.user_id, method_public_id=saved, agree=world.agree,
        language="en", address="192.0.2.1", conditions=world.conditions,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("method", "last"), [(BANK, (date(2030, 1, 5), True)), (CARD, (date(2030, 1, 12), False))], ids=["bank", "card"]
)
def test_the_last_one_of_a_bank_account_is_told_of_ten_days_before(
    world: PlanWorld, method: str, last: tuple[date, bool]
) -> None:
    world.enrol(each=10_000, method=method)
    assert world.coming() == [("2029-11-15", 10_000), ("2029-12-15", 10_000), ("2030-01-15", 4_832)]
    told_on, says_so = last
    assert told_day_by_day(world, date(2030, 1, 25)) == [
        (date(2029, 11, 12), "Payment plan: $100.00 on November 15, 2029", False),
        (date(2029, 12, 12), "Payment plan: $100.00 on December 15, 2029", False),
        (told_on, "Payment plan: $48.32 on January 15, 2030", says_so),
    ]
    assert set(world.states()) == {"paid"}
    assert [row.charge_on.day for row in world.installments()] == [15, 15, 15]


def test_two_workers_tell_once(world: PlanWorld) -> None:
    """Both found that it is to be told of; the second comes to its lock after the first."""
    world.enrol(each=10_000, method=BANK)
    first = world.installments()[0].id
    world.later(days=10)
    told = [notice(world.session, installment_id=first, conditions=world.conditions) for _worker in range(2)]
    assert told == [True, False]
    assert len(notices(world)) == 1


def test_an_operators_longer_notice_holds_for_the_last_one_too(world: PlanWorld) -> None:
    world.with_policy(notice_days=12)
    assert world.conditions.policy.notice_days > VARYING_NOTICE_DAYS
    world.enrol(each=10_000, method=BANK)
    told = told_day_by_day(world, date(2030, 1, 14))
    assert told[-1] == (date(2030, 1, 3), "Payment plan: $48.32 on January 15, 2030", True)


@pytest.mark.parametrize("mail_works", [True, False], ids=["sent", "unsent"])
def test_what_was_told_of_for_a_card_is_told_of_anew_for_a_bank_account(world: PlanWorld, mail_works: bool) -> None:
    """Three days are enough for a card only. A notice of the card's day that was not sent yet is taken back."""
    world.enrol(each=10_000)
    told_day_by_day(world, date(2030, 1, 11))
    world.mail_works = mail_works
    assert told_day_by_day(world, date(2030, 1, 13)) == [
        (date(2030, 1, 12), "Payment plan: $48.32 on January 15, 2030", False)
    ]
    choose(world, BANK)
    world.mail_works = True
    world.work()
    anew = ("Payment plan: $48.32 on January 23, 2030", True)
    assert notices(world)[2:] == [*([("Payment plan: $48.32 on January 15, 2030", False)] if mail_works else []), anew]
    assert told_day_by_day(world, date(2030, 1, 22)) == []
    assert world.taken() == 20_000
    (last,) = (row for row in world.installments() if row.state == "planned")
    assert (last.due_on, last.charge_on) == (date(2030, 1, 15), date(2030, 1, 23))
    assert told_day_by_day(world, date(2030, 1, 30)) == []
    assert (set(world.states()), world.taken()) == ({"paid"}, 24_832)


def test_the_usual_amount_keeps_the_notice_of_a_card(world: PlanWorld) -> None:
    world.enrol(each=10_000)
    told = told_day_by_day(world, date(2029, 11, 13))
    assert len(told) == 1
    choose(world, BANK)
    assert told_day_by_day(world, date(2029, 11, 25)) == []
    assert world.taken() == 10_000
    assert world.installments()[0].charge_on == date(2029, 11, 15)


def test_the_agreement_with_a_bank_account_tells_of_the_usual_amount(world: PlanWorld) -> None:
    """Two days before its day: it has just been read and agreed to, and it is not put off."""
    world.enrol(each=10_000)
    world.plan().need = Need.METHOD
    world.session.commit()
    assert told_day_by_day(world, date(2029, 11, 13)) == []
    choose(world, BANK)
    assert told_day_by_day(world, date(2029, 11, 15)) == []
    assert [one.amount.cents for one in world.payments_of_plan()] == [10_000]


def test_what_was_told_of_ten_days_before_is_not_told_of_for_another_account(world: PlanWorld) -> None:
    """However often it is changed, and also within the days of which the agreement itself tells."""
    world.enrol(each=10_000, method=BANK)
    told_day_by_day(world, date(2030, 1, 13))
    choose(world, OTHER_BANK)
    world.day_by_day(1)
    choose(world, BANK)
    assert told_day_by_day(world, date(2030, 1, 16)) == []
    assert len(notices(world)) == 3
    assert world.installments()[-1].charge_on == date(2030, 1, 15)


def test_what_nobody_told_of_gets_its_days_for_a_bank_account(world: PlanWorld) -> None:
    """The card is gone and the plan waits: nothing is told of meanwhile, and the agreement comes too late for it."""
    world.enrol(each=10_000)
    told_day_by_day(world, date(2030, 1, 1))
    world.plan().need = Need.METHOD
    world.session.commit()
    assert told_day_by_day(world, date(2030, 1, 14)) == []
    choose(world, BANK)
    world.work()
    assert notices(world)[2:] == [("Payment plan: $48.32 on January 24, 2030", True)]
    assert world.installments()[-1].charge_on - world.today == timedelta(days=VARYING_NOTICE_DAYS)


def test_what_was_turned_down_is_made_with_a_bank_account_at_once(world: PlanWorld) -> None:
    """The page says so, with its amount, and the patient agrees to it: that is no charge to come."""
    world.enrol(each=10_000)
    told_day_by_day(world, date(2030, 1, 14))
    last = world.installments()[-1]
    last.tries, last.charge_on = 1, date(2030, 1, 17)
    world.session.commit()
    world.later(days=1)
    choose(world, BANK)
    world.work()
    assert [one.amount.cents for one in world.payments_of_plan()] == [10_000, 10_000, 4_832]
    assert len(notices(world)) == 3
