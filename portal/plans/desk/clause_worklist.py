"""Agreements that were made without a clause that the law wants in them: what the desk lists of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from portal.accounts.joins import ACCOUNT
from portal.billing.joins import CHARGE, ENTRY
from portal.money import Money
from portal.plans.agreeing.clause_states import left_out
from portal.plans.kinds import ENDED, RUNNING, PlanState
from portal.plans.models import Plan, PlanChange, PlanClause, PlanLine
from portal.plans.queries import PLAN_COLUMNS, PlanRow, plan_row
from portal.plans.rules.clauses import Clause, that_stand
from portal.plans.rules.conditions import Conditions


@dataclass(frozen=True, slots=True)
class AgreementWithout:
    """A plan whose agreement lacks some clauses; ``offered`` says that another plan waits for a yes.

    ``owed`` is what is due now on the bills of a plan that has ended; nothing while it runs.
    """

    plan: PlanRow
    home_state: str | None
    agreed_at: datetime
    missing: tuple[Clause, ...]
    offered: bool
    owed: Money


def _agreements(states: Sequence[PlanState]) -> sa.Subquery:
    """The agreement that each plan goes, or went, on by: the latest, which takes the place of those before."""
    latest = (
        sa.select(PlanChange.plan_id, sa.func.max(PlanChange.version).label("version"))
        .join(Plan, Plan.id == PlanChange.plan_id)
        .where(Plan.state.in_(states), PlanChange.consent_id.is_not(None))
        .group_by(PlanChange.plan_id)
        .subquery()
    )
    return (
        sa.select(PlanChange.plan_id, PlanChange.consent_id, PlanChange.changed_at)
        .join(latest, sa.and_(latest.c.plan_id == PlanChange.plan_id, latest.c.version == PlanChange.version))
        .subquery()
    )


def _owed_lines() -> sa.Select[*tuple[Any, ...]]:
    """What is due on each line that was last on a plan which has ended: (plan, charge, cents).

    A line that is on a plan again, or was on a later one, is owed by that one's agreement; one that was taken out and
    put back is owed once. While an insurer decides on a line, nothing of it is due.
    """
    later, later_plan = aliased(PlanLine), aliased(Plan)
    due = sa.func.sum(ENTRY.c.patient)
    return (
        sa.select(PlanLine.plan_id, PlanLine.charge_id, due.label("due"))
        .join(CHARGE, CHARGE.c.id == PlanLine.charge_id)
        .join(ENTRY, ENTRY.c.charge_id == CHARGE.c.id)
        .where(
            ~CHARGE.c.on_plan,
            ~sa.exists().where(
                later.charge_id == PlanLine.charge_id,
                later.id > PlanLine.id,
                later_plan.id == later.plan_id,
                later_plan.state.in_([*RUNNING, *ENDED]),
            ),
        )
        .group_by(PlanLine.plan_id, PlanLine.charge_id)
        .having(
            sa.type_coerce(due, sa.BigInteger) > 0,
            sa.type_coerce(sa.func.sum(ENTRY.c.insurer), sa.BigInteger) == 0,
        )
    )


def _without(
    session: Session, conditions: Conditions, ended: bool, *columns: Any
) -> sa.Select[*tuple[Any, ...]]:
    states = ENDED if ended else RUNNING
    agreement = _agreements(states)
    gone = left_out(session)
    lacking = [
        sa.and_(
            _has_to_have(clause, gone),
            agreement.c.changed_at >= _began(clause, conditions),
            ~sa.exists().where(
                PlanClause.consent_id == agreement.c.consent_id,
                PlanClause.clause == clause.id,
                PlanClause.digest == clause.digest,
            ),
        )
        for clause in conditions.policy.clauses
        if clause.since <= conditions.today
    ]
    query = (
        sa.select(*columns, ACCOUNT.c.home_state, agreement.c.changed_at, agreement.c.consent_id)
        .select_from(Plan)
        .join(ACCOUNT, ACCOUNT.c.id == Plan.account_id)
        .join(agreement, agreement.c.plan_id == Plan.id)
        .where(Plan.state.in_(states), sa.or_(sa.false(), *lacking))
        .order_by(agreement.c.changed_at, Plan.id)
    )
    return query.where(_owed_lines().where(PlanLine.plan_id == Plan.id).correlate(Plan).exists()) if ended else query


def _has_to_have(clause: Clause, gone: frozenset[str]) -> sa.ColumnElement[bool]:
    """Whether an agreement of the account has to have a clause, in SQL: what :func:`that_stand` says of one account."""
    lives_there = ACCOUNT.c.home_state.in_(clause.states)
    if set(clause.states) <= gone:
        return lives_there
    return sa.or_(lives_there, ACCOUNT.c.home_state.is_(None))


def _began(clause: Clause, conditions: Conditions) -> datetime:
    """The first moment of the clinic's day on which agreements have to have it."""
    return datetime.combine(clause.since, time(), tzinfo=ZoneInfo(conditions.timezone))


def agreements_without_count(session: Session, *, conditions: Conditions, ended: bool = False) -> int:
    """How many plans :func:`agreements_without` lists."""
    query = _without(session, conditions, ended, Plan.id)
    return session.scalar(sa.select(sa.func.count()).select_from(query.subquery())) or 0


def agreements_without(
    session: Session, *, conditions: Conditions, limit: int, offset: int = 0, ended: bool = False
) -> list[AgreementWithout]:
    """Plans that go on by an agreement without a clause that it has to have by now, the oldest agreement first.

    Whether it was made before the clause was there, or it became known later where its payer lives. With ``ended``,
    those that have ended instead, as long as something is due on their bills and no later plan took these up.
    """
    query = _without(session, conditions, ended, *PLAN_COLUMNS)
    rows: Any = session.execute(query.limit(limit).offset(offset)).all()
    width = len(PLAN_COLUMNS)
    stood = _stood(session, [row[-1] for row in rows])
    waiting = set(
        session.scalars(
            sa.select(Plan.account_id).where(
                Plan.state == PlanState.PROPOSED, Plan.account_id.in_([row[2] for row in rows])
            )
        )
    )
    owed = _owed(session, [row[0] for row in rows]) if ended else {}
    gone, found = left_out(session), []
    for row in rows:
        home_state, agreed_at, consent_id = row[width:]
        needed = that_stand(
            conditions.policy.clauses, home_state=home_state, left_out=gone, today=conditions.today
        )
        missing = tuple(
            one
            for one in needed
            if (consent_id, one.id, one.digest) not in stood and one.since <= conditions.day_of(agreed_at)
        )
        found.append(
            AgreementWithout(
                plan_row(row[:width]),
                home_state,
                agreed_at,
                missing,
                row[2] in waiting,
                owed.get(row[0], Money.zero()),
            )
        )
    return found


def _owed(session: Session, plan_ids: Sequence[int]) -> dict[int, Money]:
    """What is due on the bills of plans that have ended, by plan."""
    owed: dict[int, Money] = {}
    for plan_id, _charge_id, due in session.execute(_owed_lines().where(PlanLine.plan_id.in_(plan_ids))):
        owed[plan_id] = owed.get(plan_id, Money.zero()) + due
    return owed


def _stood(session: Session, consent_ids: Sequence[int]) -> set[tuple[int, str, str]]:
    rows = session.execute(
        sa.select(PlanClause.consent_id, PlanClause.clause, PlanClause.digest).where(
            PlanClause.consent_id.in_(consent_ids)
        )
    )
    return {(row[0], row[1], row[2]) for row in rows}
