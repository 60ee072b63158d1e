"""Mandates (https://docs.stripe.com/api/mandates): the payer's leave to debit a bank account.

A payment method that was saved with a mandate for many debits needs no other one; it ends when the payment method
is detached.
"""

from __future__ import annotations

from portal.sandbox.stripe import forms, movements
from portal.sandbox.stripe.call import Call
from portal.sandbox.stripe.errors import Obj, invalid


def retrieve(call: Call) -> Obj:
    """GET /v1/mandates/{mandate}"""
    return call.get("mandate", call.path["mandate"])


def _acceptance(call: Call, method: Obj) -> Obj | None:
    """What the request tells of the payer's acceptance; a browser's confirmation is one."""
    given = forms.mapping(forms.mapping(call.params, "mandate_data"), "customer_acceptance")
    if given:
        accepted: Obj = {"accepted_at": forms.integer(given, "accepted_at", call.now), "type": given.get("type")}
        if accepted["type"] == "online":
            online = forms.mapping(given, "online")
            accepted["online"] = {name: online.get(name) or None for name in ("ip_address", "user_agent")}
        else:
            accepted["offline"] = {}
        return accepted
    if call.public:
        return {"accepted_at": call.now, "online": {"ip_address": "127.0.0.1", "user_agent": None}, "type": "online"}
    if call.store.hidden(method["id"]).get("set_up"):
        # Saved in the store of an older stand-in, which kept no mandates.
        return {"accepted_at": call.now, "offline": {}, "type": "offline"}
    return None


def for_debit(call: Call, intent: Obj, method: Obj) -> Obj:
    """The mandate by which an intent may debit a bank account: the saved one, or a new one out of the request.

    A new one is pending until the account is verified. Raises Stripe's 400 where nobody agreed.
    """
    named = forms.text(call.params, "mandate")
    kept = named or call.store.hidden(method["id"]).get("mandate")
    if kept:
        found = call.get("mandate", kept, "mandate")
        if found["payment_method"] == method["id"] and found["status"] == "active":
            return found
        if named:
            raise invalid(f"The mandate {named} is {found['status']} or belongs to another PaymentMethod.",
                          param="mandate", code="payment_intent_mandate_invalid", save=True)  # fmt: skip
    acceptance = _acceptance(call, method)
    if acceptance is None:
        noun = "SetupIntent" if intent["object"] == "setup_intent" else "PaymentIntent"
        raise invalid(
            f"This {noun} requires a mandate, but no existing mandate was found. Collect mandate acceptance from the "
            "customer and try again, providing acceptance data in the mandate_data parameter.",
            param="mandate_data", save=True,
        )  # fmt: skip
    again = intent["object"] == "setup_intent" or bool(intent["setup_future_usage"])
    single = None if again else (intent["amount"], intent["currency"])
    body = movements.mandate(method, acceptance, "pending", single=single)
    call.store.add(body, created=call.now)
    call.store.hide(intent["id"], mandate=body["id"])
    return body


def of_intent(call: Call, intent: Obj) -> Obj | None:
    """The mandate that was made for an intent still under way."""
    kept = call.store.hidden(intent["id"]).get("mandate")
    return call.store.find("mandate", kept) if kept else None


def activate(call: Call, body: Obj) -> Obj:
    """The account is verified: the mandate holds, and one for many debits stays with its payment method."""
    if body["status"] == "pending":
        body["status"] = "active"
        call.store.save(body)
        call.emit("mandate.updated", body, {"status": "pending"})
    if body["type"] == "multi_use":
        call.store.hide(body["payment_method"], mandate=body["id"])
    return body


def end(call: Call, mandate_id: str | None) -> None:
    """The leave is over: the payment method was removed, or its account never verified."""
    body = call.store.find("mandate", mandate_id or "")
    if body is not None and body["status"] != "inactive":
        previous = body["status"]
        body["status"] = "inactive"
        call.store.save(body)
        call.emit("mandate.updated", body, {"status": previous})
