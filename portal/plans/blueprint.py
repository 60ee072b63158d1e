"""The blueprint that the pages of plans share, and what each of them asks for."""

import hashlib
from collections.abc import Callable, Sequence
from datetime import date

from flask import Blueprint, current_app, request, session
from flask.blueprints import BlueprintSetupState
from flask_babel import gettext as _
from flask_login import current_user

from portal import clock
from portal.config import Settings
from portal.money import Money
from portal.payments.blueprint import METHOD_USES
from portal.payments.gateway import StripeGateway
from portal.payments.methods.queries import MethodRow, methods_of
from portal.plans.agreement import agreement, agreement_text, paragraphs
from portal.plans.conditions import Conditions, conditions_at
from portal.plans.errors import ScheduleMoved
from portal.plans.policy import Policy, month_cap
from portal.plans.queries import latest_month_cap, uses_method
from portal.plans.terms import Agreement, Paragraph, Terms
from portal.web.database import db
from portal.web.limits import limiter

bp = Blueprint("plans", __name__)

#: Pages that calculate. Moving the control asks again and again.
ASKING = limiter.limit("240 per minute; 2000 per hour", key_func=lambda: f"user {current_user.get_id()}")
#: Acts.
ACTING = limiter.limit("60 per minute; 300 per hour", key_func=lambda: f"user {current_user.get_id()}")
#: Where a household's income is kept until the plan is made: in the reader's own session, and in no address.
_INCOME = "plan_income_cents"


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


def the_settings() -> Settings:
    """What the operator set."""
    settings: Settings = current_app.extensions["plainbill_settings"]
    return settings


def the_gateway() -> StripeGateway:
    """The way to Stripe of this app."""
    gateway: StripeGateway = current_app.extensions["plainbill_gateway"]
    return gateway


def the_conditions() -> Conditions:
    """The operator's policy, today."""
    settings, policy = the_settings(), current_app.extensions["plainbill_policy"]
    assert isinstance(policy, Policy)
    timezone = settings.clinic_timezone
    return conditions_at(policy, settings.base_url, today=clock.today(timezone), timezone=timezone)


def the_words(terms: Terms) -> tuple[list[Paragraph], str]:
    """The paragraphs of what is agreed to, as they are shown and kept, and their fingerprint."""
    settings = the_settings()
    text = agreement_text(terms, clinic=settings.clinic_name, phone=settings.clinic_phone)
    return paragraphs(terms, clinic=settings.clinic_name, phone=settings.clinic_phone), _print(text)


def _print(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def agreeing_to(words: str) -> Callable[[Terms], Agreement]:
    """Makes the text and the document, and no other text than the one with the fingerprint ``words``.

    Raises :class:`ScheduleMoved` when it is called for another: the page has to be read again.
    """

    def agree(terms: Terms) -> Agreement:
        settings = the_settings()
        made = agreement(terms, clinic=settings.clinic_name, phone=settings.clinic_phone)
        if _print(made.text) != words:
            raise ScheduleMoved
        return made

    return agree


def usable_methods(today: date) -> list[MethodRow]:
    """What the reader keeps and can still be charged, the default first."""
    return [one for one in methods_of(db.session, current_user.id) if not one.has_expired(today)]


def chosen_method(usable: Sequence[MethodRow]) -> MethodRow | None:
    """The one that the address names, or the first; None where nothing is kept."""
    named = request.args.get("method", "")
    return next((one for one in usable if one.public_id == named), usable[0] if usable else None)


def the_income() -> Money | None:
    """The household's monthly income, where the reader told it in this session."""
    cents = session.get(_INCOME)
    return Money(cents) if isinstance(cents, int) else None


def the_month_cap(account_id: int) -> Money | None:
    """The most the law lets be asked in a month: by the income that was told, or as it was for the plan before."""
    policy = the_conditions().policy
    if policy.rule is None:
        return None
    told = month_cap(policy, the_income())
    return told if told is not None else latest_month_cap(db.session, account_id, user_id=current_user.id)


def keep_income(income: Money | None) -> None:
    """Remember it until the plan is made, or (None) forget it."""
    if income is None:
        session.pop(_INCOME, None)
    else:
        session[_INCOME] = income.cents
