"""The page on which staff land: what waits for somebody, and what patients ask."""

from typing import Any

from flask import render_template, request

from portal.audit.seen import age
from portal.messages import queries as messages
from portal.messages.kinds import ThreadState
from portal.plans.of_app import the_conditions
from portal.staff.attention import waiting
from portal.web import guards
from portal.web.database import db
from portal.web.desk import bp
from portal.web.paging import PER_PAGE, Page, asked_page, offset

#: What each filter of the inbox shows.
FILTERS = {
    "open": (ThreadState.WAITING_FOR_STAFF, ThreadState.ANSWERED),
    "waiting": (ThreadState.WAITING_FOR_STAFF,),
    "answered": (ThreadState.ANSWERED,),
    "closed": (ThreadState.CLOSED,),
}


@bp.route("/")
@guards.staff
def inbox() -> Any:
    """Threads that wait for an answer, the longest wait first, then those that have one."""
    chosen = request.args.get("state", "open")
    if chosen not in FILTERS:
        chosen = "open"
    number = asked_page()
    threads, total = messages.inbox(db.session, FILTERS[chosen], limit=PER_PAGE, offset=offset(number))
    counts = messages.counts_by_state(db.session)
    return render_template(
        "staff/inbox.html",
        threads=threads,
        chosen=chosen,
        counts={name: sum(counts[state] for state in states) for name, states in FILTERS.items()},
        page=Page(number, total),
        age=age,
        attention=waiting(db.session, conditions=the_conditions()),
    )
