"""How far the desk may put a plan's next payment off by moving its day again and again."""

from datetime import date, timedelta
from itertools import pairwise

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal.plans.errors import PutOffTooFar
from portal.plans.kinds import ChangeKind, Frequency, InstallmentState
from portal.plans.models import Installment, PlanChange
from portal.plans.rules.changes import ScheduleState

#: All moves together put the next payment off by so many days at most: as far as a single one can.
_AT_MOST = {Frequency.WEEKLY: 7, Frequency.TWO_WEEKLY: 14, Frequency.MONTHLY: 31}
_BEHIND = (InstallmentState.PAID, InstallmentState.MISSED, InstallmentState.SKIPPED)


def check_moves(session: Session, plan_id: int, after: ScheduleState) -> None:
    """Hold one more move by the desk, to ``after``, to what the moves before it leave.

    Those count that were made since the patient agreed to the plan last and since its latest payment was paid, missed
    or skipped: more than one payment's time is a pause or a skip, and the policy says how many of these there may be.
    Raises :class:`PutOffTooFar`.
    """
    before = _due_before_moves(session, plan_id)
    if before is None or not after.unpaid:
        return
    latest = before + timedelta(days=_AT_MOST[after.rhythm.frequency])
    if after.unpaid[0].on > latest:
        raise PutOffTooFar(latest)


def _due_before_moves(session: Session, plan_id: int) -> date | None:
    """When the next payment was due before the desk moved it for the first time; None where it was not moved."""
    ended_at = session.scalar(
        sa.select(sa.func.max(Installment.ended_at)).where(
            Installment.plan_id == plan_id, Installment.state.in_(_BEHIND)
        )
    )
    changes = session.execute(
        sa.select(PlanChange.kind, PlanChange.consent_id, PlanChange.changed_at, PlanChange.schedule)
        .where(PlanChange.plan_id == plan_id)
        .order_by(PlanChange.version.desc())
    ).all()
    found = None
    for (kind, consent_id, changed_at, _schedule), earlier in pairwise(changes):
        if consent_id is not None or (ended_at is not None and changed_at < ended_at):
            break
        if kind is ChangeKind.DAY_MOVED and earlier.schedule:
            found = date.fromisoformat(earlier.schedule[0][0])
    return found
