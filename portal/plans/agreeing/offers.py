"""Offers of the staff that wait for an answer, and the plan whose place one would take."""

from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal import clock
from portal.audit.service import record
from portal.audit.tags import Tag
from portal.money import Money
from portal.payments.settle import lock_accounts
from portal.plans.errors import ChargeUnderWay, PlanIsOver, PlanRuns
from portal.plans.kinds import RUNNING, ChangeKind, PlanState
from portal.plans.models import Plan, PlanLine
from portal.plans.rows import end, read
from portal.plans.rules.conditions import Conditions
from portal.plans.rules.schedule import Rhythm


def running_plan(session: Session, account_id: int) -> Plan | None:
    """The plan that runs on an account."""
    query = sa.select(Plan).where(Plan.account_id == account_id, Plan.state.in_(RUNNING))
    return session.scalars(query.execution_options(populate_existing=True)).one_or_none()


def open_offers(session: Session, account_id: int) -> list[Plan]:
    """What was proposed on an account and nobody has answered."""
    return list(
        session.scalars(
            sa.select(Plan)
            .where(Plan.account_id == account_id, Plan.state == PlanState.PROPOSED)
            .execution_options(populate_existing=True)
        )
    )


def to_be_replaced(session: Session, account_id: int) -> int | None:
    """The plan that runs, where an offer to its payer waits: whoever agrees to that ends it."""
    running = running_plan(session, account_id)
    if running is None or not any(one.user_id == running.user_id for one in open_offers(session, account_id)):
        return None
    return running.id


def is_as_offered(session: Session, proposal: Plan, charge_ids: Collection[int], each: Money, rhythm: Rhythm) -> bool:
    """Whether it is what the staff offered, or that without some of its lines."""
    lines = session.scalars(
        sa.select(PlanLine.charge_id).where(PlanLine.plan_id == proposal.id, PlanLine.left_at.is_(None))
    )
    offered = (proposal.each, Rhythm(proposal.frequency, proposal.day))
    return offered == (each, rhythm) and set(charge_ids) <= set(lines)


def make_way(session: Session, running: Plan, proposal: Plan | None, conditions: Conditions) -> None:
    """End the plan in whose place an offer stands. Raises :class:`PlanRuns` and :class:`ChargeUnderWay`."""
    if proposal is None or running.user_id != proposal.user_id:
        raise PlanRuns
    now = read(session, running, today=conditions.today)
    if now.settling:
        raise ChargeUnderWay
    end(
        session,
        now,
        state=PlanState.CANCELED,
        kind=ChangeKind.CANCELED,
        reason="replaced",
        actor_user_id=running.user_id,
        note="A new plan took its place.",
    )


def decline(session: Session, *, plan_id: int, actor_user_id: int, reason: str = "patient") -> None:
    """Turn a proposal down, or take it back; commits. Raises :class:`PlanIsOver`."""
    account_id = session.execute(sa.select(Plan.account_id).where(Plan.id == plan_id)).scalar_one()
    lock_accounts(session, [account_id])
    plan = session.get_one(Plan, plan_id, populate_existing=True)
    if plan.state is not PlanState.PROPOSED:
        raise PlanIsOver
    turn_down(session, plan, actor_user_id=actor_user_id, reason=reason)
    session.commit()


def turn_down(session: Session, plan: Plan, *, actor_user_id: int, reason: str) -> None:
    """End a proposal, in the caller's transaction."""
    now = clock.now()
    plan.state, plan.ended_at, plan.end_reason = PlanState.DECLINED, now, reason[:40]
    session.execute(
        sa.update(PlanLine).where(PlanLine.plan_id == plan.id, PlanLine.left_at.is_(None)).values(left_at=now)
    )
    record(
        session,
        Tag.PLAN_DECLINED,
        actor_user_id=actor_user_id,
        account_id=plan.account_id,
        subject=plan.public_id,
        reason=reason,
    )
    session.flush()
