"""Under what the desk makes and changes plans."""

from flask import current_app
from flask_login import current_user

from portal import clock
from portal.config import Settings
from portal.plans.rules.conditions import Conditions, conditions_at
from portal.plans.rules.policy import Policy


def the_policy() -> Policy:
    """The operator's policy."""
    policy: Policy = current_app.extensions["plainbill_policy"]
    return policy


def the_settings() -> Settings:
    """The portal's settings."""
    settings: Settings = current_app.extensions["plainbill_settings"]
    return settings


def todays() -> Conditions:
    """The policy and the clinic's day."""
    settings = the_settings()
    timezone = settings.clinic_timezone
    return conditions_at(the_policy(), settings.base_url, today=clock.today(timezone), timezone=timezone)


def is_supervisor() -> bool:
    """Whether the one who is signed in is a supervisor."""
    return "supervisor" in {role.name for role in current_user.roles}


def may_exceed() -> bool:
    """Whether the one who is signed in may exceed the policy, with a reason."""
    return is_supervisor() or the_policy().may_exceed == "staff"
