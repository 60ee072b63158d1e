"""New objects of money that moves, as JSON: balance transactions, refunds, disputes, payouts, mandates.

Times are whole seconds since 1970, amounts whole cents.
"""

from __future__ import annotations

import secrets

from portal.sandbox.stripe.errors import Obj
from portal.sandbox.stripe.objects import DAY, new_id

#: Incoming money can be paid out this much later (https://docs.stripe.com/payouts#payout-speed); outgoing money
#: is taken off at once.
AVAILABLE_AFTER = 2 * DAY
#: A payout reaches the bank this much later.
PAYOUT_ARRIVES_AFTER = 2 * DAY
#: https://docs.stripe.com/disputes/how-disputes-work#dispute-fees (US): kept even when the dispute is won.
DISPUTE_FEE = 1500
#: https://docs.stripe.com/reports/reporting-categories
_CATEGORIES = {
    "charge": "charge", "payment": "charge", "refund": "refund", "payment_refund": "refund",
    "refund_failure": "refund_failure", "payout": "payout", "payout_failure": "payout_reversal",
    "adjustment": "other_adjustment",
}  # fmt: skip
#: The bank account that payouts go to; it cannot be looked up.
PAYOUT_DESTINATION = "ba_1standinpayoutaccount"


def processing_fee(amount: int, method_type: str) -> int:
    """Cents Stripe keeps: cards 2.9 % + 30 c, bank debits 0.8 % up to $5 (https://stripe.com/pricing)."""
    if method_type == "card":
        return (amount * 29 + 500) // 1000 + 30
    return min((amount * 8 + 500) // 1000, 500)


def balance_transaction(
    source: str | None, kind: str, amount: int, fee: int, currency: str, now: int, description: str | None = None, *,
    category: str | None = None, fee_description: str = "Stripe processing fees",
) -> Obj:  # fmt: skip
    """Money moving in (positive) or out (negative) of the account's balance; ``net`` is amount minus fee."""
    fees = [{
        "amount": fee, "application": None, "currency": currency, "type": "stripe_fee",
        "description": fee_description,
    }] if fee else []  # fmt: skip
    waits = amount > 0 and kind != "payout_failure"
    return {
        "id": new_id("balance_transaction"),
        "object": "balance_transaction",
        "amount": amount,
        "available_on": now + AVAILABLE_AFTER if waits else now,
        "balance_type": "payments",
        "created": now,
        "currency": currency,
        "description": description,
        "exchange_rate": None,
        "fee": fee,
        "fee_details": fees,
        "net": amount - fee,
        "reporting_category": category or _CATEGORIES[kind],
        "source": source,
        "status": "pending" if waits else "available",
        "type": kind,
    }


def refund(charged: Obj, amount: int, reason: str | None, status: str, now: int) -> Obj:
    """Money going back to where it came from."""
    card = charged["payment_method_details"]["type"] == "card"
    body = {
        "id": new_id("refund" if card else "bank_refund"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": charged["id"],
        "created": now,
        "currency": charged["currency"],
        "customer": charged["customer"],
        "metadata": {},
        "payment_intent": charged["payment_intent"],
        "payment_method": charged["payment_method"],
        "reason": reason,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": status,
        "transfer_reversal": None,
    }
    if card:
        destination = {"reference_status": "pending", "reference_type": "acquirer_reference_number", "type": "refund"}
        body["destination_details"] = {"card": destination, "type": "card"}
    if status == "pending":
        body["pending_reason"] = "processing"
    return body


EVIDENCE = (
    "access_activity_log", "billing_address", "cancellation_policy", "cancellation_policy_disclosure",
    "cancellation_rebuttal", "customer_communication", "customer_email_address", "customer_name",
    "customer_purchase_ip", "customer_signature", "duplicate_charge_documentation", "duplicate_charge_explanation",
    "duplicate_charge_id", "product_description", "receipt", "refund_policy", "refund_policy_disclosure",
    "refund_refusal_explanation", "service_date", "service_documentation", "shipping_address", "shipping_carrier",
    "shipping_date", "shipping_documentation", "shipping_tracking_number", "uncategorized_file",
    "uncategorized_text",
)  # fmt: skip


def dispute(charged: Obj, amount: int, reason: str, *, inquiry: bool, due_by: int | None, now: int) -> Obj:
    """A payer's bank wants a charge back, or (``inquiry``) asks about it first."""
    body: Obj = {
        "id": new_id("dispute"),
        "object": "dispute",
        "amount": amount,
        "balance_transactions": [],
        "charge": charged["id"],
        "created": now,
        "currency": charged["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {**dict.fromkeys(EVIDENCE), "enhanced_evidence": {}},
        "evidence_details": {
            "due_by": due_by, "enhanced_eligibility": {}, "has_evidence": False, "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": inquiry,
        "livemode": False,
        "metadata": {},
        "payment_intent": charged["payment_intent"],
        "reason": reason,
        "status": "warning_needs_response" if inquiry else "needs_response",
    }  # fmt: skip
    details = charged["payment_method_details"]
    if details["type"] == "card":
        brand = details["card"]["brand"]
        case = "inquiry" if inquiry else "chargeback"
        shown = {"brand": brand, "case_type": case, "network": brand, "network_reason_code": None}
        body["payment_method_details"] = {"card": shown, "type": "card"}
    return body


def payout(amount: int, now: int) -> Obj:
    """Money on its way to the account's bank, by the daily schedule."""
    return {
        "id": new_id("payout"),
        "object": "payout",
        "amount": amount,
        "application_fee": None,
        "application_fee_amount": None,
        "arrival_date": now + PAYOUT_ARRIVES_AFTER,
        "automatic": True,
        "balance_transaction": None,
        "created": now,
        "currency": "usd",
        "description": "STRIPE PAYOUT",
        "destination": PAYOUT_DESTINATION,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "livemode": False,
        "metadata": {},
        "method": "standard",
        "original_payout": None,
        "payout_method": None,
        "reconciliation_status": "in_progress",
        "reversed_by": None,
        "source_type": "card",
        "statement_descriptor": None,
        "status": "in_transit",
        "trace_id": {"status": "pending", "value": None},
        "type": "bank_account",
    }


def trace_id() -> Obj:
    """The bank's reference of a payout that arrived."""
    return {"status": "supported", "value": f"{secrets.randbelow(10**15):015d}"}


def mandate(method: Obj, acceptance: Obj, status: str, *, single: tuple[int, str] | None) -> Obj:
    """The payer's leave to debit a bank account: once for ``single`` (cents, currency), or again and again."""
    kind = "single_use" if single else "multi_use"
    limit = {"amount": single[0], "currency": single[1]} if single else {}
    return {
        "id": new_id("mandate"),
        "object": "mandate",
        "customer_acceptance": acceptance,
        "livemode": False,
        kind: limit,
        "payment_method": method["id"],
        "payment_method_details": {"type": method["type"], method["type"]: {}},
        "status": status,
        "type": kind,
    }
