"""Beginning a plan: what may go on it, how it would look, and agreeing to it; and proposals of the staff."""

from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal import clock
from portal.audit.service import record
from portal.audit.tags import Tag
from portal.db import new_public_id
from portal.money import Money
from portal.payments.methods.queries import method_for
from portal.payments.settle import lock_accounts
from portal.plans import emails
from portal.plans.agreeing.agreed_terms import Agree, keep_agreement, terms_of, told_until
from portal.plans.agreeing.drafting import draft
from portal.plans.agreeing.offers import is_as_offered, make_way, open_offers, running_plan, turn_down
from portal.plans.errors import (
    MethodNotUsable,
    PlanIsOver,
    PlanRuns,
    ReasonMissing,
    ScheduleMoved,
)
from portal.plans.kinds import ChangeKind, PlanState
from portal.plans.models import Plan, PlanLine
from portal.plans.returned import check_method
from portal.plans.rows import join, lay_down, note_change
from portal.plans.rules.conditions import Conditions
from portal.plans.rules.policy import breaks_policy, stricter
from portal.plans.rules.schedule import Rhythm


def enrol(
    session: Session,
    *,
    account_id: int,
    user_id: int,
    charge_ids: Collection[int],
    each: Money,
    rhythm: Rhythm,
    method_public_id: str,
    seen: str,
    agree: Agree,
    language: str,
    address: str,
    conditions: Conditions,
    proposal_id: int | None = None,
    month_cap: Money | None = None,
) -> str:
    """Make the plan a person agreed to; commits, and returns its public id.

    ``seen`` is the :attr:`Draft.seen` of the page that was agreed to; ``agree`` makes the exact text and document.
    ``proposal_id`` is a proposal of the staff that this accepts: as it was offered it may exceed the policy, otherwise
    it is held to it. ``month_cap`` is the law's, as for :func:`draft`; the stricter of it and the proposal's holds.
    Raises what :func:`draft` raises, :class:`PlanRuns`, :class:`RecordNotFound` (no such method),
    :class:`MethodNotUsable` (with :class:`DebtReturned`), :class:`PlanIsOver` (the proposal was withdrawn) and
    :class:`ScheduleMoved`.
    """
    method = method_for(session, user_id, method_public_id)
    if method.has_expired(conditions.today):
        raise MethodNotUsable
    lock_accounts(session, [account_id])
    running = running_plan(session, account_id)
    proposal = None if proposal_id is None else session.get_one(Plan, proposal_id, populate_existing=True)
    if proposal is not None and (proposal.state is not PlanState.PROPOSED or proposal.user_id != user_id):
        raise PlanIsOver
    if running is not None:
        make_way(session, running, proposal, conditions)
    month_cap = stricter(month_cap, proposal.month_cap if proposal is not None else None)
    wanted = draft(
        session,
        account_id,
        user_id=user_id,
        each=each,
        rhythm=rhythm,
        conditions=conditions,
        charge_ids=charge_ids,
        exceed=proposal is not None and is_as_offered(session, proposal, charge_ids, each, rhythm),
        month_cap=month_cap,
    )
    if wanted.seen != seen:
        raise ScheduleMoved
    check_method(session, account_id, wanted.schedule.left, method_id=method.id)
    for other in open_offers(session, account_id):
        if other.id != proposal_id:
            turn_down(session, other, actor_user_id=user_id, reason="overtaken")
    now = clock.now()
    plan = proposal or Plan(account_id=account_id, user_id=user_id, frequency=rhythm.frequency, day=rhythm.day)
    plan.each, plan.frequency, plan.day = wanted.schedule.each, rhythm.frequency, rhythm.day
    plan.month_cap = month_cap
    plan.state, plan.method_id, plan.started_at, plan.checked_at = PlanState.ACTIVE, method.id, now, now
    session.add(plan)
    session.flush()
    if proposal is not None:  # what was proposed is agreed to anew, at today's amounts
        session.execute(sa.delete(PlanLine).where(PlanLine.plan_id == plan.id))
    join(session, plan.id, [(line.charge_id, amount, line.sums.paid) for line, amount in wanted.lines])
    dues = wanted.schedule.unpaid
    lay_down(session, plan.id, [], dues, told_until=told_until(conditions))
    terms = terms_of(
        session,
        plan,
        schedule=wanted.schedule,
        lines=wanted.lines,
        method=method,
        change=ChangeKind.ENROLLED,
        conditions=conditions,
        replaces=running is not None,
    )
    consent_id, document_id = keep_agreement(
        session, plan, agree(terms), version=1, terms=terms, user_id=user_id, language=language, address=address
    )
    note_change(
        session,
        plan,
        kind=ChangeKind.ENROLLED,
        after=wanted.schedule,
        actor_user_id=user_id,
        consent_id=consent_id,
        document_id=document_id,
    )
    public_id = plan.public_id
    session.commit()
    return public_id


