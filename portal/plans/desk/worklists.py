"""What the desk's lists and pages of plans show. Columns, not entities; a fixed number of queries."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from portal.accounts.access import visible
from portal.accounts.joins import ACCOUNT
from portal.auth.joins import USER
from portal.billing.balance import LineState
from portal.billing.queries import lines_of_account
from portal.db import MoneyType, RecordNotFound
from portal.money import Money
from portal.payments.joins import PAYMENT
from portal.payments.kinds import PaymentSource
from portal.payments.queries import reference
from portal.payments.state import PaymentState
from portal.plans.coverage import coverage
from portal.plans.kinds import RUNNING, InstallmentState, Need, PlanState
from portal.plans.models import Attempt, Installment, Plan, PlanLine, PlanRequest
from portal.plans.queries import PLAN_COLUMNS, PlanRow, RequestRow, plan_row, request_rows

#: A charge that is so much behind its day waits for something that nobody may have noticed.
_LATE_AFTER = timedelta(days=2)
_COLUMNS = len(PLAN_COLUMNS)


def _cents(when: Any) -> Any:
    value = sa.case((when, sa.type_coerce(Installment.amount, sa.BigInteger)), else_=0)
    return sa.type_coerce(sa.func.coalesce(sa.func.sum(value), 0), MoneyType)


def _count(when: Any) -> Any:
    return sa.func.coalesce(sa.func.sum(sa.case((when, 1), else_=0)), 0)


#: Sums over payments begin here: of all the plans there ever were, few are running.
_RUNNING = sa.select(Plan.id).where(Plan.state.in_(RUNNING))
_TO_COME = Installment.state.in_([InstallmentState.PLANNED, InstallmentState.CHARGING])


@dataclass(frozen=True, slots=True)
class RunningPlan:
    """A plan that goes on: how many payments are to come, what they sum to, and the day of the next charge."""

    plan: PlanRow
    to_come: int
    left: Money
    next_on: date | None


def running_plans(session: Session, *, limit: int, offset: int = 0) -> tuple[list[RunningPlan], int]:
    """Running plans by guarantor, and how many there are in all."""
    sums = (
        sa.select(
            Installment.plan_id,
            _count(_TO_COME).label("to_come"),
            _cents(_TO_COME).label("left"),
            sa.func.min(sa.case((_TO_COME, Installment.charge_on))).label("next_on"),
        )
        .where(Installment.plan_id.in_(_RUNNING))
        .group_by(Installment.plan_id)
        .subquery()
    )
    total = session.scalar(sa.select(sa.func.count(Plan.id)).where(Plan.state.in_(RUNNING))) or 0
    rows: Any = session.execute(
        sa.select(*PLAN_COLUMNS, sums.c.to_come, sums.c.left, sums.c.next_on)
        .join(ACCOUNT, ACCOUNT.c.id == Plan.account_id)
        .join(sums, sums.c.plan_id == Plan.id, isouter=True)
        .where(Plan.state.in_(RUNNING))
        .order_by(ACCOUNT.c.guarantor_name, Plan.id)
        .limit(limit)
        .offset(offset)
    )
    found = [RunningPlan(plan_row(row[:_COLUMNS]), row[-3] or 0, row[-2] or Money.zero(), row[-1]) for row in rows]
    return found, int(total)


@dataclass(frozen=True, slots=True)
class OfferedPlan:
    """A plan that waits for the patient's yes."""

    plan: PlanRow
    total: Money
    offered_at: datetime


def offered_plans(session: Session) -> list[OfferedPlan]:
    """What the staff have proposed and nobody has answered, the oldest first."""
    agreed = sa.type_coerce(sa.func.sum(sa.type_coerce(PlanLine.agreed, sa.BigInteger)), MoneyType)
    offered = sa.select(Plan.id).where(Plan.state == PlanState.PROPOSED)
    sums = sa.select(PlanLine.plan_id, agreed.label("total")).where(
        PlanLine.plan_id.in_(offered), PlanLine.left_at.is_(None)
    )
    lines = sums.group_by(PlanLine.plan_id).subquery()
    rows: Any = session.execute(
        sa.select(*PLAN_COLUMNS, lines.c.total, Plan.checked_at)
        .join(ACCOUNT, ACCOUNT.c.id == Plan.account_id)
        .join(lines, lines.c.plan_id == Plan.id)
        .where(Plan.state == PlanState.PROPOSED)
        .order_by(Plan.checked_at, Plan.id)
    )
    return [OfferedPlan(plan_row(row[:_COLUMNS]), row[-2], row[-1]) for row in rows]


