"""Every simulated operation, and what becomes of things by themselves."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from portal.sandbox.stripe import (
    account,
    customers,
    debits,
    disputes,
    intents,
    mandates,
    microdeposits,
    payouts,
    refunds,
    setups,
)
from portal.sandbox.stripe.call import Call
from portal.sandbox.stripe.errors import Obj

Endpoint = Callable[[Call], Obj]

#: Every simulated operation, by method and the path's name in the API description.
ENDPOINTS: tuple[tuple[str, str, Endpoint], ...] = (
    ("POST", "/v1/customers", customers.create_customer),
    ("GET", "/v1/customers", customers.list_customers),
    ("GET", "/v1/customers/{customer}", customers.retrieve_customer),
    ("POST", "/v1/customers/{customer}", customers.update_customer),
    ("DELETE", "/v1/customers/{customer}", customers.delete_customer),
    ("GET", "/v1/customers/{customer}/payment_methods", customers.list_methods_of_customer),
    ("POST", "/v1/payment_methods", customers.create_method),
    ("GET", "/v1/payment_methods", customers.list_methods),
    ("GET", "/v1/payment_methods/{payment_method}", customers.retrieve_method),
    ("POST", "/v1/payment_methods/{payment_method}", customers.update_method),
    ("POST", "/v1/payment_methods/{payment_method}/attach", customers.attach_method),
    ("POST", "/v1/payment_methods/{payment_method}/detach", customers.detach_method),
    ("POST", "/v1/payment_intents", intents.create),
    ("GET", "/v1/payment_intents", intents.listing),
    ("GET", "/v1/payment_intents/{intent}", intents.retrieve),
    ("POST", "/v1/payment_intents/{intent}", intents.update),
    ("POST", "/v1/payment_intents/{intent}/confirm", intents.confirm),
    ("POST", "/v1/payment_intents/{intent}/cancel", intents.cancel),
    ("POST", "/v1/payment_intents/{intent}/verify_microdeposits", intents.verify_microdeposits),
    ("POST", "/v1/setup_intents", setups.create),
    ("GET", "/v1/setup_intents", setups.listing),
    ("GET", "/v1/setup_intents/{intent}", setups.retrieve),
    ("POST", "/v1/setup_intents/{intent}", setups.update),
    ("POST", "/v1/setup_intents/{intent}/confirm", setups.confirm),
    ("POST", "/v1/setup_intents/{intent}/cancel", setups.cancel),
    ("POST", "/v1/setup_intents/{intent}/verify_microdeposits", setups.verify_microdeposits),
    ("GET", "/v1/charges", account.list_charges),
    ("GET", "/v1/charges/{charge}", account.retrieve_charge),
    ("POST", "/v1/refunds", refunds.create),
    ("GET", "/v1/refunds", refunds.listing),
    ("GET", "/v1/refunds/{refund}", refunds.retrieve),
    ("POST", "/v1/refunds/{refund}/cancel", refunds.cancel),
    ("GET", "/v1/disputes", disputes.listing),
    ("GET", "/v1/disputes/{dispute}", disputes.retrieve),
    ("POST", "/v1/disputes/{dispute}", disputes.update),
    ("POST", "/v1/disputes/{dispute}/close", disputes.close),
    ("GET", "/v1/mandates/{mandate}", mandates.retrieve),
    ("GET", "/v1/payouts", payouts.listing),
    ("GET", "/v1/payouts/{payout}", payouts.retrieve),
    ("GET", "/v1/balance", account.balance),
    ("GET", "/v1/balance_transactions", account.list_balance_transactions),
    ("GET", "/v1/balance_transactions/{id}", account.retrieve_balance_transaction),
    ("GET", "/v1/events", account.list_events),
    ("GET", "/v1/events/{id}", account.retrieve_event),
    ("POST", "/v1/webhook_endpoints", account.create_endpoint),
    ("GET", "/v1/webhook_endpoints", account.list_endpoints),
)

#: What a browser may do with a publishable key and a client secret.
PUBLIC = frozenset({
    ("GET", "/v1/payment_intents/{intent}"), ("POST", "/v1/payment_intents/{intent}/confirm"),
    ("GET", "/v1/setup_intents/{intent}"), ("POST", "/v1/setup_intents/{intent}/confirm"),
    ("POST", "/v1/payment_intents/{intent}/verify_microdeposits"),
    ("POST", "/v1/setup_intents/{intent}/verify_microdeposits"),
    ("POST", "/v1/payment_methods"),
})  # fmt: skip

_ROUTES = tuple(
    (method, re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template)), template, endpoint)
    for method, template, endpoint in ENDPOINTS
)

#: What becomes of things by themselves, by the names on the timetable.
ACTS: Mapping[str, Callable[[Call, str], None]] = {
    "settle_debit": debits.settle,
    "microdeposits_fail": microdeposits.fail,
    "microdeposits_time_out": microdeposits.time_out,
    "pending_then_succeeded": refunds.finish,
    "succeeded_then_failed": refunds.fail_by_card,
    "dispute_fraudulent": disputes.open_fraudulent,
    "dispute_not_received": disputes.open_not_received,
    "dispute_inquiry": disputes.open_asked,
    "dispute_returned": disputes.open_returned,
    "dispute_judged": disputes.judge,
    "dispute_overdue": disputes.overdue,
    "inquiry_ends": disputes.inquiry_ends,
    "payout_arrives": payouts.arrive,
}


def route(method: str, path: str) -> tuple[str, Endpoint, dict[str, str]] | None:
    """The operation's path as the API description names it, what performs it, and the ids in the path; or None."""
    for known, pattern, template, endpoint in _ROUTES:
        if known == method and (match := pattern.fullmatch(path)):
            return template, endpoint, match.groupdict()
    return None
