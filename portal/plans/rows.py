"""A plan as rows: reading how it stands under its lock, and writing how it stands from now on.

Every change of a plan, whoever makes it, is :func:`read`, something pure, and :func:`write`, in the caller's
transaction.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal import clock
from portal.audit.service import record
from portal.audit.tags import Tag
from portal.billing.service import set_on_plan
from portal.money import Money
from portal.payments.queries import payment_by_id
from portal.payments.settle import lock_accounts
from portal.payments.state import PaymentState
from portal.plans.back_office import notify_back_office
from portal.plans.coverage import Covered, coverage, left_by_charge
from portal.plans.errors import PlanIsOver
from portal.plans.kinds import RUNNING, ChangeKind, InstallmentState, Need, PlanState
from portal.plans.models import Attempt, Installment, Plan, PlanChange, PlanLine
from portal.plans.queries import months_paid, skips_used
from portal.plans.rules.changes import ScheduleState, earliest_next
from portal.plans.rules.schedule import Due, Rhythm, most_each, reshape
from portal.plans.unsent import withdraw

#: With a charge's payment in one of these, what is left already counts it; otherwise it may turn out so or so.
_COUNTED = (PaymentState.PROCESSING, PaymentState.SUCCEEDED)
#: The end of an installment's way.
_BEHIND = (InstallmentState.PAID, InstallmentState.MISSED, InstallmentState.SKIPPED)


@dataclass(frozen=True, slots=True)
class PlanNow:
    """A plan under its lock: how it stands, the rows of its installments to come, and its lines.

    ``written`` are the installments as they are written down; ``schedule`` has them as they should be, in case what is
    due has moved since. ``settling`` says that a charge is under way whose outcome nobody knows yet.
    """

    plan: Plan
    schedule: ScheduleState
    written: tuple[Due, ...]
    rows: tuple[Installment, ...]
    covered: tuple[Covered, ...]
    settling: bool

    @property
    def told(self) -> int:
        """How many of the first installments the patient was told of, or a bank has been asked for."""
        return _told(self.rows)

    @property
    def has_moved(self) -> bool:
        """Whether what is due is not what the installments sum to."""
        return self.written != self.schedule.unpaid


def locked(session: Session, plan_id: int) -> Plan:
    """The plan, with its account's lock held until the transaction ends."""
    account_id = session.execute(sa.select(Plan.account_id).where(Plan.id == plan_id)).scalar_one()
    lock_accounts(session, [account_id])
    return session.get_one(Plan, plan_id, populate_existing=True)


def running(session: Session, plan_id: int) -> Plan:
    """A running plan, with its account's lock held until the transaction ends. Raises :class:`PlanIsOver`."""
    plan = locked(session, plan_id)
    if plan.state not in RUNNING:
        raise PlanIsOver
    return plan


def read(session: Session, plan: Plan, *, today: date) -> PlanNow:
    """How a plan stands. The caller holds its lock, or only looks."""
    rows = session.scalars(
        sa.select(Installment)
        .where(Installment.plan_id == plan.id, Installment.state == InstallmentState.PLANNED)
        .order_by(Installment.due_on, Installment.ordinal)
        .execution_options(populate_existing=True)
    ).all()
    covered = coverage(session, plan.id, plan.account_id)
    left = left_by_charge(covered)
    written = tuple(Due(row.due_on, row.amount) for row in rows)
    rhythm = Rhythm(plan.frequency, plan.day)
    last_due_on = session.scalar(
        sa.select(sa.func.max(Installment.due_on)).where(
            Installment.plan_id == plan.id,
            Installment.state.in_([*_BEHIND, InstallmentState.CHARGING]),
        )
    )
    told = _told(rows)
    unpaid = reshape(
        written,
        Money.total(left.values()),
        plan.each,
        rhythm,
        fixed=told,
        earliest=earliest_next(last_due_on, plan.frequency, plan.month_cap, today),
        most=most_each(plan.month_cap, plan.frequency),
    )
    schedule = ScheduleState(
        each=plan.each,
        rhythm=rhythm,
        unpaid=tuple(unpaid),
        left=left,
        last_due_on=last_due_on,
        skips_used=skips_used(session, plan.id, today=today),
        month_cap=plan.month_cap,
        months_paid=months_paid(session, left) if plan.month_cap is not None else 0,
    )
    return PlanNow(plan, schedule, written, tuple(rows), tuple(covered), _settling(session, plan.id))


