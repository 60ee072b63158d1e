"""The patient's pages for paying."""

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, current_app, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_login import current_user

from portal.accounts.access import account_for
from portal.billing.queries import Line, lines_of_account
from portal.config import Settings
from portal.money import Money
from portal.payments.decline import words_for
from portal.payments.errors import (
    AmountAboveBalance,
    AmountBelowMinimum,
    AmountNotPositive,
    AnotherPaymentRuns,
    IntentMismatch,
    LineNotPayable,
    NothingToPay,
    PaymentIsOver,
    StripeRefused,
    StripeUnreachable,
)
from portal.payments.forms import PayForm
from portal.payments.gateway import StripeGateway
from portal.payments.queries import PaymentRow, allocated_lines, payment_for, payments_of, receipt_for, reserved
from portal.payments.service import close, is_still_owed, left_to_pay, payable_lines, prepare, refresh, start_payment
from portal.payments.state import PaymentState
from portal.web import guards
from portal.web.database import begin_writing, db
from portal.web.headers import allow_stripe
from portal.web.limits import limiter

bp = Blueprint("payments", __name__)


@dataclass(frozen=True, slots=True)
class PayLine:
    """A line that may be chosen."""

    line: Line
    payable: Money


def _gateway() -> StripeGateway:
    gateway: StripeGateway = current_app.extensions["plainbill_gateway"]
    return gateway


def _settings() -> Settings:
    settings: Settings = current_app.extensions["plainbill_settings"]
    return settings


@bp.get("/accounts/<pid:account_id>/pay")
@guards.own_account
def choose(account_id: str) -> str:
    """Choose what to pay."""
    form = PayForm(formdata=None)
    visit_id = request.args.get("visit", "")
    if visit_id:
        account = account_for(db.session, current_user.id, account_id)
        form.choice.data = "lines"
        form.lines.data = [
            line.public_id
            for line in lines_of_account(db.session, account.id, user_id=current_user.id)
            if line.visit_public_id == visit_id
        ]
    return _choose_page(account_id, form)


def _choose_page(account_id: str, form: PayForm) -> str:
    account = account_for(db.session, current_user.id, account_id)
    visible = lines_of_account(db.session, account.id, user_id=current_user.id)
    held = reserved(db.session, account.id)
    left = {line.charge_id: line.amount for line in left_to_pay(visible, held)}
    lines = [PayLine(line, left[line.charge_id]) for line in visible if line.charge_id in left]
    return render_template(
        "payments/choose.html",
        account=account,
        form=form,
        lines=lines,
        total_payable=Money.total(left.values()),
        processing=Money.total(held[line.charge_id] for line in visible if line.charge_id in held),
    )


@bp.post("/accounts/<pid:account_id>/pay")
@guards.own_account
@limiter.limit("60 per minute; 300 per hour", key_func=lambda: f"user {current_user.get_id()}")
def start(account_id: str) -> Any:
    """Write the attempt down and go on to the card."""
    account = account_for(db.session, current_user.id, account_id)
    form = PayForm()
    if not form.validate_on_submit():
        return _choose_page(account_id, form), 422
    wanted: dict[str, Any] = {}
    if form.choice.data == "amount":
        wanted["amount"] = form.amount.amount
    elif form.choice.data == "lines":
        ids = {
            line.public_id: line.charge_id
            for line in lines_of_account(db.session, account.id, user_id=current_user.id)
        }
        # An id that is not on this account is as good as a line that can't be paid.
        wanted["charge_ids"] = [ids.get(public_id, -1) for public_id in form.lines.data]
    db.session.commit()
    try:
        payment = start_payment(
            db.session, _gateway(), account_id=account.id, user_id=current_user.id, **wanted
        )
    except NothingToPay:
        form.form_errors.append(_("There is nothing to pay on this account right now."))
    except AmountNotPositive:
        form.amount.errors = [_("Write an amount above $0.00.")]
    except AmountAboveBalance as above:
        form.amount.errors = [
            _("That is more than you can pay now. The most is %(most)s.", most=str(above.most))
        ]
    except AmountBelowMinimum as below:
        form.amount.errors = [
            _(
                "A card payment has to be at least %(least)s. Please call us about smaller amounts.",
                least=str(below.least),
            )
        ]
    except LineNotPayable:
        form.lines.errors = [
            _("At least one of these charges can’t be paid now. It may have been paid already. Please choose again.")
        ]
    except (AnotherPaymentRuns, PaymentIsOver, StripeUnreachable, StripeRefused, IntentMismatch):
        db.session.rollback()
        form.form_errors.append(
            _("An earlier payment on this account is still being checked. You have not been charged again. "
              "Please try again in a few minutes.")
        )
    else:
        return redirect(url_for("payments.pay", payment_id=payment.public_id))
    db.session.rollback()
    return _choose_page(account_id, form), 422


