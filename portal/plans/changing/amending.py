"""Changing a plan that runs: the same look beforehand and act afterwards for patients and staff."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import date

from sqlalchemy.orm import Session

from portal.billing.queries import Line
from portal.money import Money
from portal.payments.methods.queries import method_by_id, method_for
from portal.plans import emails
from portal.plans.agreeing.agreed_terms import Agree, keep_agreement, terms_of, told_until
from portal.plans.agreeing.drafting import candidates
from portal.plans.changing.moving import check_moves
from portal.plans.collecting.charging import give_its_days
from portal.plans.errors import (
    ChargeUnderWay,
    ConsentMissing,
    LineCannotJoin,
    MethodNotUsable,
    NothingToChange,
    PlanIsOver,
    PlanIsPaused,
    ReasonMissing,
    ScheduleMoved,
)
from portal.plans.kinds import ChangeKind, Need, PlanState
from portal.plans.models import Plan
from portal.plans.returned import check_method
from portal.plans.rows import PlanNow, end, fingerprint, join, leave, read, running, write
from portal.plans.rules.changes import ChangeRequest, ScheduleState, carry_out
from portal.plans.rules.conditions import Conditions
from portal.plans.rules.schedule import Due

#: These would put an installment on a day within the pause, to be charged with others once it is over.
_NOT_WHILE_PAUSED = (ChangeKind.DAY_MOVED, ChangeKind.SKIPPED)


@dataclass(frozen=True, slots=True)
class Preview:
    """A plan before and after a requested change; ``seen`` is what a page that shows this says it has shown."""

    before: ScheduleState
    after: ScheduleState

    @property
    def seen(self) -> str:
        """Says what was shown: equal for an equal schedule before and after, and for nothing else."""
        return fingerprint(self.before)[:16] + fingerprint(self.after)[:16]


def preview(session: Session, *, plan_id: int, wanted: ChangeRequest, conditions: Conditions) -> Preview:
    """How a plan would stand after ``wanted``. Writes nothing.

    Raises what :func:`carry_out` raises, :class:`PlanIsOver`, :class:`PlanIsPaused`, :class:`ChargeUnderWay` and, for
    the desk's own move of the day, :class:`~portal.plans.errors.PutOffTooFar`.
    """
    plan = session.get_one(Plan, plan_id, populate_existing=True)
    if plan.state not in (PlanState.ACTIVE, PlanState.PAUSED):
        raise PlanIsOver
    now = read(session, plan, today=conditions.today)
    return preview_of(session, now, wanted, conditions)


def preview_of(session: Session, now: PlanNow, wanted: ChangeRequest, conditions: Conditions) -> Preview:
    if now.settling:
        raise ChargeUnderWay
    if now.plan.state is PlanState.PAUSED and wanted.kind in _NOT_WHILE_PAUSED:
        raise PlanIsPaused
    if wanted.kind is ChangeKind.RESUMED and now.plan.state is PlanState.ACTIVE:
        raise NothingToChange
    if wanted.kind is ChangeKind.LINES_ADDED:
        wanted = replace(wanted, charges=_amounts_to_add(session, now.plan, wanted.charges, conditions))
    after = carry_out(now.schedule, wanted, policy=conditions.policy, today=conditions.today)
    if wanted.not_sooner and not wanted.exceed:
        check_moves(session, now.plan.id, after)
    return Preview(now.schedule, after)


def may_be_added(session: Session, plan: Plan, *, conditions: Conditions) -> list[tuple[Line, Money]]:
    """The lines that the plan's payer may add to it, with what each asks for."""
    return candidates(session, plan.account_id, user_id=plan.user_id, conditions=conditions)


def _amounts_to_add(
    session: Session, plan: Plan, wanted: Collection[int], conditions: Conditions
) -> dict[int, Money]:
    offered = {line.charge_id: amount for line, amount in may_be_added(session, plan, conditions=conditions)}
    if not wanted or not set(wanted) <= set(offered):
        raise LineCannotJoin
    return {charge_id: offered[charge_id] for charge_id in wanted}


