"""A guest's pages: the code, the amount due, paying it, the receipt. No name, line or visit is on any of them."""

from datetime import datetime, timedelta
from typing import Any

from flask import Blueprint, Response, flash, make_response, redirect, render_template, url_for
from flask_babel import gettext as _
from limits import parse

from portal import clock
from portal.guests import door
from portal.guests.alarm import shut_until, takes_no_card_from
from portal.guests.breaker import WINDOW
from portal.guests.forms import CodeForm, GuestPayForm
from portal.guests.guessing import is_on, raise_alarm
from portal.guests.queries import due_of, own_payment, own_payments
from portal.guests.service import admit, end_pass, start_guest_payment
from portal.money import Money
from portal.payments import checkout
from portal.payments.card_form import card_form
from portal.payments.checkout import Step
from portal.payments.decline import (
    when_closed,
    when_stripe_fails,
    words_for_not_closed,
    words_for_too_many,
)
from portal.payments.errors import (
    NO_ANSWER,
    AmountAboveBalance,
    AmountBelowMinimum,
    AmountNotPositive,
    AnotherPaymentRuns,
    NothingToPay,
    PaymentIsOver,
)
from portal.payments.gateway import MINIMUM
from portal.payments.gateway.of_app import the_gateway
from portal.payments.kinds import NextPage
from portal.payments.state import PaymentState
from portal.payments.tries import must_wait
from portal.web import guards
from portal.web.context import the_settings
from portal.web.database import begin_writing, db
from portal.web.limits import limiter, refusals_only

bp = Blueprint("guests", __name__)
bp.record_once(lambda setup: setup.app.extensions.__setitem__(guards.GUEST_DOOR, door.check))

#: Refusals, from one network: somebody who misreads a letter gets ten tries in a minute.
REFUSALS_HERE = "10 per minute; 40 per hour"
#: Refusals, from everywhere, that raise an alarm: far above what a clinic's patients mistype in an hour. They lock
#: nobody out, or whoever has a block of addresses could shut the door for all (guessing.py).
REFUSALS_ANYWHERE = "1000 per hour"
#: Refusals, from one network, as long as that alarm is on: a misread letter can still be mended.
REFUSALS_HERE_IN_ALARM = "3 per minute; 10 per hour"
#: Attempts to pay, from one network (a clinic's waiting room is one) and on one statement.
ATTEMPTS_HERE = "10 per minute; 60 per hour"
ATTEMPTS_ON_STATEMENT = "5 per minute; 15 per hour"

#: Refused like what it is, so that limits can count it; a form that is not filled in right is 422.
REFUSED = 403

def _was_refused(response: Response) -> bool:
    return response.status_code == REFUSED


def _paused_until() -> datetime | None:
    """Until when no new card is taken here: from any guest, or from the network this one is in; None when it is."""
    until = shut_until(db.session)
    if until is None and takes_no_card_from(db.session, door.network_key()):
        until = clock.now() + WINDOW
    return until


def _pause_page() -> Response | None:
    """The answer of what leads to a card while cards are being tested; None while cards are taken."""
    until = _paused_until()
    if until is None:
        return None
    response = make_response(render_template("guests/paused.html"), 503)
    response.headers["Retry-After"] = str(max(1, int((until - clock.now()) / timedelta(seconds=1))))
    return response


def _count_refusal() -> None:
    """Count a refusal with everybody's, and tell when they are more than people's mistakes."""
    limit = parse(REFUSALS_ANYWHERE)
    if not limiter.limiter.hit(limit, "refusals of guests"):
        raise_alarm(db.session, refusals=limit.amount)