def look(session: Session, plan_id: int, *, today: date) -> PlanNow:
    """How a plan stands, read without a lock, for pages that only show it."""
    return read(session, session.get_one(Plan, plan_id, populate_existing=True), today=today)


def _told(rows: Sequence[Installment]) -> int:
    return next((place for place, row in enumerate(rows) if row.noticed_at is None and not row.tries), len(rows))


def _settling(session: Session, plan_id: int) -> bool:
    under_way = session.scalars(
        sa.select(Attempt.payment_id)
        .join(Installment, Installment.id == Attempt.installment_id)
        .where(Installment.plan_id == plan_id, Attempt.ended_at.is_(None))
    )
    return any(payment_by_id(session, one).state not in _COUNTED for one in under_way)


def fingerprint(schedule: ScheduleState) -> str:
    """What a page says it has shown: the same for the same schedule only."""
    told = repr([(due.on.isoformat(), due.amount.cents) for due in schedule.unpaid])
    return hashlib.sha256(told.encode()).hexdigest()[:32]


def write(
    session: Session,
    now: PlanNow,
    after: ScheduleState,
    *,
    kind: ChangeKind,
    actor_user_id: int | None = None,
    consent_id: int | None = None,
    document_id: int | None = None,
    note: str = "",
    told_until: date | None = None,
) -> None:
    """Write down how a plan stands from now on, with what happened. In the caller's transaction.

    ``told_until`` is a day up to which the patient has just been shown the installments: those need no other notice.
    """
    plan, at = now.plan, clock.now()
    plan.each, plan.frequency, plan.day = after.each, after.rhythm.frequency, after.rhythm.day
    plan.checked_at = at
    rows = list(now.rows)
    if kind is ChangeKind.SKIPPED and rows:
        skipped = rows.pop(0)
        skipped.state, skipped.ended_at = InstallmentState.SKIPPED, at
        take_back(session, skipped)
    skipped_one, first = len(rows) < len(now.rows), rows[0].due_on if rows else None
    put_off = skipped_one or not after.unpaid or after.unpaid[0].on != first
    if plan.need is Need.CONFIRMATION and put_off:
        plan.need = Need.NOTHING  # what the bank asked about is no longer to come; the next one is asked for as usual
    lay_down(session, plan.id, rows, after.unpaid, told_until=told_until)
    note_change(
        session,
        plan,
        kind=kind,
        after=after,
        actor_user_id=actor_user_id,
        consent_id=consent_id,
        document_id=document_id,
        note=note,
    )


def lay_down(
    session: Session, plan_id: int, rows: Sequence[Installment], dues: Sequence[Due], *, told_until: date | None = None
) -> None:
    """Make the rows of the installments to come say what ``dues`` say: the first row the first one, and so on."""
    at = clock.now()
    for row, due in zip(rows, dues, strict=False):
        if due.on != row.due_on or due.amount > row.amount:
            take_back(session, row)
        if due.on != row.due_on:
            row.due_on = row.charge_on = due.on
            row.noticed_at = None
            row.tries, row.failure_code = 0, ""  # what was turned down was for another day
        if due.amount > row.amount:
            row.noticed_at = None
        row.amount = due.amount
        if told_until is not None and row.noticed_at is None and row.charge_on <= told_until:
            row.noticed_at = at
    for row in rows[len(dues) :]:
        row.state, row.ended_at = InstallmentState.DROPPED, at
        take_back(session, row)
    last = session.scalar(sa.select(sa.func.max(Installment.ordinal)).where(Installment.plan_id == plan_id)) or 0
    session.add_all(
        Installment(
            plan_id=plan_id,
            ordinal=last + place,
            due_on=due.on,
            charge_on=due.on,
            amount=due.amount,
            state=InstallmentState.PLANNED,
            noticed_at=at if told_until is not None and due.on <= told_until else None,
        )
        for place, due in enumerate(dues[len(rows) :], start=1)
    )
    session.flush()


