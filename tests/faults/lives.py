"""Lives with bank accounts that bounce: autopay, plans and changes between them; and what may be presented of a debt.

What happens is judged by Stripe's own store and by what the patient agreed to as it was written down here, not by what
the portal counts: see :func:`judge_debts`.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from io import BytesIO
from typing import Any

import sqlalchemy as sa

from portal import clock
from portal.autopay.errors import AutopayRuns, MethodExpired
from portal.autopay.queries import active_of_account
from portal.autopay.service import start as start_autopay
from portal.autopay.service import stop as stop_autopay
from portal.billing.models import Hold
from portal.billing.queries import accounts_of_charges
from portal.ledger.adapters.embedded.ledger import EmbeddedLedger
from portal.money import Money
from portal.notifications.service import send_due
from portal.payments.kinds import UNATTENDED, ConsentKind, PaymentSource
from portal.payments.methods.customers import customer_of
from portal.payments.models import Allocation, Booking, BookingPart, Consent, Payment, SavedMethod
from portal.payments.service import payable_lines
from portal.plans.agreeing.drafting import draft
from portal.plans.agreeing.enrollment import enrol
from portal.plans.changing.amending import cancel, change_method
from portal.plans.errors import NoPlanPossible
from portal.plans.kinds import RUNNING, Frequency
from portal.plans.models import Plan
from portal.plans.refusals import CANNOT_CHANGE
from portal.plans.rules.conditions import Conditions, conditions_at
from portal.plans.rules.schedule import Rhythm
from portal.plans.rules.terms import Agreement, Terms
from portal.remittances.service import import_stream
from portal.sandbox.simulation.world import MAIL_JOB
from portal.web.database import db
from tests.faults.acts import confirm, start
from tests.faults.world import Decided, Patient, World, first_decision, patients
from tests.unit.remittances.books import claim, payment, remittance

GOOD, EMPTY, CLOSED = (f"pm_usBankAccount_{how}" for how in ("success", "insufficientFunds", "accountClosed"))
#: Two accounts of each person, by what they are made from; how each behaves is told apart from that.
ACCOUNTS = {"A": "pm_usBankAccount_success", "B": "pm_usBankAccount_dispute"}
CARD = "card"


def _agree(_terms: Terms) -> Agreement:
    return Agreement(text="I agree.", version="test", document=b"%PDF")


@dataclass(frozen=True, slots=True)
class Agreed:
    """The patient said yes to charging an account of theirs (``A``, ``B`` or the card) by autopay or by a plan."""

    at: datetime
    account_id: int
    source: PaymentSource


@dataclass
class Lives:
    """Some people of a clinic, what they agreed to, and how their banks behave."""

    world: World
    people: Sequence[Patient]
    agreed: list[Agreed] = field(default_factory=list)
    behaves: dict[tuple[int, str], str] = field(default_factory=dict)
    methods: dict[tuple[int, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    decided: dict[tuple[int, int], Decided] = field(default_factory=dict)
    files: int = 0

    @classmethod
    def of(cls, world: World, *, people: int) -> Lives:
        """The first so many people; their mail goes out."""

        def mail() -> None:
            send_due(db.session, lambda **_mail: None)

        world.jobs = {**world.jobs, MAIL_JOB: mail}
        with world.at_work() as session:
            lives = cls(world, patients(session)[:people])
        if people:
            lives.look_alike()
        return lives

    def look_alike(self) -> None:
        """The staff have seen that bills that look alike are right."""
        self.world.tick()
        with self.world.at_work() as session:
            session.execute(sa.update(Hold).where(Hold.released_at.is_(None)).values(released_at=Hold.placed_at))
            session.commit()

    def remember(self, agreed: Sequence[tuple[str, int, str]]) -> None:
        """What an earlier process wrote down that was agreed to."""
        self.agreed += [
            Agreed(datetime.fromisoformat(at), account_id, PaymentSource(source)) for at, account_id, source in agreed
        ]

    @property
    def conditions(self) -> Conditions:
        settings = self.world.settings
        return conditions_at(
            self.world.app.extensions["plainbill_policy"],
            settings.base_url,
            today=clock.today(settings.clinic_timezone),
            timezone=settings.clinic_timezone,
        )

    # What people do

    def bank_is(self, who: int, account: str, token: str) -> None:
        """From now on the bank behaves so, for each time the account was saved."""
        self.behaves[who, account] = token
        for method_id in self.methods[who, account]:
            self.world.stripe.turn_into(method_id, token)

    def save(self, who: int, account: str) -> str:
        """The method of an account, saved again: another id at Stripe, the same account."""
        person = self.people[who]
        with self.world.at_work() as session:
            customer = customer_of(
                session, self.world.gateway, user_id=person.user_id, account_id=person.account_id
            )
            session.commit()
            token = "pm_card_visa" if account == CARD else ACCOUNTS[account]
            setup = self.world.browser.v1.setup_intents.create(
                {
                    "customer": customer,
                    "allowed_payment_method_types": ["card", "us_bank_account"],
                    "payment_method": token,
                    "confirm": True,
                    "return_url": "http://localhost/back",
                    "mandate_data": {"customer_acceptance": {"type": "offline"}},
                }
            )
            found = self.world.gateway.methods.retrieve(str(setup.payment_method))
            session.execute(
                sa.update(SavedMethod)
                .where(SavedMethod.user_id == person.user_id, SavedMethod.fingerprint == found.fingerprint)
                .values(removed_at=clock.now())
            )
            consent = Consent(
                user_id=person.user_id, kind=ConsentKind.SAVE_METHOD, version="1", language="en", text="Keep it.",
                given_at=clock.now(),
            )  # fmt: skip
            session.add(consent)
            session.flush()
            saved = SavedMethod(
                user_id=person.user_id, stripe_method_id=found.id, kind=found.kind, issuer=found.issuer,
                last4=found.last4, fingerprint=found.fingerprint, expires_on=found.expires_on,
                consent_id=consent.id, saved_at=clock.now(),
            )  # fmt: skip
            session.add(saved)
            session.commit()
            public_id = saved.public_id
        if account != CARD:
            self.methods[who, account].append(found.id)
            if (who, account) in self.behaves:
                self.world.stripe.turn_into(found.id, self.behaves[who, account])
        return public_id

    def autopay(self, who: int, account: str) -> None:
        """Turn autopay on with an account; where it is on, it is turned off first."""
        person, method = self.people[who], self.save(who, account)
        with self.world.at_work() as session:
            running = active_of_account(session, person.account_id)
            if running is not None:
                stop_autopay(session, autopay_id=running.id, actor_user_id=person.user_id)
            with contextlib.suppress(AutopayRuns, MethodExpired):
                start_autopay(
                    session,
                    account_id=person.account_id,
                    user_id=person.user_id,
                    method_public_id=method,
                    cap=Money(1_000_000),
                    agreement=lambda row: f"Charge my {row.name}.",
                    language="en",
                    address="192.0.2.1",
                    today=self.conditions.today,
                )
                self.agreed.append(Agreed(clock.now(), person.account_id, PaymentSource.AUTOPAY))

    def stop(self, who: int) -> None:
        """Turn autopay off."""
        with self.world.at_work() as session:
            running = active_of_account(session, self.people[who].account_id)
            if running is not None:
                stop_autopay(session, autopay_id=running.id, actor_user_id=self.people[who].user_id)

    def plan(self, who: int, account: str) -> None:
        """Agree to a plan over all that may go on one; on one that runs, to another account."""
        person, method, conditions = self.people[who], self.save(who, account), self.conditions
        agreed = {"agree": _agree, "language": "en", "address": "192.0.2.1", "conditions": conditions}
        with self.world.at_work() as session:
            runs = session.scalar(
                sa.select(Plan.id).where(Plan.account_id == person.account_id, Plan.state.in_(RUNNING))
            )
            rhythm = Rhythm(Frequency.WEEKLY, conditions.today.weekday())
            try:
                if runs is not None:
                    change_method(session, plan_id=runs, user_id=person.user_id, method_public_id=method, **agreed)
                else:
                    what: dict[str, Any] = {"each": Money(6_000), "rhythm": rhythm}
                    found = draft(session, person.account_id, user_id=person.user_id, conditions=conditions, **what)
                    session.rollback()
                    enrol(
                        session,
                        account_id=person.account_id,
                        user_id=person.user_id,
                        charge_ids=[line.charge_id for line, _amount in found.lines],
                        method_public_id=method,
                        seen=found.seen,
                        **what,
                        **agreed,
                    )
            except (NoPlanPossible, *CANNOT_CHANGE):
                session.rollback()
                return
        self.agreed.append(Agreed(clock.now(), person.account_id, PaymentSource.PLAN))

    def end_plan(self, who: int) -> None:
        """End the plan: what is left are ordinary bills, which autopay takes up where it is on."""
        person = self.people[who]
        with self.world.at_work() as session:
            runs = session.scalar(
                sa.select(Plan.id).where(Plan.account_id == person.account_id, Plan.state.in_(RUNNING))
            )
            if runs is not None:
                cancel(
                    session, plan_id=runs, actor_user_id=person.user_id, by_staff=False, conditions=self.conditions
                )

    def by_hand(self, who: int, account: str) -> None:
        """Pay some of it oneself, with the account typed in."""
        person = self.people[who]
        token = "pm_card_visa" if account == CARD else self.behaves.get((who, account), GOOD)
        with self.world.at_work() as session:
            due = Money.total(line.amount for line in payable_lines(session, person.account_id, user_id=None))
            session.commit()
        if due.cents >= 200:
            confirm(self.world, start(self.world, person, amount=Money(due.cents // 2)), token)

    def insurance(self, who: int, visit: int, share: int) -> None:
        """The insurer decides again: another amount for the same line."""
        old = self.decided.get((who, visit)) or first_decision(who, visit)
        new = old.shared(share)
        words = {"member": f"MEM-{who:02}", "family": f"SAMPLE{who:02}"}
        undone = {name: -amount for name, amount in old.amounts().items()}
        self.files += 1
        number = f"{self.files:09}"
        both = [
            claim(f"V-{who:02}-{visit}", status="22", **undone, **words),
            claim(f"V-{who:02}-{visit}", **new.amounts(), **words),
        ]
        data = remittance(payment(*both, paid=new.paid - old.paid, trace=f"EFT-{number}"), control=number)
        with self.world.at_work() as session:
            import_stream(session, BytesIO(data), f"{number}.835", ledger=EmbeddedLedger(session))
            session.commit()
        self.decided[who, visit] = new
        self.look_alike()

    def new_bill(self, who: int, share: int) -> None:
        """Another visit that the insurer is done with."""
        self.files += 1
        number = f"{self.files:09}"
        new = Decided(billed=100 + share, paid=70, contractual=30, share=share)
        visit = claim(
            f"V-{who:02}-N{self.files}", **new.amounts(), member=f"MEM-{who:02}", family=f"SAMPLE{who:02}"
        )
        data = remittance(payment(visit, paid=new.paid, trace=f"EFT-{number}"), control=number)
        with self.world.at_work() as session:
            import_stream(session, BytesIO(data), f"{number}.835", ledger=EmbeddedLedger(session))
            session.commit()
        self.look_alike()

    def days(self, count: int) -> None:
        """So many days, each with webhooks and the worker's turn."""
        for _day in range(count):
            self.world.run_for(days=1)


