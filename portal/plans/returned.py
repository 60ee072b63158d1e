"""Which lines of a plan a bank sent back for good, and where they may still be charged.

How often a debt may be presented is payments/presenting.py's, and it is the same debt on a plan as before it and after:
a plan keeps the count. What the patient agrees to is another card or bank account for these lines.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal import clock
from portal.audit.queries import latest_of
from portal.audit.tags import Tag
from portal.db import UTCDateTime
from portal.payments.methods.queries import method_by_id
from portal.payments.returns import StoppedDebt, saved_accounts, standing_returns, stop_of, stopped_debts
from portal.payments.settle import parts_of
from portal.plans.errors import DebtReturned
from portal.plans.kinds import RUNNING, ChangeKind, InstallmentState, Need
from portal.plans.models import Installment, Plan, PlanChange, PlanLine
from portal.plans.queries import turned_down_at
from portal.plans.rules.conditions import Conditions
from portal.plans.rules.declines import last_day


@dataclass(frozen=True, slots=True)
class AgreedFor:
    """What a line on a running plan is charged to, and when the patient agreed to that for it (UTC)."""

    plan_public_id: str
    method_id: int
    agreed_at: datetime


def agreed_for(session: Session, charge_ids: Iterable[int]) -> dict[int, AgreedFor]:
    """What lines are charged to by the plans that run, by charge; lines on none are left out."""
    chosen = (
        sa.select(sa.func.max(PlanChange.changed_at))
        .where(PlanChange.plan_id == Plan.id, PlanChange.kind == ChangeKind.METHOD_CHANGED)
        .scalar_subquery()
    )
    rows: Any = session.execute(
        sa.select(
            PlanLine.charge_id,
            Plan.public_id,
            Plan.method_id,
            PlanLine.joined_at,
            sa.type_coerce(chosen, UTCDateTime),
        )
        .join(Plan, Plan.id == PlanLine.plan_id)
        .where(
            PlanLine.charge_id.in_(list(charge_ids)),
            PlanLine.left_at.is_(None),
            ~PlanLine.offered,
            Plan.state.in_(RUNNING),
            Plan.method_id.is_not(None),
        )
    )
    return {
        charge_id: AgreedFor(public_id, method_id, joined if at is None else max(joined, at))
        for charge_id, public_id, method_id, joined, at in rows
    }


def stopped_on(session: Session, plan: Plan) -> dict[int, StoppedDebt]:
    """The lines on a running plan that may not be charged to its method without the patient, by charge."""
    returns = standing_returns(session, [plan.account_id])
    agreed = agreed_for(session, returns) if returns else {}
    mine = {one: agreed[one] for one in returns if one in agreed and agreed[one].plan_public_id == plan.public_id}
    accounts = saved_accounts(session, {one.method_id for one in mine.values()}) if mine else {}
    found = {
        one: stop_of(returns[one], accounts[its.method_id], agreed_at=its.agreed_at) for one, its in mine.items()
    }
    return {one: stop for one, stop in found.items() if stop is not None}


def is_stopped(session: Session, plan: Plan, payment_id: int) -> bool:
    """Whether a line that a payment is for may not be charged to the plan's method any more."""
    stopped = stopped_on(session, plan)
    return bool(stopped) and any(part.charge_id in stopped for part in parts_of(session, payment_id))


#: What the audit trail says of an installment that waits because of such a line.
RETURNED = "returned"


def stop_noted_at(session: Session, plan: Plan, installments: Collection[str]) -> datetime | None:
    """When the plan began to wait because of such a line (UTC), as told of one of the installments (public ids).

    None where what was last noted of them is something else: a decline, or a method that was removed.
    """
    last = latest_of(session, account_id=plan.account_id, subjects=installments, tag=Tag.INSTALLMENT_FAILED)
    return last.at if last is not None and last.facts.get("decision") == RETURNED else None


def last_day_of(session: Session, installment_id: int, due_on: date, conditions: Conditions) -> date:
    """The last day (the clinic's) to settle an installment that waits for its patient; also in what they are written.

    What tells of a stop says the same: the days to answer count from when that was noted.
    """
    row = session.get_one(Installment, installment_id)
    stopped_at = stop_noted_at(session, session.get_one(Plan, row.plan_id), [row.public_id])
    moments = [at for at in (turned_down_at(session, installment_id), stopped_at) if at is not None]
    on = conditions.day_of(max(moments)) if moments else None
    return last_day(due_on, on, grace_days=conditions.policy.grace_days)


def may_go_on(session: Session, plan: Plan, *, today: date) -> bool:
    """Whether a plan that waits because of such a line has none any more: the patient paid it in another way."""
    if plan.need is not Need.METHOD or plan.method_id is None:
        return False
    method = method_by_id(session, plan.method_id)
    if method.removed_at is not None or method.has_expired(today):
        return False
    all_of_it = session.scalars(sa.select(Installment.public_id).where(Installment.plan_id == plan.id)).all()
    return stop_noted_at(session, plan, all_of_it) is not None and not stopped_on(session, plan)


def waits_for_another_try(session: Session, plan: Plan, installment_id: int, charge_ids: Collection[int]) -> bool:
    """Whether these lines have bounced and the patient was told of another installment's next try.

    That try comes first: it is promised, and each one counts against the same debts.
    """
    promised = sa.select(sa.func.count()).where(
        Installment.plan_id == plan.id,
        Installment.id != installment_id,
        Installment.state == InstallmentState.PLANNED,
        Installment.tries > 0,
    )
    return bool(session.scalar(promised)) and not standing_returns(session, [plan.account_id]).keys().isdisjoint(
        charge_ids
    )


def check_method(session: Session, account_id: int, charge_ids: Collection[int], *, method_id: int) -> None:
    """See that the lines may be charged to a method that is agreed to for them now. Raises :class:`DebtReturned`."""
    now = clock.now()
    found = stopped_debts(session, account_id, method_id=method_id, agreed_at=lambda _charge_id: now)
    if set(charge_ids) & set(found):
        raise DebtReturned
