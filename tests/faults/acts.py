"""What people do: patients who pay in every way there is, reload, give up and come again; clerks who refund."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from typing import Any

import sqlalchemy as sa
import stripe

from portal import clock
from portal.auth.models import User
from portal.money import Money
from portal.payments.booking import left_of_parts
from portal.payments.errors import (
    AmountAboveBalance,
    AmountBelowMinimum,
    AnotherPaymentRuns,
    LineNotPayable,
    NothingToPay,
    PaymentIsOver,
    StripeRefused,
    StripeUnreachable,
)
from portal.payments.gateway import MINIMUM, Intent
from portal.payments.kinds import PaymentSource
from portal.payments.methods.customers import customer_of
from portal.payments.models import Payment, PaymentShare
from portal.payments.service import Payer, family_lines, held_on, left_to_pay, prepare, refresh, start_payment
from portal.payments.state import PaymentState
from portal.refunds.errors import (
    AmountAboveLeft,
    AmountNotPositive,
    LineNotRefundable,
    NothingLeft,
    NotRefundable,
    PaymentDisputed,
)
from portal.refunds.service import approve, request_refund
from portal.refunds.state import RefundReason, RefundState
from portal.sandbox.stripe.errors import ApiError
from tests.faults.world import Patient, Points, World

#: What a patient may be told instead of getting on; anything else is a bug and not caught.
TOLD = (
    AmountAboveBalance,
    AmountBelowMinimum,
    AnotherPaymentRuns,
    LineNotPayable,
    NothingToPay,
    PaymentIsOver,
    StripeRefused,
    StripeUnreachable,
)
#: What a clerk may be told instead of a refund.
NO_REFUND = (AmountAboveLeft, AmountNotPositive, LineNotRefundable, NothingLeft, NotRefundable, PaymentDisputed)
CARD, DECLINED = "pm_card_visa", "pm_card_chargeDeclinedInsufficientFunds"
SLOW_REFUND, FAILING_REFUND = "pm_card_pendingRefund", "pm_card_refundFail"
BANK, EMPTY_BANK = "pm_usBankAccount_success", "pm_usBankAccount_insufficientFunds"
_AGREED = {"customer_acceptance": {"type": "online", "online": {"ip_address": "203.0.113.7", "user_agent": "test"}}}


def payable(world: World, account_ids: Collection[int]) -> Money:
    """What may be paid on the accounts now."""
    with world.at_work() as session:
        lines = left_to_pay(family_lines(session, account_ids, user_id=None), held_on(session, account_ids))
        session.commit()
        return Money.total(line.amount for line in lines)


def start(world: World, who: Patient, *, guest: bool = False, family: bool = False, **what: Any) -> Intent | None:
    """The pay page: an attempt and its intent, which the browser gets; None when the page says why not."""
    accounts = [who.account_id, who.relative_id] if family else [who.account_id]
    payer = Payer(None, PaymentSource.GUEST) if guest else Payer(who.user_id)
    with world.at_work() as session:
        try:
            attempt = start_payment(session, world.gateway, account_ids=accounts, payer=payer, **what)
            return prepare(session, world.gateway, payment_id=attempt.id)
        except TOLD:
            session.rollback()
            return None


def confirm(world: World, intent: Intent | None, method: str = CARD) -> bool:
    """The patient confirms in the browser, with Stripe; False when Stripe or the bank says no."""
    if intent is None:
        return False
    params: Any = {"payment_method": method, "return_url": "http://localhost/back"}
    if "usBankAccount" in method:
        params["mandate_data"] = _AGREED
    try:
        world.browser.v1.payment_intents.confirm(intent.id, params)
    except stripe.StripeError:
        return False
    return True


def come_back(world: World, who: Patient) -> None:
    """The return page, or a reload of it: look again at the newest attempt on the patient's account."""
    with world.at_work() as session:
        newest = session.scalar(
            sa.select(sa.func.max(PaymentShare.payment_id)).where(PaymentShare.account_id == who.account_id)
        )
        session.commit()
        if newest is None:
            return
        try:
            refresh(session, world.gateway, payment_id=newest)
        except TOLD:
            session.rollback()


def _pay_all(world: World, who: Patient, dice: random.Random) -> None:
    confirm(world, start(world, who))
    come_back(world, who)


def _pay_some(world: World, who: Patient, dice: random.Random) -> None:
    most = payable(world, [who.account_id])
    if most >= MINIMUM:
        confirm(world, start(world, who, amount=Money(dice.randint(MINIMUM.cents, most.cents))))
    come_back(world, who)


def _pay_lines(world: World, who: Patient, dice: random.Random) -> None:
    chosen = dice.sample(who.charge_ids, dice.randint(1, len(who.charge_ids)))
    confirm(world, start(world, who, charge_ids=chosen))
    come_back(world, who)


