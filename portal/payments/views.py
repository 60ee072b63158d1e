"""The pages of one payment: paying it, coming back from the bank, giving it up."""

from typing import Any

from flask import Response, flash, redirect, render_template, request, url_for
from flask_babel import get_locale
from flask_babel import gettext as _
from flask_login import current_user

from portal.db import RecordNotFound
from portal.payments import choose_views, seen_views
from portal.payments.blueprint import bp
from portal.payments.closing import close
from portal.payments.decline import when_stripe_fails, words_by_code, words_for, words_for_too_many
from portal.payments.errors import IntentMismatch, PaymentIsOver, StripeRefused, StripeUnreachable
from portal.payments.gateway import Intent
from portal.payments.gateway.of_app import the_gateway
from portal.payments.kinds import PaymentSource
from portal.payments.methods.consents import save_method_words
from portal.payments.methods.queries import MethodRow, methods_of
from portal.payments.methods.service import Agreement, collect, wish_to_keep
from portal.payments.progress import is_failed_debit, spread_of
from portal.payments.queries import PaymentRow, is_for_plan, payment_for
from portal.payments.service import is_still_owed, prepare, refresh
from portal.payments.state import DEPOSITS, PaymentState
from portal.payments.tries import must_wait
from portal.web import guards
from portal.web.context import the_settings
from portal.web.database import begin_writing, db
from portal.web.headers import allow_stripe
from portal.web.limits import limiter

__all__ = ["bp", "choose_views", "seen_views"]

#: Whatever keeps Stripe from telling us how things stand.
_NO_ANSWER = (StripeUnreachable, StripeRefused, IntentMismatch)


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
    payment = _own(payment_id)
    elsewhere = _where_it_ended(payment)
    if elsewhere is not None:
        return elsewhere
    intent: Intent | None = None
    failed: Exception | None = None
    db.session.commit()
    try:
        if not is_still_owed(db.session, payment_id=payment.id):
            return _close_what_is_not_owed(payment)
        intent = prepare(db.session, the_gateway(), payment_id=payment.id)
    except PaymentIsOver:
        db.session.rollback()
    except _NO_ANSWER as error:
        db.session.rollback()
        failed = error
    payment = payment_for(db.session, current_user.id, payment_id)
    # A refused attempt is closed; the page says why before anything leads away from it.
    elsewhere = _where_it_ended(payment) if failed is None else None
    if elsewhere is not None:
        return elsewhere
    if failed is not None or intent is None:
        return _no_answer(payment, failed or StripeUnreachable("nothing"))
    saved = _saved(payment)
    if payment.method_id and saved is None:
        return _method_is_gone(payment)
    allow_stripe()
    settings = the_settings()
    return render_template(
        "payments/pay.html",
        payment=payment,
        spread=spread_of(db.session, payment.id),
        saved=saved,
        client_secret=intent.client_secret,
        publishable_key=settings.stripe_publishable_key,
        stripe_js_url=f"{settings.stripe_js_origin}/dahlia/stripe.js",
        return_url=settings.base_url + url_for("payments.come_back", payment_id=payment_id),
        decline=words_for(intent.failure_code, payment.method_kind) if intent.failure_code else "",
        words=words_by_code(),
        agreement=save_method_words(settings.clinic_name),
    )


def _no_answer(payment: PaymentRow, error: Exception) -> Any:
    """Stripe could not be asked. Once it has the intent, it may have been confirmed, and we must not say we know."""
    maybe = payment.known_to_stripe and payment.state is not PaymentState.CANCELED
    title, text = when_stripe_fails(error, maybe_charged=maybe, phone=the_settings().clinic_phone)
    return render_template(
        "payments/no_answer.html",
        payment=payment,
        spread=spread_of(db.session, payment.id),
        title=title,
        text=text,
        maybe_charged=maybe,
        closed=payment.state is PaymentState.CANCELED,
    )


def _saved(payment: PaymentRow) -> MethodRow | None:
    mine = methods_of(db.session, current_user.id)
    return next((one for one in mine if one.stripe_method_id == payment.method_id), None)


def _method_is_gone(payment: PaymentRow) -> Any:
    """The saved method was removed since it was chosen."""
    db.session.commit()
    try:
        close(db.session, the_gateway(), payment_id=payment.id)
    except _NO_ANSWER as error:
        db.session.rollback()
        return _no_answer(payment, error)
    flash(_("That card or bank account is no longer saved. You have not been charged. Please choose again."), "info")
    return redirect(url_for("payments.choose", account_id=payment.account_public_id))


