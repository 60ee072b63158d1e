"""The way to Stripe, and the only package that imports ``stripe``."""

from portal.payments.gateway.client import MAXIMUM, METHOD_KINDS, MINIMUM, StripeGateway
from portal.payments.gateway.values import (
    Event,
    Intent,
    Method,
    Movement,
    Setup,
    StripeCharge,
    StripeDispute,
    StripePayout,
    StripeRefund,
)

__all__ = [
    "MAXIMUM",
    "METHOD_KINDS",
    "MINIMUM",
    "Event",
    "Intent",
    "Method",
    "Movement",
    "Setup",
    "StripeCharge",
    "StripeDispute",
    "StripeGateway",
    "StripePayout",
    "StripeRefund",
]
