"""Finding an account, and looking at what is on it."""

from typing import Any

from flask import redirect, render_template, request, session, url_for
from flask_babel import get_locale

from portal.accounts.queries import account_by_public_id, search_accounts
from portal.accounts.states import STATES
from portal.audit.seen import note_seen
from portal.audit.tags import Tag
from portal.billing.checks.run import open_findings
from portal.billing.checks.words import staff_finding
from portal.billing.hold_queries import open_holds
from portal.billing.hold_words import HOLD_REASONS
from portal.billing.queries import entries_of_visit, lines_of_visit, summary, visit_for, visits_of_account
from portal.billing.story.visit_lines import visit_lines
from portal.codes.queries import wording
from portal.disputes.queries import open_of_account
from portal.messages.queries import threads_about_visit, threads_of_account
from portal.money import Money
from portal.payments.queries import payments_of_account
from portal.plans.queries import plans_of_account
from portal.plans.words import rhythm_words
from portal.staff.forms import SearchForm
from portal.statements.queries import statements_of_account
from portal.web import guards
from portal.web.database import db
from portal.web.desk import bp

#: Where the last search is kept: not in the address (a name would end up in logs and histories), and so that coming
#: back from an account shows the list again.
_SEARCH = "desk_search"
_MOST = 50


@bp.route("/accounts", methods=["GET", "POST"])
@guards.staff
def accounts() -> Any:
    """Search by account number, guarantor or patient."""
    form = SearchForm()
    if form.validate_on_submit():
        session[_SEARCH] = (form.q.data or "").strip()
        return redirect(url_for("staff.accounts"))
    if request.method == "GET":
        form.q.data = session.get(_SEARCH, "")
    found = [] if form.errors else search_accounts(db.session, form.q.data or "", limit=_MOST + 1)
    return render_template(
        "staff/accounts.html", form=form, accounts=found[:_MOST], more=len(found) > _MOST, searched=form.q.data or ""
    )


@bp.route("/accounts/<pid:account_id>")
@guards.staff
def account(account_id: str) -> Any:
    """An account's balance, visits, payments and questions."""
    account = account_by_public_id(db.session, account_id)
    visits = visits_of_account(db.session, account.id)
    page = {
        "account": account,
        "home_state": STATES.get(account.home_state or "", ""),
        "visits": visits,
        "statements": statements_of_account(db.session, account.id),
        "payments": payments_of_account(db.session, account.id),
        "plans": plans_of_account(db.session, account.id, user_id=None),
        "rhythm_words": rhythm_words,
        "threads": threads_of_account(db.session, account.id),
        "disputes": open_of_account(db.session, account.id),
        "totals": {
            name: Money.total(getattr(visit, name) for visit in visits)
            for name in ("billed", "due", "payable", "with_insurer", "on_hold", "on_plan")
        },
    }
    note_seen(Tag.ACCOUNT_SEEN, account_id=account.id, subject=account.public_id)
    return render_template("staff/account.html", **page)


@bp.route("/visits/<pid:visit_id>")
@guards.staff
def visit(visit_id: str) -> Any:
    """A visit's lines with all amounts, the entries behind them, and holds."""
    visit = visit_for(db.session, visit_id, user_id=None)
    lines = lines_of_visit(db.session, visit.id)
    entries = entries_of_visit(db.session, visit.id)
    language = str(get_locale() or "en")
    page = {
        "visit": visit,
        "account": account_by_public_id(db.session, visit.account_public_id),
        "summary": summary(visit, lines),
        "lines": visit_lines(
            lines,
            entries,
            language=language,
            wording=wording(db.session, [line.code for line in lines], language),
        ),
        "entries": entries,
        "holds": open_holds(db.session, visit.id),
        "reasons": HOLD_REASONS,
        "findings": {
            charge_id: [staff_finding(row) for row in rows]
            for charge_id, rows in open_findings(db.session, [line.charge_id for line in lines]).items()
        },
        "threads": threads_about_visit(db.session, visit.id, user_id=None),
    }
    note_seen(Tag.ACCOUNT_SEEN, account_id=visit.account_id, subject=visit.public_id)
    return render_template("staff/visit.html", **page)
