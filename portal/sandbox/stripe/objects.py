"""New Stripe objects as JSON, every field that a reader may ask for present, null where Stripe has null.

Times are whole seconds since 1970, amounts whole cents.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Mapping
from hashlib import sha256

from portal.sandbox.stripe.cards import Decline, TestBank, TestCard
from portal.sandbox.stripe.errors import Obj

_LETTERS = string.ascii_letters + string.digits
DAY = 86_400

#: Prefix of each kind's ids. A bank debit's charge and refund have their own.
PREFIXES = {
    "customer": "cus_", "payment_method": "pm_", "payment_intent": "pi_3", "setup_intent": "seti_1",
    "charge": "ch_3", "bank_charge": "py_3", "refund": "re_3", "bank_refund": "pyr_1", "event": "evt_1",
    "balance_transaction": "txn_3", "webhook_endpoint": "we_1", "request": "req_", "mandate": "mandate_1",
    "customer_session": "cuss_", "dispute": "du_1", "payout": "po_1",
}  # fmt: skip

#: Which kind an id belongs to, for ``expand``.
KIND_OF_PREFIX = {
    "cus": "customer", "pm": "payment_method", "pi": "payment_intent", "seti": "setup_intent", "ch": "charge",
    "py": "charge", "re": "refund", "pyr": "refund", "txn": "balance_transaction", "mandate": "mandate",
    "du": "dispute", "po": "payout",
}  # fmt: skip

#: Fields that ``expand`` may replace by the object they name.
EXPANDABLE = frozenset({
    "customer", "payment_method", "payment_intent", "latest_charge", "charge", "balance_transaction", "source",
    "mandate", "failure_balance_transaction", "default_payment_method",
})  # fmt: skip


def new_id(kind: str) -> str:
    """A fresh id with Stripe's prefix for the kind."""
    length = 14 if kind in ("customer", "request") else 23
    return PREFIXES[kind] + "".join(secrets.choice(_LETTERS) for _ in range(length))


def client_secret(intent_id: str) -> str:
    """The secret by which a browser may see and confirm one intent."""
    return f"{intent_id}_secret_" + "".join(secrets.choice(_LETTERS) for _ in range(25))


ADDRESS = ("city", "country", "line1", "line2", "postal_code", "state")


def billing_details(given: Mapping[str, object] | None = None) -> Obj:
    """Billing details with every part present."""
    given = given or {}
    address = given.get("address")
    parts = address if isinstance(address, Mapping) else {}
    return {
        "address": {name: parts.get(name) or None for name in ADDRESS},
        "email": given.get("email") or None,
        "name": given.get("name") or None,
        "phone": given.get("phone") or None,
        "tax_id": None,
    }


def customer(now: int) -> Obj:
    """A customer of whom nothing is known."""
    new = new_id("customer")
    return {
        "id": new,
        "object": "customer",
        "address": None,
        "balance": 0,
        "created": now,
        "currency": None,
        "customer_account": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": None,
        "invoice_prefix": new[-8:].upper(),
        "invoice_settings": {
            "custom_fields": None, "default_payment_method": None, "footer": None, "rendering_options": None,
        },
        "livemode": False,
        "metadata": {},
        "name": None,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }  # fmt: skip


def _payment_method(kind: str, now: int, billing: Obj, details: Obj) -> Obj:
    return {
        "id": new_id("payment_method"),
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": billing,
        kind: details,
        "created": now,
        "customer": None,
        "customer_account": None,
        "livemode": False,
        "metadata": {},
        "type": kind,
    }


