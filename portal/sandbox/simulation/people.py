"""What patients do with their plans in a year: they begin them, pay early, extra and off, change them, and give up.

Each act is what the pages call. What a patient may be told instead of getting on is no fault; anything else is.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
import stripe
from sqlalchemy.orm import Session

from portal.money import Money
from portal.payments.kinds import ConsentKind
from portal.payments.methods.customers import customer_of
from portal.payments.models import Consent, Payment, SavedMethod
from portal.payments.service import prepare, refresh
from portal.plans import errors as plan_errors
from portal.plans.agreeing.agreement import agreement
from portal.plans.agreeing.drafting import draft
from portal.plans.agreeing.enrollment import enrol
from portal.plans.changing.amending import (
    cancel,
    change,
    change_method,
    may_be_added,
    preview,
    stop_charges,
)
from portal.plans.changing.pausing import ask_for_pause
from portal.plans.collecting.by_hand import pay_more, pay_next
from portal.plans.coverage import coverage
from portal.plans.kinds import ChangeKind, Frequency, InstallmentState, Need, PlanState
from portal.plans.models import Installment, Plan
from portal.plans.refusals import CANNOT_PAY
from portal.plans.rules.changes import ChangeRequest
from portal.plans.rules.policy import limits
from portal.plans.rules.schedule import Rhythm, each_for_count
from portal.sandbox.simulation.year_world import YearWorld

#: What a patient may be told instead of getting on.
TOLD: tuple[type[Exception], ...] = (
    *CANNOT_PAY,
    stripe.StripeError,
    *(one for one in vars(plan_errors).values() if isinstance(one, type) and issubclass(one, Exception)),
)
GOOD_CARD, GOOD_BANK = "pm_card_visa", "pm_usBankAccount_success"
#: How cards and accounts go bad. ``for a while`` they get good again by themselves.
BAD_CARDS = (
    "pm_card_chargeDeclinedInsufficientFunds",
    "pm_card_chargeDeclined",
    "pm_card_chargeDeclinedExpiredCard",
    "pm_card_chargeDeclinedProcessingError",
    "pm_card_visa_chargeDeclinedLostCard",
    "pm_card_authenticationRequired",
)
BAD_BANKS = (
    "pm_usBankAccount_insufficientFunds",
    "pm_usBankAccount_insufficientFunds",
    "pm_usBankAccount_accountClosed",
    "pm_usBankAccount_debitNotAuthorized",
    "pm_usBankAccount_dispute",
)
#: How often plans charge, and how many installments one has at most.
FREQUENCIES = (Frequency.MONTHLY, Frequency.MONTHLY, Frequency.TWO_WEEKLY, Frequency.WEEKLY)
MOST = {Frequency.MONTHLY: 7, Frequency.TWO_WEEKLY: 13, Frequency.WEEKLY: 20}
_AGREED = {"customer_acceptance": {"type": "online", "online": {"ip_address": "203.0.113.7", "user_agent": "sim"}}}


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with bills. ``temper`` is how they live with a plan: good, lively, careless or gone."""

    number: int
    user_id: int
    account_id: int
    temper: str
    begins_on: int  # day of the year
    bank: bool


@dataclass(frozen=True, slots=True)
class Running:
    """A plan that goes on, as its payer sees it."""

    id: int
    account_id: int
    user_id: int
    state: PlanState
    need: Need
    method_id: int | None
    waits_for_word: bool  # paused until somebody says so


def running(session: Session) -> list[Running]:
    """Every plan that goes on."""
    rows = session.execute(
        sa.select(Plan.id, Plan.account_id, Plan.user_id, Plan.state, Plan.need, Plan.method_id, Plan.paused_until)
        .where(Plan.state.in_([PlanState.ACTIVE, PlanState.PAUSED]))
        .order_by(Plan.id)
    ).all()
    session.commit()
    return [Running(*row[:6], row[3] is PlanState.PAUSED and row[6] is None) for row in rows]


