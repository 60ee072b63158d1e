"""The pages of one payment: paying it, coming back from the bank, giving it up."""

from typing import Any

from flask import Response, flash, redirect, render_template, request, url_for
from flask_babel import get_locale
from flask_babel import gettext as _
from flask_login import current_user

from portal.db import RecordNotFound
from portal.payments import checkout, choose_views, seen_views
from portal.payments.blueprint import bp
from portal.payments.card_form import card_form
from portal.payments.checkout import Step
from portal.payments.decline import when_closed, when_stripe_fails, words_for_not_closed
from portal.payments.errors import NO_ANSWER, PaymentIsOver
from portal.payments.gateway.of_app import the_gateway
from portal.payments.kinds import NextPage, PaymentSource
from portal.payments.methods.consents import save_method_words
from portal.payments.methods.queries import MethodRow, methods_of
from portal.payments.methods.service import Agreement, choose_to_keep, collect
from portal.payments.progress import spread_of
from portal.payments.queries import PaymentRow, is_for_plan, payment_for
from portal.payments.state import PaymentState
from portal.web import guards
from portal.web.context import the_settings
from portal.web.database import begin_writing, db
from portal.web.limits import limiter

__all__ = ["bp", "choose_views", "seen_views"]

def _own(payment_id: str) -> PaymentRow:
    """A payment that its reader may go on with: they began it themselves, here.

    Others who see the account see what became of it, but a saved card is charged by its owner only.
    """
    payment = payment_for(db.session, current_user.id, payment_id)
    ours = payment.user_id == current_user.id and payment.source is PaymentSource.PATIENT
    if not ours and payment.state not in (PaymentState.SUCCEEDED, PaymentState.PROCESSING, PaymentState.CANCELED):
        raise RecordNotFound("payment")
    return payment


@bp.get("/payments/<pid:payment_id>")
@guards.own_account
def pay(payment_id: str) -> Any:
    """Pay one attempt; an attempt that is over leads to where it ended."""
    begin_writing()  # asking Stripe may settle the attempt
    step = checkout.open_card_form(
        db.session, the_gateway(), payment=_own(payment_id), payer_id=current_user.id
    )
    if step.intent is None or step.next is not NextPage.CARD_FORM:
        return _page_of(step)
    saved = _saved(step.payment)
    if step.payment.method_id and saved is None:
        return _method_is_gone(step.payment)
    return render_template(
        "payments/pay.html",
        payment=step.payment,
        spread=spread_of(db.session, step.payment.id),
        saved=saved,
        decline=step.decline,
        agreement=save_method_words(the_settings().clinic_name),
        **card_form(step.intent.client_secret, return_path=url_for("payments.come_back", payment_id=payment_id)),
    )


def _page_of(step: Step) -> Any:
    """The page that a step is for a patient: most of them are elsewhere."""
    payment_id = step.payment.public_id
    match step.next:
        case NextPage.NO_ANSWER:
            return _no_answer(step)
        case NextPage.RECEIPT:
            return redirect(url_for("payments.receipt", payment_id=payment_id))
        case NextPage.WAITING:
            return redirect(url_for("payments.come_back", payment_id=payment_id))
        case NextPage.RETURNED:
            return redirect(url_for("payments.returned", payment_id=payment_id))
        case NextPage.CARD_FORM:
            return redirect(url_for("payments.pay", payment_id=payment_id))
    is_alarm = step.next is NextPage.TOO_MANY_DECLINES
    flash(when_closed(step.next, the_settings().clinic_phone), "warning" if is_alarm else "info")
    if step.next is NextPage.BILL_CHANGED:
        return redirect(url_for("payments.choose", account_id=step.payment.account_public_id))
    return redirect(url_for("home.start"))


def _no_answer(step: Step) -> str:
    """Stripe could not be asked, so nothing is promised about a payment that may have been confirmed."""
    title, text = when_stripe_fails(
        step.error, maybe_charged=step.maybe_charged, phone=the_settings().clinic_phone
    )
    return render_template(
        "payments/no_answer.html",
        payment=step.payment,
        spread=spread_of(db.session, step.payment.id),
        title=title,
        text=text,
        maybe_charged=step.maybe_charged,
        closed=step.closed,
    )


