"""Choosing what to pay, and with what: one account, or all of a family's in one go."""

from collections.abc import Sequence
from typing import Any

from flask import redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_login import current_user

from portal.accounts.access import VisibleAccount, account_for, accounts_of
from portal.money import Money
from portal.payments.blueprint import bp
from portal.payments.choosing import Offer, on_offer
from portal.payments.decline import words_for_too_many
from portal.payments.errors import (
    AmountAboveBalance,
    AmountBelowMinimum,
    AmountNotPositive,
    AnotherPaymentRuns,
    IntentMismatch,
    LeavesTooLittle,
    LineNotPayable,
    NothingToPay,
    PaymentIsOver,
    StripeRefused,
    StripeUnreachable,
)
from portal.payments.forms import ANOTHER, PayForm
from portal.payments.gateway.of_app import the_gateway
from portal.payments.methods.queries import MethodRow, method_for, methods_of
from portal.payments.progress import waits_on
from portal.payments.service import Payer, start_payment
from portal.payments.tries import must_wait
from portal.web import guards
from portal.web.context import the_day, the_settings
from portal.web.database import db
from portal.web.limits import limiter

_MANY = limiter.limit("60 per minute; 300 per hour", key_func=lambda: f"user {current_user.get_id()}")


def _first_method(methods: Sequence[MethodRow]) -> str:
    """The method that is chosen when the page opens: the default one, unless it has expired."""
    usable = [one for one in methods if one.is_default and not one.has_expired(the_day())]
    return usable[0].public_id if usable else ANOTHER


@bp.get("/accounts/<pid:account_id>/pay")
@guards.own_account
def choose(account_id: str) -> str:
    """Choose what to pay on one account."""
    return _open([account_for(db.session, current_user.id, account_id)])


@bp.get("/pay")
@guards.own_account
def choose_for_family() -> Any:
    """Choose what to pay on every account that somebody may see."""
    return _open(accounts_of(db.session, current_user.id))


def _open(accounts: Sequence[VisibleAccount]) -> str:
    form = PayForm(formdata=None)
    offer = on_offer(db.session, accounts, user_id=current_user.id)
    visit_id = request.args.get("visit", "")
    if visit_id:
        form.choice.data = "lines"
        form.visits.data = [visit_id]
    form.method.data = _first_method(methods_of(db.session, current_user.id))
    return _page(accounts, form, offer)


def _page(accounts: Sequence[VisibleAccount], form: PayForm, offer: Offer) -> str:
    return render_template(
        "payments/choose.html",
        form=form,
        offer=offer,
        # Where this form goes: no "?visit=" there, so that a form that comes back keeps what was chosen in it.
        action=request.path,
        accounts=accounts,
        family=request.path == url_for("payments.choose_for_family"),
        methods=methods_of(db.session, current_user.id),
        today=the_day(),
        deposits_wait=waits_on(db.session, current_user.id, [account.id for account in accounts]),
    )


@bp.post("/accounts/<pid:account_id>/pay")
@guards.own_account
@_MANY
def start(account_id: str) -> Any:
    """Write the attempt down and go on to paying it."""
    return _start([account_for(db.session, current_user.id, account_id)])


@bp.post("/pay")
@guards.own_account
@_MANY
def start_for_family() -> Any:
    """Write the attempt down for every account that somebody may see, and go on to paying it."""
    return _start(accounts_of(db.session, current_user.id))


def _start(accounts: Sequence[VisibleAccount]) -> Any:
    form = PayForm()
    offer = on_offer(db.session, accounts, user_id=current_user.id)
    if not form.validate_on_submit():
        return _page(accounts, form, offer), 422
    if must_wait(db.session, account_ids=[account.id for account in accounts], user_id=current_user.id):
        form.form_errors.append(words_for_too_many(the_settings().clinic_phone))
        return _page(accounts, form, offer), 422
    method_id = _stripe_method(form.method.data)
    amount: Money | None = form.amount.amount if form.choice.data == "amount" else None
    charge_ids = None
    if form.choice.data == "lines":
        charge_ids = offer.charge_ids(lines=form.lines.data or (), visits=form.visits.data or ())
    db.session.commit()
    try:
        offer.check_rest(amount=amount, charge_ids=charge_ids)
        payment = start_payment(
            db.session,
            the_gateway(),
            account_ids=[account.id for account in accounts],
            payer=Payer(user_id=current_user.id, method_id=method_id),
            amount=amount,
            charge_ids=charge_ids,
        )
    except NothingToPay:
        form.form_errors.append(
            _("There is nothing to pay right now.") if len(accounts) != 1
            else _("There is nothing to pay on this account right now.")
        )
    except AmountNotPositive:
        form.amount.errors = [_("Write an amount above $0.00.")]
    except AmountAboveBalance as above:
        form.amount.errors = [
            _("That is more than you can pay now. The most is %(most)s.", most=str(above.most))
        ]
    except AmountBelowMinimum as below:
        form.amount.errors = [
            _(
                "An online payment has to be at least %(least)s. Please call us about smaller amounts.",
                least=str(below.least),
            )
        ]
    except LeavesTooLittle as little:
        field = form.amount if amount is not None else form.lines
        field.errors = [_leaves_too_little(little)]
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
    # What was on offer may be what has just changed.
    return _page(accounts, form, on_offer(db.session, accounts, user_id=current_user.id)), 422


def _stripe_method(chosen: str | None) -> str:
    """The Stripe id of a chosen saved method; empty for another one. Somebody else's is not there at all (404)."""
    if not chosen or chosen == ANOTHER:
        return ""
    return method_for(db.session, current_user.id, chosen).stripe_method_id


def _leaves_too_little(little: LeavesTooLittle) -> str:
    left = _(
        "That would leave %(rest)s, and an online payment has to be at least %(least)s.",
        rest=str(little.rest),
        least=str(little.least),
    )
    if little.less is not None and little.more is not None:
        what = _("Pay %(more)s or %(less)s instead.", more=str(little.more), less=str(little.less))
    elif little.less is not None or little.more is not None:
        what = _("Pay %(other)s instead.", other=str(little.more or little.less))
    else:
        what = _("Choose everything, or choose less.")
    return f"{left} {what}"
