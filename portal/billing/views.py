"""The patient's pages about a bill."""

from flask import Blueprint, render_template
from flask_babel import get_locale
from flask_login import current_user

from portal.billing.queries import (
    entries_of_charge,
    line_for,
    visit_for,
)
from portal.billing.telling import why_steps
from portal.billing.trace import trace
from portal.explanations.catalogue import glossary as terms_of
from portal.web import guards
from portal.web.database import db

bp = Blueprint("billing", __name__)


def _language() -> str:
    return str(get_locale() or "en")


@bp.get("/charges/<pid:charge_id>/why")
@guards.own_account
def why(charge_id: str) -> str:
    """Why do I owe this: one charge from billed to due."""
    line = line_for(db.session, charge_id, user_id=current_user.id)
    found = visit_for(db.session, line.visit_public_id, user_id=current_user.id)
    told = trace(entries_of_charge(db.session, line.charge_id))
    return render_template(
        "billing/why.html",
        visit=found,
        line=line,
        trace=told,
        steps=why_steps(told, language=_language()),
    )


@bp.get("/glossary")
@guards.signed_in
def glossary() -> str:
    """What the words on a bill mean."""
    return render_template("billing/glossary.html", terms=terms_of(_language()))
