"""Changing a plan: what is wanted, the payments before and after it, the exact words, and the tick."""

from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask_babel import get_locale
from flask_babel import gettext as _
from flask_login import current_user

from portal.db import RecordNotFound
from portal.payments.methods.queries import method_by_id
from portal.plans.agreeing.consenting import agreeing_to, the_words
from portal.plans.blueprint import ACTING, ASKING, bp, chosen_method, usable_methods
from portal.plans.changing.amending import change, change_method, preview
from portal.plans.changing.asking import Asked, ask
from portal.plans.changing.forms import ConsentForm
from portal.plans.changing.terms_after import terms_after
from portal.plans.errors import ScheduleMoved
from portal.plans.kinds import ChangeKind, Need, PlanState
from portal.plans.of_app import the_conditions
from portal.plans.queries import PlanRow, plan_for
from portal.plans.refusals import CANNOT_CHANGE, explain
from portal.plans.rows import look
from portal.plans.rules.terms import Paragraph
from portal.plans.words import rhythm_words
from portal.queue import wake
from portal.web import guards
from portal.web.database import db


@bp.route("/plans/<pid:plan_id>/add", methods=["GET", "POST"])
@guards.own_account
@ASKING
def add(plan_id: str) -> Any:
    """Add a new balance."""
    return _change(plan_id, "add")


@bp.route("/plans/<pid:plan_id>/take-out", methods=["GET", "POST"])
@guards.own_account
@ASKING
def take_out(plan_id: str) -> Any:
    """Take a balance out."""
    return _change(plan_id, "take_out")


@bp.route("/plans/<pid:plan_id>/amount", methods=["GET", "POST"])
@guards.own_account
@ASKING
def amount(plan_id: str) -> Any:
    """Pay less or more each time."""
    return _change(plan_id, "amount")


@bp.route("/plans/<pid:plan_id>/day", methods=["GET", "POST"])
@guards.own_account
@ASKING
def day(plan_id: str) -> Any:
    """Move the day, or the rhythm."""
    return _change(plan_id, "day")


@bp.route("/plans/<pid:plan_id>/skip", methods=["GET", "POST"])
@guards.own_account
@ASKING
def skip(plan_id: str) -> Any:
    """Leave the next one out."""
    return _change(plan_id, "skip")


@bp.route("/plans/<pid:plan_id>/go-on", methods=["GET", "POST"])
@guards.own_account
@ASKING
def go_on(plan_id: str) -> Any:
    """End a pause."""
    return _change(plan_id, "go_on")


def _change(plan_id: str, act: str) -> Any:
    plan = plan_for(db.session, plan_id, user_id=current_user.id)
    if not plan.runs:
        return redirect(url_for("plans.show", plan_id=plan_id))
    form = ConsentForm()
    asked = ask(db.session, plan, act, conditions=the_conditions())
    if request.method == "GET":
        return _page(plan, act, asked, form)
    if asked.wanted is None or not form.validate_on_submit():
        return _page(plan, act, asked, form), 422
    seen, _dot, words = (form.seen.data or "").partition(".")
    try:
        change(
            db.session,
            plan_id=plan.id,
            user_id=current_user.id,
            wanted=asked.wanted,
            seen=seen,
            agree=agreeing_to(words),
            language=str(get_locale() or "en"),
            address=request.remote_addr or "",
            conditions=the_conditions(),
        )
    except CANNOT_CHANGE as error:
        db.session.rollback()
        form.form_errors.append(explain(error))
        form.agree.data = False
        plan = plan_for(db.session, plan_id, user_id=current_user.id)
        if not plan.runs:
            flash(explain(error), "warning")
            return redirect(url_for("plans.show", plan_id=plan_id))
        return _page(plan, act, ask(db.session, plan, act, conditions=the_conditions()), form), 422
    wake("plans.run_due")
    wake("notifications.send")
    flash(_("Your plan is changed. We have sent a copy of the agreement to your email address."), "success")
    return redirect(url_for("plans.show", plan_id=plan_id))


