"""Pauses that a patient asks for and the staff answer."""

from datetime import date, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal import clock
from portal.audit.service import record
from portal.audit.tags import Tag
from portal.plans import emails
from portal.plans.changing.amending import carry, is_paused_beyond, preview_of
from portal.plans.errors import NothingToChange, PauseTooLong
from portal.plans.kinds import ChangeKind, RequestKind
from portal.plans.models import PlanRequest
from portal.plans.rows import read, running, write
from portal.plans.rules.changes import ChangeRequest
from portal.plans.rules.conditions import Conditions
from portal.plans.rules.schedule import Due


def ask_for_pause(
    session: Session, *, plan_id: int, user_id: int, until: date, note: str, conditions: Conditions
) -> str:
    """Ask the staff to pause a plan; commits, and returns the request's public id. One at a time.

    Raises :class:`PlanIsOver`, :class:`PauseTooLong`, and :class:`NothingToChange` when one waits for an answer.
    """
    plan = running(session, plan_id)
    longest = conditions.today + timedelta(days=conditions.policy.pause_longest_days)
    if not conditions.today < until <= longest:
        raise PauseTooLong
    waiting = sa.select(sa.func.count()).where(PlanRequest.plan_id == plan_id, PlanRequest.decided_at.is_(None))
    if session.scalar(waiting):
        raise NothingToChange
    request = PlanRequest(
        plan_id=plan_id, kind=RequestKind.PAUSE, until=until, note=note.strip()[:500], asked_at=clock.now()
    )
    session.add(request)
    session.flush()
    record(
        session,
        Tag.PLAN_REQUEST_MADE,
        actor_user_id=user_id,
        account_id=plan.account_id,
        subject=plan.public_id,
        kind=RequestKind.PAUSE.value,
    )
    public_id = request.public_id
    session.commit()
    return public_id


def decide_request(
    session: Session,
    *,
    request_id: int,
    staff_user_id: int,
    granted: bool,
    answer: str,
    conditions: Conditions,
) -> None:
    """Answer a patient's request; a pause begins at once; commits.

    A plan that is stopped, or paused for longer, stays so. Raises :class:`PlanIsOver`, :class:`ChargeUnderWay`,
    :class:`PauseTooLong` (its day has passed), and :class:`NothingToChange` when it was answered already.
    """
    plan_id = session.execute(sa.select(PlanRequest.plan_id).where(PlanRequest.id == request_id)).scalar_one()
    plan = running(session, plan_id)
    request = session.get_one(PlanRequest, request_id, populate_existing=True)
    if request.decided_at is not None:
        raise NothingToChange
    request.decided_at, request.decided_by = clock.now(), staff_user_id
    request.granted, request.answer = granted, answer.strip()[:300]
    after: tuple[Due, ...] = ()
    stays = is_paused_beyond(plan, request.until)
    if granted:
        now = read(session, plan, today=conditions.today)
        wanted = ChangeRequest(ChangeKind.PAUSED, until=request.until, exceed=True)
        found = preview_of(session, now, wanted, conditions)
        if not stays:
            carry(session, now, found, wanted, conditions)
        after = found.after.unpaid
        write(session, now, found.after, kind=ChangeKind.PAUSED, actor_user_id=staff_user_id, note=request.answer)
    record(
        session,
        Tag.PLAN_REQUEST_DECIDED,
        actor_user_id=staff_user_id,
        account_id=plan.account_id,
        subject=plan.public_id,
        granted=int(granted),
    )
    emails.queue_request_decided(
        session,
        user_id=plan.user_id,
        request=request.public_id,
        granted=granted,
        until=request.until,
        after=after,
        stays=stays,
        plan_url=conditions.plan_url(plan.public_id),
    )
    session.commit()
