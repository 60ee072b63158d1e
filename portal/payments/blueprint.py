"""The blueprint that the payment pages share, and what each of them asks for."""

from flask import Blueprint, current_app

from portal.config import Settings
from portal.payments.gateway import StripeGateway

bp = Blueprint("payments", __name__)


def the_gateway() -> StripeGateway:
    """The way to Stripe of this app."""
    gateway: StripeGateway = current_app.extensions["plainbill_gateway"]
    return gateway


def the_settings() -> Settings:
    """What the operator set."""
    settings: Settings = current_app.extensions["plainbill_settings"]
    return settings
