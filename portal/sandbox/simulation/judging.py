"""What a simulated year comes to: the stand-in's own store, the books, the ledger and the mail held against each other.

Nothing here asks the portal what it thinks it did: what was taken is read at Stripe, what was owed was noted by the
witness at that moment, and what people were told is read out of the mail that was sent.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal.clock import day_at
from portal.payments.models import Payment
from portal.plans.coverage import coverage
from portal.plans.kinds import InstallmentState, Need, PlanState
from portal.plans.models import Attempt, Installment, Plan, PlanChange
from portal.plans.rows import read
from portal.plans.rules.conditions import Conditions
from portal.sandbox.simulation.verdict import judge
from portal.sandbox.simulation.year_world import YearWorld

MOVES = "moves"
_ENDED = {
    PlanState.PAID: "paid",
    PlanState.STOPPED: "stopped by rule",
    PlanState.CANCELED: "canceled",
    PlanState.DECLINED: "declined",
}
_ALL = 1_000_000


@dataclass(slots=True)
class Judgment:
    """The closing table. ``notes`` say what is off, in words; with one of them, or a figure that must be 0, all is."""

    plans: Counter[str] = field(default_factory=Counter)
    installments: int = 0
    declines: int = 0
    retries: int = 0
    charged: int = 0
    returned: int = 0
    lost: int = 0
    unexplained: int = 0
    doubles: int = 0
    above_due: int = 0
    unannounced: int = 0
    told_after_paid: int = 0
    difference: int = 0
    changes: Counter[str] = field(default_factory=Counter)
    acts: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    faults: int = 0
    spells: int = 0
    mails: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> bool:
        """Whether anything at all is off."""
        figures = (self.lost, self.unexplained, self.doubles, self.above_due, self.unannounced, self.told_after_paid)
        return bool(any(figures) or self.difference or self.notes)


@dataclass(frozen=True, slots=True)
class _Tried:
    """A try to charge an installment, as our tables name it."""

    attempt: str
    installment: str
    installment_id: int
    state: InstallmentState
    plan: str
    plan_id: int
    by_portal: bool
    failed: str


def judge_year(world: YearWorld) -> Judgment:
    """Hold everything against everything; the world is at rest."""
    found = Judgment()
    books = judge(world, shares_move=True)
    found.lost, found.unexplained, found.difference = books.lost, books.unexplained, books.difference
    found.notes += books.notes
    with world.at_work() as session:
        for plan_id, waits in sorted(what_plans_wait_for(session, world.conditions).items()):
            found.plans[waits] += 1
            if waits == MOVES:
                found.notes.append(f"plan {plan_id} neither ended nor waits for a person")
        tried = _tried(session)
        _hold_to_rules(session, world, found)
        session.commit()
    _charges(world, tried, found)
    _notices(world, tried, found)
    _count(world, found)
    return found


def what_plans_wait_for(session: Session, conditions: Conditions) -> dict[int, str]:
    """Of each plan, how it ended, whom it waits for, or that it moves on by itself."""
    plans = session.scalars(sa.select(Plan).order_by(Plan.id).execution_options(populate_existing=True)).all()
    waits = {plan.id: _ENDED.get(plan.state) or _waits_for(session, plan, conditions) for plan in plans}
    session.commit()
    return waits


def anything_moves(session: Session, conditions: Conditions) -> bool:
    """Whether any plan moves on by itself; looks no further than the first that does."""
    plans = session.scalars(
        sa.select(Plan)
        .where(Plan.state.not_in([*_ENDED]))
        .order_by(Plan.id)
        .execution_options(populate_existing=True)
    ).all()
    moves = any(_waits_for(session, plan, conditions) == MOVES for plan in plans)
    session.commit()
    return moves


def _waits_for(session: Session, plan: Plan, conditions: Conditions) -> str:
    if plan.state is PlanState.PROPOSED:
        return "waits for the patient (a proposal)"
    under_way = session.scalar(
        sa.select(sa.func.count())
        .select_from(Attempt)
        .join(Installment, Installment.id == Attempt.installment_id)
        .where(Installment.plan_id == plan.id, Attempt.ended_at.is_(None))
    )
    if under_way:
        return MOVES
    if plan.state is PlanState.PAUSED:
        return "waits for the patient (charges stopped)" if plan.paused_until is None else MOVES
    now = read(session, plan, today=conditions.today)
    if now.rows or now.has_moved:
        return MOVES
    covered = coverage(session, plan.id, plan.account_id)
    if any(one.line.sums.with_insurer for one in covered):
        return "waits for the insurer"
    if any(one.line.held for one in covered):
        return "waits for the staff (a held line)"
    return "waits for the patient (another method)" if plan.need is not Need.NOTHING else MOVES


def days_until_something(world: YearWorld) -> int:
    """How many days may be jumped over: until an installment is told of, charged, or given up; at most five, since what
    is under way (debits, refunds, disputes) is looked at in between.
    """
    policy, today = world.policy, world.conditions.today
    with world.at_work() as session:
        under_way = session.scalar(sa.select(sa.func.count()).where(Attempt.ended_at.is_(None)))
        rows = session.execute(
            sa.select(Installment.charge_on, Installment.due_on, Installment.noticed_at, Plan.paused_until)
            .join(Plan, Plan.id == Installment.plan_id)
            .where(
                Installment.state == InstallmentState.PLANNED, Plan.state.in_([PlanState.ACTIVE, PlanState.PAUSED])
            )
        ).all()
        session.commit()
    if under_way:
        return 1
    days = [today + timedelta(days=5)]
    for charge_on, due_on, noticed_at, paused_until in rows:
        days += [charge_on - timedelta(days=policy.notice_days if noticed_at is None else 0)]
        days += [due_on + timedelta(days=policy.grace_days + 1), paused_until or charge_on]
    return max(1, min((day - today).days for day in days if day > today))


def _hold_to_rules(session: Session, world: YearWorld, found: Judgment) -> None:
    """Missed installments are counted, and the installments to come sum to what is left."""
    policy, today = world.policy, world.conditions.today
    for plan in session.scalars(sa.select(Plan).where(Plan.state.in_([PlanState.ACTIVE, PlanState.PAUSED]))).all():
        now = read(session, plan, today=today)
        planned, left = sum(due.amount.cents for due in now.written), now.schedule.total.cents
        if planned != left:
            found.notes.append(f"plan {plan.id}: {planned} cents are to come, {left} are left")
        overdue = [due for due in now.written if due.on + timedelta(days=policy.grace_days) < today]
        if overdue and plan.state is PlanState.ACTIVE:
            found.notes.append(f"plan {plan.id}: an installment of {overdue[0].on} was neither paid nor missed")
    rows = session.execute(
        sa.select(Installment.plan_id, Installment.state, Plan.state)
        .join(Plan, Plan.id == Installment.plan_id)
        .where(Installment.state.in_([InstallmentState.PAID, InstallmentState.MISSED]))
        .order_by(Installment.plan_id, Installment.due_on, Installment.ordinal)
    ).all()
    in_row: dict[int, int] = defaultdict(int)
    for plan_id, state, plan_state in rows:
        in_row[plan_id] = in_row[plan_id] + 1 if state is InstallmentState.MISSED else 0
        if in_row[plan_id] >= policy.missed_ends_after and plan_state in (PlanState.ACTIVE, PlanState.PAUSED):
            found.notes.append(f"plan {plan_id} goes on though {in_row[plan_id]} in a row were missed")


def _tried(session: Session) -> dict[str, _Tried]:
    rows = session.execute(
        sa.select(
            Payment.public_id, Installment.public_id, Installment.id, Installment.state, Plan.public_id, Plan.id,
            Payment.source == "plan", Payment.failure_code,
        )
        .join(Attempt, Attempt.payment_id == Payment.id)
        .join(Installment, Installment.id == Attempt.installment_id)
        .join(Plan, Plan.id == Installment.plan_id)
    )  # fmt: skip
    return {row[0]: _Tried(*row) for row in rows}


def _charges(world: YearWorld, tried: dict[str, _Tried], found: Judgment) -> None:
    """What Stripe took for installments: once each, and every one that is paid."""
    taken: dict[int, int] = defaultdict(int)
    tries: dict[int, int] = defaultdict(int)
    for charge in world.stripe.every("charge", _ALL):
        one = tried.get(charge["metadata"].get("attempt_id", ""))
        if one is None:
            continue
        if charge["status"] == "succeeded":
            taken[one.installment_id] += 1
            found.charged += charge["amount"]
        elif charge["status"] == "failed":
            found.declines += 1
        tries[one.installment_id] += 1
    found.installments = len(taken)
    found.retries = sum(count - 1 for count in tries.values())
    by_installment = {one.installment_id: one for one in tried.values()}
    for installment_id, count in taken.items():
        if count > 1:
            found.doubles += count - 1
            found.notes.append(f"installment {installment_id} was charged {count} times")
        if by_installment[installment_id].state is not InstallmentState.PAID:
            found.notes.append(
                f"installment {installment_id} was charged and is {by_installment[installment_id].state.value}"
            )
    for installment_id, one in by_installment.items():
        if one.state is InstallmentState.PAID and not taken.get(installment_id):
            found.notes.append(f"installment {installment_id} is paid and Stripe took nothing")
    for note in world.journal.notes("taken"):
        for line, cents in note["above"].items():
            found.above_due += cents
            found.notes.append(f"{note['at'][:16]}: {cents} cents above what was due on line {line} were taken")


def _notices(world: YearWorld, tried: dict[str, _Tried], found: Judgment) -> None:
    """Nobody was charged without a mail that said so in time, and nobody was written to after having paid."""
    timezone = world.settings.clinic_timezone
    told = _Told(timezone, _begun(world))
    amounts = _amounts(world)
    agreed = _agreed(world)
    events = sorted([*world.journal.notes("mail"), *world.journal.notes("taken")], key=lambda one: _when(one, agreed))
    for note in events:
        if note["what"] == "mail":
            found.mails += 1
            told.hear(note, _when(note, agreed))
            if note.get("wrong"):
                found.told_after_paid += 1
                found.notes.append(f"{note['at'][:16]}: {note['key']} was sent, and {note['wrong']}")
            continue
        one = tried.get(note["attempt"])
        if one is None or not one.by_portal:
            continue
        on = day_at(datetime.fromisoformat(note["at"]), timezone)
        if why := told.missing(one, on, amounts[note["attempt"]], days=world.policy.notice_days):
            found.unannounced += 1
            about = f"installment {one.installment_id} (plan {one.plan_id})"
            found.notes.append(f"{note['at'][:16]}: {about} charged: {why}")


def _agreed(world: YearWorld) -> dict[str, datetime]:
    """When the payer agreed to what a copy is of, by the copy's key: the page showed it all before they could."""
    with world.at_work() as session:
        rows = session.execute(
            sa.select(Plan.public_id, PlanChange.version, PlanChange.changed_at)
            .join(PlanChange, PlanChange.plan_id == Plan.id)
            .where(PlanChange.consent_id.is_not(None), PlanChange.actor_user_id == Plan.user_id)
        ).all()
        session.commit()
    return {f"plan/{plan}/copy/{version}": at for plan, version, at in rows}


