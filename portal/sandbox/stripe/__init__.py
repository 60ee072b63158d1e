"""A local stand-in for Stripe, for the demo and all tests; see docs/stripe-stand-in.md."""

from portal.sandbox.stripe.api import API_VERSION
from portal.sandbox.stripe.client import StandInHTTPClient
from portal.sandbox.stripe.core import StandIn
from portal.sandbox.stripe.errors import ConnectionDropped, SpecViolation, StandInSetupError
from portal.sandbox.stripe.faults import Fault, FaultPlan
from portal.sandbox.stripe.webhooks import WebhookPlan

__all__ = [
    "API_VERSION", "ConnectionDropped", "Fault", "FaultPlan", "SpecViolation", "StandIn", "StandInHTTPClient",
    "StandInSetupError", "WebhookPlan",
]  # fmt: skip
