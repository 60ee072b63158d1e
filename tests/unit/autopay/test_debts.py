"""A debt is presented three times at most, whatever presents it; and a new bill is collected alone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import pytest
import sqlalchemy as sa
from stripe import CardError

from portal.audit.models import AuditEvent
from portal.audit.tags import Tag
from portal.autopay.kinds import AutopayState, ChargeState
from portal.autopay.service import stop
from portal.billing.kinds import EntryKind, HoldReason
from portal.billing.queries import lines_of_account
from portal.billing.service import NewEntry, place_hold, write_entries
from portal.disputes.service import sweep_disputes
from portal.money import Money
from portal.notifications.models import Notification
from portal.payments.models import Allocation, DebitReturn, Payment, SavedMethod
from portal.payments.returns import standing_returns
from portal.payments.service import Payer, prepare, refresh, start_payment
from portal.payments.state import PaymentState
from tests.unit.autopay.conftest import World
from tests.web.paying import client_of

EMPTY, GOOD = "pm_usBankAccount_insufficientFunds", "pm_usBankAccount_success"


def presented(world: World) -> list[tuple[int, int]]:
    """The day (0 is the first) and the cents of each debit or charge that was made."""
    days = [(one.created_at.date(), one.amount.cents) for one in world.payments()]
    return [((day - days[0][0]).days, cents) for day, cents in days]


def day_by_day(world: World, days: int) -> None:
    for _day in range(days):
        world.later(days=1)
        world.work()


def insurance_moves(world: World, cents: int) -> int:
    """The insurer moves the patient's share of the oldest line that is payable; its charge."""
    line = next(line for line in lines_of_account(world.session, world.account_id) if line.payable)
    return insurance_moves_to(world, line.charge_id, cents)


def insurance_moves_to(world: World, charge_id: int, cents: int) -> int:
    """The same for a line that is named."""
    write_entries(
        world.session,
        [
            NewEntry(
                account_id=world.account_id,
                charge_id=charge_id,
                kind=EntryKind.ADJUSTMENT,
                insurer=Money.zero(),
                patient=Money(cents),
                source="test",
                source_id=f"move/{charge_id}/{world.today}/{cents}",
                group_code="PR",
                reason_code="3",
            )
        ],
    )
    world.session.commit()
    return charge_id


@pytest.fixture
def new_bill(world: World) -> Callable[[], Money]:
    """Makes a bill ready to pay, when it is called, and says how much it is."""
    line = [line for line in lines_of_account(world.session, world.account_id) if line.payable][-1]
    place_hold(world.session, charge_id=line.charge_id, reason=HoldReason.STAFF, account_id=world.account_id)
    world.session.commit()

    def comes() -> Money:
        world.session.execute(sa.text("UPDATE hold SET released_at = placed_at WHERE reason = 'staff'"))
        world.session.commit()
        return line.payable

    return comes


def test_one_debt_is_presented_three_times_and_no_more(world: World) -> None:
    """The story as it was found: days 0, 11, 20, 35, 46 and 55, since each charge had tries of its own."""
    world.turn_on(EMPTY)
    world.work()
    day_by_day(world, 120)
    assert len(presented(world)) == 3
    assert [one.state for one in world.charges()] == [ChargeState.FAILED]
    assert world.autopay().state is AutopayState.ACTIVE
    assert world.taken() == 0


def test_a_new_bill_is_collected_alone(world: World, new_bill: Callable[[], Money]) -> None:
    world.turn_on(EMPTY)
    world.work()
    day_by_day(world, 60)
    world.standin.turn_into(world.payments()[0].method_id or "", GOOD)
    debt = world.due
    new = new_bill()
    day_by_day(world, 30)
    assert [cents for _day, cents in presented(world)] == [debt.cents] * 3 + [new.cents]
    assert world.taken() == new.cents
    assert world.due == debt
    notices = [body for body in _bodies(world, "/notice/") if str(new) in body]
    assert len(notices) == 1


def _bodies(world: World, kind: str) -> list[str]:
    world.session.rollback()
    found = sa.select(Notification.body).where(Notification.key.contains(kind)).order_by(Notification.id)
    return list(world.session.scalars(found))


@pytest.mark.parametrize("cents", [-1_000, 1_000], ids=["a smaller amount", "a larger amount"])
@pytest.mark.parametrize("before", [7, 60], ids=["between two tries", "after the last"])
def test_another_amount_is_the_same_debt(world: World, cents: int, before: int) -> None:
    insurance_moves(world, -1_500)
    world.turn_on(EMPTY)
    world.to_charge_day()
    day_by_day(world, before)
    moved = insurance_moves(world, cents)
    day_by_day(world, 100)
    parts = _presented_of(world, moved)
    assert len(parts) == 3
    assert world.taken() == 0


def _presented_of(world: World, charge_id: int) -> list[int]:
    world.session.rollback()
    return [
        amount.cents
        for amount in world.session.scalars(
            sa.select(Allocation.amount)
            .join(Payment, Payment.id == Allocation.payment_id)
            .where(Allocation.charge_id == charge_id)
            .order_by(Allocation.payment_id)
        )
    ]


