"""Which lines of a plan a bank sent back for good, and where they may still be charged.

How often a debt may be presented is payments/presenting.py's, and it is the same debt on a plan as before it and after:
a plan keeps the count. What the patient agrees to is another card or bank account for these lines.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal import clock
from portal.db import UTCDateTime
from portal.payments.returns import StoppedDebt, saved_accounts, standing_returns, stop_of, stopped_debts
from portal.payments.settle import parts_of
from portal.plans.errors import DebtReturned
from portal.plans.kinds import RUNNING, ChangeKind, InstalmentState
from portal.plans.models import Instalment, Plan, PlanChange, PlanLine


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


def waits_for_another_try(session: Session, plan: Plan, instalment_id: int, charge_ids: Collection[int]) -> bool:
    """Whether these lines have bounced and the patient was told of another instalment's next try.

    That try comes first: it is promised, and each one counts against the same debts.
    """
    promised = sa.select(sa.func.count()).where(
        Instalment.plan_id == plan.id,
        Instalment.id != instalment_id,
        Instalment.state == InstalmentState.PLANNED,
        Instalment.tries > 0,
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
