"""The patient's pages about a bill."""

from flask import Blueprint, render_template
from flask_babel import get_locale

from portal.billing.glossary import init_blueprint
from portal.explanations.catalogue import glossary as terms_of
from portal.web import guards

bp = Blueprint("billing", __name__)
init_blueprint(bp)


def _language() -> str:
    return str(get_locale() or "en")


@bp.get("/glossary")
@guards.signed_in
def glossary() -> str:
    """What the words on a bill mean."""
    return render_template("billing/glossary.html", terms=terms_of(_language()))