@bp.get("/payments/<pid:payment_id>")
@guards.own_account
def pay(payment_id: str) -> Any:
    """The card form of one attempt; an attempt that is over leads to where it ended."""
    begin_writing()  # asking Stripe may settle the attempt
    payment = payment_for(db.session, current_user.id, payment_id)
    elsewhere = _where_it_ended(payment.state, payment_id)
    if elsewhere is not None:
        return elsewhere
    client_secret, failure, unreachable = None, "", False
    db.session.commit()
    try:
        if not is_still_owed(db.session, payment_id=payment.id):
            return _close_what_is_not_owed(payment)
        intent = prepare(db.session, _gateway(), payment_id=payment.id)
        client_secret, failure = intent.client_secret, intent.failure_code
    except PaymentIsOver:
        db.session.rollback()
    except (StripeUnreachable, StripeRefused, IntentMismatch):
        db.session.rollback()
        unreachable = True
    payment = payment_for(db.session, current_user.id, payment_id)
    elsewhere = _where_it_ended(payment.state, payment_id)
    if elsewhere is not None:
        return elsewhere
    allow_stripe()
    settings = _settings()
    return render_template(
        "payments/pay.html",
        payment=payment,
        allocations=allocated_lines(db.session, payment.id),
        client_secret=client_secret,
        publishable_key=settings.stripe_publishable_key,
        stripe_js_url=f"{settings.stripe_js_origin}/dahlia/stripe.js",
        api_base=settings.stripe_api_base,
        return_url=settings.base_url + url_for("payments.come_back", payment_id=payment_id),
        decline=words_for(failure) if failure else "",
        unreachable=unreachable,
        # Once Stripe has the intent, it may have been confirmed: then we don't know, and must not say we do.
        maybe_charged=unreachable and payment.known_to_stripe,
    )


def _close_what_is_not_owed(payment: PaymentRow) -> Any:
    """The bill has changed since this attempt was written down: nobody pays the old amount."""
    state = close(db.session, _gateway(), payment_id=payment.id)
    if state is not PaymentState.CANCELED:
        return redirect(url_for("payments.come_back", payment_id=payment.public_id))
    flash(
        _("Your bill has changed, so this payment was closed. You have not been charged. Please choose again."),
        "info",
    )
    return redirect(url_for("payments.choose", account_id=payment.account_public_id))


def _where_it_ended(state: PaymentState, payment_id: str) -> Any:
    if state is PaymentState.SUCCEEDED:
        return redirect(url_for("payments.receipt", payment_id=payment_id))
    if state is PaymentState.PROCESSING:
        return redirect(url_for("payments.come_back", payment_id=payment_id))
    if state is PaymentState.CANCELED:
        flash(_("That payment was closed. You have not been charged for it."), "info")
        return redirect(url_for("home.start"))
    return None


@bp.get("/payments/<pid:payment_id>/return")
@guards.own_account
def come_back(payment_id: str) -> Any:
    """Where Stripe sends the browser back to. It never marks anything paid: it asks Stripe."""
    begin_writing()
    payment = payment_for(db.session, current_user.id, payment_id)
    db.session.commit()
    if payment.state not in (PaymentState.SUCCEEDED, PaymentState.CANCELED):
        try:
            refresh(db.session, _gateway(), payment_id=payment.id)
        except PaymentIsOver:
            db.session.rollback()
        except (StripeUnreachable, StripeRefused, IntentMismatch):
            db.session.rollback()
            return render_template("payments/come_back.html", payment=payment)
        payment = payment_for(db.session, current_user.id, payment_id)
    if payment.state is PaymentState.PROCESSING:
        return render_template("payments/come_back.html", payment=payment)
    return _where_it_ended(payment.state, payment_id) or redirect(
        url_for("payments.pay", payment_id=payment_id)
    )


@bp.post("/payments/<pid:payment_id>/cancel")
@guards.own_account
def cancel(payment_id: str) -> Any:
    """Close an attempt that was not confirmed, to choose again."""
    payment = payment_for(db.session, current_user.id, payment_id)
    db.session.commit()
    try:
        state = close(db.session, _gateway(), payment_id=payment.id)
    except PaymentIsOver:
        db.session.rollback()
        return redirect(url_for("payments.pay", payment_id=payment_id))
    except (StripeUnreachable, StripeRefused, IntentMismatch):
        db.session.rollback()
        flash(
            _("We can’t reach the payment service, so this payment is not closed yet. Please look again in a minute."),
            "warning",
        )
        return redirect(url_for("payments.pay", payment_id=payment_id))
    if state is PaymentState.CANCELED:
        flash(_("The payment was canceled. You have not been charged."), "info")
        return redirect(url_for("payments.choose", account_id=payment.account_public_id))
    return _where_it_ended(state, payment_id) or redirect(url_for("payments.pay", payment_id=payment_id))


@bp.get("/payments/<pid:payment_id>/receipt")
@guards.own_account
def receipt(payment_id: str) -> str:
    """Proof of a payment."""
    found = receipt_for(db.session, current_user.id, payment_id)
    account = account_for(db.session, current_user.id, found.account_public_id)
    left = Money.total(
        line.amount for line in payable_lines(db.session, account.id, user_id=current_user.id)
    )
    return render_template("payments/receipt.html", receipt=found, account=account, left_due=left)


@bp.get("/payments")
@guards.signed_in
def history() -> str:
    """What was paid."""
    return render_template("payments/history.html", payments=payments_of(db.session, current_user.id))