@bp.route("/guest", methods=["GET", "POST"])
@guards.public
@limiter.limit(REFUSALS_HERE, methods=["POST"])
@limiter.limit(REFUSALS_HERE_IN_ALARM, methods=["POST"], exempt_when=lambda: not is_on(db.session))
@refusals_only(_was_refused)
def start() -> Any:
    """Who has a code and knows a date of birth gets a pass. Every refusal is the same page."""
    form = CodeForm()
    paused = _paused_until() is not None
    if not form.validate_on_submit():
        return render_template("guests/start.html", form=form, paused=paused), 422 if form.is_submitted() else 200
    db.session.commit()
    token = admit(
        db.session,
        code=form.code.data or "",
        born_on=form.day,
        secret=the_settings().secret_key,
        instead_of=door.token(),
    )
    if token is None:
        form.form_errors.append(
            _(
                "This code and date of birth don’t open a bill. Check both against your newest statement and try "
                "again. Codes stop working after a while. We can also help you by phone at %(phone)s.",
                phone=the_settings().clinic_phone,
            )
        )
        _count_refusal()
        return render_template("guests/start.html", form=form, paused=paused), REFUSED
    door.admit(token)
    return redirect(url_for("guests.bill"))


@bp.post("/guest/done")
@guards.guest
def done() -> Any:
    """End the pass, here and wherever its cookie was copied to."""
    end_pass(db.session, door.leave())
    flash(_("You are done. Nobody can see this bill on this device without the code."), "success")
    return redirect(url_for("guests.start"))


@bp.get("/guest/bill")
@guards.guest
def bill() -> Any:
    """The amount due, and no more. Who came for it sees it while no cards are taken, too, and whom to call."""
    return _bill_page(GuestPayForm(formdata=None))


def _bill_page(form: GuestPayForm) -> str:
    guest = door.the_pass()
    due = due_of(db.session, guest)
    form.seen.data = str(due.now.cents)
    return render_template(
        "guests/bill.html",
        form=form,
        due=due,
        payments=own_payments(db.session, guest),
        paused=_paused_until() is not None,
    )


@bp.post("/guest/bill")
@guards.guest
@limiter.limit(ATTEMPTS_HERE)
@limiter.limit(ATTEMPTS_ON_STATEMENT, key_func=door.per_statement)
def choose() -> Any:
    """Write the attempt down and go on to the card."""
    paused = _pause_page()
    if paused is not None:
        return paused
    guest, form = door.the_pass(), GuestPayForm()
    if not form.validate_on_submit():
        return _bill_page(form), 422
    if must_wait(db.session, account_ids=[guest.account_id], user_id=None):
        form.form_errors.append(words_for_too_many(the_settings().clinic_phone))
        return _bill_page(form), 422
    amount = form.amount.amount if form.choice.data == "amount" else None
    rest = form.seen_due - (amount or form.seen_due)
    if Money.zero() < rest < MINIMUM:
        form.amount.errors = [
            _(
                "That would leave %(rest)s, and an online payment has to be at least %(least)s. "
                "Pay the full amount, or a little less.",
                rest=str(rest),
                least=str(MINIMUM),
            )
        ]
        return _bill_page(form), 422
    db.session.commit()
    try:
        public_id = start_guest_payment(
            db.session,
            the_gateway(),
            pass_id=guest.id,
            account_id=guest.account_id,
            seen_due=form.seen_due,
            amount=amount,
            receipt_email=form.email.data or "",
            network=door.network_key(),
        )
    except NothingToPay:
        form.form_errors.append(_("There is nothing to pay right now."))
    except AmountNotPositive:
        form.amount.errors = [_("Write an amount above $0.00.")]
    except AmountAboveBalance as above:
        form.amount.errors = [_("That is more than you can pay now. The most is %(most)s.", most=str(above.most))]
    except AmountBelowMinimum as below:
        form.amount.errors = [
            _(
                "A card payment has to be at least %(least)s. Please call us about smaller amounts.",
                least=str(below.least),
            )
        ]
    except PaymentIsOver:
        form.form_errors.append(
            _("The amount due has changed since you opened this page. You have not been charged. Please look again.")
        )
    except (AnotherPaymentRuns, *NO_ANSWER):
        db.session.rollback()
        form.form_errors.append(
            _(
                "An earlier payment of this bill is still being checked. You have not been charged again. "
                "Please try again in a few minutes."
            )
        )
    else:
        return redirect(url_for("guests.pay", payment_id=public_id))
    db.session.rollback()
    return _bill_page(form), 422


