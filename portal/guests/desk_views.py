"""Whether guests may pay, why not, and opening it again; and whether their codes are being guessed."""

from typing import Any

from flask import flash, redirect, render_template, url_for
from flask_babel import gettext as _
from flask_login import current_user

from portal.guests import alarm
from portal.guests.breaker import FEWEST_DECLINES, FEWEST_NETWORKS, FEWEST_STATEMENTS, SHARE_PERCENT, WINDOW
from portal.guests.guessing import guessing_alarms
from portal.web import guards
from portal.web.database import db
from portal.web.desk import bp
from portal.web.desk_forms import RetryForm
from portal.web.guards import ROLES, Guard


@bp.get("/guest-payment")
@guards.staff
def guest_payment() -> Any:
    """Whether guest payment is open, what cards did lately, and when it was shut before."""
    return render_template(
        "staff/guest_payment.html",
        shut_until=alarm.shut_until(db.session),
        tries=alarm.tries_now(db.session),
        alarms=alarm.alarms(db.session),
        guessing=guessing_alarms(db.session),
        window_minutes=int(WINDOW.total_seconds() // 60),
        fewest_declines=FEWEST_DECLINES,
        share_percent=SHARE_PERCENT,
        fewest_statements=FEWEST_STATEMENTS,
        fewest_networks=FEWEST_NETWORKS,
        may_open=bool({role.name for role in current_user.roles} & ROLES[Guard.SUPERVISOR]),
        form=RetryForm(formdata=None),
    )


@bp.post("/guest-payment/open")
@guards.supervisor
def open_guest_payment() -> Any:
    """Let guests pay again before the pause is over."""
    if RetryForm().validate_on_submit():
        if alarm.lift(db.session, staff_user_id=current_user.id):
            flash(_("Guest payment is open again. It is watched as before."), "success")
        else:
            flash(_("Guest payment was open already, so nothing was changed."), "info")
        db.session.commit()
    return redirect(url_for("staff.guest_payment"))
