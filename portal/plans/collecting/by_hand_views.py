"""Paying besides the installments: the next one early, something extra, or all that is left."""

from collections.abc import Callable
from typing import Any

from flask import redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_login import current_user

from portal.money import Money
from portal.payments.decline import words_for_too_many
from portal.payments.gateway.of_app import the_gateway
from portal.payments.methods.queries import MethodRow, method_by_id
from portal.payments.tries import must_wait
from portal.plans.blueprint import ACTING, ASKING, bp
from portal.plans.collecting.by_hand import check_more, pay_more, pay_next
from portal.plans.collecting.by_hand_forms import AmountForm, PayForm
from portal.plans.collecting.effects import Effect, begun_payment, effect_of_more, effect_of_next
from portal.plans.kinds import Need
from portal.plans.of_app import the_conditions
from portal.plans.queries import PlanRow, plan_for
from portal.plans.refusals import CANNOT_PAY, explain
from portal.web import guards
from portal.web.context import the_settings
from portal.web.database import db


@bp.route("/plans/<pid:plan_id>/pay-next", methods=["GET", "POST"])
@guards.own_account
@ACTING
def pay_the_next(plan_id: str) -> Any:
    """Pay the next installment now: before its day, or because the bank wants the patient to confirm it."""
    plan = plan_for(db.session, plan_id, user_id=current_user.id)
    if not plan.runs:
        return redirect(url_for("plans.show", plan_id=plan_id))
    begun = begun_payment(db.session, plan.id)
    if begun is not None and begun.user_id == current_user.id:
        return redirect(url_for("payments.pay", payment_id=begun.public_id))
    effect = effect_of_next(db.session, plan_id=plan.id, conditions=the_conditions())
    return _act(plan, effect, lambda: _pay_next(plan), title=_("Pay the next one now"))


def _pay_next(plan: PlanRow) -> str:
    return pay_next(
        db.session, the_gateway(), plan_id=plan.id, user_id=current_user.id, conditions=the_conditions()
    )


@bp.route("/plans/<pid:plan_id>/pay-off", methods=["GET", "POST"])
@guards.own_account
@ACTING
def pay_off(plan_id: str) -> Any:
    """Pay all that is left."""
    plan = plan_for(db.session, plan_id, user_id=current_user.id)
    if not plan.runs:
        return redirect(url_for("plans.show", plan_id=plan_id))
    effect = effect_of_more(db.session, plan_id=plan.id, amount=None, conditions=the_conditions())
    return _act(plan, effect if effect.amount else None, lambda: _pay_more(plan, None), title=_("Pay it off"))


def _pay_more(plan: PlanRow, amount: Money | None) -> str:
    return pay_more(
        db.session,
        the_gateway(),
        plan_id=plan.id,
        user_id=current_user.id,
        amount=amount,
        conditions=the_conditions(),
    )


@bp.route("/plans/<pid:plan_id>/pay-extra", methods=["GET", "POST"])
@guards.own_account
@ASKING
def pay_extra(plan_id: str) -> Any:
    """Pay something besides the installments: the plan gets shorter from its end."""
    plan = plan_for(db.session, plan_id, user_id=current_user.id)
    if not plan.runs:
        return redirect(url_for("plans.show", plan_id=plan_id))
    said = "amount" in request.args
    form = AmountForm(request.args if said else None)
    effect = None
    left = effect_of_more(db.session, plan_id=plan.id, amount=None, conditions=the_conditions()).amount
    wanted = form.amount.amount if said and form.validate() else None
    if wanted is not None:
        form.amount.errors = _what_is_wrong(wanted, left)
        if not form.amount.errors:
            effect = effect_of_more(db.session, plan_id=plan.id, amount=wanted, conditions=the_conditions())
    return _act(
        plan, effect, lambda: _pay_more(plan, wanted), title=_("Pay extra"), amount_form=form, left=left
    )


def _what_is_wrong(amount: Money, left: Money) -> list[str]:
    """Why this much can't be paid besides the installments; empty where it can."""
    try:
        check_more(amount, left)
    except CANNOT_PAY as error:
        return [explain(error)]
    return []


def _act(
    plan: PlanRow,
    effect: Effect | None,
    begin: Callable[[], str],
    *,
    title: str,
    amount_form: AmountForm | None = None,
    left: Money | None = None,
) -> Any:
    """The page that shows what a payment does to the plan; sent, it goes on to the page that pays."""
    form = PayForm()
    if request.method == "POST" and effect is not None and form.validate_on_submit():
        if form.seen.data != _seen(effect):
            form.form_errors.append(_("The plan has changed since this page was opened. Here it is as it is now."))
        elif must_wait(db.session, account_ids=[plan.account_id], user_id=current_user.id):
            form.form_errors.append(words_for_too_many(the_settings().clinic_phone))
        else:
            db.session.commit()
            try:
                return redirect(url_for("payments.pay", payment_id=begin()))
            except CANNOT_PAY as error:
                db.session.rollback()
                form.form_errors.append(explain(error))
    if effect is not None:
        form.seen.data = _seen(effect)
    page = render_template(
        "plans/pay.html",
        plan=plan,
        effect=effect,
        form=form,
        title=title,
        amount_form=amount_form,
        left=left,
        method=_method(plan),
    )
    return (page, 422) if request.method == "POST" else page


def _seen(effect: Effect) -> str:
    return f"{effect.amount.cents}/{effect.left_before.cents}/{len(effect.before)}"


def _method(plan: PlanRow) -> MethodRow | None:
    """What the payment's page will offer: the plan's own method, unless it can't be used."""
    if plan.method_id is None or plan.need is Need.METHOD:
        return None
    found = method_by_id(db.session, plan.method_id)
    usable = found.removed_at is None and not found.has_expired(the_conditions().today)
    return found if usable else None
