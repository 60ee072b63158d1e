"""Running plans that the law does not let be paid to their end: insurance made more than a state's cap pays in time."""

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal.plans.kinds import RUNNING
from portal.plans.models import Plan
from portal.plans.queries import paid_months
from portal.plans.rows import look
from portal.plans.rules.conditions import Conditions


def beyond_the_law(session: Session, *, conditions: Conditions) -> dict[int, int]:
    """The plans (by row id) with more months to come than the law lets be asked, and how many payments it still lets.

    The law counts months of the calendar: what is to come in a month that was paid in takes no other one. Each plan
    whose month is capped is read as it stands, some queries a plan: they are those of the few households that told
    their income. A plan that the insurer raised goes on as it can; somebody sets its balance right.
    """
    rule = conditions.policy.rule
    if rule is None:
        return {}
    capped = session.scalars(
        sa.select(Plan.id).where(Plan.state.in_(RUNNING), Plan.month_cap.is_not(None)).order_by(Plan.id)
    ).all()
    found = {}
    for plan_id in capped:
        schedule = look(session, plan_id, today=conditions.today).schedule
        paid = paid_months(session, schedule.left)
        months = [(due.on.year, due.on.month) for due in schedule.unpaid]
        others = sorted(set(months) - paid)
        lawful = max(0, rule.most_payments - len(paid))
        if len(others) > lawful:
            still = paid.union(others[:lawful])
            found[plan_id] = sum(month in still for month in months)
    return found
