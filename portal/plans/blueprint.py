"""The blueprint that the pages of plans share, and what each of them asks for."""

from collections.abc import Sequence
from datetime import date

from flask import Blueprint, request
from flask.blueprints import BlueprintSetupState
from flask_babel import gettext as _
from flask_login import current_user

from portal.payments.blueprint import METHOD_USES
from portal.payments.methods.queries import MethodRow, methods_of
from portal.plans.queries import uses_method
from portal.web.database import db
from portal.web.limits import limiter

bp = Blueprint("plans", __name__)

#: Pages that calculate. Moving the control asks again and again.
ASKING = limiter.limit("240 per minute; 2000 per hour", key_func=lambda: f"user {current_user.get_id()}")
#: Acts.
ACTING = limiter.limit("60 per minute; 300 per hour", key_func=lambda: f"user {current_user.get_id()}")


@bp.record_once
def _tell_of_methods(state: BlueprintSetupState) -> None:
    """Removing a saved method that a plan charges is warned about on the page that asks."""
    state.app.extensions.setdefault(METHOD_USES, []).append(_uses)


def _uses(method_id: int) -> list[str]:
    return [
        _(
            "The payment plan of %(name)s is charged to it. The plan stops charging until you choose another card or "
            "bank account for it.",
            name=name,
        )
        for name in uses_method(db.session, method_id)
    ]


def usable_methods(today: date) -> list[MethodRow]:
    """What the reader keeps and can still be charged, the default first."""
    return [one for one in methods_of(db.session, current_user.id) if not one.has_expired(today)]


def chosen_method(usable: Sequence[MethodRow]) -> MethodRow | None:
    """The one that the address names, or the first; None where nothing is kept."""
    named = request.args.get("method", "")
    return next((one for one in usable if one.public_id == named), usable[0] if usable else None)
