"""Reading plans. Columns, not entities; a fixed number of queries."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal.accounts.access import visible
from portal.accounts.joins import ACCOUNT
from portal.auth.joins import USER
from portal.db import RecordNotFound
from portal.money import Money
from portal.payments.joins import PAYMENT
from portal.payments.kinds import PaymentSource
from portal.plans.kinds import RUNNING, ChangeKind, InstallmentState, Need, PlanState, RequestKind
from portal.plans.models import Attempt, Installment, Plan, PlanChange, PlanLine, PlanRequest
from portal.plans.rules.schedule import Due, Rhythm


@dataclass(frozen=True, slots=True)
class PlanRow:
    """A plan as pages show it."""

    id: int
    public_id: str
    account_id: int
    account_public_id: str
    account_ref: str
    guarantor_name: str
    user_id: int
    method_id: int | None
    state: PlanState
    rhythm: Rhythm
    each: Money
    month_cap: Money | None
    need: Need
    version: int
    exceeds: str
    paused_until: date | None
    started_at: datetime | None
    ended_at: datetime | None
    end_reason: str

    @property
    def runs(self) -> bool:
        """Whether it goes on."""
        return self.state in RUNNING


@dataclass(frozen=True, slots=True)
class InstallmentRow:
    """An installment; ``payment_public_id`` is its latest payment's."""

    id: int
    public_id: str
    ordinal: int
    due_on: date
    amount: Money
    state: InstallmentState
    charge_on: date
    noticed_at: datetime | None
    tries: int
    failure_code: str
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """A change of a plan, with the schedule after it; ``by_staff``: neither its payer's nor the portal's own."""

    public_id: str
    version: int
    kind: ChangeKind
    actor: str
    by_staff: bool
    agreed: bool
    document_id: int | None
    note: str
    left: Money
    dues: tuple[Due, ...]
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class RequestRow:
    """Something a patient asked for."""

    id: int
    public_id: str
    plan_public_id: str
    guarantor_name: str
    kind: RequestKind
    until: date
    note: str
    asked_at: datetime
    decided_at: datetime | None
    granted: bool | None
    answer: str


#: What :func:`plan_row` makes a row of; a query of them joins the account.
PLAN_COLUMNS = (
    Plan.id,
    Plan.public_id,
    Plan.account_id,
    ACCOUNT.c.public_id,
    ACCOUNT.c.ref,
    ACCOUNT.c.guarantor_name,
    Plan.user_id,
    Plan.method_id,
    Plan.state,
    Plan.frequency,
    Plan.day,
    Plan.each,
    Plan.month_cap,
    Plan.need,
    Plan.version,
    Plan.exceeds,
    Plan.paused_until,
    Plan.started_at,
    Plan.ended_at,
    Plan.end_reason,
)
_INSTALLMENT = (
    Installment.id,
    Installment.public_id,
    Installment.ordinal,
    Installment.due_on,
    Installment.amount,
    Installment.state,
    Installment.charge_on,
    Installment.noticed_at,
    Installment.tries,
    Installment.failure_code,
    Installment.ended_at,
)


def _plans(*where: sa.ColumnElement[bool]) -> sa.Select[*tuple[Any, ...]]:
    return sa.select(*PLAN_COLUMNS).join(ACCOUNT, ACCOUNT.c.id == Plan.account_id).where(*where)


def plan_row(row: Any) -> PlanRow:
    """A row of :data:`PLAN_COLUMNS` as pages want it."""
    return PlanRow(*[*row[:9], Rhythm(row[9], row[10]), *row[11:]])


#: Paid, or in the hands of a bank, whose answer may take days.
_TAKEN = (InstallmentState.PAID, InstallmentState.CHARGING)


def last_paid_on(session: Session, account_id: int) -> date | None:
    """The day of the latest installment of an account that was paid by any of its plans, or is being paid."""
    return session.scalar(
        sa.select(sa.func.max(Installment.due_on))
        .join(Plan, Plan.id == Installment.plan_id)
        .where(
            Plan.account_id == account_id,
            Installment.state.in_(_TAKEN),
        )
    )


def paid_months(session: Session, charge_ids: Iterable[int]) -> frozenset[tuple[int, int]]:
    """The months (year and month) in which installments were paid, or are being paid, by any plan of these charges.

    Each counts in the month that it was for, also where it was put off and charged in the next one.
    """
    days = session.scalars(
        sa.select(Installment.due_on)
        .join(PlanLine, PlanLine.plan_id == Installment.plan_id)
        .where(PlanLine.charge_id.in_(list(charge_ids)), Installment.state.in_(_TAKEN))
        .distinct()
    )
    return frozenset((day.year, day.month) for day in days)


