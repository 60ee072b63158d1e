"""Stripe's payouts to the clinic's bank, what they are made of, and what does not fit."""

from typing import Any

from flask import flash, redirect, render_template, url_for
from flask_babel import gettext as _
from flask_login import current_user

from portal.payments.errors import StripeUnreachable
from portal.payments.gateway.of_app import the_gateway
from portal.payouts import queries
from portal.payouts.kinds import LOOKED_UP, Handled
from portal.payouts.service import handle_exception, look_up
from portal.payouts.words import MATCHES, ODDITIES
from portal.queue import wake
from portal.web import guards
from portal.web.database import db
from portal.web.desk import bp
from portal.web.desk_forms import HandledForm
from portal.web.paging import PER_PAGE, Page, asked_page, offset


@bp.route("/payouts")
@guards.staff
def payouts() -> str:
    """Every payout, the latest first; and above them what somebody has to look at."""
    number = asked_page()
    found, total = queries.payouts(db.session, limit=PER_PAGE, offset=offset(number))
    return render_template(
        "staff/payouts.html",
        payouts=found,
        page=Page(number, total),
        exceptions=queries.exceptions_open(db.session),
        waiting=queries.movements_of(db.session, None, limit=1)[1],
    )


@bp.route("/payouts/<pid:payout_id>")
@guards.staff
def payout(payout_id: str) -> str:
    """One payout and its movements."""
    found = queries.payout_by_public_id(db.session, payout_id)
    number = asked_page()
    movements, total = queries.movements_of(db.session, found.id, limit=PER_PAGE, offset=offset(number))
    return render_template(
        "staff/payout.html",
        payout=found,
        movements=movements,
        page=Page(number, total),
        oddities=ODDITIES,
        matches=MATCHES,
    )


@bp.route("/payouts/not-paid-out")
@guards.staff
def not_paid_out() -> str:
    """Movements of Stripe's balance that no payout holds yet."""
    number = asked_page()
    movements, total = queries.movements_of(db.session, None, limit=PER_PAGE, offset=offset(number))
    return render_template(
        "staff/payout.html",
        payout=None,
        movements=movements,
        page=Page(number, total),
        oddities=ODDITIES,
        matches=MATCHES,
    )


@bp.route("/payouts/exceptions")
@guards.staff
def exceptions() -> str:
    """What does not fit, the longest wait first, each with what to do."""
    number = asked_page()
    movements, total = queries.odd_movements(db.session, limit=PER_PAGE, offset=offset(number))
    return render_template(
        "staff/exceptions.html",
        payouts=queries.odd_payouts(db.session) if number == 1 else [],
        movements=movements,
        page=Page(number, total),
        oddities=ODDITIES,
        form=HandledForm(formdata=None),
    )


@bp.route("/payouts/exceptions/<pid:exception_id>", methods=["GET", "POST"])
@guards.staff
def handle(exception_id: str) -> Any:
    """Note what was found out about something that did not fit."""
    odd = queries.exception_by_public_id(db.session, exception_id)
    form = HandledForm()
    if form.validate_on_submit():
        done = handle_exception(
            db.session, public_id=exception_id, staff_user_id=current_user.id, note=form.note.data.strip()
        )
        db.session.commit()
        if done is Handled.NOTED:
            flash(_("Noted. It is off the list."), "success")
        elif done is Handled.IN_BOOKS:
            wake("ledger.deliver_postings")
            flash(
                _(
                    "This was not marked: the portal has taken the refund in meanwhile, and its books have it. Don’t"
                    " enter it in the back office. If you have, reverse your entry there."
                ),
                "warning",
            )
        else:
            flash(_("This was dealt with meanwhile, so nothing was changed."), "info")
        return redirect(url_for("staff.exceptions"))
    return render_template(
        "staff/exception.html",
        odd=odd,
        words=ODDITIES[odd.kind] if odd.kind else None,
        form=form,
        may_look_up=odd.kind in LOOKED_UP,
    )


@bp.post("/payouts/exceptions/<pid:exception_id>/look-up")
@guards.staff
def look_up_exception(exception_id: str) -> Any:
    """Ask Stripe again, and have the books follow."""
    try:
        fits = look_up(
            db.session,
            the_gateway(),
            public_id=exception_id,
            staff_user_id=current_user.id,
        )
    except StripeUnreachable:
        db.session.rollback()
        flash(_("Stripe does not answer just now, so nothing was changed. Try it again in some minutes."), "warning")
        return redirect(url_for("staff.handle", exception_id=exception_id))
    if not fits:
        flash(_("Stripe was asked, and it still does not fit. Nothing was changed."), "warning")
        return redirect(url_for("staff.handle", exception_id=exception_id))
    wake("ledger.deliver_postings")
    flash(_("It fits now. Whatever was missing in the books is there."), "success")
    return redirect(url_for("staff.exceptions"))
