"""Issuing statements and revoking their codes, each on a page of its own that says what will happen."""

from functools import partial
from typing import Any

from flask import Response, flash, redirect, render_template, url_for
from flask_babel import gettext as _
from flask_login import current_user

from portal.accounts.queries import account_by_public_id
from portal.audit.seen import note_seen
from portal.audit.tags import Tag
from portal.documents.store import content_of
from portal.money import Money
from portal.payments.queries import reserved
from portal.statements.documents import statement_document
from portal.statements.errors import NothingToAskFor
from portal.statements.queries import statement_for
from portal.statements.service import CODE_LIVES, DUE_AFTER, due_lines, issue_statement, revoke_code
from portal.web import guards
from portal.web.context import the_day, the_settings
from portal.web.database import db
from portal.web.desk import bp
from portal.web.forms import Form
from portal.web.pdf import pdf_answer


@bp.route("/accounts/<pid:account_id>/new-statement", methods=["GET", "POST"])
@guards.staff
def new_statement(account_id: str) -> Any:
    """Issue a statement of what may be asked for now."""
    account = account_by_public_id(db.session, account_id)
    settings, form = the_settings(), Form()
    if form.validate_on_submit():
        try:
            statement = issue_statement(
                db.session,
                account_id=account.id,
                issued_by=current_user.id,
                secret=settings.secret_key,
                timezone=settings.clinic_timezone,
                on_its_way=reserved,
                to_pdf=partial(
                    statement_document,
                    clinic_name=settings.clinic_name,
                    clinic_phone=settings.clinic_phone,
                    base_url=settings.base_url,
                ),
            )
        except NothingToAskFor:
            db.session.rollback()
            flash(_("There is nothing to ask for on this account now, so no statement was issued."), "info")
        else:
            number = statement.number
            db.session.commit()
            flash(_("Statement %(number)s is ready to print.", number=number), "success")
        return redirect(url_for("staff.account", account_id=account_id) + "#statements")
    today = the_day()
    return render_template(
        "staff/new_statement.html",
        account=account,
        form=form,
        amount=Money.total(amount for _line, amount in due_lines(db.session, account.id, reserved)),
        due_on=today + DUE_AFTER,
        code_until=today + CODE_LIVES,
    )


@bp.get("/statements/<pid:statement_id>/pdf")
@guards.staff
def statement_pdf(statement_id: str) -> Response:
    """A statement as it was printed, with its code."""
    statement = statement_for(db.session, statement_id, user_id=None)
    content = content_of(db.session, statement.document_id)
    note_seen(Tag.STATEMENT_SEEN, account_id=statement.account_id, subject=statement.public_id)
    return pdf_answer(content, f"statement-{statement.number}")


@bp.route("/statements/<pid:statement_id>/revoke-code", methods=["GET", "POST"])
@guards.staff
def revoke_statement_code(statement_id: str) -> Any:
    """Make the code on a statement open nothing any more."""
    statement = statement_for(db.session, statement_id, user_id=None)
    form = Form()
    if form.validate_on_submit():
        if revoke_code(db.session, statement_id=statement.id, revoked_by=current_user.id):
            flash(_("The code on statement %(number)s opens nothing any more.", number=statement.number), "success")
        else:
            flash(_("The code on statement %(number)s was revoked before.", number=statement.number), "info")
        db.session.commit()
        return redirect(url_for("staff.account", account_id=statement.account_public_id) + "#statements")
    return render_template("staff/revoke_code.html", statement=statement, form=form)