@pytest.mark.parametrize("code", ["accountClosed", "noAccount", "debitNotAuthorized"])
def test_what_may_not_be_presented_again_is_not(world: World, code: str) -> None:
    world.turn_on(f"pm_usBankAccount_{code}")
    world.work()
    day_by_day(world, 100)
    assert len(presented(world)) == 1
    assert [one.state for one in world.charges()] == [ChargeState.FAILED]


@pytest.mark.parametrize("marks", ["f", ""], ids=["by its fingerprint", "by its last digits"])
@pytest.mark.parametrize("token", [EMPTY, "pm_usBankAccount_accountClosed"])
def test_the_same_account_agreed_to_again_is_the_same_debt(world: World, token: str, marks: str) -> None:
    world.turn_on(token)
    world.session.execute(sa.update(SavedMethod).values(fingerprint=marks))
    world.session.commit()
    world.work()
    day_by_day(world, 60)
    tried = len(presented(world))
    stop(world.session, autopay_id=world.autopay().id, actor_user_id=world.user_id)
    world.session.execute(sa.update(SavedMethod).values(removed_at=SavedMethod.saved_at))
    world.turn_on(token)  # saved again: another id, the same account
    world.session.execute(sa.update(SavedMethod).values(fingerprint=marks))
    world.session.commit()
    world.work()
    day_by_day(world, 40)
    assert len(presented(world)) == tried
    # Who turns it on again is told that it stays out.
    assert len(_bodies(world, "/left-out/")) == 1


def test_another_account_is_what_the_patient_does_about_it(world: World) -> None:
    world.turn_on(EMPTY)
    world.work()
    day_by_day(world, 60)
    debt = world.due
    stop(world.session, autopay_id=world.autopay().id, actor_user_id=world.user_id)
    world.turn_on(GOOD)
    world.work()
    day_by_day(world, 20)
    assert world.taken() == debt.cents


def test_a_payment_by_hand_that_bounced_counts_too(world: World) -> None:
    """Autopay has the same account: what the patient tried once is presented twice more, and no more."""
    saved = world.turn_on(EMPTY)
    assert saved
    for _day in range(2):
        by_hand(world, EMPTY)
        day_by_day(world, 5)
    day_by_day(world, 60)
    assert [one.source.value for one in world.payments()] == ["patient", "patient", "autopay"]
    assert len(_bodies(world, "/failed")) == 1


def by_hand(world: World, token: str, *, amount: Money | None = None) -> None:
    world.session.rollback()
    payment = start_payment(
        world.session, world.gateway, account_ids=[world.account_id], payer=Payer(world.user_id), amount=amount
    )
    payment_id = payment.id
    intent = prepare(world.session, world.gateway, payment_id=payment_id)
    agreed = {"mandate_data": {"customer_acceptance": {"type": "offline"}}} if "Bank" in token else {}
    client_of(world.standin).v1.payment_intents.confirm(
        intent.id, {"payment_method": token, "return_url": "http://localhost/back", **agreed}
    )
    world.session.rollback()
    refresh(world.session, world.gateway, payment_id=payment_id)


def test_a_debit_that_nobody_saw_go_out_is_counted_by_itself(world: World) -> None:
    """The tab was closed and the worker was away: the same payment can't be confirmed and presented once more."""
    world.turn_on(EMPTY)
    intent_id = confirm_unseen(world, EMPTY)
    first = world.payments()[0].id
    world.later(days=5)
    refresh(world.session, world.gateway, payment_id=first)
    assert world.gateway.retrieve_intent(intent_id).status == "canceled"
    assert world.payments()[0].state is PaymentState.CANCELED
    assert len(_bodies(world, "returned/")) == 1
    by_hand(world, EMPTY)
    day_by_day(world, 60)
    assert [one.source.value for one in world.payments()] == ["patient", "patient", "autopay"]
    assert world.session.scalar(sa.select(sa.func.count()).select_from(DebitReturn)) == 3


def confirm_unseen(world: World, token: str) -> str:
    """The patient confirms by bank and closes the tab, and nobody asks Stripe; the intent's id."""
    world.session.rollback()
    made = start_payment(world.session, world.gateway, account_ids=[world.account_id], payer=Payer(world.user_id))
    intent = prepare(world.session, world.gateway, payment_id=made.id)
    client_of(world.standin).v1.payment_intents.confirm(
        intent.id,
        {
            "payment_method": token,
            "return_url": "http://localhost/back",
            "mandate_data": {"customer_acceptance": {"type": "offline"}},
        },
    )
    return intent.id


def test_a_declined_card_leaves_the_payment_open(world: World) -> None:
    world.session.rollback()
    made = start_payment(world.session, world.gateway, account_ids=[world.account_id], payer=Payer(world.user_id))
    payment_id = made.id
    intent = prepare(world.session, world.gateway, payment_id=payment_id)
    with pytest.raises(CardError):
        client_of(world.standin).v1.payment_intents.confirm(
            intent.id, {"payment_method": "pm_card_chargeDeclined", "return_url": "http://localhost/back"}
        )
    assert refresh(world.session, world.gateway, payment_id=payment_id).status == "requires_payment_method"
    assert world.payments()[0].state is PaymentState.OPEN


