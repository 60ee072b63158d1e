"""How Stripe's events come in: what waits, what failed, and what contradicts our books."""

from typing import Any

from flask import flash, redirect, render_template, url_for
from flask_babel import format_timedelta, gettext
from flask_babel import gettext as _
from flask_login import current_user

from portal.accounts.queries import accounts_by_id
from portal.audit.seen import age
from portal.payments.queries import webhook_backlog
from portal.payments.stripe_events import events
from portal.payments.stripe_events.inbox import retry_event
from portal.queue import wake
from portal.web import guards
from portal.web.database import db
from portal.web.desk import bp
from portal.web.desk_forms import EventForm
from portal.web.paging import PER_PAGE, Page, asked_page, offset

_SURPRISES = 25


def seconds(count: int) -> str:
    """A stretch of time in words: ``2 minutes``."""
    return format_timedelta(count, threshold=1.2) if count else gettext("under a second")


@bp.route("/webhooks")
@guards.staff
def webhooks() -> str:
    """The dashboard of Stripe's events."""
    number = asked_page()
    waiting, oldest = webhook_backlog(db.session)
    failed, total = events.failed(db.session, limit=PER_PAGE, offset=offset(number))
    last = events.last_received(db.session)
    surprises = events.surprises(db.session, limit=_SURPRISES)
    return render_template(
        "staff/webhooks.html",
        waiting=waiting,
        oldest=oldest,
        lag=events.lag(db.session),
        counts=events.counts(db.session),
        last=last,
        silent=events.is_silent(db.session, last),
        failed=failed,
        page=Page(number, total),
        surprises=surprises,
        accounts=accounts_by_id(db.session, [one.account_id for one in surprises if one.account_id]),
        form=EventForm(formdata=None),
        age=age,
        seconds=seconds,
    )


@bp.route("/webhooks/retry", methods=["POST"])
@guards.staff
def retry_webhook() -> Any:
    """Deal with an event that failed again, now."""
    form = EventForm()
    if form.validate_on_submit():
        if retry_event(db.session, event_id=form.event_id.data, staff_user_id=current_user.id):
            db.session.commit()
            wake("payments.process_events")
            flash(_("It is being tried now. Reload this page in a moment to see what came of it."), "success")
        else:
            flash(_("This event is not a failed one any more, so nothing was changed."), "info")
    return redirect(url_for("staff.webhooks"))