@bp.get("/guest/payments/<pid:payment_id>")
@guards.guest
def pay(payment_id: str) -> Any:
    """The card form of one attempt; an attempt that is over leads to where it ended."""
    begin_writing()  # asking Stripe may settle the attempt
    payment = own_payment(db.session, door.the_pass(), payment_id)
    is_open = checkout.next_page(db.session, payment, payer_id=None) is NextPage.CARD_FORM
    paused = _pause_page() if is_open else None
    if paused is not None:
        # It may have been confirmed just now: only a look at Stripe's answer tells.
        return redirect(url_for("guests.come_back", payment_id=payment_id)) if payment.known_to_stripe else paused
    step = checkout.open_card_form(db.session, the_gateway(), payment=payment, payer_id=None)
    if step.intent is None or step.next is not NextPage.CARD_FORM:
        return _page_of(step)
    return render_template(
        "guests/pay.html",
        payment=step.payment,
        decline=step.decline,
        **card_form(step.intent.client_secret, return_path=url_for("guests.come_back", payment_id=payment_id)),
    )


def _page_of(step: Step) -> Any:
    """The page that a step is for a guest: most of them are elsewhere."""
    payment_id = step.payment.public_id
    match step.next:
        case NextPage.NO_ANSWER:
            return _no_answer(step)
        case NextPage.RECEIPT:
            return redirect(url_for("guests.receipt", payment_id=payment_id))
        case NextPage.WAITING:
            return redirect(url_for("guests.come_back", payment_id=payment_id))
        case NextPage.CARD_FORM:
            return redirect(url_for("guests.pay", payment_id=payment_id))
    is_alarm = step.next is NextPage.TOO_MANY_DECLINES
    flash(when_closed(step.next, the_settings().clinic_phone), "warning" if is_alarm else "info")
    return redirect(url_for("guests.bill"))


def _no_answer(step: Step) -> str:
    """Stripe could not be asked, so nothing is promised about a payment that may have been confirmed."""
    title, text = when_stripe_fails(
        step.error, maybe_charged=step.maybe_charged, phone=the_settings().clinic_phone
    )
    return render_template(
        "guests/no_answer.html",
        payment=step.payment,
        title=title,
        text=text,
        maybe_charged=step.maybe_charged,
        closed=step.closed,
    )


@bp.get("/guest/payments/<pid:payment_id>/return")
@guards.guest
def come_back(payment_id: str) -> Any:
    """Where Stripe sends the browser back to. It never marks anything paid: it asks Stripe."""
    begin_writing()
    payment = own_payment(db.session, door.the_pass(), payment_id)
    step = checkout.come_back(db.session, the_gateway(), payment=payment, payer_id=None)
    if step.next in (NextPage.NO_ANSWER, NextPage.WAITING):
        waits = step.payment.waits_for_deposits
        return render_template(
            "guests/come_back.html",
            payment=step.payment,
            failed=step.next is NextPage.NO_ANSWER,
            deposits_at=step.intent.action_url if waits and step.intent is not None else "",
        )
    return (_pause_page() if step.next is NextPage.CARD_FORM else None) or _page_of(step)


@bp.post("/guest/payments/<pid:payment_id>/cancel")
@guards.guest
def cancel(payment_id: str) -> Any:
    """Close an attempt that was not confirmed, to choose again."""
    payment = own_payment(db.session, door.the_pass(), payment_id)
    step = checkout.give_up(db.session, the_gateway(), payment=payment, payer_id=None)
    if step.next is NextPage.NO_ANSWER:
        flash(words_for_not_closed(), "warning")
        return redirect(url_for("guests.pay", payment_id=payment_id))
    return _page_of(step)


@bp.get("/guest/payments/<pid:payment_id>/receipt")
@guards.guest
def receipt(payment_id: str) -> Any:
    """Proof of a payment: amount, date, method and reference, and no more."""
    guest = door.the_pass()
    payment = own_payment(db.session, guest, payment_id)
    if payment.state is not PaymentState.SUCCEEDED:
        return redirect(url_for("guests.come_back", payment_id=payment_id))
    left: Money = due_of(db.session, guest).now
    return render_template("guests/receipt.html", payment=payment, left_due=left)
