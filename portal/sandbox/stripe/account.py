"""Charges, the balance, events and webhook endpoints of the account."""

from __future__ import annotations

import secrets
from ipaddress import ip_address
from urllib.parse import urlsplit

from portal.sandbox.stripe import forms, objects, payouts
from portal.sandbox.stripe.call import EVENT_DAYS, Call
from portal.sandbox.stripe.errors import Obj, invalid, missing


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
    payout = forms.text(call.params, "payout")
    where, values = payouts.transactions_of(call, payout) if payout else ("", ())
    equal = {name: forms.text(call.params, name) for name in names}
    return call.page("balance_transaction", equal=equal, where=where, where_values=values)


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


# Events (https://docs.stripe.com/api/events)

#: As many may be named in ``types``.
EVENT_TYPES = 20
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
    one = forms.text(call.params, "type")
    if one and kinds:
        raise invalid("You may specify only one of these parameters: type, types.", param="type")
    if len(kinds) > EVENT_TYPES:
        raise invalid(f"You can list up to {EVENT_TYPES} event types.", param="types")
    if one:
        kinds = [one]
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