def _pay_as_guest(world: World, who: Patient, dice: random.Random) -> None:
    confirm(world, start(world, who, guest=True))
    come_back(world, who)


def _pay_for_family(world: World, who: Patient, dice: random.Random) -> None:
    confirm(world, start(world, who, family=True))
    come_back(world, who)


def _pay_by_bank(world: World, who: Patient, dice: random.Random) -> None:
    confirm(world, start(world, who), dice.choice([BANK, BANK, EMPTY_BANK]))
    come_back(world, who)


def _pay_after_decline(world: World, who: Patient, dice: random.Random) -> None:
    intent = start(world, who)
    confirm(world, intent, DECLINED)
    come_back(world, who)
    confirm(world, start(world, who))
    come_back(world, who)


def _pay_and_close(world: World, who: Patient, dice: random.Random) -> None:
    confirm(world, start(world, who))  # the browser is closed: webhook or sweep must settle it


def _change_of_mind(world: World, who: Patient, dice: random.Random) -> None:
    """Another amount in another tab, while the first tab is still open; then the first tab pays, too."""
    first = start(world, who)
    most = payable(world, [who.account_id])
    second = start(world, who, amount=Money(most.cents // 2)) if most.cents >= 2 * MINIMUM.cents else None
    for intent in dice.sample([first, second], 2):
        confirm(world, intent)
    come_back(world, who)


def _pay_unattended(world: World, who: Patient, dice: random.Random) -> None:
    """A saved card is charged with nobody there, as automatic payments are: the request itself takes the money."""
    with world.at_work() as session:
        try:
            customer = customer_of(session, world.gateway, user_id=who.user_id, account_id=who.account_id)
            card = world.browser.v1.payment_methods.attach(CARD, {"customer": customer})
            payer = Payer(who.user_id, PaymentSource.AUTOPAY, method_id=card.id)
            attempt = start_payment(session, world.gateway, account_ids=[who.account_id], payer=payer)
            prepare(session, world.gateway, payment_id=attempt.id)
        except (*TOLD, stripe.StripeError):
            session.rollback()


Act = Callable[[World, Patient, random.Random], None]

#: Ways to pay, by name.
PAYING: dict[str, Act] = {
    "all of it": _pay_all,
    "some of it": _pay_some,
    "chosen lines": _pay_lines,
    "as a guest": _pay_as_guest,
    "for the family": _pay_for_family,
    "from a bank account": _pay_by_bank,
    "after a decline": _pay_after_decline,
    "and close the browser": _pay_and_close,
    "in two tabs": _change_of_mind,
    "unattended": _pay_unattended,
}


def attempts_of(world: World, who: Patient) -> list[str]:
    """The public ids of every attempt on the patient's account."""
    with world.at_work() as session:
        found = session.scalars(
            sa.select(Payment.public_id)
            .join(PaymentShare, PaymentShare.payment_id == Payment.id)
            .where(PaymentShare.account_id == who.account_id)
        ).all()
        session.commit()
        return list(found)


# Giving back


def ask_refund(
    world: World,
    who: Patient,
    *,
    token: str | None = None,
    amount: Money | None = None,
    charge_ids: Collection[int] | None = None,
) -> str | None:
    """A clerk asks for a refund of the newest payment that went through; its public id, or None where there is none
    to give. Above the limit the supervisor says yes at once.
    """
    with world.at_work() as session:
        clerk, supervisor = (
            session.scalars(sa.select(User.id).where(User.email == f"{name}@example.test")).one()
            for name in ("clerk", "supervisor")
        )
        paid = session.scalar(
            sa.select(Payment.public_id)
            .join(PaymentShare, PaymentShare.payment_id == Payment.id)
            .where(PaymentShare.account_id == who.account_id, Payment.state == PaymentState.SUCCEEDED)
            .order_by(Payment.id.desc())
            .limit(1)
        )
        if paid is None:
            session.commit()
            return None
        today = clock.today(world.settings.clinic_timezone)
        try:
            refund = request_refund(
                session,
                payment_public_id=paid,
                actor=clerk,
                reason=RefundReason.REQUESTED,
                note="",
                today=today,
                limit=Money(world.settings.refund_approval_cents),
                amount=amount,
                charge_ids=charge_ids,
                public_id=token,
            )
            public_id = refund.public_id
            if refund.state is RefundState.PROPOSED:
                session.commit()
                approve(session, public_id=public_id, actor=supervisor, today=today)
            session.commit()
        except NO_REFUND:
            session.rollback()
            return None
        return public_id


def left_with_us(world: World, who: Patient) -> Money:
    """What is left with us of the patient's newest payment that went through."""
    with world.at_work() as session:
        newest = session.scalar(
            sa.select(sa.func.max(Payment.id))
            .join(PaymentShare, PaymentShare.payment_id == Payment.id)
            .where(PaymentShare.account_id == who.account_id, Payment.state == PaymentState.SUCCEEDED)
        )
        left = left_of_parts(session, newest or 0)
        session.commit()
        return Money.total(left.values())


def _refund_all(world: World, who: Patient, dice: random.Random) -> None:
    ask_refund(world, who)


def _refund_some(world: World, who: Patient, dice: random.Random) -> None:
    left = left_with_us(world, who)
    if left:
        ask_refund(world, who, amount=Money(dice.randint(1, left.cents)))


def _refund_lines(world: World, who: Patient, dice: random.Random) -> None:
    ask_refund(world, who, charge_ids=dice.sample(who.charge_ids, dice.randint(1, len(who.charge_ids))))


def _refund_twice(world: World, who: Patient, dice: random.Random) -> None:
    """The same form sent twice, and another clerk's form for the same payment."""
    left, token = left_with_us(world, who), f"{dice.getrandbits(128):032x}"
    if left.cents >= 2:
        for _ in range(2):
            ask_refund(world, who, token=token, amount=Money(left.cents // 2))
        ask_refund(world, who, amount=Money(left.cents // 2 + 1))


#: Ways to give money back, by name; each begins with a payment of all that is due, with a card whose refunds ...
REFUNDING: dict[str, Act] = {
    "refund all": _refund_all,
    "refund some": _refund_some,
    "refund lines": _refund_lines,
    "refund twice": _refund_twice,
    "refund, on its way for days": _refund_all,
    "refund, sent back by the bank": _refund_some,
}
_REFUND_CARDS = {
    "refund, on its way for days": SLOW_REFUND,
    "refund, sent back by the bank": FAILING_REFUND,
}


def pay_for(world: World, who: Patient, refunding: str) -> None:
    """What a way to give back needs first: the payment."""
    confirm(world, start(world, who), _REFUND_CARDS.get(refunding, CARD))
    come_back(world, who)


def refund_in_dashboard(world: World, who: Patient, *, share: int = 100, under_way: bool = False) -> str | None:
    """Somebody gives ``share`` percent of the newest payment back in Stripe's dashboard; the refund's id, None where
    there is nothing to give. ``under_way``: of a bank debit that has not arrived.
    """
    charge = newest_charge(world, who, status="pending" if under_way else "succeeded")
    if charge is None:
        return None
    amount = next(one["amount"] for one in world.stripe.every("charge", 10_000) if one["id"] == charge)
    try:
        return str(world.stripe.refund_in_dashboard(charge, max(1, amount * share // 100))["id"])
    except (ValueError, ApiError):
        return None


def _swept(world: World, who: Patient, dice: random.Random) -> None:
    """A refund in the dashboard that nobody hears of: the sweep alone, and whoever dies, dies in it."""
    points, world.points = world.points, Points()
    pay_for(world, who, "")
    refund_in_dashboard(world, who, share=60)
    world.time.advance(minutes=16)
    world.points = points
    with world.at_work():
        world.jobs["refunds.sweep"]()


def _swept_under_way(world: World, who: Patient, dice: random.Random) -> None:
    """The same of a bank debit that arrives, or does not, while nobody is there."""
    points, world.points = world.points, Points()
    confirm(world, start(world, who), dice.choice([BANK, EMPTY_BANK]))
    come_back(world, who)
    refund_in_dashboard(world, who, share=dice.choice([40, 100]), under_way=True)
    with world.at_work():
        world.jobs["refunds.sweep"]()
    world.time.advance(days=5)
    world.points = points
    with world.at_work():
        world.jobs["refunds.sweep"]()


#: What is done past the portal, by name, each up to the sweep that finds it.
DASHBOARD: dict[str, Act] = {"swept": _swept, "swept, of a debit under way": _swept_under_way}


# Banks


def newest_charge(world: World, who: Patient, *, status: str = "succeeded") -> str | None:
    """Stripe's charge of the patient's newest payment that Stripe took (or, ``pending``, is about to)."""
    attempts = attempts_of(world, who)
    for charge in world.stripe.every("charge", 10_000):
        if charge["status"] == status and charge["metadata"].get("attempt_id") in attempts:
            return str(charge["id"])
    return None


def dispute(world: World, who: Patient, *, amount: int | None = None) -> str | None:
    """The patient's bank calls the newest payment back (or ``amount`` cents of it); the dispute's id, None where it
    can't be.
    """
    charge = newest_charge(world, who)
    try:
        return None if charge is None else str(world.stripe.open_dispute(charge, amount=amount)["id"])
    except ValueError:
        return None
