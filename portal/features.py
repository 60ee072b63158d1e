"""The table of contents: every blueprint and its prefix, in reading order, and every page of the desk."""

from flask import Flask

from portal.accounts import desk_views as home_states
from portal.autopay.views import bp as autopay
from portal.billing import desk_views as unknown_codes
from portal.billing.checks import desk_views as to_check
from portal.billing.views import bp as billing
from portal.codes import desk_views as texts
from portal.disputes import desk_views as disputes
from portal.guests import desk_views as guest_payment
from portal.guests.views import bp as guests
from portal.home.views import bp as home
from portal.ledger import desk_views as sync
from portal.messages import desk_views as threads
from portal.messages.views import bp as messages
from portal.payments.methods.views import bp as methods
from portal.payments.receipts.views import bp as receipts
from portal.payments.stripe_events import desk_views as stripe_events
from portal.payments.stripe_events.webhook import bp as webhook
from portal.payments.views import bp as payments
from portal.payouts import desk_views as payouts
from portal.plans.desk import changing, clauses, offering, returned_debits, watching
from portal.plans.views import bp as plans
from portal.refunds import desk_views as money_back
from portal.refunds.views import bp as refunds
from portal.remittances import desk_views as remittances
from portal.staff import accounts, holds, inbox
from portal.statements import desk_views as paper
from portal.statements.views import bp as statements
from portal.web.desk import bp as desk
from portal.web.health import bp as health
from portal.why.views import bp as why

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
    (desk, "/desk"),
    (webhook, "/stripe"),
    (health, "/"),
)

#: Importing them puts them on the desk's blueprint; in the order of its navigation.
DESK_PAGES = (
    inbox,
    threads,
    accounts,
    home_states,
    holds,
    paper,
    to_check,
    unknown_codes,
    remittances,
    watching,
    offering,
    changing,
    clauses,
    returned_debits,
    money_back,
    disputes,
    payouts,
    stripe_events,
    sync,
    guest_payment,
    texts,
)


def register(app: Flask) -> None:
    """Put every feature on the app."""
    for blueprint, prefix in BLUEPRINTS:
        app.register_blueprint(blueprint, url_prefix=None if prefix == "/" else prefix)