def change(
    session: Session,
    *,
    plan_id: int,
    user_id: int,
    wanted: ChangeRequest,
    seen: str,
    agree: Agree,
    language: str,
    address: str,
    conditions: Conditions,
) -> None:
    """Change a plan as its payer agreed; commits.

    ``seen`` is the :attr:`Preview.seen` of the page that was agreed to. Raises what :func:`preview` raises and
    :class:`ScheduleMoved`.
    """
    plan = running(session, plan_id)
    now = read(session, plan, today=conditions.today)
    found = preview_of(session, now, wanted, conditions)
    if found.seen != seen:
        raise ScheduleMoved
    carry(session, now, found, wanted, conditions)
    if plan.method_id is None:
        raise MethodNotUsable
    if wanted.kind is ChangeKind.LINES_ADDED:
        check_method(session, plan.account_id, wanted.charges, method_id=plan.method_id)
    _write_as_agreed(
        session,
        now,
        found.after,
        kind=wanted.kind,
        agree=agree,
        user_id=user_id,
        language=language,
        address=address,
        conditions=conditions,
    )


def _write_as_agreed(
    session: Session,
    now: PlanNow,
    after: ScheduleState,
    *,
    kind: ChangeKind,
    agree: Agree,
    user_id: int,
    language: str,
    address: str,
    conditions: Conditions,
) -> None:
    """Write what the payer agreed to down with their consent and the agreement; commits."""
    plan = now.plan
    assert plan.method_id is not None  # nobody agrees to charges that nothing can be charged to
    terms = terms_of(
        session,
        plan,
        schedule=after,
        lines=_lines_after(session, now, after, conditions),
        method=method_by_id(session, plan.method_id),
        change=kind,
        conditions=conditions,
    )
    consent_id, document_id = keep_agreement(
        session,
        plan,
        agree(terms),
        version=plan.version + 1,
        terms=terms,
        user_id=user_id,
        language=language,
        address=address,
    )
    write(
        session,
        now,
        after,
        kind=kind,
        actor_user_id=user_id,
        consent_id=consent_id,
        document_id=document_id,
        told_until=told_until(conditions),
    )
    session.commit()


def amend(
    session: Session,
    *,
    plan_id: int,
    staff_user_id: int,
    wanted: ChangeRequest,
    seen: str,
    reason: str,
    is_supervisor: bool,
    conditions: Conditions,
) -> None:
    """Change a plan for the patient, with a reason; commits. Only what makes it easier: the rest needs their consent.

    Raises what :func:`preview` raises, :class:`ScheduleMoved`, :class:`ReasonMissing` without a reason, or for what
    exceeds the policy where only a supervisor may, and :class:`ConsentMissing` for what would ask for more or sooner.
    """
    plan = running(session, plan_id)
    now = read(session, plan, today=conditions.today)
    found = preview_of(session, now, wanted, conditions)
    if found.seen != seen:
        raise ScheduleMoved
    allowed = is_supervisor or conditions.policy.may_exceed == "staff" or not wanted.exceed
    if wanted.kind not in EASING or not eases(found.before, found.after):
        raise ConsentMissing
    if not reason.strip() or not allowed:
        raise ReasonMissing
    if wanted.kind is ChangeKind.PAUSED and is_paused_beyond(plan, wanted.until):
        raise NothingToChange
    carry(session, now, found, wanted, conditions)
    write(session, now, found.after, kind=wanted.kind, actor_user_id=staff_user_id, note=reason.strip())
    emails.queue_reshaped(
        session,
        user_id=plan.user_id,
        plan=plan.public_id,
        version=plan.version,
        kind=ChangeKind.AMENDED,
        before=list(found.before.unpaid),
        after=list(found.after.unpaid),
        plan_url=conditions.plan_url(plan.public_id),
    )
    session.commit()


#: What the staff may do with a reason. Going on is not among it: who stopped the charges has to want them again.
EASING = (
    ChangeKind.SKIPPED,
    ChangeKind.AMOUNT_CHANGED,
    ChangeKind.DAY_MOVED,
    ChangeKind.PAUSED,
    ChangeKind.LINES_REMOVED,
)


def is_paused_beyond(plan: Plan, until: date | None) -> bool:
    """Whether a plan is paused for longer than ``until``: for as long as the patient wants, or to a later day."""
    if plan.state is not PlanState.PAUSED:
        return False
    return plan.paused_until is None or (until is not None and plan.paused_until >= until)


def eases(before: ScheduleState, after: ScheduleState) -> bool:
    """Whether a change asks for nothing more and nothing sooner: up to any day, no more is taken than before."""
    if not set(after.left) <= set(before.left):
        return False
    return all(_taken(after.unpaid, due.on) <= _taken(before.unpaid, due.on) for due in after.unpaid)


def _taken(dues: Collection[Due], until: date) -> Money:
    return Money.total(due.amount for due in dues if due.on <= until)


