"""Why do I owe this: a charge, a visit, a statement or an account from billed to due. Composition only."""

from flask import Blueprint, abort, render_template, request
from flask_babel import get_locale
from flask_login import current_user

from portal.accounts.access import account_for
from portal.audit.service import record
from portal.audit.tags import Tag
from portal.billing.queries import hold_reasons, line_for, summary, visit_for
from portal.billing.story.words import in_short, row_name, why_held
from portal.statements.queries import statement_for
from portal.web import guards
from portal.web.database import begin_writing, db
from portal.why.tracing import account_story, statement_story, trace_line, trace_visit

bp = Blueprint("why", __name__)

#: How many visits of a long account are shown at once.
PER_PAGE = 25


def _language() -> str:
    return str(get_locale() or "en")


def _seen(tag: Tag, account_id: int, subject: str) -> None:
    """Who saw what is audited."""
    record(db.session, tag, actor_user_id=current_user.id, account_id=account_id, subject=subject)
    db.session.commit()


@bp.app_template_global()
def picture_row_name(row: object) -> str:
    """What a row of the picture is called; see :func:`portal.billing.story.words.row_name`."""
    return row_name(row)  # type: ignore[arg-type]


@bp.get("/charges/<pid:charge_id>/why")
@guards.own_account
def line(charge_id: str) -> str:
    """One charge."""
    begin_writing()
    found = line_for(db.session, charge_id, user_id=current_user.id)
    visit = visit_for(db.session, found.visit_public_id, user_id=current_user.id)
    traced = trace_line(db.session, found, language=_language())
    payers = [one.record.payer for one in traced.steps if one.record and one.record.payer]
    _seen(Tag.VISIT_SEEN, visit.account_id, visit.public_id)
    return render_template(
        "billing/why.html",
        visit=visit,
        line=found,
        traced=traced,
        hold=hold_reasons(db.session, [found.charge_id]).get(found.charge_id),
        why_held=why_held,
        in_short=in_short(traced.split, list(dict.fromkeys(payers))),
    )


@bp.get("/visits/<pid:visit_id>/why")
@guards.own_account
def visit(visit_id: str) -> str:
    """One visit, charge by charge."""
    begin_writing()
    found = visit_for(db.session, visit_id, user_id=current_user.id)
    traced = trace_visit(db.session, found, language=_language())
    _seen(Tag.VISIT_SEEN, found.account_id, visit_id)
    return render_template(
        "billing/why_visit.html",
        visit=found,
        traced=traced,
        summary=summary(found, [one.line for one in traced.lines]),
        in_short=in_short(traced.split, traced.payers),
    )


@bp.get("/statements/<pid:statement_id>/why")
@guards.own_account
def statement(statement_id: str) -> str:
    """A printed statement: what was asked then, what changed since, what is due now."""
    begin_writing()
    found = statement_for(db.session, statement_id, user_id=current_user.id)
    story = statement_story(db.session, found, language=_language())
    _seen(Tag.STATEMENT_SEEN, found.account_id, statement_id)
    return render_template(
        "billing/why_statement.html",
        statement=found,
        story=story,
        in_short=in_short(story.split, story.payers),
    )


@bp.get("/accounts/<pid:account_id>/why")
@guards.own_account
def account(account_id: str) -> str:
    """What somebody may see of an account, visit by visit, a page at a time. Like home, which shows the same visits."""
    found = account_for(db.session, current_user.id, account_id)
    story = account_story(db.session, found.id, user_id=current_user.id)
    last = max(1, -(-len(story.visits) // PER_PAGE))
    page = request.args.get("page", 1, type=int)
    if not 1 <= page <= last:
        abort(404)
    first = (page - 1) * PER_PAGE
    return render_template(
        "billing/why_account.html",
        account=found,
        story=story,
        shown=story.visits[first : first + PER_PAGE],
        before=story.visits[first - 1].total if first else None,
        first=first,
        page=page,
        last=last,
        in_short=in_short(story.split, []),
    )