# What is judged


@dataclass(frozen=True, slots=True)
class Presented:
    """A debit for a line at the bank, as Stripe has it."""

    charge_id: int
    cents: int
    at: datetime
    bank: str
    source: PaymentSource
    #: Stripe's code where it came back; empty where it arrived or is on its way.
    returned: str
    ended_at: datetime


def presented(world: World) -> list[Presented]:
    """Every debit that went to a bank, line by line, the earliest first."""
    with world.at_work() as session:
        rows = session.execute(
            sa.select(Payment.public_id, Payment.source, Payment.created_at, Allocation.charge_id, Allocation.amount)
            .join(Allocation, Allocation.payment_id == Payment.id)
            .order_by(Payment.id)
        ).all()
        session.commit()
    parts: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        parts[row.public_id].append(row)
    found = []
    for charge in world.stripe.every("charge", 100_000):
        details = charge["payment_method_details"]
        if details["type"] != "us_bank_account":
            continue
        for row in parts[charge["metadata"].get("attempt_id", "")]:
            found.append(
                Presented(
                    charge_id=row.charge_id,
                    cents=row.amount.cents,
                    at=row.created_at,
                    bank=details["us_bank_account"]["fingerprint"],
                    source=row.source,
                    returned=charge["failure_code"] or "",
                    # A debit comes back four days after it went out, and nobody knows before.
                    ended_at=row.created_at + timedelta(days=4),
                )
            )
    return sorted(found, key=lambda one: one.at)


