"""Charges that nobody is asked for until somebody has looked."""

from flask import render_template

from portal.audit.seen import age
from portal.billing.checks.run import open_findings
from portal.billing.checks.words import staff_finding
from portal.billing.hold_queries import charges_to_check
from portal.billing.hold_words import HOLD_REASONS
from portal.web import guards
from portal.web.database import db
from portal.web.desk import bp
from portal.web.paging import PER_PAGE, Page, asked_page, offset


@bp.route("/to-check")
@guards.staff
def to_check() -> str:
    """The worklist: what is on hold, and what does not add up."""
    number = asked_page()
    charges, total = charges_to_check(db.session, limit=PER_PAGE, offset=offset(number))
    found = open_findings(db.session, {charge.charge_id for charge in charges})
    return render_template(
        "staff/to_check.html",
        charges=charges,
        findings={charge_id: [(row.hold, staff_finding(row)) for row in rows] for charge_id, rows in found.items()},
        page=Page(number, total),
        reasons=HOLD_REASONS,
        age=age,
    )
