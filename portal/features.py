"""The table of contents: every blueprint and its prefix, in reading order."""

from flask import Flask

from portal.billing.views import bp as billing
from portal.home.views import bp as home
from portal.messages.views import bp as messages
from portal.payments.views import bp as payments
from portal.payments.webhook import bp as webhook
from portal.staff.views import bp as staff

BLUEPRINTS = (
    (home, "/"),
    (billing, "/"),
    (payments, "/"),
    (messages, "/messages"),
    (staff, "/desk"),
    (webhook, "/stripe"),
)


def register(app: Flask) -> None:
    """Put every feature on the app."""
    for blueprint, prefix in BLUEPRINTS:
        app.register_blueprint(blueprint, url_prefix=None if prefix == "/" else prefix)
