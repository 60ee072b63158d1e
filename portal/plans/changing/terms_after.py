"""The terms of a plan as a change would leave it, for the page that asks. Reads; writes nothing."""


from sqlalchemy.orm import Session

from portal.payments.methods.queries import MethodRow, method_by_id
from portal.plans.agreeing.agreed_terms import terms_of
from portal.plans.changing.amending import may_be_added
from portal.plans.errors import MethodNotUsable
from portal.plans.kinds import ChangeKind
from portal.plans.rows import look
from portal.plans.rules.changes import ScheduleState
from portal.plans.rules.conditions import Conditions
from portal.plans.rules.terms import Terms


def terms_after(
    session: Session,
    *,
    plan_id: int,
    after: ScheduleState | None,
    kind: ChangeKind,
    conditions: Conditions,
    method: MethodRow | None = None,
) -> Terms:
    """The terms of a plan as it would stand (None: as it stands), charged to its own or another method.

    Raises :class:`MethodNotUsable` for a plan without one.
    """
    now = look(session, plan_id, today=conditions.today)
    schedule = now.schedule if after is None else after
    known = {one.line.charge_id: one.line for one in now.covered}
    known |= {line.charge_id: line for line, _amount in may_be_added(session, now.plan, conditions=conditions)}
    if method is None and now.plan.method_id is None:
        raise MethodNotUsable
    return terms_of(
        session,
        now.plan,
        schedule=schedule,
        lines=[(known[charge_id], amount) for charge_id, amount in schedule.left.items()],
        method=method or method_by_id(session, now.plan.method_id or 0),
        change=kind,
        conditions=conditions,
    )