def card_payment_method(card: TestCard, exp_month: int, exp_year: int, billing: Obj, now: int) -> Obj:
    """A card as a payment method; of its number only the last four digits and a fingerprint remain."""
    postal = billing["address"]["postal_code"]
    details = {
        "brand": card.brand,
        "checks": {
            "address_line1_check": None,
            "address_postal_code_check": "unchecked" if postal else None,
            "cvc_check": "unchecked",
        },
        "country": "US",
        "display_brand": "american_express" if card.brand == "amex" else card.brand,
        "exp_month": exp_month,
        "exp_year": exp_year,
        "fingerprint": sha256(card.number.encode()).hexdigest()[:16],
        "funding": card.funding,
        "generated_from": None,
        "last4": card.number[-4:],
        "networks": {"available": [card.brand], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }
    return _payment_method("card", now, billing, details)


def bank_payment_method(bank: TestBank, holder: str, account: str, billing: Obj, now: int) -> Obj:
    """A US bank account as a payment method."""
    details = {
        "account_holder_type": holder,
        "account_type": account,
        "bank_name": "STRIPE TEST BANK",
        "financial_connections_account": None,
        "fingerprint": sha256(bank.account.encode()).hexdigest()[:16],
        "last4": bank.account[-4:],
        "networks": {"preferred": "ach", "supported": ["ach"]},
        "routing_number": "110000000",
        "status_details": {},
    }
    return _payment_method("us_bank_account", now, billing, details)


def payment_intent(amount: int, currency: str, now: int) -> Obj:
    """An intent that waits for a payment method."""
    new = new_id("payment_intent")
    return {
        "id": new,
        "object": "payment_intent",
        "allowed_payment_method_types": None,
        "amount": amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic_async",
        "client_secret": client_secret(new),
        "confirmation_method": "automatic",
        "created": now,
        "currency": currency,
        "customer": None,
        "customer_account": None,
        "description": None,
        "excluded_payment_method_types": None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": ["card"],
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": None,
        "shipping": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
    }


#: What a browser sees of an intent: https://docs.stripe.com/api/payment_intents/retrieve (by client secret).
PUBLIC_INTENT_FIELDS = frozenset({
    "id", "object", "amount", "amount_details", "automatic_payment_methods", "canceled_at", "cancellation_reason",
    "capture_method", "client_secret", "confirmation_method", "created", "currency", "description",
    "last_payment_error", "livemode", "next_action", "payment_method", "payment_method_configuration_details",
    "payment_method_types", "processing", "receipt_email", "setup_future_usage", "shipping", "status",
})  # fmt: skip


def outcome(decline: Decline | None) -> Obj:
    """What the issuer or the bank said of a charge."""
    if decline is None:
        return {
            "advice_code": None, "network_advice_code": None, "network_decline_code": None,
            "network_status": "approved_by_network", "reason": None, "risk_level": "normal", "risk_score": 12,
            "seller_message": "Payment complete.", "type": "authorized",
        }  # fmt: skip
    return {
        "advice_code": None, "network_advice_code": None, "network_decline_code": decline.network_code,
        "network_status": "declined_by_network", "reason": decline.decline_code or decline.code,
        "risk_level": "normal", "risk_score": 12, "type": "issuer_declined",
        "seller_message": "The bank did not return any further details with this decline.",
    }  # fmt: skip


def _method_details(method: Obj, authenticated: bool, card: TestCard | None) -> Obj:
    if method["type"] != "card":
        bank = method["us_bank_account"]
        shared = ("account_holder_type", "account_type", "bank_name", "fingerprint", "last4", "routing_number")
        details = {**{name: bank[name] for name in shared}, "payment_reference": None}
        return {"type": "us_bank_account", "us_bank_account": details}
    shown = method["card"]
    three_d_secure = None
    if authenticated:
        three_d_secure = {
            "authentication_flow": "challenge", "electronic_commerce_indicator": "05",
            "exemption_indicator": None, "result": "authenticated", "result_reason": None,
            "transaction_id": secrets.token_hex(18), "version": "2.2.0",
        }  # fmt: skip
    kept = ("brand", "country", "exp_month", "exp_year", "fingerprint", "funding", "last4", "regulated_status")
    has_postal = shown["checks"]["address_postal_code_check"] is not None
    details = {
        **{name: shown[name] for name in kept},
        "amount_authorized": None,
        "authorization_code": None,
        "checks": {
            "address_line1_check": None,
            "address_postal_code_check": "pass" if has_postal else None,
            "cvc_check": card.cvc_check if card is not None else "pass",
        },
        "installments": None,
        "mandate": None,
        "network": shown["brand"],
        "network_token": {"used": False},
        "network_transaction_id": str(secrets.randbelow(10**15)),
        "three_d_secure": three_d_secure,
        "wallet": shown["wallet"],
    }
    return {"type": "card", "card": details}


def charge(
    intent: Obj, method: Obj, *, now: int, decline: Decline | None, authenticated: bool, card: TestCard | None,
    pending: bool = False,
) -> Obj:  # fmt: skip
    """One try to move the intent's money: succeeded, pending (bank debits) or failed."""
    paid = decline is None
    moved = intent["amount"] if paid else 0
    return {
        "id": new_id("charge" if method["type"] == "card" else "bank_charge"),
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": moved,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None,
        "billing_details": method["billing_details"],
        "calculated_statement_descriptor": "PLAINBILL DEMO",
        "captured": paid,
        "created": now,
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": decline.code if decline else None,
        "failure_message": decline.message if decline else None,
        "fraud_details": {},
        "livemode": False,
        "metadata": dict(intent["metadata"]),
        "on_behalf_of": None,
        "outcome": outcome(decline),
        "paid": paid,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": _method_details(method, authenticated, card),
        "receipt_email": intent["receipt_email"],
        "receipt_number": None,
        "receipt_url": None,
        "refunded": False,
        "review": None,
        "shipping": None,
        "source_transfer": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "failed" if decline else ("pending" if pending else "succeeded"),
        "transfer_data": None,
        "transfer_group": None,
    }


def event(kind: str, snapshot: Obj, previous: Obj | None, now: int, version: str, request: Obj) -> Obj:
    """Something happened: the object as it was then, and what an update changed."""
    data: Obj = {"object": snapshot}
    if previous is not None:
        data["previous_attributes"] = previous
    return {
        "id": new_id("event"),
        "object": "event",
        "api_version": version,
        "created": now,
        "data": data,
        "livemode": False,
        "pending_webhooks": 0,
        "request": request,
        "type": kind,
    }


def webhook_endpoint(url: str, events: list[str], description: str | None, now: int) -> Obj:
    """An address that events are sent to; its secret is kept apart and shown only when it is made."""
    return {
        "id": new_id("webhook_endpoint"),
        "object": "webhook_endpoint",
        "api_version": None,
        "application": None,
        "created": now,
        "description": description,
        "enabled_events": events,
        "livemode": False,
        "metadata": {},
        "status": "enabled",
        "url": url,
    }


def setup_intent(now: int) -> Obj:
    """An intent to save a payment method for later."""
    new = new_id("setup_intent")
    return {
        "id": new,
        "object": "setup_intent",
        "allowed_payment_method_types": None,
        "application": None,
        "automatic_payment_methods": None,
        "cancellation_reason": None,
        "client_secret": client_secret(new),
        "created": now,
        "customer": None,
        "customer_account": None,
        "description": None,
        "excluded_payment_method_types": None,
        "flow_directions": None,
        "last_setup_error": None,
        "latest_attempt": None,
        "livemode": False,
        "mandate": None,
        "metadata": {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {"card": {"mandate_options": None, "network": None,
                                            "request_three_d_secure": "automatic"}},
        "payment_method_types": ["card"],
        "single_use_mandate": None,
        "status": "requires_payment_method",
        "usage": "off_session",
    }  # fmt: skip