def propose(
    session: Session,
    *,
    account_id: int,
    user_id: int,
    staff_user_id: int,
    charge_ids: Collection[int] | None,
    each: Money,
    rhythm: Rhythm,
    reason: str,
    is_supervisor: bool,
    conditions: Conditions,
    seen: str = "",
    public_id: str = "",
    replaces: bool = False,
    month_cap: Money | None = None,
) -> str:
    """Offer a plan to a patient, who has to agree to it; commits, and returns its public id.

    ``seen`` is the :attr:`Draft.seen` of the page on which it was checked (empty: nobody looked). ``public_id`` is the
    id that it gets: the same form sent twice offers once. With ``replaces`` it may stand in the place of a plan of the
    same payer that runs, which ends when they agree. What exceeds the policy needs a reason, and a supervisor where the
    policy says so; the law's ``month_cap`` nobody may exceed. Raises what :func:`draft` raises, :class:`PlanRuns`,
    :class:`ReasonMissing` and :class:`ScheduleMoved`.
    """
    lock_accounts(session, [account_id])
    known = sa.select(Plan.public_id).where(Plan.public_id == public_id, Plan.account_id == account_id)
    if public_id and session.scalar(known):
        session.commit()
        return public_id
    running = running_plan(session, account_id)
    if running is not None and not (replaces and running.user_id == user_id):
        raise PlanRuns
    wanted = draft(
        session,
        account_id,
        user_id=user_id,
        each=each,
        rhythm=rhythm,
        conditions=conditions,
        charge_ids=charge_ids,
        exceed=True,
        replaces=None if running is None else running.id,
        month_cap=month_cap,
    )
    if seen and wanted.seen != seen:
        raise ScheduleMoved
    broken = breaks_policy(
        conditions.policy, wanted.total, each, rhythm, wanted.schedule.unpaid, month_cap=month_cap
    )
    if broken and not (reason.strip() and (is_supervisor or conditions.policy.may_exceed == "staff")):
        raise ReasonMissing
    for other in open_offers(session, account_id):
        turn_down(session, other, actor_user_id=staff_user_id, reason="overtaken")
    plan = Plan(
        public_id=public_id or new_public_id(),
        account_id=account_id,
        user_id=user_id,
        state=PlanState.PROPOSED,
        frequency=rhythm.frequency,
        day=rhythm.day,
        each=wanted.schedule.each,
        month_cap=month_cap,
        proposed_by=staff_user_id,
        exceeds=reason.strip()[:300] if broken else "",
        checked_at=clock.now(),
    )
    session.add(plan)
    session.flush()
    join(session, plan.id, [(line.charge_id, amount, line.sums.paid) for line, amount in wanted.lines], mark=False)
    record(
        session,
        Tag.PLAN_PROPOSED,
        actor_user_id=staff_user_id,
        account_id=account_id,
        subject=plan.public_id,
        each_cents=plan.each.cents,
        exceeds=int(bool(broken)),
    )
    public_id = plan.public_id
    emails.queue_proposed(session, user_id=user_id, plan=public_id, plan_url=conditions.plan_url(public_id))
    session.commit()
    return public_id
