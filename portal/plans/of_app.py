"""Under what the app that a view runs in makes and changes plans."""

from flask import current_app

from portal.plans.rules.conditions import Conditions, conditions_at
from portal.plans.rules.policy import Policy
from portal.web.context import is_supervisor, the_day, the_settings


def the_policy() -> Policy:
    """The operator's policy."""
    policy: Policy = current_app.extensions["plainbill_policy"]
    return policy


def the_conditions() -> Conditions:
    """The operator's policy, on the clinic's day."""
    settings = the_settings()
    return conditions_at(the_policy(), settings.base_url, today=the_day(), timezone=settings.clinic_timezone)


def may_exceed() -> bool:
    """Whether the one who is signed in may exceed the policy, with a reason."""
    return is_supervisor() or the_policy().may_exceed == "staff"
