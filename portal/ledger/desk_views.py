"""What waits to be sent somewhere, and what got stuck."""

from typing import Any

from flask import flash, redirect, render_template, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user

from portal.audit.seen import age
from portal.billing.postings import open_postings, retry_posting
from portal.notifications.queries import mail_backlog
from portal.payments.queries import webhook_backlog
from portal.queue import wake
from portal.web import guards
from portal.web.database import db
from portal.web.desk import bp
from portal.web.desk_forms import RetryForm
from portal.web.paging import PER_PAGE, Page, asked_page, offset

#: What the back office is told, in words.
KINDS = {
    "patient_payment": _l("A payment"),
    "patient_refund": _l("A refund"),
    "patient_refund_returned": _l("A refund that came back"),
    "patient_dispute": _l("A payment that a bank took back"),
    "patient_dispute_won": _l("A dispute that was won"),
    "plan_enrolled": _l("A payment plan began; moves no money"),
    "plan_changed": _l("A payment plan changed; moves no money"),
    "plan_ended": _l("A payment plan ended; moves no money"),
}


@bp.route("/sync")
@guards.staff
def sync() -> Any:
    """Postings on their way to the back office, Stripe's events and emails that wait."""
    number = asked_page()
    postings, total = open_postings(db.session, limit=PER_PAGE, offset=offset(number))
    events, oldest_event = webhook_backlog(db.session)
    return render_template(
        "staff/sync.html",
        postings=postings,
        kinds=KINDS,
        page=Page(number, total),
        events=events,
        oldest_event=oldest_event,
        mail=mail_backlog(db.session),
        form=RetryForm(formdata=None),
        age=age,
    )


@bp.route("/sync/postings/<pid:key>/retry", methods=["POST"])
@guards.staff
def retry(key: str) -> Any:
    """Try a rejected posting again now."""
    if RetryForm().validate_on_submit():
        if retry_posting(db.session, key=key, staff_user_id=current_user.id):
            db.session.commit()
            wake("ledger.deliver_postings")
            flash(_("The posting is on its way again."), "success")
        else:
            flash(_("This posting was not rejected any more, so nothing was changed."), "info")
    return redirect(url_for("staff.sync"))
