"""What happens to plans from outside in a year: insurers, the front desk, holds, banks, and the staff's answers."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal.auth.models import User
from portal.billing.kinds import HoldReason
from portal.billing.models import Hold
from portal.billing.service import place_hold, release_holds
from portal.db import RecordNotFound
from portal.disputes.queries import open_on_charge
from portal.money import Money
from portal.payments.models import SavedMethod
from portal.payments.settle import lock_accounts
from portal.plans.changing.amending import amend, cancel, preview
from portal.plans.changing.pausing import decide_request
from portal.plans.coverage import coverage
from portal.plans.kinds import ChangeKind
from portal.plans.models import Plan
from portal.plans.queries import open_requests
from portal.plans.rules.changes import ChangeRequest
from portal.sandbox.simulation.insurers import Decided, Insurer, charges_by_visit, first_decision, pay_at_the_desk
from portal.sandbox.simulation.people import BAD_BANKS, BAD_CARDS, GOOD_BANK, GOOD_CARD, TOLD, Person, Running
from portal.sandbox.simulation.year_world import YearWorld

Later = Callable[[], None]


class Office:
    """Everybody but the patients. It remembers what insurers have decided, and what is to come on later days."""

    def __init__(
        self, world: YearWorld, dice: random.Random, people: list[Person], *, unrest: float = 1.0
    ) -> None:
        self._world, self._dice, self._unrest = world, dice, unrest
        self._insurer = Insurer()
        self.decided: dict[tuple[int, int], Decided] = {}
        self._later: dict[int, list[Later]] = defaultdict(list)
        self._number = {one.account_id: one.number for one in people}
        self._day = 0

    def first_bills(self, session: Session, visits: dict[int, int]) -> None:
        """Decide every patient's first visits; ``visits`` says how many, by the patient's number."""
        for number, count in visits.items():
            for visit in range(count):
                self.decided[number, visit] = first_decision(number, visit, self._dice)
        self._insurer.decide(session, [(None, one) for one in self.decided.values()])

    def take_over(self, before: Office) -> None:
        """Go on from what another one has decided so far."""
        self._insurer, self.decided = before._insurer, before.decided

    def day(self, day: int, plans: list[Running]) -> None:
        """A day's acts: about one insurer's change for 40 plans, and others more seldom."""
        self._day = day
        for later in self._later.pop(day, []):
            later()
        dice = self._dice
        acts: list[tuple[Callable[[Running], object], float]] = [
            (self._decides_again, 0.012), (self._takes_back, 0.003), (self._writes_off, 0.001),
            (self._pays_late, 0.005), (self._new_visit, 0.004), (self._at_the_desk, 0.005), (self._hold, 0.005),
            (self._bank_calls_back, 0.002), (self._method_goes_bad, 0.007), (self._eases, 0.003),
            (self._ends, 0.0004), (self._removes_method, 0.0008),
        ]  # fmt: skip
        for plan in plans:
            for act, chance in acts:
                if dice.random() < chance * self._unrest:
                    act(plan)
        self._answer_requests()

    def calm(self) -> None:
        """The end of the year: what was to come on later days comes now."""
        for day in sorted(self._later):
            for later in self._later.pop(day):
                later()

    def _soon(self, least: int, most: int, later: Later) -> None:
        self._later[self._day + self._dice.randint(least, most)].append(later)

    def _note(self, change: str) -> None:
        self._world.journal.note("change", change=change)

    # Insurers

    def _visits_of(self, plan: Running) -> list[tuple[int, int]]:
        number = self._number[plan.account_id]
        return [key for key in self.decided if key[0] == number]

    def _pick(self, plan: Running) -> tuple[tuple[int, int], Decided] | None:
        schedule = [(key, self.decided[key]) for key in self._visits_of(plan) if self.decided[key].stands]
        return self._dice.choice(schedule) if schedule else None

    def _remit(self, change: str, key: tuple[int, int], new: Decided | None) -> None:
        old = self.decided[key]
        with self._world.at_work() as session:
            self._insurer.decide(session, [(old, new)])
        self.decided[key] = new if new is not None else Decided(
            old.number, old.visit, old.billed, old.paid, old.contractual, old.share, stands=False
        )  # fmt: skip
        self._note(change)

    def _decides_again(self, plan: Running) -> None:
        if found := self._pick(plan):
            key, old = found
            percent = self._dice.choice([40, 70, 85, 110, 130, 160])
            self._remit("decided again", key, old.shared(old.share * percent // 100))

    def _pays_late(self, plan: Running) -> None:
        if found := self._pick(plan):
            key, old = found
            self._remit("paid late", key, old.shared(old.share * self._dice.choice([0, 50, 80]) // 100, by_payer=True))

    def _writes_off(self, plan: Running) -> None:
        if found := self._pick(plan):
            self._remit("written off", found[0], found[1].written_off())

    def _takes_back(self, plan: Running) -> None:
        """A reversal alone: the line is with the insurer again, until it decides anew - or never does."""
        if found := self._pick(plan):
            key, old = found
            self._remit("reversed", key, None)
            again = old.shared(old.share * self._dice.choice([60, 100, 120]) // 100)
            if self._dice.random() < 0.9:
                self._soon(4, 45, lambda: self._remit("decided after a reversal", key, again))

    def _new_visit(self, plan: Running) -> None:
        number = self._number[plan.account_id]
        visit = len(self._visits_of(plan))
        new = first_decision(number, visit, self._dice)
        with self._world.at_work() as session:
            self._insurer.decide(session, [(None, new)])
        self.decided[number, visit] = new
        self._note("new visit")

    # The front desk and the billing office

    def _at_the_desk(self, plan: Running) -> None:
        if pay_at_the_desk(self._world, plan.account_id, self._dice):
            self._note("paid at the front desk")

    def _staff(self, session: Session) -> int:
        return session.scalars(sa.select(User.id).where(User.email == "staff@example.test")).one()

    def _hold(self, plan: Running) -> None:
        """A line is questioned: held, and released after some days - or never."""
        with self._world.at_work() as session:
            lock_accounts(session, [plan.account_id])
            lines = [one.line.charge_id for one in coverage(session, plan.id, plan.account_id)]
            if not lines:
                session.rollback()
                return
            charge_id = self._dice.choice(lines)
            place_hold(
                session, charge_id=charge_id, reason=HoldReason.STAFF, account_id=plan.account_id,
                actor_user_id=self._staff(session),
            )  # fmt: skip
            session.commit()
        self._note("held")
        if self._dice.random() < 0.92:
            self._soon(3, 40, lambda: self._release(charge_id, plan.account_id))

    def _release(self, charge_id: int, account_id: int) -> None:
        with self._world.at_work() as session:
            lock_accounts(session, [account_id])
            if open_on_charge(session, charge_id):  # as the desk's page says: their bank still decides
                session.rollback()
                return
            try:
                release_holds(
                    session, charge_id=charge_id, account_id=account_id, actor_user_id=self._staff(session),
                    note="settled",
                )  # fmt: skip
            except RecordNotFound:
                session.rollback()
                return
            session.commit()
        self._note("hold released")

    def _answer_requests(self) -> None:
        with self._world.at_work() as session:
            waiting = [row.id for row in open_requests(session)]
            session.commit()
        for request_id in waiting:
            if self._dice.random() < 0.3:
                granted = self._dice.random() < 0.75
                self._staffs_act("a request answered", lambda session, one=request_id, yes=granted: decide_request(  # type: ignore[misc]
                    session, request_id=one, staff_user_id=self._staff(session), granted=yes, answer="Looked at.",
                    conditions=self._world.conditions,
                ))  # fmt: skip

    def _eases(self, plan: Running) -> None:
        """The staff make a plan easier, with a reason."""
        dice = self._dice

        def act(session: Session) -> None:
            conditions = self._world.conditions
            each = session.get_one(Plan, plan.id).each
            wanted = dice.choice([
                ChangeRequest(ChangeKind.SKIPPED, exceed=True),
                ChangeRequest(ChangeKind.AMOUNT_CHANGED, each=Money(max(10_00, each.cents * 7 // 10)), exceed=True),
            ])  # fmt: skip
            seen = preview(session, plan_id=plan.id, wanted=wanted, conditions=conditions).seen
            session.rollback()
            amend(
                session, plan_id=plan.id, staff_user_id=self._staff(session), wanted=wanted, seen=seen,
                reason="Hardship.", is_supervisor=True, conditions=conditions,
            )  # fmt: skip

        self._staffs_act("amended by the staff", act)

    def _ends(self, plan: Running) -> None:
        self._staffs_act("ended by the staff", lambda session: cancel(
            session, plan_id=plan.id, actor_user_id=self._staff(session), by_staff=True,
            conditions=self._world.conditions,
        ))  # fmt: skip

    def _staffs_act(self, name: str, act: Callable[[Session], Any]) -> None:
        with self._world.at_work() as session:
            try:
                act(session)
                session.commit()
            except TOLD as why:
                session.rollback()
                self._world.journal.note("act", act=name, told=type(why).__name__)
                return
        self._world.journal.note("act", act=name, told="")

    # Banks

    def _method(self, plan: Running) -> tuple[str, str] | None:
        with self._world.at_work() as session:
            row = session.execute(
                sa.select(SavedMethod.stripe_method_id, SavedMethod.kind)
                .join(Plan, Plan.method_id == SavedMethod.id)
                .where(Plan.id == plan.id)
            ).first()
            session.commit()
        return None if row is None else (row[0], row[1])

    def _method_goes_bad(self, plan: Running) -> None:
        """The card runs dry, expires or wants its owner, the account bounces or is closed; some get well again."""
        if (method := self._method(plan)) is None:
            return
        stripe_id, kind = method
        self._turn(stripe_id, self._dice.choice(BAD_CARDS if kind == "card" else BAD_BANKS))
        if self._dice.random() < 0.6:
            self._soon(5, 40, lambda: self._turn(stripe_id, GOOD_CARD if kind == "card" else GOOD_BANK))

    def _turn(self, stripe_id: str, token: str) -> None:
        self._world.stripe.turn_into(stripe_id, token)
        self._world.journal.note("method", token=token)

    def _removes_method(self, plan: Running) -> None:
        """Their bank gives the card up: Stripe lets go of it, and tells."""
        if method := self._method(plan):
            try:
                self._world.browser.v1.payment_methods.detach(method[0])
            except TOLD:
                return
            self._world.journal.note("method", token="detached")

    def _bank_calls_back(self, plan: Running) -> None:
        """The patient's bank takes the newest charge of the account back, and decides some days later."""
        with self._world.at_work() as session:
            charge_id = session.scalar(
                sa.text(
                    "SELECT p.stripe_charge_id FROM payment p JOIN payment_share s ON s.payment_id = p.id "
                    "WHERE s.account_id = :account AND p.state = 'succeeded' AND p.stripe_charge_id IS NOT NULL "
                    "ORDER BY p.id DESC LIMIT 1"
                ),
                {"account": plan.account_id},
            )
            session.commit()
        if charge_id is None:
            return
        try:
            dispute = self._world.stripe.open_dispute(charge_id, amount=None)["id"]
        except ValueError:
            return
        self._note("called back by a bank")
        won = self._dice.random() < 0.5
        self._soon(3, 12, lambda: self._bank_decides(dispute, won))
        if self._dice.random() < 0.8:
            self._soon(20, 40, lambda: self._release_all(plan.account_id))

    def _bank_decides(self, dispute_id: str, won: bool) -> None:
        try:
            self._world.stripe.close_dispute(dispute_id, won=won)
        except ValueError:
            return

    def _release_all(self, account_id: int) -> None:
        """Somebody looked at what a bank took back: it may be asked for again."""
        with self._world.at_work() as session:
            held = set(
                session.scalars(
                    sa.select(Hold.charge_id).where(
                        Hold.released_at.is_(None), Hold.reason.in_([HoldReason.CHARGEBACK, HoldReason.REFUNDED])
                    )
                )
            )
            mine = {charge for charge, account in charges_by_visit(session).values() if account == account_id}
            session.commit()
        for charge_id in sorted(held & mine):
            self._release(charge_id, account_id)