def take_back(session: Session, row: Installment) -> None:
    """A notice that was not sent by now tells of what is no longer so."""
    if row.noticed_at is not None:
        withdraw(session, installment=row.public_id, on=row.charge_on, amount=row.amount)


def note_change(
    session: Session,
    plan: Plan,
    *,
    kind: ChangeKind,
    after: ScheduleState,
    actor_user_id: int | None = None,
    consent_id: int | None = None,
    document_id: int | None = None,
    note: str = "",
) -> None:
    """Keep what happened with the schedule after it, audit it, and tell the back office."""
    first = kind is ChangeKind.ENROLLED
    plan.version = 1 if first else plan.version + 1
    session.add(
        PlanChange(
            plan_id=plan.id,
            version=plan.version,
            kind=kind,
            actor_user_id=actor_user_id,
            consent_id=consent_id,
            document_id=document_id,
            note=note[:300],
            left=after.total,
            schedule=[[due.on.isoformat(), due.amount.cents] for due in after.unpaid],
            changed_at=clock.now(),
        )
    )
    record(
        session,
        Tag.PLAN_STARTED if first else Tag.PLAN_CHANGED if plan.state in RUNNING else Tag.PLAN_ENDED,
        actor_user_id=actor_user_id,
        account_id=plan.account_id,
        subject=plan.public_id,
        kind=kind.value,
        version=plan.version,
        left_cents=after.total.cents,
    )
    notify_back_office(
        session,
        plan=plan.public_id,
        version=plan.version,
        account_id=plan.account_id,
        kind=kind,
        ended=plan.state not in RUNNING,
        left=after.left,
    )
    session.flush()


def join(session: Session, plan_id: int, lines: Iterable[tuple[int, Money, Money]], *, mark: bool = True) -> None:
    """Put lines on a plan: (charge, what is agreed of it, what was paid of it before).

    Without ``mark`` they are offered only, and stay what they are.
    """
    lines, at = list(lines), clock.now()
    session.add_all(
        PlanLine(
            plan_id=plan_id, charge_id=charge_id, agreed=agreed, paid_before=before, joined_at=at, offered=not mark
        )
        for charge_id, agreed, before in lines
    )
    if mark:
        set_on_plan(session, [charge_id for charge_id, _agreed, _before in lines], on_plan=True)
    session.flush()


def leave(session: Session, plan_id: int, charge_ids: Iterable[int]) -> None:
    """Take lines off a plan: they are ordinary bills again."""
    charge_ids = list(charge_ids)
    session.execute(
        sa.update(PlanLine)
        .where(PlanLine.plan_id == plan_id, PlanLine.charge_id.in_(charge_ids), PlanLine.left_at.is_(None))
        .values(left_at=clock.now())
    )
    set_on_plan(session, charge_ids, on_plan=False)


def end(
    session: Session,
    now: PlanNow,
    *,
    state: PlanState,
    kind: ChangeKind,
    reason: str,
    actor_user_id: int | None = None,
    note: str = "",
) -> None:
    """End a plan: what is to come is dropped, its lines are ordinary bills again. A charge under way goes on."""
    plan, at = now.plan, clock.now()
    for row in now.rows:
        row.state, row.ended_at = InstallmentState.DROPPED, at
        take_back(session, row)
    plan.state, plan.ended_at, plan.end_reason, plan.need = state, at, reason[:40], Need.NOTHING
    plan.paused_until = None
    leave(session, plan.id, [one.line.charge_id for one in now.covered])
    note_change(
        session,
        plan,
        kind=kind,
        after=ScheduleState(now.schedule.each, now.schedule.rhythm, (), now.schedule.left),
        actor_user_id=actor_user_id,
        note=note,
    )
