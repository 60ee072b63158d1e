"""The patient's statements."""

from typing import Any

from flask import Blueprint, Response, render_template
from flask_login import current_user

from portal.audit.service import record
from portal.audit.tags import Tag
from portal.documents.store import content_of
from portal.statements.queries import statement_for, statements_of_account, whole_account_for
from portal.web import guards
from portal.web.database import begin_writing, db
from portal.web.pdf import pdf_answer

bp = Blueprint("statements", __name__)


@bp.get("/accounts/<pid:account_id>/statements")
@guards.own_account
def statements(account_id: str) -> Any:
    """The statements of an account, for whoever may see the whole of it."""
    account = whole_account_for(db.session, current_user.id, account_id)
    return render_template(
        "statements/list.html", account=account, statements=statements_of_account(db.session, account.id)
    )


@bp.get("/statements/<pid:statement_id>/pdf")
@guards.own_account
def pdf(statement_id: str) -> Response:
    """A statement as it was printed."""
    begin_writing()  # who saw what is audited
    statement = statement_for(db.session, statement_id, user_id=current_user.id)
    content = content_of(db.session, statement.document_id)
    record(
        db.session,
        Tag.STATEMENT_SEEN,
        actor_user_id=current_user.id,
        account_id=statement.account_id,
        subject=statement.public_id,
    )
    db.session.commit()
    return pdf_answer(content, f"statement-{statement.number}")
