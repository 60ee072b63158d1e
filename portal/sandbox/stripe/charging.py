"""How a try to move an intent's money ends: a charge that succeeded with its fee, or a failed one and why."""

from __future__ import annotations

from portal.sandbox.stripe import customers, movements, objects
from portal.sandbox.stripe.call import Call
from portal.sandbox.stripe.cards import Decline
from portal.sandbox.stripe.errors import ApiError, Obj, doc_url


def settle_charge(call: Call, charge: Obj, method_type: str) -> None:
    """The money of a charge is the account's: its balance transaction with the fee."""
    fee = movements.processing_fee(charge["amount"], method_type)
    kind = "charge" if method_type == "card" else "payment"
    moved = movements.balance_transaction(
        charge["id"], kind, charge["amount"], fee, charge["currency"], call.now, charge["description"]
    )
    call.store.add(moved)
    charge.update(status="succeeded", balance_transaction=moved["id"])


def keep_method(call: Call, body: Obj, method: Obj) -> None:
    """Saves the payment method for the intent's customer where ``setup_future_usage`` asks for it."""
    if body["setup_future_usage"] and body["customer"] and not method["customer"]:
        customers.attach(call, method, body["customer"])
        call.store.hide(method["id"], set_up=body["setup_future_usage"] == "off_session")


def succeed(call: Call, body: Obj, method: Obj, *, authenticated: bool) -> Obj:
    """Charges a card."""
    card = customers.card_of(call, method)
    charge = objects.charge(body, method, now=call.now, decline=None, authenticated=authenticated, card=card)
    call.store.add(charge)
    settle_charge(call, charge, "card")
    call.store.save(charge)
    body.update(status="succeeded", amount_received=body["amount"], latest_charge=charge["id"])
    call.store.save(body)
    keep_method(call, body, method)
    if card.dispute:
        call.store.later(call.now, card.dispute, charge["id"])
    call.emit("charge.succeeded", charge)
    call.emit("payment_intent.succeeded", body)
    return body


def decline(call: Call, body: Obj, method: Obj, why: Decline, *, authenticated: bool) -> ApiError:
    """Writes down a declined try and returns the 402 that tells of it."""
    card = customers.card_of(call, method) if method["type"] == "card" else None
    charge = objects.charge(body, method, now=call.now, decline=why, authenticated=authenticated, card=card)
    call.store.add(charge)
    error: Obj = {
        "charge": charge["id"], "code": why.code, "doc_url": doc_url(why.code),
        "message": why.message, "payment_method": method, "type": "card_error",
    }  # fmt: skip
    if why.decline_code:
        error["decline_code"] = why.decline_code
    body.update(
        status="requires_payment_method", payment_method=None, latest_charge=charge["id"], last_payment_error=error,
        next_action=None,
    )  # fmt: skip
    call.store.save(body)
    call.emit("charge.failed", charge)
    call.emit("payment_intent.payment_failed", body)
    return ApiError(402, keep=True, **{**error, "payment_intent": body})
