"""Codes on bills that have no words yet."""

from typing import Any

from flask import flash, redirect, render_template, url_for
from flask_babel import gettext as _
from flask_login import current_user

from portal.audit.seen import age
from portal.billing.account_queries import visits_by_id
from portal.codes import queries
from portal.codes.service import handle_unknown
from portal.web import guards
from portal.web.database import db
from portal.web.desk import bp
from portal.web.desk_forms import HandledForm
from portal.web.paging import PER_PAGE, Page, asked_page, offset


@bp.route("/unknown-codes")
@guards.staff
def unknown_codes() -> str:
    """Codes that insurers used and that we have no words for, each with the visit it stands on."""
    number = asked_page()
    found, total = queries.unknown_codes(db.session, limit=PER_PAGE, offset=offset(number))
    return render_template(
        "staff/unknown_codes.html",
        codes=found,
        visits=visits_by_id(db.session, [one.visit_id for one in found]),
        page=Page(number, total),
        age=age,
    )


@bp.route("/unknown-codes/<pid:unknown_id>", methods=["GET", "POST"])
@guards.staff
def unknown_code(unknown_id: str) -> Any:
    """Note what a code turned out to mean."""
    found = queries.unknown_code(db.session, unknown_id)
    form = HandledForm()
    if form.validate_on_submit():
        done = handle_unknown(
            db.session, public_id=unknown_id, staff_user_id=current_user.id, note=form.note.data.strip()
        )
        db.session.commit()
        if done:
            flash(_("Noted. It is off the list."), "success")
        else:
            flash(_("This was dealt with meanwhile, so nothing was changed."), "info")
        return redirect(url_for("staff.unknown_codes"))
    visit = visits_by_id(db.session, [found.visit_id])[found.visit_id]
    return render_template("staff/unknown_code.html", code=found, visit=visit, form=form)
