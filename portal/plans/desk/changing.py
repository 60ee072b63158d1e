"""Changing a plan for a patient, answering who asks for a pause, and ending a plan: each shown before it is done."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_login import current_user

from portal.accounts.queries import account_by_public_id
from portal.audit.seen import note_seen
from portal.audit.tags import Tag
from portal.money import Money
from portal.notifications.service import wake_sender
from portal.plans import queries
from portal.plans.changing.amending import Preview, amend, cancel, eases, preview
from portal.plans.changing.pausing import decide_request
from portal.plans.desk import worklists
from portal.plans.desk.forms import (
    ACTS,
    AmendForm,
    AnswerRequestForm,
    CancelPlanForm,
    chosen_charges,
    rhythm_choices,
    rhythm_of,
)
from portal.plans.desk.worklists import LineOnPlan
from portal.plans.errors import (
    ChargeUnderWay,
    ConsentMissing,
    DayNotOffered,
    InstallmentTooLarge,
    InstallmentTooSmall,
    LineNotOnPlan,
    NoSkipLeft,
    NothingToChange,
    PauseTooLong,
    PlanIsOver,
    PlanTooLong,
    PutOffTooFar,
    ReasonMissing,
    ScheduleMoved,
)
from portal.plans.kinds import ChangeKind
from portal.plans.of_app import may_exceed, the_conditions, the_policy
from portal.plans.queries import PlanRow, RequestRow
from portal.plans.rules.changes import ChangeRequest
from portal.plans.rules.policy import LawCapsPayments
from portal.plans.words import rhythm_words
from portal.web import guards
from portal.web.context import is_supervisor
from portal.web.database import db
from portal.web.desk import bp
from portal.web.templating import day

#: What the policy says no to, and who may exceed it may do all the same.
_AGAINST_THE_POLICY = (DayNotOffered, InstallmentTooSmall, NoSkipLeft, PauseTooLong, PlanTooLong, PutOffTooFar)
_AGAINST_THE_LAW = (InstallmentTooLarge, LawCapsPayments)
_IN_THE_WAY = (*_AGAINST_THE_POLICY, *_AGAINST_THE_LAW, LineNotOnPlan, NothingToChange, ChargeUnderWay, ConsentMissing)


def _said(error: Exception) -> str:
    """What is in the way, in words."""
    match error:
        case InstallmentTooSmall():
            return _("The policy’s minimum is %(amount)s.", amount=str(error.least))
        case PlanTooLong():
            return _(
                "At most %(most)s payments are possible for what is left, so each is at least %(least)s.",
                most=error.most,
                least=str(error.least),
            )
        case InstallmentTooLarge():
            return _("By law, a payment of this household can be at most %(amount)s.", amount=str(error.most))
        case LawCapsPayments(monthly_fits=True):
            return _(
                "By law at most %(amount)s a month can be asked of this household. That pays what is left in time only "
                "with payments every month.",
                amount=str(error.most_a_month),
            )
        case LawCapsPayments():
            return _(
                "By law at most %(amount)s a month can be asked of this household, and that would not pay what is left "
                "in time.",
                amount=str(error.most_a_month),
            )
        case DayNotOffered():
            return _("The policy does not offer this day.")
        case NoSkipLeft():
            return _("The policy’s skips of this year are used.")
        case PauseTooLong():
            return _(
                "A pause ends on a day to come, and the policy allows %(days)s days.",
                days=the_policy().pause_longest_days,
            )
        case PutOffTooFar():
            return _(
                "The day was moved already since the last payment, and this would put off the next one even further. "
                "It can be on %(day)s at the latest. Later than that is a pause or a skip.",
                day=day(error.latest),
            )
        case LineNotOnPlan():
            return _("This bill is not on the plan any more, or it is the last one. To take out the last one, end it.")
        case ChargeUnderWay():
            return _("A payment is being charged right now. Try again in some minutes.")
        case ConsentMissing():
            return _(
                "This would ask for more, or for something sooner, so the patient has to agree to it. They can change "
                "it on the plan’s page, or you offer another plan in its place."
            )
        case _:
            return _("The plan would stay as it is.")


def _wish(form: AmendForm, lines: Sequence[LineOnPlan]) -> ChangeRequest:
    """What the form asks for. Raises :class:`LineNotOnPlan`."""
    kind = ACTS[form.act.data][0]
    if kind is ChangeKind.AMOUNT_CHANGED:
        return ChangeRequest(kind, each=form.each.amount)
    if kind is ChangeKind.DAY_MOVED:
        return ChangeRequest(kind, rhythm=rhythm_of(form.rhythm.data), not_sooner=True)
    if kind is ChangeKind.PAUSED:
        return ChangeRequest(kind, until=form.until.data)
    if kind is ChangeKind.LINES_REMOVED:
        charges = chosen_charges(form.lines.data, {one.charge_public_id: one.charge_id for one in lines})
        if charges is None:
            raise LineNotOnPlan
        return ChangeRequest(kind, charges=dict.fromkeys(charges, Money.zero()))
    return ChangeRequest(kind)


def _looked_ahead(plan: PlanRow, wanted: ChangeRequest) -> tuple[ChangeRequest, Preview, str]:
    """The change as it may be made, the plan before and after it, and what of the policy it exceeds (empty: nothing).

    Raises :data:`_IN_THE_WAY` and :class:`PlanIsOver`.
    """
    exceeds = ""
    try:
        found = preview(db.session, plan_id=plan.id, wanted=wanted, conditions=the_conditions())
    except _AGAINST_THE_POLICY as error:
        if not may_exceed():
            raise
        db.session.rollback()
        wanted, exceeds = replace(wanted, exceed=True), _said(error)
        found = preview(db.session, plan_id=plan.id, wanted=wanted, conditions=the_conditions())
    if not eases(found.before, found.after):
        raise ConsentMissing
    return wanted, found, exceeds


def _compared(found: Preview) -> list[tuple[date, Money | None, Money | None]]:
    """Each day on which something is paid, before or after, with both amounts."""
    before = {due.on: due.amount for due in found.before.unpaid}
    after = {due.on: due.amount for due in found.after.unpaid}
    return [(day, before.get(day), after.get(day)) for day in sorted(before.keys() | after.keys())]


@bp.route("/plans/<pid:plan_id>/amend", methods=["GET", "POST"])
@guards.staff
def amend_plan(plan_id: str) -> Any:
    """Make a plan easier: what and why, then the payments before and after, then it is done and told."""
    plan = queries.plan_for(db.session, plan_id, user_id=None)
    lines = [one for one in worklists.lines_of_plan(db.session, plan) if one.left]
    form, needs_the_patient = AmendForm(), False
    form.offer(rhythm_choices(the_policy(), may_exceed=may_exceed(), now=plan.rhythm), now=plan.rhythm)
    if not plan.runs:
        flash(_("This plan has ended, so nothing can be changed."), "info")
        return redirect(url_for("staff.plan", plan_id=plan_id))
    if form.validate_on_submit() and "change" not in request.form:
        try:
            answer = _amend(form, plan, lines)
        except PlanIsOver:
            db.session.rollback()
            flash(_("This plan has ended meanwhile. Nothing was changed."), "info")
            return redirect(url_for("staff.plan", plan_id=plan_id))
        except _IN_THE_WAY as error:
            db.session.rollback()
            form.form_errors.append(_said(error))
            needs_the_patient = isinstance(error, ConsentMissing)
        else:
            return answer
    elif "change" in request.form:
        for field in form:
            field.errors = []
    return render_template(
        "staff/plan_amend.html",
        plan=plan,
        lines=lines,
        form=form,
        policy=the_policy(),
        needs_the_patient=needs_the_patient,
        rhythm_words=rhythm_words,
    )


def _amend(form: AmendForm, plan: PlanRow, lines: Sequence[LineOnPlan]) -> Any:
    wanted, found, exceeds = _looked_ahead(plan, _wish(form, lines))
    moved = False
    if "confirmed" in request.form:
        try:
            amend(
                db.session,
                plan_id=plan.id,
                staff_user_id=current_user.id,
                wanted=wanted,
                seen=form.seen.data or "",
                reason=form.reason.data or "",
                is_supervisor=is_supervisor(),
                conditions=the_conditions(),
            )
        except ScheduleMoved:
            db.session.rollback()
            if _was_done(plan, form):
                flash(_("The plan was changed already."), "info")
                return redirect(url_for("staff.plan", plan_id=plan.public_id))
            moved = True
        except ReasonMissing as error:
            if isinstance(error, ConsentMissing):
                raise
            db.session.rollback()
            flash(_("Only a supervisor may exceed the policy. Nothing was changed."), "warning")
            return redirect(url_for("staff.plan", plan_id=plan.public_id))
        else:
            wake_sender()
            flash(_("The plan was changed, and the patient is told."), "success")
            return redirect(url_for("staff.plan", plan_id=plan.public_id))
    form.seen.data = found.seen
    return render_template(
        "staff/plan_amend_confirm.html",
        plan=plan,
        form=form,
        act=ACTS[form.act.data][1],
        found=found,
        days=_compared(found),
        exceeds=exceeds,
        moved=moved,
        taken_out=[one for one in lines if one.charge_public_id in (form.lines.data or ())]
        if wanted.kind is ChangeKind.LINES_REMOVED
        else [],
        until=wanted.until,
        rhythm_words=rhythm_words,
    )


def _was_done(plan: PlanRow, form: AmendForm) -> bool:
    """Whether the latest change is this form's own: it was sent twice."""
    latest = queries.changes_of(db.session, plan.id)[0]
    return (
        latest.kind is ACTS[form.act.data][0]
        and latest.note == (form.reason.data or "").strip()
        and latest.actor == current_user.display_name
    )