def test_what_a_bank_takes_back_after_it_had_arrived_counts_as_refused(world: World) -> None:
    world.turn_on("pm_usBankAccount_dispute")
    world.to_charge_day()
    day_by_day(world, 12)
    sweep_disputes(world.session, world.gateway)
    world.session.rollback()
    found = world.session.scalars(sa.select(DebitReturn)).one()
    assert found.code != "insufficient_funds"
    world.session.execute(sa.text("UPDATE hold SET released_at = placed_at WHERE released_at IS NULL"))
    world.session.commit()
    assert world.due
    day_by_day(world, 40)
    assert len(presented(world)) == 1
    assert len(_bodies(world, "/left-out/")) == 1


def test_it_is_told_once_what_is_left_out_and_audited(world: World) -> None:
    world.turn_on(EMPTY)
    world.work()
    day_by_day(world, 90)
    (last,) = _bodies(world, "/failed")
    assert "We will not charge it again by ourselves" in last
    assert "with any card or bank account" in last
    assert _bodies(world, "/left-out/") == []
    facts = world.session.scalars(sa.select(AuditEvent.facts).where(AuditEvent.tag == Tag.AUTOPAY_CHANGED)).all()
    assert [one["what"] for one in facts] == ["left_out"]


def test_a_payment_made_while_the_debit_was_on_its_way_is_no_answer_to_it(world: World) -> None:
    """It paid other cents of the line: those that bounced stay as often presented as they were."""
    moved = insurance_moves(world, -2_000)
    world.turn_on("pm_usBankAccount_accountClosed")
    world.to_charge_day()
    bounced = world.payments()[0].amount
    assert _presented_of(world, moved) == [1_000]
    assert insurance_moves(world, 1_500) == moved
    by_hand(world, "pm_card_visa")
    day_by_day(world, 60)
    assert [(one.source.value, one.amount.cents) for one in world.payments()][1:] == [("patient", 1_500)]
    assert world.due == bounced


def test_more_than_180_days_later_it_is_too_late(world: World) -> None:
    world.turn_on(EMPTY)
    world.to_charge_day()
    while not world.charges()[0].tries:
        day_by_day(world, 1)
    world.later(days=200)  # nobody worked: the portal was away
    world.work()
    world.work()
    assert len(presented(world)) == 1
    assert world.charges()[0].state is ChargeState.SKIPPED
    assert date(2026, 11, 2) + timedelta(days=200) < world.today
    world.later(hours=2)
    world.work()
    assert len(_bodies(world, "/left-out/")) == 1


def test_what_insurance_lowered_and_was_then_paid_off_is_no_debt_any_more(world: World) -> None:
    """Money that moves back to the patient half a year later never bounced: it is collected like any other."""
    insurance_moves(world, -1_500)
    world.turn_on(EMPTY)
    world.to_charge_day()
    while not world.charges()[0].tries:
        day_by_day(world, 1)
    moved = insurance_moves(world, -400)
    world.standin.turn_into(world.payments()[0].method_id or "", GOOD)
    day_by_day(world, 20)
    paid, *others = _presented_of(world, moved)
    assert others == [paid - 400]
    world.session.rollback()
    assert world.taken()
    assert standing_returns(world.session, [world.account_id]) == {}
    world.later(days=200)
    assert insurance_moves_to(world, moved, 500)
    day_by_day(world, 20)
    assert _presented_of(world, moved) == [paid, paid - 400, 500]
    assert _bodies(world, "/left-out/") == []


@pytest.mark.parametrize(("token", "more"), [("pm_usBankAccount_accountClosed", 0), (EMPTY, 1)])
def test_what_is_paid_later_clears_no_debits_of_other_cents(world: World, token: str, more: int) -> None:
    """Two debits of one line are under way at once, both come back, and half of the line is paid."""
    world.turn_on(token)
    world.work()
    first, *others = [line for line in lines_of_account(world.session, world.account_id) if line.payable]
    for line in others:
        insurance_moves_to(world, line.charge_id, -line.payable.cents)
    half = Money(first.payable.cents // 2)
    insurance_moves_to(world, first.charge_id, -half.cents)
    while not world.payments():
        day_by_day(world, 1)
    insurance_moves_to(world, first.charge_id, half.cents)
    by_hand(world, token)
    assert len(presented(world)) == 2
    day_by_day(world, 40)
    before = presented(world)
    by_hand(world, "pm_card_visa", amount=half)
    assert len(standing_returns(world.session, [world.account_id])[first.charge_id]) >= 2
    day_by_day(world, 60)
    # What is left may have been in one of the two and in the one after them: it is presented three times at most.
    assert [cents for _day, cents in presented(world)][len(before) + 1 :] == [half.cents] * more
    by_hand(world, "pm_card_visa")
    assert standing_returns(world.session, [world.account_id]) == {}