class Patients:
    """Everybody's acts on one world, drawn from ``dice``; each is noted in the journal."""

    def __init__(self, world: YearWorld, dice: random.Random) -> None:
        self._world, self._dice = world, dice

    def attempt(self, name: str, act: Callable[[Session], object]) -> bool:
        """Do an act as a request would; False when the page says why not."""
        with self._world.at_work() as session:
            try:
                act(session)
                session.commit()
            except TOLD as why:
                session.rollback()
                self._world.journal.note("act", act=name, told=type(why).__name__)
                return False
        self._world.journal.note("act", act=name, told="")
        return True

    def save(self, session: Session, user_id: int, account_id: int, token: str) -> SavedMethod:
        """Keep a card or bank account, as the pages would."""
        world = self._world
        customer = customer_of(session, world.gateway, user_id=user_id, account_id=account_id)
        made: Any = world.browser.v1.setup_intents.create(
            {
                "customer": customer,
                "allowed_payment_method_types": ["card", "us_bank_account"],
                "payment_method": token,
                "confirm": True,
                "return_url": "http://localhost/back",
                "mandate_data": {"customer_acceptance": {"type": "offline"}},
            }
        )
        found = world.gateway.methods.retrieve(str(made.payment_method))
        now = world.time.now()
        consent = Consent(
            user_id=user_id, kind=ConsentKind.SAVE_METHOD, version="1", language="en", text="Keep it.", given_at=now
        )
        session.add(consent)
        session.flush()
        saved = SavedMethod(
            user_id=user_id,
            stripe_method_id=found.id,
            kind=found.kind,
            issuer=found.issuer,
            last4=found.last4,
            consent_id=consent.id,
            saved_at=now,
        )
        session.add(saved)
        session.commit()
        return saved

    def begin(self, who: Person) -> bool:
        """Set a plan up over all that may go on one, as the page would offer it."""
        return self.attempt("begin a plan", lambda session: self._begin(session, who))

    def _begin(self, session: Session, who: Person) -> None:
        world, dice = self._world, self._dice
        conditions = world.conditions
        frequency = dice.choice(FREQUENCIES)
        days = conditions.policy.days_of_month if frequency is Frequency.MONTHLY else range(7)
        rhythm = Rhythm(frequency, dice.choice(list(days)))
        look = draft(
            session, who.account_id, user_id=who.user_id, each=Money(10_000_00), rhythm=rhythm, conditions=conditions,
            exceed=True,
        )  # fmt: skip
        session.rollback()
        most = limits(conditions.policy, look.total, frequency).most
        count = min(most, dice.randint(2, MOST[frequency]))
        each = max(each_for_count(look.total, count), min(conditions.policy.minimum_installment, look.total))
        found = draft(
            session, who.account_id, user_id=who.user_id, each=each, rhythm=rhythm, conditions=conditions
        )
        charges = [line.charge_id for line, _amount in found.lines]
        session.rollback()
        saved = self.save(session, who.user_id, who.account_id, GOOD_BANK if who.bank else GOOD_CARD).public_id
        session.commit()
        enrol(
            session,
            account_id=who.account_id,
            user_id=who.user_id,
            charge_ids=charges,
            each=each,
            rhythm=rhythm,
            method_public_id=saved,
            seen=found.seen,
            agree=self._agree,
            language="en",
            address="192.0.2.1",
            conditions=conditions,
        )

    def _agree(self, terms: Any) -> Any:
        return agreement(terms, clinic=self._world.settings.clinic_name, phone=self._world.settings.clinic_phone)

    # Living with it

    def live(self, plan: Running, temper: str) -> None:
        """A day of somebody with a plan: mostly nothing."""
        dice = self._dice
        if plan.need is not Need.NOTHING:
            if temper != "gone" and dice.random() < (0.05 if temper == "careless" else 0.25):
                self._answer(plan)
            return
        if plan.waits_for_word:
            if temper != "gone" and dice.random() < 0.06:
                self._wish(plan, ChangeRequest(ChangeKind.RESUMED))
            return
        if temper == "gone" or dice.random() >= (0.06 if temper == "lively" else 0.012):
            return
        acts: list[tuple[Callable[[Running], object], int]] = [
            (self.pay_next, 5), (self._pay_extra, 4), (self._pay_off, 1), (self._skip, 3), (self._move_day, 3),
            (self._other_amount, 3), (self._add_lines, 4), (self._take_out, 2), (self._other_method, 3),
            (self._ask_pause, 3), (self._stop, 1), (self._cancel, 1), (self._start_and_leave, 2),
        ]  # fmt: skip
        dice.choices([act for act, _weight in acts], [weight for _act, weight in acts])[0](plan)

    def _answer(self, plan: Running) -> None:
        """The plan waits for its payer, and they come."""
        if plan.need is Need.CONFIRMATION and self._dice.random() < 0.8:
            self.pay_next(plan)
        else:
            self._other_method(plan)

    def pay_next(self, plan: Running) -> None:
        """Pay the next installment oneself."""
        self._pay("pay the next one", plan, lambda session: pay_next(
            session, self._world.gateway, plan_id=plan.id, user_id=plan.user_id, conditions=self._world.conditions
        ))  # fmt: skip

    def _pay_extra(self, plan: Running) -> None:
        with self._world.at_work() as session:
            left = Money.total(one.left for one in coverage(session, plan.id, plan.account_id))
            session.commit()
        if left.cents >= 100:
            self._pay_besides("pay extra", plan, Money(self._dice.randint(50, left.cents)))

    def _pay_off(self, plan: Running) -> None:
        self._pay_besides("pay it off", plan, None)

    def _pay_besides(self, name: str, plan: Running, amount: Money | None) -> None:
        self._pay(name, plan, lambda session: pay_more(
            session, self._world.gateway, plan_id=plan.id, user_id=plan.user_id, amount=amount,
            conditions=self._world.conditions,
        ))  # fmt: skip

    def _pay(self, name: str, plan: Running, start: Callable[[Session], str]) -> None:
        started: list[str] = []
        if self.attempt(name, lambda session: started.append(start(session))):
            self._finish(started[0], leaves=self._dice.random() < 0.1)

    def _start_and_leave(self, plan: Running) -> None:
        """The payment's page is opened and closed again."""
        self.attempt("open the next one’s page and leave", lambda session: pay_next(
            session, self._world.gateway, plan_id=plan.id, user_id=plan.user_id, conditions=self._world.conditions
        ))  # fmt: skip

    def _finish(self, public_id: str, *, leaves: bool) -> None:
        """The payment's page: prepare, confirm in the browser, come back (or close the browser)."""
        world, dice = self._world, self._dice
        with world.at_work() as session:
            try:
                payment = session.scalars(sa.select(Payment).where(Payment.public_id == public_id)).one()
                payment_id, method = payment.id, payment.method_id
                session.commit()
                intent = prepare(session, world.gateway, payment_id=payment_id)
                if leaves:
                    return
                params: Any = {"return_url": "http://localhost/back", "mandate_data": _AGREED}
                if not method:
                    params["payment_method"] = dice.choice([GOOD_CARD, GOOD_CARD, GOOD_CARD, BAD_CARDS[0]])
                    del params["mandate_data"]
                elif self._kind(session, method) == "card":
                    del params["mandate_data"]
                session.commit()
                with world.witness.of_attempt(public_id):
                    confirmed: Any = world.browser.v1.payment_intents.confirm(intent.id, params)
                    if confirmed.status == "requires_action":
                        world.stripe.authenticate(intent.id, confirmed.client_secret, passed=dice.random() < 0.8)
                if dice.random() < 0.7:
                    refresh(session, world.gateway, payment_id=payment_id)
            except TOLD as why:
                session.rollback()
                world.journal.note("act", act="finish a payment", told=type(why).__name__)

    def _kind(self, session: Session, stripe_method_id: str) -> str:
        return str(session.scalar(sa.select(SavedMethod.kind).where(SavedMethod.stripe_method_id == stripe_method_id)))

    def _wish(self, plan: Running, wanted: ChangeRequest) -> bool:
        """Look at a change, and agree to it."""

        def act(session: Session) -> None:
            conditions = self._world.conditions
            seen = preview(session, plan_id=plan.id, wanted=wanted, conditions=conditions).seen
            session.rollback()
            change(
                session, plan_id=plan.id, user_id=plan.user_id, wanted=wanted, seen=seen, agree=self._agree,
                language="en", address="192.0.2.1", conditions=conditions,
            )  # fmt: skip

        return self.attempt(wanted.kind.value, act)

    def _skip(self, plan: Running) -> None:
        self._wish(plan, ChangeRequest(ChangeKind.SKIPPED))

    def _move_day(self, plan: Running) -> None:
        with self._world.at_work() as session:
            frequency = session.scalars(sa.select(Plan.frequency).where(Plan.id == plan.id)).one()
            session.commit()
        policy = self._world.conditions.policy
        days = list(policy.days_of_month) if frequency is Frequency.MONTHLY else list(range(7))
        self._wish(plan, ChangeRequest(ChangeKind.DAY_MOVED, rhythm=Rhythm(frequency, self._dice.choice(days))))

    def _other_amount(self, plan: Running) -> None:
        with self._world.at_work() as session:
            each = session.scalars(sa.select(Plan.each).where(Plan.id == plan.id)).one()
            session.commit()
        percent = self._dice.choice([60, 75, 150, 200])
        self._wish(plan, ChangeRequest(ChangeKind.AMOUNT_CHANGED, each=Money(max(25_00, each.cents * percent // 100))))

    def _add_lines(self, plan: Running) -> None:
        with self._world.at_work() as session:
            row = session.get_one(Plan, plan.id)
            found = [line.charge_id for line, _ in may_be_added(session, row, conditions=self._world.conditions)]
            session.commit()
        if found:
            self._wish(plan, ChangeRequest(ChangeKind.LINES_ADDED, charges={self._dice.choice(found): Money.zero()}))

    def _take_out(self, plan: Running) -> None:
        with self._world.at_work() as session:
            found = [one.line.charge_id for one in coverage(session, plan.id, plan.account_id) if one.left]
            session.commit()
        if len(found) > 1:
            self._wish(plan, ChangeRequest(ChangeKind.LINES_REMOVED, charges={self._dice.choice(found): Money.zero()}))

    def _other_method(self, plan: Running) -> None:
        def act(session: Session) -> None:
            token = GOOD_BANK if self._dice.random() < 0.25 else GOOD_CARD
            saved = self.save(session, plan.user_id, plan.account_id, token)
            public_id, stripe_id = saved.public_id, saved.stripe_method_id
            session.commit()
            if self._dice.random() < 0.15:
                bad = BAD_BANKS if token == GOOD_BANK else BAD_CARDS
                self._world.stripe.turn_into(stripe_id, self._dice.choice(bad))
            change_method(
                session, plan_id=plan.id, user_id=plan.user_id, method_public_id=public_id, agree=self._agree,
                language="en", address="192.0.2.1", conditions=self._world.conditions,
            )  # fmt: skip

        self.attempt("choose another method", act)

    def _ask_pause(self, plan: Running) -> None:
        conditions = self._world.conditions
        until = conditions.today + timedelta(days=self._dice.randint(10, conditions.policy.pause_longest_days))
        self.attempt("ask for a pause", lambda session: ask_for_pause(
            session, plan_id=plan.id, user_id=plan.user_id, until=until, note="", conditions=conditions
        ))  # fmt: skip

    def _stop(self, plan: Running) -> None:
        self.attempt("stop the charges", lambda session: stop_charges(
            session, plan_id=plan.id, conditions=self._world.conditions
        ))  # fmt: skip

    def _cancel(self, plan: Running) -> None:
        self.attempt("cancel", lambda session: cancel(
            session, plan_id=plan.id, actor_user_id=plan.user_id, by_staff=False, conditions=self._world.conditions
        ))  # fmt: skip


def next_is_told(session: Session, plan_id: int) -> bool:
    """Whether the next installment of a plan has been announced."""
    found = session.scalar(
        sa.select(sa.func.count()).where(
            Installment.plan_id == plan_id,
            Installment.state == InstallmentState.PLANNED,
            Installment.noticed_at.is_not(None),
        )
    )
    return bool(found)
