"""Reading Stripe's objects into our values."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from portal.money import Money
from portal.payments.gateway.values import Intent

#: What people call a wallet.
_WALLETS = {"apple_pay": "Apple Pay", "google_pay": "Google Pay"}


def moment(seconds: int) -> datetime:
    """Stripe's seconds since 1970 as a moment (UTC)."""
    return datetime.fromtimestamp(seconds, UTC)


def tag(found: Any, name: str) -> str:
    """A metadata value of an object; empty where it has none. A StripeObject is no dict and has no ``get``."""
    return str(found.metadata[name]) if found.metadata and name in found.metadata else ""


def method_text(details: Any) -> str:
    """What a patient calls the method of a charge: ``Visa ending 4242``."""
    card, bank = getattr(details, "card", None), getattr(details, "us_bank_account", None)
    if card is not None:
        wallet = getattr(card, "wallet", None)
        through = _WALLETS.get(str(wallet.type)) if wallet is not None else None
        name = f"{str(card.brand or 'card').title()} ending {card.last4}"
        return f"{through}, {name}" if through else name
    if bank is not None:
        return f"{bank.bank_name or 'Bank account'} ending {bank.last4}"
    return str(getattr(details, "type", "") or "").replace("_", " ")


def failure_code(error: Any) -> str:
    """The most telling code of Stripe's error on an intent; empty where there is none."""
    if error is None:
        return ""
    return getattr(error, "decline_code", None) or getattr(error, "code", None) or "unknown"


def read_intent(found: Any) -> Intent:
    charge = found.latest_charge
    expanded = charge is not None and not isinstance(charge, str)
    details = getattr(charge, "payment_method_details", None) if expanded else None
    action = found.next_action
    verify = getattr(action, "verify_with_microdeposits", None) if action is not None else None
    return Intent(
        id=found.id,
        status=found.status,
        amount=Money(found.amount, found.currency.upper()),
        received=Money(found.amount_received or 0, found.currency.upper()),
        client_secret=found.client_secret or "",
        attempt_id=tag(found, "attempt_id"),
        charge_id=charge.id if expanded else (charge or ""),
        method=method_text(details) if details is not None else "",
        failure_code=failure_code(found.last_payment_error),
        created_at=moment(found.created),
        method_kind=str(getattr(details, "type", "") or ""),
        method_id=id_of(found.payment_method),
        customer_id=id_of(found.customer),
        action=str(action.type) if action is not None else "",
        action_url=str(verify.hosted_verification_url or "") if verify is not None else "",
        keeps_method=found.setup_future_usage is not None,
    )


def id_of(reference: Any) -> str:
    """An object's id, expanded or not."""
    if reference is None:
        return ""
    return reference if isinstance(reference, str) else str(reference.id)