def judge_debts(lives: Lives) -> tuple[list[str], int]:
    """What is wrong with how debts were presented, in words; and the most that one was presented by the portal.

    A debit counts for a line until later payments have covered as much of it. One that the portal makes must not be
    the fourth that counts, nor follow a return for anything but lack of funds: of the same account, whoever made them,
    and of any other that the portal charged and that came back since the patient agreed to this one; nor come later
    than 180 days after the first of these.
    """
    notes, most = [], 0
    collected = _collected(lives.world)
    by_line: dict[int, list[Presented]] = defaultdict(list)
    for one in presented(lives.world):
        by_line[one.charge_id].append(one)
    with lives.world.at_work() as session:
        accounts = accounts_of_charges(session, by_line)
        session.commit()
    for charge_id, debits in by_line.items():
        for number, one in enumerate(debits):
            if one.source not in UNATTENDED:
                continue
            agreed_at = max(
                yes.at
                for yes in lives.agreed
                if yes.account_id == accounts[charge_id] and yes.source is one.source and yes.at <= one.at
            )
            before = [
                other
                for other in debits[:number]
                if other.returned
                and other.ended_at <= one.at
                and _covered(collected[charge_id], other, one.at) < other.cents
                and (other.bank == one.bank or (other.source in UNATTENDED and other.ended_at > agreed_at))
            ]
            # Those under way at that moment that came back later are presented as well.
            with_it = sum(
                bool(other.returned) and other.ended_at > one.at and other.bank == one.bank for other in debits[:number]
            )
            times = len(before) + with_it + 1
            most = max(most, times)
            if times > 3:
                notes.append(f"line {charge_id} was presented for the {times}th time on {one.at:%Y-%m-%d}")
            refused = [other.returned for other in before if other.returned != "insufficient_funds"]
            if any(one.at - other.at > timedelta(days=180) for other in before):
                notes.append(f"line {charge_id} was presented on {one.at:%Y-%m-%d}, 180 days after the first time")
            if refused:
                notes.append(f"line {charge_id} was presented on {one.at:%Y-%m-%d} after {refused[0]}")
    return notes, most


def _collected(world: World) -> dict[int, list[tuple[datetime, int]]]:
    """What was collected of each line: when the payment was begun, and cents."""
    found: dict[int, list[tuple[datetime, int]]] = defaultdict(list)
    with world.at_work() as session:
        for charge_id, at, amount in session.execute(
            sa.select(BookingPart.charge_id, Payment.created_at, BookingPart.amount)
            .join(Booking, Booking.id == BookingPart.booking_id)
            .join(Payment, Payment.id == Booking.payment_id)
        ):
            found[charge_id].append((at, amount.cents))
        session.commit()
    return found


def _covered(collected: Sequence[tuple[datetime, int]], one: Presented, until: datetime) -> int:
    return sum(cents for at, cents in collected if one.ended_at <= at < until)
