"""Debts that a bank sent back for good, which nothing collects by itself any more."""

from flask import render_template
from flask_babel import lazy_gettext as _l

from portal.payments.decline import BANK, what_happened
from portal.payments.presenting import Stop
from portal.plans.desk.uncollected import LeftBy, uncollected
from portal.web import guards
from portal.web.database import db
from portal.web.desk import bp
from portal.web.paging import PER_PAGE, Page, asked_page, offset

_WHY = {
    Stop.THRICE: _l("Presented three times, which is as often as Nacha allows."),
    Stop.TOO_OLD: _l("First presented more than 180 days ago."),
}
_LEFT_BY = {
    LeftBy.AUTOPAY: _l("Autopay goes on without it"),
    LeftBy.PLAN: _l("The plan waits for another way to pay"),
    LeftBy.NOBODY: _l("No autopay or plan any more"),
}


@bp.get("/returned-debits")
@guards.staff
def returned_debits() -> str:
    """What patients owe and no autopay or plan may charge, the latest return first."""
    number, found = asked_page(), uncollected(db.session)
    first = offset(number)
    return render_template(
        "staff/returned_debits.html",
        found=found[first : first + PER_PAGE],
        page=Page(number, len(found)),
        why=lambda one: _WHY.get(one.why) or what_happened(one.code, BANK),
        left_by=_LEFT_BY,
    )