@dataclass(frozen=True, slots=True)
class PlanAtRisk:
    """A running plan that somebody should look at, and why.

    ``missed`` counts those since the last one that was paid, ``failing`` those a bank has turned down and that are
    tried again, ``late`` those whose day has passed without a charge; ``shut_out`` says that the payer may not see the
    account any more, so that nothing is charged.
    """

    plan: PlanRow
    missed: int
    failing: int
    late: int
    left: Money
    shut_out: bool
    #: How many payments the law still lets be asked, where more are to come (``beyond.py``); None: no fewer.
    law_lets: int | None = None


def _at_risk(today: date, beyond: Collection[int], *columns: Any) -> sa.Select[*tuple[Any, ...]]:
    paid = aliased(Installment)
    last_paid = (
        sa.select(paid.plan_id, sa.func.max(paid.due_on).label("due_on"))
        .where(paid.plan_id.in_(_RUNNING), paid.state == InstallmentState.PAID)
        .group_by(paid.plan_id)
        .subquery()
    )
    planned = Installment.state == InstallmentState.PLANNED
    since = sa.or_(last_paid.c.due_on.is_(None), Installment.due_on > last_paid.c.due_on)
    facts = (
        sa.select(
            Installment.plan_id,
            _count(sa.and_(Installment.state == InstallmentState.MISSED, since)).label("missed"),
            _count(sa.and_(planned, Installment.tries > 0)).label("failing"),
            _count(sa.and_(planned, Installment.charge_on < today - _LATE_AFTER)).label("late"),
            _cents(_TO_COME).label("left"),
        )
        .join(last_paid, last_paid.c.plan_id == Installment.plan_id, isouter=True)
        .where(Installment.plan_id.in_(_RUNNING))
        .group_by(Installment.plan_id)
        .subquery()
    )
    shut_out = ~visible(Plan.user_id, Plan.account_id)
    return (
        sa.select(*columns, facts.c.missed, facts.c.failing, facts.c.late, facts.c.left, shut_out)
        .select_from(Plan)
        .join(ACCOUNT, ACCOUNT.c.id == Plan.account_id)
        .join(facts, facts.c.plan_id == Plan.id)
        .where(
            Plan.state.in_(RUNNING),
            sa.or_(
                Plan.need != Need.NOTHING,
                facts.c.missed > 0,
                facts.c.failing > 0,
                sa.and_(facts.c.late > 0, Plan.state == PlanState.ACTIVE),
                shut_out,
                Plan.id.in_(beyond),
            ),
        )
        .order_by(facts.c.missed.desc(), facts.c.late.desc(), Plan.id)
    )


def plans_at_risk(session: Session, *, today: date, beyond: Mapping[int, int]) -> list[PlanAtRisk]:
    """Running plans that wait for the patient, have missed installments, whose charge was turned down or is late.

    And those in ``beyond``, which the law does not let be paid to their end (:func:`.beyond.beyond_the_law`).
    """
    rows: Any = session.execute(_at_risk(today, beyond, *PLAN_COLUMNS))
    plans = [(plan_row(row[:_COLUMNS]), row[_COLUMNS:]) for row in rows]
    return [replace(PlanAtRisk(plan, *facts), law_lets=beyond.get(plan.id)) for plan, facts in plans]


def at_risk_count(session: Session, *, today: date, beyond: Collection[int]) -> int:
    """How many plans are at risk."""
    return session.scalar(sa.select(sa.func.count()).select_from(_at_risk(today, beyond, Plan.id).subquery())) or 0


def open_request_count(session: Session) -> int:
    """How many patients wait for an answer about a pause."""
    running = sa.select(sa.func.count(PlanRequest.id)).join(Plan, Plan.id == PlanRequest.plan_id)
    return session.scalar(running.where(PlanRequest.decided_at.is_(None), Plan.state.in_(RUNNING))) or 0


def request_for(session: Session, public_id: str) -> RequestRow:
    """A patient's request by its public id, for staff. Raises :class:`RecordNotFound`."""
    rows = request_rows(session, PlanRequest.public_id == public_id)
    if not rows:
        raise RecordNotFound("request")
    return rows[0]


#: What the worker would charge on its day; a payer who may not see the account any more is charged nothing.
_WILL_CHARGE = sa.and_(
    Installment.state == InstallmentState.PLANNED,
    Plan.state == PlanState.ACTIVE,
    Plan.need == Need.NOTHING,
    visible(Plan.user_id, Plan.account_id),
)


@dataclass(frozen=True, slots=True)
class ChargeDay:
    """A day on which plans charge: how many installments, and what they come to at most."""

    on: date
    count: int
    total: Money


