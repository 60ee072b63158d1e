"""What a view asks of the app that it runs in: the settings, the clinic's day, and whether a supervisor reads.

The way to Stripe is asked for in :mod:`portal.payments.gateway.of_app`, the policy of plans in
:mod:`portal.plans.of_app`: what those hand out stands above this package.
"""

from datetime import date

from flask import current_app
from flask_login import current_user

from portal import clock
from portal.config import Settings


def the_settings() -> Settings:
    """What the operator set."""
    settings: Settings = current_app.extensions["plainbill_settings"]
    return settings


def the_day() -> date:
    """The clinic's day."""
    return clock.today(the_settings().clinic_timezone)


def is_supervisor() -> bool:
    """Whether the one who is signed in is a supervisor."""
    return "supervisor" in {role.name for role in current_user.roles}