def months_paid(session: Session, charge_ids: Iterable[int]) -> int:
    """How many months :func:`paid_months` are."""
    return len(paid_months(session, charge_ids))


def paid_down(session: Session, plan_id: int, *, on: date) -> Due | None:
    """The down payment that was agreed to when a plan began ``on`` (the clinic's day): what was due on that day."""
    schedule = session.scalar(
        sa.select(PlanChange.schedule).where(PlanChange.plan_id == plan_id, PlanChange.kind == ChangeKind.ENROLLED)
    )
    first = next(iter(schedule or ()), None)
    return Due(on, Money(first[1])) if first is not None and first[0] == on.isoformat() else None


def latest_month_cap(session: Session, account_id: int, *, user_id: int) -> Money | None:
    """What the law let be asked of a person in a month by their latest plan or offer on an account; None: no cap."""
    return session.scalar(
        sa.select(Plan.month_cap)
        .where(Plan.account_id == account_id, Plan.user_id == user_id)
        .order_by(Plan.id.desc())
        .limit(1)
    )


def plan_for(session: Session, public_id: str, *, user_id: int | None) -> PlanRow:
    """One plan by its public id; ``user_id`` None is staff, others see their own. Raises :class:`RecordNotFound`."""
    query = _plans(Plan.public_id == public_id)
    if user_id is not None:
        query = query.where(Plan.user_id == user_id, visible(user_id, Plan.account_id))
    row = session.execute(query).first()
    if row is None:
        raise RecordNotFound("plan")
    return plan_row(row)


def plan_of_installment(session: Session, public_id: str) -> tuple[PlanRow, InstallmentRow]:
    """An installment by its public id, with its plan. Raises :class:`RecordNotFound`."""
    row: Any = session.execute(
        sa.select(*PLAN_COLUMNS, *_INSTALLMENT)
        .join(ACCOUNT, ACCOUNT.c.id == Plan.account_id)
        .join(Installment, Installment.plan_id == Plan.id)
        .where(Installment.public_id == public_id)
    ).first()
    if row is None:
        raise RecordNotFound("installment")
    return plan_row(row[: len(PLAN_COLUMNS)]), InstallmentRow(*row[len(PLAN_COLUMNS) :])


def plans_of_account(session: Session, account_id: int, *, user_id: int | None) -> list[PlanRow]:
    """The plans of an account, the latest first; ``user_id`` None is staff."""
    query = _plans(Plan.account_id == account_id).order_by(Plan.id.desc())
    if user_id is not None:
        query = query.where(Plan.user_id == user_id, visible(user_id, Plan.account_id))
    return [plan_row(row) for row in session.execute(query)]


def open_plans(session: Session, user_id: int) -> dict[int, PlanRow]:
    """The running and proposed plans of a person, by account id; a running one before a proposed one."""
    rows = session.execute(
        _plans(
            Plan.user_id == user_id,
            visible(user_id, Plan.account_id),
            Plan.state.in_([*RUNNING, PlanState.PROPOSED]),
        ).order_by(sa.case((Plan.state == PlanState.PROPOSED, 0), else_=1))
    )
    return {row[2]: plan_row(row) for row in rows}


