"""The table of contents: every blueprint and its prefix, in reading order."""

from flask import Flask

from portal.autopay.views import bp as autopay
from portal.billing.views import bp as billing
from portal.guests.views import bp as guests
from portal.home.views import bp as home
from portal.home.why_views import bp as why
from portal.messages.views import bp as messages
from portal.payments.methods.views import bp as methods
from portal.payments.receipts.views import bp as receipts
from portal.payments.stripe_events.webhook import bp as webhook
from portal.payments.views import bp as payments
from portal.plans.views import bp as plans
from portal.refunds.views import bp as refunds
from portal.staff.views import bp as staff
from portal.statements.views import bp as statements
from portal.web.health import bp as health

BLUEPRINTS = (
    (home, "/"),
    (why, "/"),
    (billing, "/"),
    (statements, "/"),
    (payments, "/"),
    (refunds, "/"),
    (methods, "/"),
    (receipts, "/"),
    (autopay, "/"),
    (plans, "/"),
    (guests, "/"),
    (messages, "/messages"),
    (staff, "/desk"),
    (webhook, "/stripe"),
    (health, "/"),
)


def register(app: Flask) -> None:
    """Put every feature on the app."""
    for blueprint, prefix in BLUEPRINTS:
        app.register_blueprint(blueprint, url_prefix=None if prefix == "/" else prefix)
