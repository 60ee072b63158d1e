"""Agreements that were made without a clause that the law wants in them: what the desk lists of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal.accounts.models import Account
from portal.plans.agreeing.clause_states import left_out
from portal.plans.kinds import RUNNING, PlanState
from portal.plans.models import Plan, PlanChange, PlanClause
from portal.plans.queries import PLAN_COLUMNS, PlanRow, plan_row
from portal.plans.rules.clauses import Clause, that_stand
from portal.plans.rules.conditions import Conditions


@dataclass(frozen=True, slots=True)
class AgreementWithout:
    """A plan that goes on by an agreement without some clauses; ``offered`` says that another plan waits for a yes."""

    plan: PlanRow
    home_state: str | None
    agreed_at: datetime
    missing: tuple[Clause, ...]
    offered: bool


def _agreements() -> sa.Subquery:
    """The agreement that each running plan goes on by: the latest, which takes the place of those before."""
    latest = (
        sa.select(PlanChange.plan_id, sa.func.max(PlanChange.version).label("version"))
        .join(Plan, Plan.id == PlanChange.plan_id)
        .where(Plan.state.in_(RUNNING), PlanChange.consent_id.is_not(None))
        .group_by(PlanChange.plan_id)
        .subquery()
    )
    return (
        sa.select(PlanChange.plan_id, PlanChange.consent_id, PlanChange.changed_at)
        .join(latest, sa.and_(latest.c.plan_id == PlanChange.plan_id, latest.c.version == PlanChange.version))
        .subquery()
    )


def _without(session: Session, conditions: Conditions, *columns: Any) -> sa.Select[*tuple[Any, ...]]:
    agreement = _agreements()
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
    return (
        sa.select(*columns, Account.home_state, agreement.c.changed_at, agreement.c.consent_id)
        .select_from(Plan)
        .join(Account, Account.id == Plan.account_id)
        .join(agreement, agreement.c.plan_id == Plan.id)
        .where(Plan.state.in_(RUNNING), sa.or_(sa.false(), *lacking))
        .order_by(agreement.c.changed_at, Plan.id)
    )


def _has_to_have(clause: Clause, gone: frozenset[str]) -> sa.ColumnElement[bool]:
    """The same in SQL as :func:`that_stand` of one account."""
    lives_there = Account.home_state.in_(clause.states)
    if set(clause.states) <= gone:
        return lives_there
    return sa.or_(lives_there, Account.home_state.is_(None))


def _began(clause: Clause, conditions: Conditions) -> datetime:
    """The first moment of the clinic's day on which agreements have to have it."""
    return datetime.combine(clause.since, time(), tzinfo=ZoneInfo(conditions.timezone))


def agreements_without_count(session: Session, *, conditions: Conditions) -> int:
    """How many plans go on by an agreement that lacks a clause."""
    query = _without(session, conditions, Plan.id)
    return session.scalar(sa.select(sa.func.count()).select_from(query.subquery())) or 0


def agreements_without(
    session: Session, *, conditions: Conditions, limit: int, offset: int = 0
) -> list[AgreementWithout]:
    """Plans that go on by an agreement without a clause that it has to have by now, the oldest agreement first.

    Whether it was made before the clause was there, or it became known later where its payer lives.
    """
    query = _without(session, conditions, *PLAN_COLUMNS)
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
        found.append(AgreementWithout(plan_row(row[:width]), home_state, agreed_at, missing, row[2] in waiting))
    return found


def _stood(session: Session, consent_ids: Sequence[int]) -> set[tuple[int, str, str]]:
    rows = session.execute(
        sa.select(PlanClause.consent_id, PlanClause.clause, PlanClause.digest).where(
            PlanClause.consent_id.in_(consent_ids)
        )
    )
    return {(row[0], row[1], row[2]) for row in rows}