def carry(session: Session, now: PlanNow, found: Preview, wanted: ChangeRequest, conditions: Conditions) -> None:
    """What a requested change does besides the schedule."""
    plan = now.plan
    if wanted.kind is ChangeKind.LINES_ADDED:
        lines = {line.charge_id: line for line, _amount in may_be_added(session, plan, conditions=conditions)}
        new = [charge_id for charge_id in found.after.left if charge_id not in found.before.left]
        join(session, plan.id, [(one, found.after.left[one], lines[one].sums.paid) for one in new])
    elif wanted.kind is ChangeKind.LINES_REMOVED:
        leave(session, plan.id, [one for one in found.before.left if one not in found.after.left])
    elif wanted.kind is ChangeKind.PAUSED:
        plan.state, plan.paused_until = PlanState.PAUSED, wanted.until
    elif wanted.kind is ChangeKind.RESUMED:
        plan.state, plan.paused_until = PlanState.ACTIVE, None
    session.flush()


def _lines_after(
    session: Session, now: PlanNow, after: ScheduleState, conditions: Conditions
) -> list[tuple[Line, Money]]:
    known = {one.line.charge_id: one.line for one in now.covered}
    missing = set(after.left) - set(known)
    if missing:
        by_id = {one.line.charge_id: one.line for one in read(session, now.plan, today=conditions.today).covered}
        known |= {charge_id: by_id[charge_id] for charge_id in missing}
    return [(known[charge_id], amount) for charge_id, amount in after.left.items()]


def change_method(
    session: Session,
    *,
    plan_id: int,
    user_id: int,
    method_public_id: str,
    agree: Agree,
    language: str,
    address: str,
    conditions: Conditions,
) -> None:
    """Charge another saved method from now on; commits. What was turned down is tried with it at once.

    What a bank account has to be told of earlier than a card is put off until it was.

    Raises :class:`PlanIsOver`, :class:`RecordNotFound` (no such method of this person), :class:`MethodNotUsable`,
    :class:`DebtReturned` (the same bank account again) and :class:`NothingToChange`.
    """
    plan = running(session, plan_id)
    method = method_for(session, user_id, method_public_id)
    if method.has_expired(conditions.today):
        raise MethodNotUsable
    if plan.method_id == method.id and plan.need is Need.NOTHING:
        raise NothingToChange
    now = read(session, plan, today=conditions.today)
    check_method(session, plan.account_id, now.schedule.left, method_id=method.id)
    plan.method_id, plan.need = method.id, Need.NOTHING
    for row in now.rows:
        if row.tries:
            # Never before its day: one that was declined and then put off is charged when the agreement says.
            row.tries, row.failure_code, row.charge_on = 0, "", max(conditions.today, row.due_on)
        else:
            # Not what was turned down: that the page says is made at once, and it is agreed to as such.
            give_its_days(session, plan, row, conditions)
    _write_as_agreed(
        session,
        now,
        now.schedule,
        kind=ChangeKind.METHOD_CHANGED,
        agree=agree,
        user_id=user_id,
        language=language,
        address=address,
        conditions=conditions,
    )


def cancel(
    session: Session, *, plan_id: int, actor_user_id: int, by_staff: bool, note: str = "", conditions: Conditions
) -> None:
    """End a plan as somebody asked; commits. What is left are ordinary bills; a charge under way goes on.

    Raises :class:`PlanIsOver`.
    """
    plan = running(session, plan_id)
    now = read(session, plan, today=conditions.today)
    end(
        session,
        now,
        state=PlanState.CANCELED,
        kind=ChangeKind.CANCELED,
        reason="staff" if by_staff else "patient",
        actor_user_id=actor_user_id,
        note=note,
    )
    emails.queue_canceled(session, user_id=plan.user_id, plan=plan.public_id, by_staff=by_staff)
    session.commit()


def stop_charges(session: Session, *, plan_id: int, conditions: Conditions) -> None:
    """Charge nothing more until the patient says so (the link in a notice); commits. Raises :class:`PlanIsOver`."""
    plan = running(session, plan_id)
    if plan.state is PlanState.ACTIVE or plan.paused_until is not None:
        now = read(session, plan, today=conditions.today)
        plan.state, plan.paused_until = PlanState.PAUSED, None
        write(session, now, now.schedule, kind=ChangeKind.PAUSED)
        # Whoever has the mail can press the link: the plan's owner is told that somebody did.
        emails.queue_charges_stopped(
            session,
            user_id=plan.user_id,
            plan=plan.public_id,
            version=plan.version,
            plan_url=conditions.plan_url(plan.public_id),
        )
    session.commit()