def _close_what_is_not_owed(payment: PaymentRow) -> Any:
    """The bill has changed since this attempt was written down: nobody pays the old amount."""
    state = close(db.session, the_gateway(), payment_id=payment.id)
    if state is not PaymentState.CANCELED:
        return redirect(url_for("payments.come_back", payment_id=payment.public_id))
    flash(
        _("Your bill has changed, so this payment was closed. You have not been charged. Please choose again."),
        "info",
    )
    return redirect(url_for("payments.choose", account_id=payment.account_public_id))


def _where_it_ended(payment: PaymentRow) -> Any:
    """Where a payment that can't be paid here any more is to be looked at; None for one that can."""
    if payment.state is PaymentState.SUCCEEDED:
        return redirect(url_for("payments.receipt", payment_id=payment.public_id))
    if payment.state is PaymentState.PROCESSING or (
        payment.state is PaymentState.ACTION and payment.action == DEPOSITS
    ):
        return redirect(url_for("payments.come_back", payment_id=payment.public_id))
    if is_failed_debit(payment):
        return redirect(url_for("payments.returned", payment_id=payment.public_id))
    if payment.state is PaymentState.CANCELED:
        if must_wait(db.session, account_ids=[payment.account_id], user_id=current_user.id):
            flash(words_for_too_many(the_settings().clinic_phone), "warning")
        else:
            flash(_("That payment was closed. You have not been charged for it."), "info")
        return redirect(url_for("home.start"))
    return None


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
        wish_to_keep(
            db.session, the_gateway(), payment_id=payment.id, user_id=current_user.id, agreement=agreement
        )
    except PaymentIsOver:
        db.session.rollback()
        return Response(status=409, mimetype="text/plain")
    except _NO_ANSWER:
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
    db.session.commit()
    deposits_at, failed = "", False
    if payment.state not in (PaymentState.SUCCEEDED, PaymentState.CANCELED):
        try:
            intent = refresh(db.session, the_gateway(), payment_id=payment.id)
            deposits_at = intent.action_url
        except PaymentIsOver:
            db.session.rollback()
        except _NO_ANSWER:
            db.session.rollback()
            failed = True
        payment = payment_for(db.session, current_user.id, payment_id)
    waits = payment.state is PaymentState.ACTION and payment.action == DEPOSITS
    if failed or waits or payment.state is PaymentState.PROCESSING:
        mine = payment.user_id == current_user.id
        return render_template(
            "payments/come_back.html",
            payment=payment,
            failed=failed,
            # Only the one whose bank account it is can see its statement.
            deposits_at=deposits_at if waits and mine else "",
            waits=waits,
        )
    _collect(payment)
    return _where_it_ended(payment) or redirect(url_for("payments.pay", payment_id=payment_id))


def _collect(payment: PaymentRow) -> None:
    """A card to keep is there when the receipt is; what can't be done now, the worker does."""
    if payment.state is PaymentState.SUCCEEDED and payment.keep_method:
        db.session.commit()
        try:
            collect(db.session, the_gateway(), payment_id=payment.id)
        except _NO_ANSWER:
            db.session.rollback()


@bp.post("/payments/<pid:payment_id>/cancel")
@guards.own_account
def cancel(payment_id: str) -> Any:
    """Close an attempt that was not confirmed, to choose again."""
    payment = _own(payment_id)
    db.session.commit()
    try:
        state = close(db.session, the_gateway(), payment_id=payment.id)
    except PaymentIsOver:
        db.session.rollback()
        return redirect(url_for("payments.pay", payment_id=payment_id))
    except _NO_ANSWER:
        db.session.rollback()
        flash(
            _("We can’t reach the payment service, so this payment is not closed yet. Please look again in a minute."),
            "warning",
        )
        return redirect(url_for("payments.pay", payment_id=payment_id))
    if state is PaymentState.CANCELED and payment.confirmed_at is None:
        flash(_("The payment was canceled. You have not been charged."), "info")
        if len(spread_of(db.session, payment.id)) > 1:
            return redirect(url_for("payments.choose_for_family"))
        if is_for_plan(db.session, payment.id):
            return redirect(url_for("plans.setup", account_id=payment.account_public_id))  # the plan, where one runs
        return redirect(url_for("payments.choose", account_id=payment.account_public_id))
    return redirect(url_for("payments.pay", payment_id=payment_id))
