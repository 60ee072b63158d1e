"""Charges, refunds, the balance, events and webhook endpoints of the account."""

from __future__ import annotations

import secrets
from ipaddress import ip_address
from urllib.parse import urlsplit

from portal.sandbox.stripe import forms, objects
from portal.sandbox.stripe.call import EVENT_DAYS, Call
from portal.sandbox.stripe.cards import BY_NUMBER
from portal.sandbox.stripe.errors import Obj, invalid, missing

#: A pending refund succeeds, a failing one fails, this much later.
REFUND_MOVES_AFTER = 2 * objects.DAY


def retrieve_charge(call: Call) -> Obj:
    """GET /v1/charges/{charge}"""
    return call.get("charge", call.path["charge"])


def list_charges(call: Call) -> Obj:
    """GET /v1/charges"""
    names = ("customer", "payment_intent", "transfer_group")
    return call.page("charge", equal={name: forms.text(call.params, name) for name in names})


def retrieve_balance_transaction(call: Call) -> Obj:
    """GET /v1/balance_transactions/{id}"""
    return call.get("balance_transaction", call.path["id"])


def list_balance_transactions(call: Call) -> Obj:
    """GET /v1/balance_transactions"""
    names = ("currency", "source", "type")
    return call.page("balance_transaction", equal={name: forms.text(call.params, name) for name in names})


def balance(call: Call) -> Obj:
    """GET /v1/balance: what is available and what is still on its way, fees taken off."""
    sums = {"available": 0, "pending": 0}
    for net, available_on in call.store.rows(
        "SELECT json_extract(body, '$.net'), json_extract(body, '$.available_on') FROM objects "
        "WHERE kind = 'balance_transaction'"
    ):
        sums["available" if available_on <= call.now else "pending"] += net
    parts = {name: [{"amount": sum_, "currency": "usd"}] for name, sum_ in sums.items()}
    return {"object": "balance", "livemode": False, **parts}


# Refunds (https://docs.stripe.com/refunds)


def _charge_to_refund(call: Call) -> Obj:
    charge_id, intent_id = forms.text(call.params, "charge"), forms.text(call.params, "payment_intent")
    if not charge_id and intent_id:
        charge_id = call.get("payment_intent", intent_id, "payment_intent")["latest_charge"]
        if not charge_id:
            raise invalid(f"This PaymentIntent ({intent_id}) does not have a successful charge to refund.",
                          param="payment_intent", save=True)  # fmt: skip
    if not charge_id:
        raise invalid("One of the following params should be provided for this request: payment_intent or charge.")
    return call.get("charge", charge_id, "charge")