def _page(plan: PlanRow, act: str, asked: Asked, form: ConsentForm) -> str:
    conditions = the_conditions()
    found, words, problem = None, list[Paragraph](), ""
    if asked.wanted is not None:
        try:
            found = preview(db.session, plan_id=plan.id, wanted=asked.wanted, conditions=conditions)
            terms = terms_after(
                db.session, plan_id=plan.id, after=found.after, kind=asked.wanted.kind, conditions=conditions
            )
        except CANNOT_CHANGE as error:
            found, problem = None, explain(error)
        else:
            words, fingerprint = the_words(terms)
            form.seen.data = f"{found.seen}.{fingerprint}"
    elif asked.said and asked.lines:
        problem = _("Choose at least one.")
    return render_template(
        "plans/change.html",
        plan=plan,
        act=act,
        asked=asked,
        form=form,
        found=found,
        words=words,
        problem=problem,
        rhythm=rhythm_words(found.after.rhythm) if found is not None else "",
    )


@bp.route("/plans/<pid:plan_id>/method", methods=["GET", "POST"])
@guards.own_account
@ACTING
def method(plan_id: str) -> Any:
    """Another card or bank account."""
    plan = plan_for(db.session, plan_id, user_id=current_user.id)
    if not plan.runs:
        return redirect(url_for("plans.show", plan_id=plan_id))
    form, usable = ConsentForm(), usable_methods(the_conditions().today)
    # One that works and is not the plan's own comes first; its own may be chosen again where a bank turned it down.
    usable = [one for one in usable if one.id != plan.method_id] + [
        one for one in usable if one.id == plan.method_id and plan.need is Need.METHOD
    ]
    chosen = chosen_method(usable)
    if request.method == "POST" and chosen is not None and form.validate_on_submit():
        try:
            change_method(
                db.session,
                plan_id=plan.id,
                user_id=current_user.id,
                method_public_id=chosen.public_id,
                agree=agreeing_to(form.seen.data or ""),
                language=str(get_locale() or "en"),
                address=request.remote_addr or "",
                conditions=the_conditions(),
            )
        except (*CANNOT_CHANGE, RecordNotFound) as error:
            db.session.rollback()
            form.form_errors.append(explain(ScheduleMoved() if isinstance(error, RecordNotFound) else error))
            form.agree.data = False
            return redirect(request.full_path) if not plan_for(
                db.session, plan_id, user_id=current_user.id
            ).runs else (_method_page(plan, form, usable, chosen), 422)
        wake("plans.run_due")
        wake("notifications.send")
        flash(_("From now on the plan is charged to %(method)s.", method=chosen.name), "success")
        return redirect(url_for("plans.show", plan_id=plan_id))
    page = _method_page(plan, form, usable, chosen)
    return (page, 422) if request.method == "POST" else page


def _method_page(plan: PlanRow, form: ConsentForm, usable: Any, chosen: Any) -> str:
    conditions = the_conditions()
    now = look(db.session, plan.id, today=conditions.today)
    words: list[Paragraph] = []
    if chosen is not None:
        terms = terms_after(
            db.session,
            plan_id=plan.id,
            after=None,
            kind=ChangeKind.METHOD_CHANGED,
            conditions=conditions,
            method=chosen,
        )
        words, form.seen.data = the_words(terms)
    return render_template(
        "plans/method.html",
        plan=plan,
        form=form,
        methods=usable,
        method=chosen,
        old=method_by_id(db.session, plan.method_id) if plan.method_id is not None else None,
        # What was turned down is tried with the new one at once, unless nothing is charged at all.
        at_once=next((row.amount for row in now.rows if row.tries), None)
        if plan.state is PlanState.ACTIVE
        else None,
        dues=now.schedule.unpaid,
        total=now.schedule.total,
        words=words,
        here=url_for("plans.method", plan_id=plan.public_id),
    )
