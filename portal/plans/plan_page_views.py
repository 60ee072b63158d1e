"""Living with a plan: what is left, what comes next, what happened; asking for a pause, and ending it."""

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from flask import Response, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_login import current_user

from portal.audit.service import record
from portal.audit.tags import Tag
from portal.documents.store import content_of
from portal.payments.methods.queries import method_by_id
from portal.plans.blueprint import ACTING, bp
from portal.plans.changing.amending import cancel, may_be_added, preview, stop_charges
from portal.plans.changing.forms import ActForm, PauseForm, PauseNoteForm
from portal.plans.changing.pausing import ask_for_pause
from portal.plans.collecting.effects import begun_payment
from portal.plans.errors import NothingToChange, PauseTooLong, PlanIsOver
from portal.plans.kinds import ChangeKind, InstallmentState, Need, PlanState
from portal.plans.notices import notices_for_payer
from portal.plans.of_app import the_conditions
from portal.plans.queries import (
    InstallmentRow,
    PlanRow,
    agreement_document,
    changes_of,
    installments_of,
    plan_for,
    plan_of_installment,
    plans_of_account,
    requests_of,
)
from portal.plans.refusals import CANNOT_CHANGE, explain
from portal.plans.returned import last_day_of
from portal.plans.rows import PlanNow, look
from portal.plans.rules.changes import ChangeRequest
from portal.plans.words import CHANGE, INSTALLMENT, PLAN, rhythm_words
from portal.queue import wake
from portal.web import guards
from portal.web.database import begin_writing, db
from portal.web.limits import even_uncounted, limiter
from portal.web.templating import day

#: Installments that are behind a plan or ahead of it; what a change took away is none.
_SHOWN = frozenset(InstallmentState) - {InstallmentState.DROPPED}


@dataclass(frozen=True, slots=True)
class Possible:
    """What can be done with a plan right now; what can't is not offered."""

    pay: bool
    add: bool
    take_out: bool
    change: bool
    skip: bool
    pause: bool


def _mine(plan_id: str) -> PlanRow:
    return plan_for(db.session, plan_id, user_id=current_user.id)


@bp.get("/plans/<pid:plan_id>")
@guards.own_account
def show(plan_id: str) -> Any:
    """A plan: what it waits for, what is left, what comes next, what can be done, what happened."""
    plan = _mine(plan_id)
    if plan.state is PlanState.PROPOSED:
        return redirect(url_for("plans.offer", plan_id=plan_id))
    conditions = the_conditions()
    now = look(db.session, plan.id, today=conditions.today)
    known = [row for row in installments_of(db.session, plan.id) if row.state in _SHOWN]
    coming = _as_they_will_be([row for row in known if row.state is InstallmentState.PLANNED], now)
    rows = [row for row in known if row.state is not InstallmentState.PLANNED] + coming
    asked = requests_of(db.session, plan.id)
    waiting = next((one for one in asked if one.decided_at is None), None)
    begun = begun_payment(db.session, plan.id)
    begun = begun if begun is not None and begun.user_id == current_user.id else None
    offered = plans_of_account(db.session, plan.account_id, user_id=current_user.id)
    offer = next((one for one in offered if one.state is PlanState.PROPOSED), None)
    answered = asked[-1] if asked and waiting is None else None
    charging = next((row for row in rows if row.state is InstallmentState.CHARGING), None)
    declined = [row for row in coming if row.tries]
    return render_template(
        "plans/show.html",
        plan=plan,
        notices=notices_for_payer(
            state=plan.state,
            need=plan.need,
            offered=offer is not None,
            declined=bool(declined),
            begun=begun is not None,
            charging=charging is not None,
            moved=now.has_moved,
            pause_asked=waiting is not None,
            pause_refused=answered is not None and not answered.granted,
        ),
        offer=offer,
        declined=declined,
        method=method_by_id(db.session, plan.method_id) if plan.method_id is not None else None,
        rhythm=rhythm_words(plan.rhythm),
        left=now.schedule.total,
        lines=now.covered,
        rows=rows,
        paid=sum(1 for row in rows if row.state is InstallmentState.PAID),
        next=coming[0] if coming else None,
        charging=charging,
        begun=begun,
        missed_on=_missed_on(plan, coming),
        changes=changes_of(db.session, plan.id),
        waiting=waiting,
        answered=answered,
        possible=_possible(plan, now, asks=waiting is not None),
        installment_words=INSTALLMENT,
        plan_words=PLAN,
        change_words=CHANGE,
        today=conditions.today,
    )


def _as_they_will_be(coming: list[InstallmentRow], now: PlanNow) -> list[InstallmentRow]:
    """The installments to come, made to fit what is due now: within the hour they are written down like that."""
    if not now.has_moved:
        return coming
    return [replace(row, amount=due.amount) for row, due in zip(coming, now.schedule.unpaid, strict=False)]


def _missed_on(plan: PlanRow, coming: list[InstallmentRow]) -> date | None:
    """The last day for what the plan waits for; None where it waits for nothing."""
    if plan.need is Need.NOTHING or not coming:
        return None
    return last_day_of(db.session, coming[0].id, coming[0].due_on, the_conditions())