def _when(note: dict[str, Any], agreed: dict[str, datetime]) -> datetime:
    """The moment of a note. A copy, where it was sent at all, tells of what was agreed to before it."""
    at = datetime.fromisoformat(note["at"])
    return min(at, agreed.get(note.get("key", ""), at))


def _begun(world: YearWorld) -> dict[int, datetime]:
    """When each try was begun, by its payment."""
    with world.at_work() as session:
        rows = session.execute(sa.select(Attempt.payment_id, Attempt.made_at)).all()
        session.commit()
    return dict(rows)


def _amounts(world: YearWorld) -> dict[str, int]:
    return {
        intent["metadata"].get("attempt_id", ""): intent["amount"]
        for intent in world.stripe.every("payment_intent", _ALL)
    }


class _Told:
    """What people were told of charges to come, by the mails that were sent so far."""

    def __init__(self, timezone: str, begun: Mapping[int, datetime]) -> None:
        self._timezone, self._begun = timezone, begun
        self._notices: dict[str, list[_Notice]] = defaultdict(list)
        self._copies: dict[str, list[_Copy]] = defaultdict(list)
        self._again: dict[str, list[_Again]] = defaultdict(list)

    def hear(self, note: dict[str, Any], at: datetime) -> None:
        """A mail was sent, or the agreement that it is the copy of was made."""
        on = self._on(at)
        if about := re.match(r"^plan/(?P<id>[0-9a-f]{32})/notice/(?P<day>[\d-]+)(?:/\d+)?$", note["key"]):
            amount = re.search(r"\$([\d,]+\.\d\d)", note["subject"])
            varies = "not the usual amount" in note["body"]
            self._notices[about["id"]].append(
                _Notice(at, on, date.fromisoformat(about["day"]), _cents(amount.group(1)) if amount else 0, varies)
            )
        elif about := re.match(r"^plan/(?P<id>[0-9a-f]{32})/failed/(?P<payment>\d+)$", note["key"]):
            if again := re.search(r"We will try again on ([A-Z][a-z]+ \d+, \d{4})", note["body"]):
                self._again[about["id"]].append(_Again(at, _day(again.group(1)), self._begun[int(about["payment"])]))
        elif about := re.match(r"^plan/(?P<id>[0-9a-f]{32})/copy/\d+$", note["key"]):
            dues = re.findall(r"^([A-Z][a-z]+ \d+, \d{4}): \$([\d,]+\.\d\d)$", note["body"], re.MULTILINE)
            listed = tuple((_day(day), _cents(amount)) for day, amount in dues)
            self._copies[about["id"]].append(_Copy(at, on, listed))

    def _on(self, at: datetime) -> date:
        return day_at(at, self._timezone)

    def missing(self, one: _Tried, on: date, cents: int, *, days: int) -> str:
        """Why a charge of ``cents`` on that day was not announced as it has to be; empty where it was."""
        notices, copies = self._notices[one.installment], self._copies[one.plan]
        again = [
            one
            for one in self._again[one.installment]
            # A try against the last agreement was wrong, and so is what its mail promises.
            if not copies or one.begun < copies[-1].at or copies[-1].names(self._on(one.begun))
        ]
        said: list[_Notice | _Again | _Copy] = [*notices, *again, *copies]
        last = max(said, key=lambda word: word.at, default=None)
        if isinstance(last, _Copy) and not last.names(on):
            return "the last agreement names no day before it"
        if isinstance(last, _Notice | _Again) and last.day > on:
            return f"the last mail about it said {last.day}"
        if any(
            notice.day <= on and notice.cents >= cents and notice.on + timedelta(days=10 if notice.varies else days)
            <= notice.day
            for notice in notices
        ):
            return ""
        for copy in copies:
            soon = copy.on + timedelta(days=days)
            if any(day <= min(on, soon) and cents <= amount for day, amount in copy.dues):
                return ""
        heard = [f"{notice.on} of {notice.cents} on {notice.day}" for notice in notices]
        return f"{cents} cents, told {heard or 'nothing'}"