def create_refund(call: Call) -> Obj:
    """POST /v1/refunds: up to what is left of the charge."""
    charge = _charge_to_refund(call)
    if charge["status"] != "succeeded":
        raise invalid(f"Charge {charge['id']} cannot be refunded: its status is {charge['status']}.", save=True)
    left = charge["amount"] - charge["amount_refunded"]
    if left == 0:
        raise invalid(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded", save=True)
    amount = forms.integer(call.params, "amount", left) or 0
    if amount < 1:
        raise invalid("Invalid positive integer", param="amount", code="parameter_invalid_integer")
    if amount > left:
        raise invalid(
            f"Refund amount (${amount / 100:,.2f}) is greater than unrefunded amount on charge (${left / 100:,.2f})",
            param="amount", save=True,
        )  # fmt: skip
    number = call.store.hidden(charge["payment_method"]).get("card")
    course = BY_NUMBER[number].refund if number else "pending_then_succeeded"
    status = "pending" if course == "pending_then_succeeded" else "succeeded"
    body = objects.refund(charge, amount, forms.text(call.params, "reason"), status, call.now)
    body["metadata"] = forms.metadata(call.params, {})
    kind = "refund" if number else "payment_refund"
    moved = objects.balance_transaction(body["id"], kind, -amount, 0, charge["currency"], call.now)
    call.store.add(moved)
    body["balance_transaction"] = moved["id"]
    call.store.add(body)
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    call.store.save(charge)
    if course != "succeeded":
        call.store.later(call.now + REFUND_MOVES_AFTER, course, body["id"])
    call.emit("refund.created", body)
    call.emit("charge.refunded", charge)
    return body


def finish_refund(call: Call, refund_id: str) -> None:
    """A pending refund arrives."""
    body = call.get("refund", refund_id)
    body["status"] = "succeeded"
    call.store.save(body)
    call.emit("refund.updated", body, {"status": "pending"})


def fail_refund(call: Call, refund_id: str) -> None:
    """The bank sends a refund back: the money returns to the account's balance."""
    body = call.get("refund", refund_id)
    charge = call.get("charge", body["charge"])
    moved = objects.balance_transaction(
        body["id"], "refund_failure", body["amount"], 0, body["currency"], call.now
    )
    call.store.add(moved)
    previous = body["status"]
    body.update(status="failed", failure_reason="unknown", failure_balance_transaction=moved["id"])
    call.store.save(body)
    charge["amount_refunded"] -= body["amount"]
    charge["refunded"] = False
    call.store.save(charge)
    call.emit("refund.updated", body, {"status": previous})
    call.emit("refund.failed", body)


def retrieve_refund(call: Call) -> Obj:
    """GET /v1/refunds/{refund}"""
    return call.get("refund", call.path["refund"])


def list_refunds(call: Call) -> Obj:
    """GET /v1/refunds"""
    names = ("charge", "payment_intent")
    return call.page("refund", equal={name: forms.text(call.params, name) for name in names})


# Events (https://docs.stripe.com/api/events)

_UNDELIVERED = "SELECT 1 FROM deliveries d WHERE d.event = objects.id AND d.delivered_at IS NULL"


def retrieve_event(call: Call) -> Obj:
    """GET /v1/events/{id}: for 30 days"""
    body = call.get("event", call.path["id"])
    if body["created"] < call.now - EVENT_DAYS * objects.DAY:
        raise missing("event", body["id"])
    return call.fresh(body)


def list_events(call: Call) -> Obj:
    """GET /v1/events: ``type`` may hold ``*``; ``delivery_success=false`` lists what an endpoint has not taken."""
    where, values = ["created >= ?"], [call.now - EVENT_DAYS * objects.DAY]
    kinds = forms.items(call.params.get("types"))
    if one := forms.text(call.params, "type"):
        kinds = [*kinds, one]
    if kinds:
        where.append("(" + " OR ".join(["json_extract(body, '$.type') GLOB ?"] * len(kinds)) + ")")
        values += kinds
    if "delivery_success" in call.params:
        wanted = forms.boolean(call.params, "delivery_success")
        where.append(f"{'NOT ' if wanted else ''}EXISTS ({_UNDELIVERED})")
    return call.page("event", where=" AND ".join(where), where_values=tuple(values))


# Webhook endpoints (https://docs.stripe.com/api/webhook_endpoints)


def is_loopback(url: str) -> bool:
    """Whether a URL stays on this machine: the stand-in calls nothing else."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https"):
        return False
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def add_endpoint(call: Call, url: str, events: list[str], secret: str, description: str | None = None) -> Obj:
    """Stores an endpoint; its secret stays hidden."""
    return call.store.add(objects.webhook_endpoint(url, events, description, call.now), {"secret": secret})


def create_endpoint(call: Call) -> Obj:
    """POST /v1/webhook_endpoints: the only answer that carries the signing secret"""
    url, events = forms.text(call.params, "url"), forms.items(call.params.get("enabled_events"))
    if not url or not events:
        name = "url" if not url else "enabled_events"
        raise invalid(f"Missing required param: {name}.", param=name, code="parameter_missing")
    if not is_loopback(url):
        raise invalid("The stand-in sends webhooks to this machine only.", param="url", code="url_invalid")
    secret = "whsec_" + secrets.token_hex(16)
    body = add_endpoint(call, url, events, secret, forms.text(call.params, "description"))
    body["metadata"] = forms.metadata(call.params, {})
    return {**call.store.save(body), "secret": secret}


def list_endpoints(call: Call) -> Obj:
    """GET /v1/webhook_endpoints"""
    return call.page("webhook_endpoint")
