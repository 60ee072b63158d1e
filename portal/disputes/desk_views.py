"""What banks took back or ask about: what to answer by when, and where."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import render_template
from flask_babel import gettext as _
from flask_babel import ngettext

from portal import clock
from portal.accounts.queries import account_by_public_id
from portal.audit.queries import Step, history_of
from portal.audit.seen import note_seen
from portal.audit.tags import Tag
from portal.disputes import queries
from portal.disputes.reasons import reason_of
from portal.disputes.state import DisputeState
from portal.payments.gateway.of_app import the_gateway
from portal.web import guards
from portal.web.context import the_settings
from portal.web.database import db
from portal.web.desk import bp
from portal.web.paging import PER_PAGE, Page, asked_page, offset

#: Fewer days than this are few.
_SOON_DAYS = 3
_TAGS = (Tag.DISPUTE_OPENED, Tag.DISPUTE_CHANGED, Tag.DISPUTE_WON, Tag.DISPUTE_LOST)


@dataclass(frozen=True, slots=True)
class TimeLeft:
    """How long there is to answer. ``kind`` is a pill's."""

    words: str
    kind: str


def time_left(answer_by: datetime | None, now: datetime) -> TimeLeft | None:
    """What to say of the time to answer; None where there is no end."""
    if answer_by is None:
        return None
    if answer_by < now:
        return TimeLeft(_("Too late to answer"), "danger")
    days = (answer_by - now).days
    if days == 0:
        return TimeLeft(_("Less than a day left"), "danger")
    words = ngettext("%(num)s day left", "%(num)s days left", days)
    return TimeLeft(words, "hold" if days <= _SOON_DAYS else "due")


def answer_address(stripe_dispute_id: str) -> str:
    """Where a dispute is answered: Stripe's dashboard, or the stand-in's page in the demo."""
    settings = the_settings()
    if settings.sandbox:
        return f"{settings.stripe_js_origin}/#disputes"
    live = the_gateway().live
    return f"https://dashboard.stripe.com/{'' if live else 'test/'}disputes/{stripe_dispute_id}"


@bp.route("/disputes")
@guards.staff
def disputes() -> str:
    """Every dispute: those to answer first, the nearest end of time on top."""
    number = asked_page()
    found, total = queries.desk_list(db.session, limit=PER_PAGE, offset=offset(number))
    now = clock.now()
    return render_template(
        "staff/disputes.html",
        disputes=[(one, time_left(one.answer_by, now) if one.to_answer else None) for one in found],
        page=Page(number, total),
        to_answer=queries.to_answer(db.session),
        reason_of=reason_of,
    )


@bp.route("/disputes/<pid:dispute_id>")
@guards.staff
def dispute(dispute_id: str) -> Any:
    """One dispute: what the bank says, what helps, where to answer, what happened, and which charges are on hold."""
    found = queries.dispute_by_public_id(db.session, dispute_id)
    account = account_by_public_id(db.session, found.account_public_id) if found.account_public_id else None
    page = {
        "dispute": found,
        "left": time_left(found.answer_by, clock.now()) if found.to_answer else None,
        "reason": reason_of(found.reason),
        "lines": queries.disputed_lines(db.session, found.id),
        "address": answer_address(found.stripe_dispute_id),
        "steps": [
            (step, _told(step))
            for step in history_of(
                db.session, account_id=account.id if account else None, subject=found.public_id, tags=_TAGS
            )
        ],
    }
    if account is not None:
        note_seen(Tag.ACCOUNT_SEEN, account_id=account.id, subject=found.public_id)
    return render_template("staff/dispute.html", **page)


def _told(step: Step) -> str:
    """What happened, in words."""
    state = step.facts.get("state")
    if step.tag is Tag.DISPUTE_WON:
        return _("Won: the money is back, and the charges are paid again")
    if step.tag is Tag.DISPUTE_LOST:
        return _("Lost: the bank keeps the money")
    if step.tag is Tag.DISPUTE_OPENED:
        if state in (DisputeState.INQUIRY, DisputeState.INQUIRY_ANSWERED):
            return _("The bank asked about the payment")
        return _("The bank took the payment back")
    words = {
        DisputeState.NEEDS_RESPONSE: _("The question became a dispute: the bank took the payment back"),
        DisputeState.UNDER_REVIEW: _("Answered: the bank looks at it"),
        DisputeState.INQUIRY_ANSWERED: _("Answered: the bank looks at it"),
        DisputeState.INQUIRY_CLOSED: _("The bank closed its question: the payment stands"),
    }
    return words.get(DisputeState(state), _("It changed")) if state else _("It changed")