@dataclass(frozen=True, slots=True)
class _Notice:
    at: datetime
    on: date
    day: date
    cents: int
    varies: bool


@dataclass(frozen=True, slots=True)
class _Again:
    """A charge was turned down, and the mail about it named another day. It is no notice in advance by itself.

    ``begun`` is when that charge was made.
    """

    at: datetime
    day: date
    begun: datetime


@dataclass(frozen=True, slots=True)
class _Copy:
    at: datetime
    on: date
    dues: tuple[tuple[date, int], ...]

    def names(self, on: date) -> bool:
        """Whether it lists a payment for that day or an earlier one."""
        return any(day <= on for day, _amount in self.dues)


def _day(words: str) -> date:
    return datetime.strptime(words, "%B %d, %Y").date()


def _cents(dollars: str) -> int:
    return int(dollars.replace(",", "").replace(".", ""))


def _count(world: YearWorld, found: Judgment) -> None:
    found.changes = world.journal.counts("change", "change")
    found.acts = Counter(note["act"] for note in world.journal.notes("act") if not note["told"])
    found.events = world.journal.counts("event", "fate")
    found.faults = sum(note["injected"] for note in world.journal.notes("faults"))
    found.returned = sum(
        refund["amount"] for refund in world.stripe.every("refund", _ALL) if refund["status"] == "succeeded"
    )

