"""Anything in any order: Hypothesis drives patients, banks, clerks, insurers and the clock, and looks after each step.

Where a step breaks an invariant, Hypothesis shrinks the story to the shortest that does and prints it.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from io import BytesIO

import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, Verbosity
from hypothesis import seed as with_seed
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    INVARIANT_MARKER,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy.orm import Session

from portal.accounts.queries import account_refs
from portal.billing.postings import undelivered_keys
from portal.billing.queries import lines_of_account, mirror_balances
from portal.ledger.adapters.embedded.ledger import EmbeddedLedger
from portal.ledger.port import Snapshot
from portal.money import Money
from portal.payments.gateway import Intent
from portal.payments.kinds import BookingKind
from portal.payments.models import Allocation, Booking, BookingPart, Payment
from portal.payments.state import PaymentState
from portal.remittances.service import import_stream
from portal.sandbox.simulation.verdict import Figures, judge, shares, total
from tests.databases import Backend
from tests.faults import acts
from tests.faults.places import a_world
from tests.faults.world import Decided, Patient, World, first_decision, patients
from tests.unit.remittances.books import claim, payment, remittance

#: So few, so that they meet each other's traces.
PEOPLE = 3
_WHO = st.integers(0, PEOPLE - 1)
_VISIT = st.integers(0, 2)
_GOOD_CARDS = st.sampled_from([acts.CARD, acts.SLOW_REFUND, acts.FAILING_REFUND])
_ANY_METHOD = st.sampled_from([acts.CARD, acts.DECLINED, acts.BANK, acts.EMPTY_BANK, acts.FAILING_REFUND])
_SHARE = st.integers(0, 100)


class Clinic(RuleBasedStateMachine):
    """One clinic and everything that can happen to it. ``backend`` and ``figures`` are set by :func:`run`."""

    backend: Backend
    figures: list[Figures]

    def __init__(self) -> None:
        super().__init__()
        self._stack = contextlib.ExitStack()
        self.world: World = self._stack.enter_context(a_world(self.backend))
        with self.world.at_work() as session:
            self.people: list[Patient] = patients(session)[: PEOPLE + 1]
        self.open_tabs: list[Intent] = []
        self.decided: dict[tuple[int, int], Decided] = {}
        self.files = 0

    def teardown(self) -> None:
        with self._stack:
            self.world.come_to_rest()
            self.world.come_to_rest()
            found = judge(self.world, shares_move=True)
            self.figures.append(found)
            assert not found.wrong, found.notes

    # Patients

    @initialize(method=_GOOD_CARDS)
    def somebody_has_paid(self, method: str) -> None:
        for who in range(PEOPLE - 1):
            acts.confirm(self.world, self._start(who), method)
            acts.come_back(self.world, self.people[who])

    @rule(who=_WHO, method=_ANY_METHOD, family=st.booleans(), back=st.booleans())
    def pays_everything(self, who: int, method: str, family: bool, back: bool) -> None:
        acts.confirm(self.world, self._start(who, family=family), method)
        if back:
            acts.come_back(self.world, self.people[who])

    @rule(who=_WHO, percent=st.integers(1, 99), method=_GOOD_CARDS)
    def pays_a_part(self, who: int, percent: int, method: str) -> None:
        due = acts.payable(self.world, [self.people[who].account_id])
        acts.confirm(self.world, self._start(who, amount=Money(due.cents * percent // 100)), method)
        acts.come_back(self.world, self.people[who])

    @rule(who=_WHO, visit=_VISIT, guest=st.booleans())
    def opens_another_tab(self, who: int, visit: int, guest: bool) -> None:
        charges = {} if guest else {"charge_ids": [self.people[who].charge_ids[visit]]}
        intent = self._start(who, guest=guest, **charges)
        if intent is not None:
            self.open_tabs.append(intent)

    @rule(which=st.integers(0, 5), method=_ANY_METHOD)
    def confirms_in_an_old_tab(self, which: int, method: str) -> None:
        if self.open_tabs:
            acts.confirm(self.world, self.open_tabs.pop(which % len(self.open_tabs)), method)

    @rule(who=_WHO)
    def reloads(self, who: int) -> None:
        acts.come_back(self.world, self.people[who])

    def _start(self, who: int, **what: object) -> Intent | None:
        """Start paying, and hold what is asked for against what is owed: counted here, not by the portal."""
        person = self.people[who]
        accounts = {person.account_id, person.relative_id} if what.get("family") else {person.account_id}
        before = self._owed(accounts)
        intent = acts.start(self.world, person, **what)
        if intent is not None:
            with self.world.at_work() as session:
                asked = session.execute(
                    sa.select(Allocation.charge_id, Allocation.amount)
                    .join(Payment, Payment.id == Allocation.payment_id)
                    .where(Payment.stripe_intent_id == intent.id)
                ).all()
                session.commit()
            for charge_id, amount in asked:
                assert amount.cents <= before.get(charge_id, 0), f"line {charge_id}: more is asked for than is owed"
        return intent

    def _owed(self, account_ids: set[int]) -> dict[int, int]:
        """What may be asked for on each line: the share, less what was booked, less what is on its way."""
        with self.world.at_work() as session:
            left = defaultdict(int, shares(session))
            for charge_id, amount in session.execute(sa.select(BookingPart.charge_id, BookingPart.amount)):
                left[charge_id] -= amount.cents
            for charge_id, amount in session.execute(
                sa.select(Allocation.charge_id, Allocation.amount)
                .join(Payment, Payment.id == Allocation.payment_id)
                .where(Payment.state == PaymentState.PROCESSING)
            ):
                left[charge_id] -= amount.cents
            free = {
                line.charge_id
                for account_id in account_ids
                for line in lines_of_account(session, account_id)
                if not line.held and not line.sums.with_insurer
            }
            session.commit()
        return {charge_id: cents for charge_id, cents in left.items() if charge_id in free}

    # Clerks and banks

    @rule(who=_WHO, percent=st.integers(1, 100))
    def a_clerk_refunds(self, who: int, percent: int) -> None:
        left = acts.left_with_us(self.world, self.people[who])
        if left.cents * percent >= 100:
            acts.ask_refund(self.world, self.people[who], amount=Money(left.cents * percent // 100))

    @rule(who=_WHO, share=st.integers(1, 100), under_way=st.booleans())
    def somebody_refunds_in_the_dashboard(self, who: int, share: int, under_way: bool) -> None:
        acts.refund_in_dashboard(self.world, self.people[who], share=share, under_way=under_way)

    @rule(which=st.integers(0, 5))
    def a_bank_sends_a_refund_back(self, which: int) -> None:
        made = self.world.stripe.every("refund")
        if made:
            with contextlib.suppress(ValueError):
                self.world.stripe.fail_refund(made[which % len(made)]["id"])

    @rule(who=_WHO, percent=st.integers(1, 100))
    def a_bank_calls_back(self, who: int, percent: int) -> None:
        charge = acts.newest_charge(self.world, self.people[who])
        if charge is not None:
            amount = next(one["amount"] for one in self.world.stripe.every("charge") if one["id"] == charge)
            with contextlib.suppress(ValueError):
                self.world.stripe.open_dispute(charge, amount=max(1, amount * percent // 100))

    @rule(which=st.integers(0, 3), won=st.booleans())
    def a_bank_decides(self, which: int, won: bool) -> None:
        opened = self.world.stripe.every("dispute")
        if opened:
            with contextlib.suppress(ValueError):
                self.world.stripe.close_dispute(opened[which % len(opened)]["id"], won=won)

    # Insurers and the back office

    @rule(who=_WHO, visit=_VISIT, share=_SHARE)
    def an_insurer_decides_again(self, who: int, visit: int, share: int) -> None:
        """The old decision is undone and another one made in one remittance."""
        old = self._decided(who, visit)
        self._remit(who, visit, old, old.shared(share) if old.stands else None)

    @rule(who=_WHO, visit=_VISIT)
    def the_back_office_voids(self, who: int, visit: int) -> None:
        """The old decision is undone, and all of it written off: nobody owes anything for the visit."""
        old = self._decided(who, visit)
        self._remit(who, visit, old, old.written_off() if old.stands else None)

    @rule(who=_WHO, visit=_VISIT)
    def an_insurer_takes_its_word_back(self, who: int, visit: int) -> None:
        """A reversal alone: the visit is with the insurer again, until it decides anew."""
        old = self._decided(who, visit)
        self._remit(who, visit, old, None) if old.stands else self._remit(who, visit, old, old.again())

    def _decided(self, who: int, visit: int) -> Decided:
        return self.decided.get((who, visit)) or first_decision(who, visit)

    def _remit(self, who: int, visit: int, old: Decided, new: Decided | None) -> None:
        words = {"member": f"MEM-{who:02}", "family": f"SAMPLE{who:02}"}
        decisions = []
        if old.stands:
            undone = {name: -cents for name, cents in old.amounts().items()}
            decisions.append(claim(f"V-{who:02}-{visit}", status="22", **undone, **words))
        if new is not None:
            decisions.append(claim(f"V-{who:02}-{visit}", **new.amounts(), **words))
        if not decisions:
            return
        self.files += 1
        paid = (new.paid if new else 0) - (old.paid if old.stands else 0)
        number = f"{self.files:09}"
        data = remittance(payment(*decisions, paid=paid, trace=f"EFT-{number}"), control=number)
        with self.world.at_work() as session:
            report = import_stream(session, BytesIO(data), f"{number}.835", ledger=EmbeddedLedger(session))
            session.commit()
        assert (report.loaded, report.quarantined) == (1, 0)
        self.decided[who, visit] = new if new is not None else old.undone()

    # Time

    @rule()
    def webhooks_come(self) -> None:
        self.world.deliver()

    @rule()
    def the_worker_has_its_turn(self) -> None:
        self.world.tick()
        assert not self.world.troubles

    @rule(minutes=st.sampled_from([1, 6, 16, 61, 26 * 60, 5 * 24 * 60]))
    def time_passes(self, minutes: int) -> None:
        self.world.time.advance(minutes=minutes)

    # After every step

    @invariant()
    def the_mirror_is_the_ledger_and_what_is_on_its_way(self) -> None:
        with self.world.at_work() as session:
            refs, mirror = account_refs(session), mirror_balances(session)
            ledger = EmbeddedLedger(session)
            books, received = ledger.snapshots(), ledger.received()
            moving: dict[str, int] = defaultdict(int)
            for key, (account_id, amount, _state) in undelivered_keys(session).items():
                if key not in received:
                    moving[refs[account_id]] += amount.cents
            session.commit()
        nothing = Snapshot(Money.zero(), Money.zero())
        for account_id, (insurer, patient) in mirror.items():
            there = books.get(refs[account_id], nothing)
            assert insurer == there.insurer
            assert patient.cents + moving[refs[account_id]] == there.patient.cents

    @invariant()
    def nothing_is_booked_that_stripe_does_not_have(self) -> None:
        """Never more taken, and never more given back, than Stripe moved; what is missing is still to be heard of."""
        stripe = self.world.stripe
        moved: dict[tuple[str, BookingKind], int] = defaultdict(int)
        intents = {}
        for charge in stripe.every("charge"):
            intents[charge["id"]] = charge["payment_intent"]
            if charge["status"] == "succeeded":
                moved[charge["payment_intent"], BookingKind.PAYMENT] += charge["amount"]
        for refund in stripe.every("refund"):
            if refund["balance_transaction"] is None:
                continue  # of a debit that is under way, or bounced
            moved[refund["payment_intent"], BookingKind.REFUND] += refund["amount"]
            if refund["status"] == "failed":
                moved[refund["payment_intent"], BookingKind.REFUND_RETURNED] += refund["amount"]
        for dispute in stripe.every("dispute"):
            for one in dispute["balance_transactions"]:
                kind = BookingKind.DISPUTE if one["amount"] < 0 else BookingKind.DISPUTE_WON
                moved[intents[dispute["charge"]], kind] += abs(one["amount"])
        with self.world.at_work() as session:
            booked: dict[tuple[str, BookingKind], int] = defaultdict(int)
            for intent_id, kind, amount in session.execute(
                sa.select(Payment.stripe_intent_id, Booking.kind, Booking.amount).join(
                    Booking, Booking.payment_id == Payment.id
                )
            ):
                booked[intent_id, kind] += abs(amount.cents)
            session.commit()
        for subject, cents in booked.items():
            assert cents <= moved[subject], f"{subject}: {cents} booked, Stripe moved {moved[subject]}"

    @invariant()
    def no_line_is_paid_above_what_was_taken_for_it(self) -> None:
        with self.world.at_work() as session:
            allocated = {
                (payment_id, charge_id): amount.cents
                for payment_id, charge_id, amount in session.execute(
                    sa.select(Allocation.payment_id, Allocation.charge_id, Allocation.amount)
                )
            }
            left = _left(session)
            session.commit()
        for subject, cents in left.items():
            assert cents <= allocated.get(subject, 0), f"{subject}: {cents} left of {allocated.get(subject)}"

    @invariant()
    def nothing_is_payable_that_is_held_or_with_the_insurer(self) -> None:
        with self.world.at_work() as session:
            for person in self.people:
                for line in lines_of_account(session, person.account_id):
                    if line.payable:
                        assert not line.held
                        assert not line.sums.with_insurer
                        assert line.payable == line.sums.due > Money.zero()
            session.commit()


def _left(session: Session) -> dict[tuple[int, int], int]:
    left: dict[tuple[int, int], int] = defaultdict(int)
    for payment_id, charge_id, amount in session.execute(
        sa.select(Booking.payment_id, BookingPart.charge_id, BookingPart.amount).join(
            BookingPart, BookingPart.booking_id == Booking.id
        )
    ):
        left[payment_id, charge_id] += amount.cents
    return left


def tell(
    backend: Backend,
    story: Iterable[Callable[[Clinic], object]],
    *,
    sabotage: Callable[[], contextlib.AbstractContextManager[object]] = contextlib.nullcontext,
) -> Figures:
    """One story as it stands, with the same look after each step and the same end. Raises AssertionError."""
    invariants = [name for name, one in vars(Clinic).items() if hasattr(one, INVARIANT_MARKER)]
    with sabotage():
        clinic = type("Clinic", (Clinic,), {"backend": backend, "figures": (figures := list[Figures]())})()
        try:
            for step in story:
                step(clinic)
                for name in invariants:
                    getattr(clinic, name)()
        finally:
            clinic.teardown()
    return total(figures)


def run(
    backend: Backend,
    *,
    seed: int,
    examples: int = 25,
    steps: int = 25,
    told: Callable[[str], None] = lambda _what: None,
) -> Figures:
    """So many stories of so many steps. A broken invariant becomes a note with the shortest story that breaks it."""
    began, told_figures = time.monotonic(), list[Figures]()
    told(f"{examples} stories")
    machine = type("Clinic", (Clinic,), {"backend": backend, "figures": told_figures})
    settings = hypothesis_settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        derandomize=False,
        phases=[Phase.generate, Phase.shrink],
        verbosity=Verbosity.normal,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    broken = ""
    state = random.getstate()
    try:
        run_state_machine_as_test(with_seed(seed)(machine), settings=settings)
    except AssertionError as error:
        broken = "\n".join([str(error) or "an invariant is broken", *getattr(error, "__notes__", [])])
    finally:
        random.setstate(state)
    # While a story is shrunk it is told again and again; only what stands counts.
    found = Figures(runs=len(told_figures)) if broken else total(told_figures)
    if broken:
        found.notes.append(broken)
    found.seconds = time.monotonic() - began
    return found
