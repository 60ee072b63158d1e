"""Running plans that the law does not let be paid to their end: insurance made more than a state's cap pays in time."""

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal.plans.conditions import Conditions
from portal.plans.kinds import RUNNING
from portal.plans.models import Plan
from portal.plans.policy import most_payments
from portal.plans.standing import look


def beyond_the_law(session: Session, *, conditions: Conditions) -> dict[int, int]:
    """The plans (by row id) with more payments to come than the law lets be asked, and how many it still lets.

    Each plan whose month is capped is read as it stands, some queries a plan: they are those of the few households
    that told their income. A plan that the insurer raised goes on as it can; somebody sets its balance right.
    """
    if conditions.policy.rule is None:
        return {}
    capped = session.scalars(
        sa.select(Plan.id).where(Plan.state.in_(RUNNING), Plan.month_cap.is_not(None)).order_by(Plan.id)
    ).all()
    found = {}
    for plan_id in capped:
        standing = look(session, plan_id, today=conditions.today).standing
        most = most_payments(
            conditions.policy,
            standing.total,
            standing.rhythm.frequency,
            month_cap=standing.month_cap,
            months_paid=standing.months_paid,
        )
        if len(standing.unpaid) > max(most, 0):
            found[plan_id] = max(most, 0)
    return found