def _saved(payment: PaymentRow) -> MethodRow | None:
    mine = methods_of(db.session, current_user.id)
    return next((one for one in mine if one.stripe_method_id == payment.method_id), None)


def _method_is_gone(payment: PaymentRow) -> Any:
    """The saved method was removed since it was chosen."""
    step = checkout.give_up(db.session, the_gateway(), payment=payment, payer_id=current_user.id)
    if step.next is NextPage.NO_ANSWER:
        return _no_answer(step)
    flash(_("That card or bank account is no longer saved. You have not been charged. Please choose again."), "info")
    return redirect(url_for("payments.choose", account_id=payment.account_public_id))


@bp.post("/payments/<pid:payment_id>/keep")
@guards.own_account
@limiter.limit("60 per hour", key_func=lambda: f"user {current_user.get_id()}")
def keep(payment_id: str) -> Any:
    """The box "keep this for next time" was ticked or cleared; asked by the page's script before it confirms."""
    payment = _own(payment_id)
    wanted = request.form.get("keep") == "1"
    agreement = agreement_here() if wanted else None
    db.session.commit()
    try:
        choose_to_keep(
            db.session, the_gateway(), payment_id=payment.id, user_id=current_user.id, agreement=agreement
        )
    except PaymentIsOver:
        db.session.rollback()
        return Response(status=409, mimetype="text/plain")
    except NO_ANSWER:
        db.session.rollback()
        return Response(status=503, mimetype="text/plain")
    return Response(status=204, mimetype="text/plain")


def agreement_here() -> Agreement:
    """What this request's sender agrees to by ticking the box or pressing the button."""
    return Agreement(
        text=save_method_words(the_settings().clinic_name),
        language=str(get_locale() or "en"),
        address=request.remote_addr or "",
    )


@bp.get("/payments/<pid:payment_id>/return")
@guards.own_account
def come_back(payment_id: str) -> Any:
    """Where Stripe sends the browser back to. It never marks anything paid: it asks Stripe."""
    begin_writing()
    payment = payment_for(db.session, current_user.id, payment_id)
    step = checkout.come_back(db.session, the_gateway(), payment=payment, payer_id=current_user.id)
    if step.next in (NextPage.NO_ANSWER, NextPage.WAITING):
        waits = step.payment.waits_for_deposits
        # Only the one whose bank account it is can see its statement.
        mine = step.payment.user_id == current_user.id
        return render_template(
            "payments/come_back.html",
            payment=step.payment,
            failed=step.next is NextPage.NO_ANSWER,
            deposits_at=step.intent.action_url if waits and mine and step.intent is not None else "",
            waits=waits,
        )
    _collect(step.payment)
    return _page_of(step)


def _collect(payment: PaymentRow) -> None:
    """A card to keep is there when the receipt is; what can't be done now, the worker does."""
    if payment.state is PaymentState.SUCCEEDED and payment.keep_method:
        db.session.commit()
        try:
            collect(db.session, the_gateway(), payment_id=payment.id)
        except NO_ANSWER:
            db.session.rollback()


@bp.post("/payments/<pid:payment_id>/cancel")
@guards.own_account
def cancel(payment_id: str) -> Any:
    """Close an attempt that was not confirmed, to choose again."""
    payment = _own(payment_id)
    step = checkout.give_up(db.session, the_gateway(), payment=payment, payer_id=current_user.id)
    if step.next is NextPage.NO_ANSWER:
        flash(words_for_not_closed(), "warning")
        return redirect(url_for("payments.pay", payment_id=payment_id))
    if step.next not in (NextPage.CLOSED, NextPage.TOO_MANY_DECLINES):
        return _page_of(step)
    flash(_("The payment was canceled. You have not been charged."), "info")
    if len(spread_of(db.session, payment.id)) > 1:
        return redirect(url_for("payments.choose_for_family"))
    if is_for_plan(db.session, payment.id):
        return redirect(url_for("plans.setup", account_id=payment.account_public_id))  # the plan, where one runs
    return redirect(url_for("payments.choose", account_id=payment.account_public_id))
