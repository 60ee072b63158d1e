"""Stopping to ask for a charge, and asking again: each on a page of its own that says what will happen."""

from typing import Any

from flask import flash, redirect, render_template, url_for
from flask_babel import gettext as _
from flask_login import current_user

from portal.accounts.service import account_row
from portal.billing.checks.run import open_findings
from portal.billing.checks.words import staff_finding
from portal.billing.hold_queries import open_holds
from portal.billing.hold_words import HOLD_REASONS
from portal.billing.kinds import HoldReason
from portal.billing.queries import line_for
from portal.billing.service import place_hold, release_holds
from portal.db import RecordNotFound
from portal.disputes.queries import open_on_charge
from portal.staff.forms import HoldForm, ReleaseForm
from portal.web import guards
from portal.web.database import db
from portal.web.desk import bp


@bp.route("/charges/<pid:charge_id>/hold", methods=["GET", "POST"])
@guards.staff
def hold(charge_id: str) -> Any:
    """Put a charge on hold."""
    line = line_for(db.session, charge_id, user_id=None)
    form = HoldForm()
    if form.validate_on_submit():
        # The lock that deciding what is payable takes: a payment that is being started comes before or after.
        account_row(db.session, line.account_id, lock=True)
        placed = place_hold(
            db.session,
            charge_id=line.charge_id,
            reason=HoldReason(form.reason.data),
            account_id=line.account_id,
            actor_user_id=current_user.id,
        )
        db.session.commit()
        if placed:
            flash(_("The charge is on hold. The patient is not asked to pay it."), "success")
        else:
            flash(_("The charge was on hold for this reason already."), "info")
        return redirect(url_for("staff.visit", visit_id=line.visit_public_id))
    return render_template("staff/hold.html", line=line, form=form)


@bp.route("/charges/<pid:charge_id>/release", methods=["GET", "POST"])
@guards.staff
def release(charge_id: str) -> Any:
    """Take a charge off hold, with a note of what was found."""
    line = line_for(db.session, charge_id, user_id=None)
    form = ReleaseForm()
    if form.validate_on_submit():
        account_row(db.session, line.account_id, lock=True)
        if open_on_charge(db.session, line.charge_id):
            flash(_("The patient’s bank is still deciding about this charge. It stays on hold until then."), "warning")
            return redirect(url_for("staff.visit", visit_id=line.visit_public_id))
        try:
            release_holds(
                db.session,
                charge_id=line.charge_id,
                account_id=line.account_id,
                actor_user_id=current_user.id,
                note=form.note.data.strip(),
            )
        except RecordNotFound:
            flash(_("The charge was not on hold any more."), "info")
        else:
            db.session.commit()
            flash(_("The charge is off hold."), "success")
        return redirect(url_for("staff.visit", visit_id=line.visit_public_id))
    holds = open_holds(db.session, line.visit_id).get(line.charge_id, [])
    found = open_findings(db.session, [line.charge_id]).get(line.charge_id, [])
    return render_template(
        "staff/release.html",
        line=line,
        form=form,
        holds=holds,
        reasons=HOLD_REASONS,
        findings=[staff_finding(row) for row in found],
    )