def _possible(plan: PlanRow, now: PlanNow, *, asks: bool) -> Possible:
    goes_on = plan.runs and not now.settling
    active = goes_on and plan.state is PlanState.ACTIVE
    policy = the_conditions().policy
    return Possible(
        pay=goes_on and bool(now.schedule.unpaid),
        add=goes_on and bool(may_be_added(db.session, now.plan, conditions=the_conditions())),
        take_out=goes_on and len(now.schedule.left) > 1,
        change=goes_on and bool(now.schedule.unpaid),
        skip=active and bool(now.schedule.unpaid) and now.schedule.skips_used < policy.skips_a_year,
        pause=active and not asks and bool(now.schedule.unpaid),
    )


@bp.get("/plans/<pid:plan_id>/agreements/<pid:change_id>.pdf")
@guards.own_account
def agreement_pdf(plan_id: str, change_id: str) -> Response:
    """What was agreed to, as it was shown."""
    begin_writing()  # who saw what is audited
    plan = _mine(plan_id)
    content = content_of(db.session, agreement_document(db.session, plan.id, change_id))
    record(
        db.session,
        Tag.PLAN_AGREEMENT_SEEN,
        actor_user_id=current_user.id,
        account_id=plan.account_id,
        subject=change_id,
    )
    db.session.commit()
    return Response(
        content,
        mimetype="application/pdf",
        headers={"Content-Disposition": 'inline; filename="payment-plan-agreement.pdf"'},
    )


@bp.route("/plans/<pid:plan_id>/pause", methods=["GET", "POST"])
@guards.own_account
@ACTING
def pause(plan_id: str) -> Any:
    """Ask the staff for a pause: until when (GET), the payments as they would be then, and the request."""
    plan, form, note = _mine(plan_id), PauseForm(request.args if "until" in request.args else None), PauseNoteForm()
    if not plan.runs:
        return redirect(url_for("plans.show", plan_id=plan_id))
    conditions = the_conditions()
    found = None
    if "until" in request.args and form.validate():
        try:
            wanted = ChangeRequest(ChangeKind.PAUSED, until=form.until.data)
            found = preview(db.session, plan_id=plan.id, wanted=wanted, conditions=conditions)
        except CANNOT_CHANGE as error:
            form.until.errors = [explain(error)]
    if found is not None and found.before == found.after and found.before.unpaid:
        form.until.errors = [
            _("Your next payment is on %(day)s, so choose a later day.", day=day(found.before.unpaid[0].on))
        ]
        found = None
    if found is not None and note.validate_on_submit():
        try:
            ask_for_pause(
                db.session,
                plan_id=plan.id,
                user_id=current_user.id,
                until=form.until.data,
                note=note.note.data or "",
                conditions=conditions,
            )
        except NothingToChange:
            db.session.rollback()
            flash(_("You have asked us already. We will answer as soon as we can."), "info")
        except (PauseTooLong, PlanIsOver) as error:
            db.session.rollback()
            flash(explain(error), "warning")
        else:
            flash(_("We have your request and will answer soon. Until then the plan goes on as it is."), "success")
        return redirect(url_for("plans.show", plan_id=plan_id))
    page = render_template(
        "plans/pause.html",
        plan=plan,
        form=form,
        note=note,
        found=found,
        first=conditions.today + timedelta(days=1),
        last=conditions.today + timedelta(days=conditions.policy.pause_longest_days),
    )
    return page if not note.is_submitted() else (page, 422)


@bp.route("/plans/<pid:plan_id>/end", methods=["GET", "POST"])
@guards.own_account
@ACTING
def end(plan_id: str) -> Any:
    """End the plan, after saying what that means."""
    plan, form = _mine(plan_id), ActForm()
    if not plan.runs:
        return redirect(url_for("plans.show", plan_id=plan_id))
    if form.validate_on_submit():
        try:
            cancel(
                db.session,
                plan_id=plan.id,
                actor_user_id=current_user.id,
                by_staff=False,
                conditions=the_conditions(),
            )
        except PlanIsOver:
            db.session.rollback()
        wake("notifications.send")
        flash(_("The plan has ended. Nothing more is charged by itself. What is left is an ordinary bill."), "success")
        return redirect(url_for("plans.show", plan_id=plan_id))
    now = look(db.session, plan.id, today=the_conditions().today)
    return render_template(
        "plans/end.html",
        plan=plan,
        form=form,
        left=now.schedule.total,
        dues=now.schedule.unpaid,
        charging=any(row.state is InstallmentState.CHARGING for row in installments_of(db.session, plan.id)),
    )


@bp.get("/plans/stop/<pid:installment_id>")
@guards.public
@limiter.limit("60 per hour")
def stop_notice(installment_id: str) -> str:
    """The page behind a notice's link. Opening it changes nothing: mail programs open links, too."""
    plan, installment = plan_of_installment(db.session, installment_id)
    return render_template(
        "plans/stop.html",
        plan=plan,
        installment=installment,
        stopped=plan.state is PlanState.PAUSED and plan.paused_until is None,
        form=ActForm(formdata=None),
    )


@bp.post("/plans/stop/<pid:installment_id>")
@guards.public
@limiter.limit("60 per hour")
@even_uncounted
def stop_from_notice(installment_id: str) -> Any:
    """Stop it. The link's id is known to whoever got the mail, and can do no more than this."""
    plan, _installment = plan_of_installment(db.session, installment_id)
    try:
        stop_charges(db.session, plan_id=plan.id, conditions=the_conditions())
    except PlanIsOver:
        db.session.rollback()
    wake("notifications.send")
    return redirect(url_for("plans.stop_notice", installment_id=installment_id))
