"""The way to Stripe of the app that a view runs in."""

from flask import current_app

from portal.payments.gateway.client import StripeGateway


def the_gateway() -> StripeGateway:
    """The way to Stripe of this app."""
    gateway: StripeGateway = current_app.extensions["plainbill_gateway"]
    return gateway