@bp.route("/plan-requests/<pid:request_id>", methods=["GET", "POST"])
@guards.staff
def plan_request(request_id: str) -> Any:
    """A patient asks for a pause: what they say, what it would do, and the answer."""
    asked = worklists.request_for(db.session, request_id)
    plan = queries.plan_for(db.session, asked.plan_public_id, user_id=None)
    form = AnswerRequestForm()
    if form.validate_on_submit():
        granted = "grant" in request.form
        if not granted and not (form.answer.data or "").strip():
            form.answer.errors = [_("Write why not, and what else is possible. The patient reads it.")]
        else:
            return _answer(asked, granted=granted, answer=form.answer.data or "")
    found, in_the_way = None, ""
    if asked.decided_at is None and plan.runs:
        try:
            found = preview(
                db.session,
                plan_id=plan.id,
                wanted=ChangeRequest(ChangeKind.PAUSED, until=asked.until, exceed=True),
                conditions=the_conditions(),
            )
        except _IN_THE_WAY as error:
            in_the_way = _said(error)
        except PlanIsOver:
            pass
    note_seen(Tag.ACCOUNT_SEEN, account_id=plan.account_id, subject=plan.public_id)
    return render_template(
        "staff/plan_request.html",
        asked=asked,
        plan=plan,
        account=account_by_public_id(db.session, plan.account_public_id),
        form=form,
        found=found,
        days=_compared(found) if found else [],
        in_the_way=in_the_way,
    )


