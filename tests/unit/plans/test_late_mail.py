"""Mail that goes out late, or would: nobody is charged on a notice that came too late, or told of what is paid."""

from __future__ import annotations

import sqlalchemy as sa

from portal.money import Money
from portal.notifications.models import Notification
from portal.plans.collecting.by_hand import pay_next
from portal.plans.kinds import Need
from tests.unit.plans.conftest import PlanWorld


def to_the_notice(world: PlanWorld) -> None:
    """The day on which the first installment is told of, with a mail server that is away."""
    world.enrol(each=5_000)
    world.work()
    world.mail_works = False
    while world.today.day != 12:
        world.later(days=1)
        world.work()


def waiting(world: PlanWorld) -> list[str]:
    world.session.rollback()
    return [
        subject
        for subject in world.session.scalars(sa.select(Notification.subject).where(Notification.sent_at.is_(None)))
        if subject.startswith("Payment plan:")
    ]


def test_a_notice_that_came_a_day_before_the_charge_is_none(world: PlanWorld) -> None:
    to_the_notice(world)
    world.later(days=2)
    world.mail_works = True
    world.work()
    world.later(days=1)
    world.work()
    assert world.taken() == 0
    first = world.installments()[0]
    assert (first.charge_on.day, first.due_on.day) == (18, 15)
    world.day_by_day(3)
    assert world.taken() == 5_000


def test_who_pays_before_the_notice_went_out_gets_none(world: PlanWorld) -> None:
    to_the_notice(world)
    assert waiting(world) == ["Payment plan: $50.00 on November 15, 2029"]
    pay_next(
        world.session, world.gateway, plan_id=world.plan().id, user_id=world.user_id, conditions=world.conditions
    )
    world.confirm_latest()
    world.mail_works = True
    world.work()
    assert not [one for one in world.plan_mails() if one.startswith("Payment plan: $50.00 on November 15")]


def test_a_payment_that_was_given_up_leaves_no_charge_without_a_notice(world: PlanWorld) -> None:
    to_the_notice(world)
    pay_next(
        world.session, world.gateway, plan_id=world.plan().id, user_id=world.user_id, conditions=world.conditions
    )
    world.mail_works = True
    world.later(days=3)
    world.work()
    world.later(hours=2)
    world.work()
    assert world.taken() == 0
    assert waiting(world) == []
    assert world.installments()[0].charge_on.day > 15
    world.day_by_day(5)
    assert world.taken() == 5_000


def test_more_after_the_notice_is_told_of_again_for_the_same_day(world: PlanWorld) -> None:
    """The key of the second notice is not that of the first: it would never be sent."""
    world.enrol(each=5_000)
    while world.today.day != 12:
        world.later(days=1)
        world.work()
    row = world.installments()[0]
    row.amount, row.noticed_at = Money(6_000), None
    from portal.plans import emails

    emails.queue_notice(
        world.session, user_id=world.user_id, installment=row.public_id, amount=row.amount, on=row.charge_on,
        plan_url="", stop_url="", varies=False,
    )  # fmt: skip
    world.session.commit()
    assert waiting(world) == ["Payment plan: $60.00 on November 15, 2029"]


def declined(world: PlanWorld) -> None:
    """The first charge is turned down while the mail server is away."""
    world.enrol(each=5_000, method="pm_card_chargeCustomerFail")
    while world.today.day != 15:
        world.later(days=1)
        world.work()
        world.mail_works = world.today.day < 14
    assert words(world) == ["A payment of your plan did not go through"]


def words(world: PlanWorld, *, sent: bool = False) -> list[str]:
    """The subjects of what was written of a payment that was turned down."""
    world.session.rollback()
    query = sa.select(Notification.subject).where(
        Notification.key.contains("/failed/"),
        Notification.sent_at.is_not(None) if sent else Notification.sent_at.is_(None),
    )
    return list(world.session.scalars(query))


def test_who_pays_before_reading_of_a_decline_reads_nothing_of_it(world: PlanWorld) -> None:
    """Not in the minutes between their payment and the moment that we know of it, and not after it."""
    declined(world)
    pay_next(
        world.session, world.gateway, plan_id=world.plan().id, user_id=world.user_id, conditions=world.conditions
    )
    world.mail_works = True
    world.post()
    assert words(world, sent=True) == []
    world.confirm_latest()
    world.post()
    assert words(world, sent=True) == []
    world.work()
    assert world.taken() == 5_000
    world.day_by_day(1)
    assert words(world) == words(world, sent=True) == []


def test_who_gives_their_payment_up_reads_of_the_decline_after_all(world: PlanWorld) -> None:
    declined(world)
    # As after a card that was stolen: nothing is tried again until they choose another.
    plan, row = world.plan(), world.installments()[0]
    plan.need, row.charge_on = Need.METHOD, world.today
    world.session.commit()
    pay_next(
        world.session, world.gateway, plan_id=world.plan().id, user_id=world.user_id, conditions=world.conditions
    )
    world.mail_works = True
    world.work()
    assert words(world, sent=True) == []
    world.later(hours=2)
    world.work()
    world.later(minutes=1)
    world.work()
    assert words(world, sent=True) == ["A payment of your plan did not go through"]
    assert words(world) == []


def test_a_second_decline_is_told_of_once(world: PlanWorld) -> None:
    declined(world)
    tries = world.installments()[0].tries
    while world.installments()[0].tries == tries:
        world.later(days=1)
        world.work()
    assert words(world) == ["A payment of your plan did not go through"]
    world.mail_works = True
    world.later(hours=12)
    world.work()
    assert words(world, sent=True) == ["A payment of your plan did not go through"]
