"""Saved cards and bank accounts: the list, adding one, naming, choosing the first, removing."""

import re
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, session, url_for
from flask_babel import gettext as _
from flask_login import current_user

from portal.payments.blueprint import uses_of_method
from portal.payments.card_form import card_form
from portal.payments.decline import what_happened, when_stripe_fails
from portal.payments.errors import NO_ANSWER, SetupIsOver, StripeUnreachable
from portal.payments.forms import Confirm, LabelForm
from portal.payments.gateway.of_app import the_gateway
from portal.payments.kinds import SetupState
from portal.payments.methods.consents import save_method_words
from portal.payments.methods.queries import method_for, methods_of
from portal.payments.methods.service import detach_due, make_default, rename
from portal.payments.methods.service import remove as remove_method
from portal.payments.methods.setups import close_setup, look, setup_for, start_setup
from portal.payments.progress import waiting_for
from portal.payments.state import DEPOSITS
from portal.payments.views import agreement_here
from portal.web import guards
from portal.web.context import the_day, the_settings
from portal.web.database import begin_writing, db
from portal.web.limits import limiter

bp = Blueprint("methods", __name__)

#: Pages of the portal that one can go back to when a method is saved, and where the address is kept meanwhile.
_OURS = re.compile(r"/(accounts|plans)/[0-9a-z/-]+(\?[0-9A-Za-z_=&%.-]*)?")
_BACK = "after_saving_method"

_SOME = limiter.limit("10 per minute; 30 per hour", key_func=lambda: f"user {current_user.get_id()}")


@bp.get("/methods")
@guards.own_account
def methods() -> str:
    """What somebody keeps for next time."""
    return render_template(
        "payments/methods.html",
        methods=methods_of(db.session, current_user.id),
        today=the_day(),
        waiting=[one for one in waiting_for(db.session, current_user.id) if one.amount is None],
    )


@bp.get("/methods/new")
@guards.own_account
def new() -> str:
    """What keeping a method means, before it is asked for. ``back`` is the page that needs it, to go on there."""
    back = request.args.get("back", "")
    if _OURS.fullmatch(back):
        session[_BACK] = back
    else:
        session.pop(_BACK, None)
    return render_template(
        "payments/method_new.html", form=Confirm(), agreement=save_method_words(the_settings().clinic_name)
    )


@bp.post("/methods/new")
@guards.own_account
@_SOME
def start() -> Any:
    """Agreed: write it down and go on to the form."""
    if not Confirm().validate_on_submit():
        return redirect(url_for("methods.new"))
    public_id = start_setup(db.session, user_id=current_user.id, agreement=agreement_here())
    return redirect(url_for("methods.setup", setup_id=public_id))


@bp.get("/methods/setups/<pid:setup_id>")
@guards.own_account
def setup(setup_id: str) -> Any:
    """The card form of one attempt to save a method."""
    return _setup_page(setup_id, back=False)


@bp.get("/methods/setups/<pid:setup_id>/return")
@guards.own_account
def come_back(setup_id: str) -> Any:
    """Where Stripe sends the browser back to; Stripe is asked how it ended."""
    return _setup_page(setup_id, back=True)


def _setup_page(setup_id: str, *, back: bool) -> Any:
    begin_writing()
    found = setup_for(db.session, current_user.id, setup_id)
    db.session.commit()
    over = _setup_ended(found.state)
    if over is not None:
        return over
    try:
        intent = look(db.session, the_gateway(), setup_id=found.id)
    except SetupIsOver:
        db.session.rollback()
        return _setup_ended(SetupState.CANCELED)
    except NO_ANSWER as error:
        db.session.rollback()
        title, text = when_stripe_fails(error, maybe_charged=False, phone=the_settings().clinic_phone)
        return render_template("payments/method_no_answer.html", setup=found, title=title, text=text)
    found = setup_for(db.session, current_user.id, setup_id)
    over = _setup_ended(found.state)
    if over is not None:
        return over
    if found.state is SetupState.ACTION and found.action == DEPOSITS:
        return render_template("payments/method_waits.html", setup=found, deposits_at=intent.action_url)
    if back:
        return redirect(url_for("methods.setup", setup_id=setup_id))
    return render_template(
        "payments/method_setup.html",
        setup=found,
        problem=what_happened(found.failure_code) if found.failure_code else "",
        **card_form(intent.client_secret, return_path=url_for("methods.come_back", setup_id=setup_id)),
    )


def _setup_ended(state: SetupState) -> Any:
    if state is SetupState.SUCCEEDED:
        flash(_("It is saved. You can use it the next time you pay."), "success")
        return redirect(session.pop(_BACK, "") or url_for("methods.methods"))
    if state is SetupState.CANCELED:
        flash(_("Nothing was saved. You can start again whenever you like."), "info")
        return redirect(url_for("methods.methods"))
    return None


@bp.post("/methods/setups/<pid:setup_id>/cancel")
@guards.own_account
def cancel(setup_id: str) -> Any:
    """Give up saving a method."""
    found = setup_for(db.session, current_user.id, setup_id)
    db.session.commit()
    try:
        close_setup(db.session, the_gateway(), setup_id=found.id)
    except NO_ANSWER:
        db.session.rollback()
        flash(_("We can’t reach the payment service right now. Please try again in a minute."), "warning")
        return redirect(url_for("methods.methods"))
    return _setup_ended(setup_for(db.session, current_user.id, setup_id).state)


@bp.get("/methods/<pid:method_id>")
@guards.own_account
def edit(method_id: str) -> Any:
    """One method: its name, whether it comes first, and the way to remove it."""
    method = method_for(db.session, current_user.id, method_id)
    form = LabelForm(formdata=None, data={"label": method.label})
    return render_template("payments/method.html", method=method, form=form)


@bp.post("/methods/<pid:method_id>")
@guards.own_account
def name(method_id: str) -> Any:
    """Give a method a name."""
    method = method_for(db.session, current_user.id, method_id)
    form = LabelForm()
    if not form.validate_on_submit():
        return render_template("payments/method.html", method=method, form=form), 422
    rename(db.session, user_id=current_user.id, public_id=method_id, label=form.label.data or "")
    flash(_("The name is saved."), "success")
    return redirect(url_for("methods.methods"))


@bp.post("/methods/<pid:method_id>/default")
@guards.own_account
def default(method_id: str) -> Any:
    """Offer a method first from now on."""
    make_default(db.session, user_id=current_user.id, public_id=method_id)
    flash(_("This one is offered first from now on."), "success")
    return redirect(url_for("methods.methods"))


@bp.get("/methods/<pid:method_id>/remove")
@guards.own_account
def ask_remove(method_id: str) -> str:
    """Whether to really remove a method."""
    method = method_for(db.session, current_user.id, method_id)
    return render_template("payments/method_remove.html", method=method, uses=uses_of_method(method.id))


@bp.post("/methods/<pid:method_id>/remove")
@guards.own_account
def remove(method_id: str) -> Any:
    """Remove a method: here at once, at Stripe now or by the worker."""
    remove_method(db.session, user_id=current_user.id, public_id=method_id)
    try:
        detach_due(db.session, the_gateway(), user_id=current_user.id)
    except StripeUnreachable:
        db.session.rollback()
    flash(_("It is removed. It can’t be used for payments here any more."), "success")
    return redirect(url_for("methods.methods"))