def _answer(asked: RequestRow, *, granted: bool, answer: str) -> Any:
    try:
        decide_request(
            db.session,
            request_id=asked.id,
            staff_user_id=current_user.id,
            granted=granted,
            answer=answer,
            conditions=the_conditions(),
        )
    except NothingToChange:
        db.session.rollback()
        flash(_("This was answered already. Nothing was changed."), "info")
    except PlanIsOver:
        db.session.rollback()
        flash(_("The plan has ended meanwhile. Nothing was changed."), "info")
    except (ChargeUnderWay, PauseTooLong) as error:
        db.session.rollback()
        flash(_said(error), "warning")
        return redirect(url_for("staff.plan_request", request_id=asked.public_id))
    else:
        said = _("The plan is paused, and the patient is told.") if granted else _("The patient is told.")
        wake_sender()
        flash(said, "success")
    return redirect(url_for("staff.plan", plan_id=asked.plan_public_id))


@bp.route("/plans/<pid:plan_id>/end", methods=["GET", "POST"])
@guards.staff
def end_plan(plan_id: str) -> Any:
    """End a plan, with a reason, on a page that says what comes of it."""
    plan = queries.plan_for(db.session, plan_id, user_id=None)
    form = CancelPlanForm()
    if not plan.runs:
        flash(_("This plan has ended already. Nothing was changed."), "info")
        return redirect(url_for("staff.plan", plan_id=plan_id))
    if form.validate_on_submit():
        try:
            cancel(
                db.session,
                plan_id=plan.id,
                actor_user_id=current_user.id,
                by_staff=True,
                note=(form.reason.data or "").strip(),
                conditions=the_conditions(),
            )
        except PlanIsOver:
            db.session.rollback()
            flash(_("This plan has ended already. Nothing was changed."), "info")
        else:
            wake_sender()
            flash(_("The plan has ended, and the patient is told."), "success")
        return redirect(url_for("staff.plan", plan_id=plan_id))
    lines = [one for one in worklists.lines_of_plan(db.session, plan) if one.left]
    return render_template(
        "staff/plan_end.html",
        plan=plan,
        form=form,
        lines=lines,
        left=Money.total(one.left for one in lines),
        paying=[one for one in queries.installments_of(db.session, plan.id) if one.state == "charging"],
    )