def installments_of(session: Session, plan_id: int) -> list[InstallmentRow]:
    """A plan's installments in the order of their days."""
    rows: Any = session.execute(
        sa.select(*_INSTALLMENT).where(Installment.plan_id == plan_id).order_by(Installment.due_on, Installment.ordinal)
    )
    return [InstallmentRow(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is to come on a plan: what is left in all, and the next installment where one is planned."""

    left: Money
    next_amount: Money | None
    next_on: date | None


def outlooks(session: Session, plan_ids: Iterable[int]) -> dict[int, Outlook]:
    """What is to come on each of these plans, by plan id; plans of nothing to come are left out."""
    rows = session.execute(
        sa.select(Installment.plan_id, Installment.amount, Installment.charge_on)
        .where(Installment.plan_id.in_(list(plan_ids)), Installment.state == InstallmentState.PLANNED)
        .order_by(Installment.plan_id, Installment.due_on.desc(), Installment.ordinal.desc())
    )
    found: dict[int, Outlook] = {}
    for plan_id, amount, charge_on in rows:
        before = found[plan_id].left if plan_id in found else Money.zero()
        found[plan_id] = Outlook(before + amount, amount, charge_on)
    return found


def payments_of(session: Session, plan_id: int) -> dict[int, list[int]]:
    """The payments tried for each installment, by installment id, oldest first."""
    rows = session.execute(
        sa.select(Attempt.installment_id, Attempt.payment_id)
        .join(Installment, Installment.id == Attempt.installment_id)
        .where(Installment.plan_id == plan_id)
        .order_by(Attempt.id)
    )
    found: dict[int, list[int]] = {}
    for installment_id, payment_id in rows:
        found.setdefault(installment_id, []).append(payment_id)
    return found


def turned_down_at(session: Session, installment_id: int) -> datetime | None:
    """When the portal's latest charge of an installment was turned down (UTC)."""
    return session.scalar(
        sa.select(sa.func.max(Attempt.ended_at))
        .join(PAYMENT, PAYMENT.c.id == Attempt.payment_id)
        .where(
            Attempt.installment_id == installment_id,
            PAYMENT.c.source == PaymentSource.PLAN,
            PAYMENT.c.failure_code != "",
        )
    )


def changes_of(session: Session, plan_id: int) -> list[ChangeRow]:
    """What happened to a plan, the latest first."""
    rows = session.execute(
        sa.select(
            PlanChange.public_id,
            PlanChange.version,
            PlanChange.kind,
            USER.c.display_name,
            sa.func.coalesce(PlanChange.actor_user_id != Plan.user_id, sa.false()),
            PlanChange.consent_id,
            PlanChange.document_id,
            PlanChange.note,
            PlanChange.left,
            PlanChange.schedule,
            PlanChange.changed_at,
        )
        .join(Plan, Plan.id == PlanChange.plan_id)
        .join(USER, USER.c.id == PlanChange.actor_user_id, isouter=True)
        .where(PlanChange.plan_id == plan_id)
        .order_by(PlanChange.version.desc())
    )
    return [
        ChangeRow(
            public_id=row[0],
            version=row[1],
            kind=row[2],
            actor=row[3] or "",
            by_staff=bool(row[4]),
            agreed=row[5] is not None,
            document_id=row[6],
            note=row[7],
            left=row[8],
            dues=_dues(row[9]),
            changed_at=row[10],
        )
        for row in rows
    ]


def _dues(schedule: Iterable[Any]) -> tuple[Due, ...]:
    return tuple(Due(date.fromisoformat(day), Money(cents)) for day, cents in schedule)


def agreement_document(session: Session, plan_id: int, change_public_id: str) -> int:
    """The stored document of what was agreed by a change. Raises :class:`RecordNotFound`."""
    found = session.scalar(
        sa.select(PlanChange.document_id).where(
            PlanChange.plan_id == plan_id, PlanChange.public_id == change_public_id
        )
    )
    if found is None:
        raise RecordNotFound("document")
    return found


_REQUEST = (
    PlanRequest.id,
    PlanRequest.public_id,
    Plan.public_id,
    ACCOUNT.c.guarantor_name,
    PlanRequest.kind,
    PlanRequest.until,
    PlanRequest.note,
    PlanRequest.asked_at,
    PlanRequest.decided_at,
    PlanRequest.granted,
    PlanRequest.answer,
)


def request_rows(session: Session, *where: sa.ColumnElement[bool]) -> list[RequestRow]:
    """Requests that fit, the oldest first."""
    query: sa.Select[*tuple[Any, ...]] = (
        sa.select(*_REQUEST)
        .join(Plan, Plan.id == PlanRequest.plan_id)
        .join(ACCOUNT, ACCOUNT.c.id == Plan.account_id)
        .where(*where)
        .order_by(PlanRequest.id)
    )
    return [RequestRow(*row) for row in session.execute(query)]


def open_requests(session: Session) -> list[RequestRow]:
    """What patients wait for an answer to, the oldest first."""
    return request_rows(session, PlanRequest.decided_at.is_(None), Plan.state.in_(RUNNING))


def requests_of(session: Session, plan_id: int) -> list[RequestRow]:
    """What was asked for on a plan, the latest last."""
    return request_rows(session, PlanRequest.plan_id == plan_id)


def skips_used(session: Session, plan_id: int, *, today: date) -> int:
    """How many installments were skipped in the year before ``today``."""
    since = today - timedelta(days=365)
    query = sa.select(sa.func.count()).where(
        Installment.plan_id == plan_id, Installment.state == InstallmentState.SKIPPED, Installment.due_on > since
    )
    return session.scalar(query) or 0


def uses_method(session: Session, method_id: int) -> list[str]:
    """The guarantors' names of the accounts whose running plan charges a method."""
    rows = session.scalars(
        sa.select(ACCOUNT.c.guarantor_name)
        .join(Plan, Plan.account_id == ACCOUNT.c.id)
        .where(Plan.method_id == method_id, Plan.state.in_(RUNNING))
        .order_by(ACCOUNT.c.guarantor_name)
    )
    return list(rows)


def plan_charges(session: Session, plan_id: int) -> list[int]:
    """The charges that are on a plan now."""
    return list(
        session.scalars(sa.select(PlanLine.charge_id).where(PlanLine.plan_id == plan_id, PlanLine.left_at.is_(None)))
    )