def charge_days(session: Session, *, first: date, last: date) -> list[ChargeDay]:
    """The days from ``first`` to ``last`` on which running plans charge something."""
    rows = session.execute(
        sa.select(Installment.charge_on, sa.func.count(Installment.id), _cents(sa.true()))
        .join(Plan, Plan.id == Installment.plan_id)
        .where(_WILL_CHARGE, Installment.charge_on.between(first, last))
        .group_by(Installment.charge_on)
        .order_by(Installment.charge_on)
    )
    return [ChargeDay(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class ComingCharge:
    """An installment that is charged on a day; ``told`` says that its patient has been told of it."""

    plan_public_id: str
    guarantor_name: str
    account_ref: str
    amount: Money
    charge_on: date
    tries: int
    told: bool


def charges_on(session: Session, day: date, *, limit: int, offset: int = 0) -> list[ComingCharge]:
    """What running plans charge on a day, by guarantor."""
    rows = session.execute(
        sa.select(
            Plan.public_id,
            ACCOUNT.c.guarantor_name,
            ACCOUNT.c.ref,
            Installment.amount,
            Installment.charge_on,
            Installment.tries,
            Installment.noticed_at.is_not(None),
        )
        .join(Plan, Plan.id == Installment.plan_id)
        .join(ACCOUNT, ACCOUNT.c.id == Plan.account_id)
        .where(_WILL_CHARGE, Installment.charge_on == day)
        .order_by(ACCOUNT.c.guarantor_name, Installment.id)
        .limit(limit)
        .offset(offset)
    )
    return [ComingCharge(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class PlanPeople:
    """Who pays a plan and may still see its account, and who of the staff offered it (empty: nobody), and when."""

    payer: str
    has_access: bool
    proposed_by: str
    made_at: datetime


def people_of_plan(session: Session, plan_id: int) -> PlanPeople:
    """Who has to do with a plan."""
    payer, staff = USER.alias(), USER.alias()
    row: Any = session.execute(
        sa.select(
            payer.c.display_name,
            visible(Plan.user_id, Plan.account_id),
            sa.func.coalesce(staff.c.display_name, ""),
            sa.func.coalesce(Plan.started_at, Plan.checked_at),
        )
        .join(payer, payer.c.id == Plan.user_id)
        .join(staff, staff.c.id == Plan.proposed_by, isouter=True)
        .where(Plan.id == plan_id)
    ).one()
    return PlanPeople(*row)


@dataclass(frozen=True, slots=True)
class TryRow:
    """A payment of an installment, made by the portal or by the patient."""

    reference: str
    amount: Money
    state: PaymentState
    source: PaymentSource
    method: str
    failure_code: str
    made_at: datetime


def tries_of(session: Session, plan_id: int) -> dict[int, list[TryRow]]:
    """The payments of each installment of a plan, by installment id, oldest first."""
    rows: Any = session.execute(
        sa.select(
            Attempt.installment_id,
            PAYMENT.c.public_id,
            PAYMENT.c.amount,
            PAYMENT.c.state,
            PAYMENT.c.source,
            PAYMENT.c.method,
            PAYMENT.c.failure_code,
            Attempt.made_at,
        )
        .join(Installment, Installment.id == Attempt.installment_id)
        .join(PAYMENT, PAYMENT.c.id == Attempt.payment_id)
        .where(Installment.plan_id == plan_id)
        .order_by(Attempt.id)
    )
    found: dict[int, list[TryRow]] = {}
    for row in rows:
        found.setdefault(row[0], []).append(TryRow(reference(row[1]), *row[2:]))
    return found


@dataclass(frozen=True, slots=True)
class LineOnPlan:
    """A line that is or was on a plan: what was agreed of it, and what the plan may still take now."""

    charge_id: int
    charge_public_id: str
    visit_public_id: str
    description: str
    service_on: date | None
    patient_name: str
    agreed: Money
    left: Money
    state: LineState
    gone_at: datetime | None


def lines_of_plan(session: Session, plan: PlanRow) -> list[LineOnPlan]:
    """The lines of a plan, those that left it last."""
    left = {one.line.charge_id: one.left for one in coverage(session, plan.id, plan.account_id)}
    lines = {line.charge_id: line for line in lines_of_account(session, plan.account_id)}
    rows = session.execute(
        sa.select(PlanLine.charge_id, PlanLine.agreed, PlanLine.left_at)
        .where(PlanLine.plan_id == plan.id)
        .order_by(PlanLine.left_at.is_not(None), PlanLine.id)
    )
    return [
        LineOnPlan(
            charge_id,
            line.public_id,
            line.visit_public_id,
            line.description,
            line.service_on,
            line.patient_name,
            agreed,
            left.get(charge_id, Money.zero()) if gone_at is None else Money.zero(),
            line.state,
            gone_at,
        )
        for charge_id, agreed, gone_at in rows
        if (line := lines.get(charge_id)) is not None
    ]
