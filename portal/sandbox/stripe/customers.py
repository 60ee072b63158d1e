"""Customers and their payment methods (https://docs.stripe.com/api/customers, /payment_methods)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from portal.sandbox.stripe import forms, mandates, objects
from portal.sandbox.stripe.call import Call
from portal.sandbox.stripe.cards import (
    BANK_BY_ACCOUNT,
    BANK_BY_CONNECTION,
    BANK_BY_TOKEN,
    BY_NUMBER,
    BY_TOKEN,
    LIVE_CARD,
    ROUTING_NUMBER,
    WALLETS,
    TestCard,
    brand_of,
    luhn_valid,
)  # fmt: skip
from portal.sandbox.stripe.errors import ApiError, Obj, doc_url, invalid

_TEXTS = ("description", "email", "name", "phone")


def _change_customer(call: Call, body: Obj) -> None:
    for name in _TEXTS:
        if name in call.params:
            body[name] = forms.text(call.params, name)
    if "address" in call.params:
        given = forms.mapping(call.params, "address")
        body["address"] = {part: given.get(part) or None for part in objects.ADDRESS} if given else None
    if "preferred_locales" in call.params:
        body["preferred_locales"] = forms.items(call.params["preferred_locales"])
    default = forms.mapping(call.params, "invoice_settings").get("default_payment_method")
    if default is not None:
        body["invoice_settings"]["default_payment_method"] = default or None
    body["metadata"] = forms.metadata(call.params, body["metadata"])


def create_customer(call: Call) -> Obj:
    """POST /v1/customers"""
    body = objects.customer(call.now)
    _change_customer(call, body)
    call.store.add(body)
    call.emit("customer.created", body)
    return body


def live_customer(call: Call, customer_id: str | None, param: str = "customer") -> Obj:
    """The customer; 404 when there is none or it was deleted."""
    body = call.get("customer", customer_id, param)
    if body.get("deleted"):
        raise invalid(f"No such customer: '{customer_id}'", code="resource_missing", param=param, save=True)
    return body


def retrieve_customer(call: Call) -> Obj:
    """GET /v1/customers/{customer}"""
    return call.get("customer", call.path["customer"])


def update_customer(call: Call) -> Obj:
    """POST /v1/customers/{customer}"""
    body = live_customer(call, call.path["customer"], "id")
    before = {name: body[name] for name in (*_TEXTS, "metadata", "address")}
    _change_customer(call, body)
    call.store.save(body)
    changed = {name: value for name, value in before.items() if body[name] != value}
    call.emit("customer.updated", body, changed)
    return body


def delete_customer(call: Call) -> Obj:
    """DELETE /v1/customers/{customer}"""
    body = live_customer(call, call.path["customer"], "id")
    call.emit("customer.deleted", body)
    gone = {"id": body["id"], "object": "customer", "deleted": True}
    call.store.save(gone)
    for method in call.store.every("payment_method", equal={"customer": body["id"]})[0]:
        _detach(call, method)
    return gone


def list_customers(call: Call) -> Obj:
    """GET /v1/customers"""
    where = "json_extract(body, '$.deleted') IS NULL"
    return call.page("customer", equal={"email": forms.text(call.params, "email")}, where=where)


# Payment methods


def card_error(code: str, message: str, param: str | None = None, decline_code: str | None = None) -> ApiError:
    """402 about the card itself, before any charge."""
    return ApiError(
        402, type="card_error", code=code, message=message, param=param, decline_code=decline_code,
        doc_url=doc_url(code),
    )  # fmt: skip


def _card_of_token(call: Call, token: str, billing: Obj) -> Obj:
    """A card by one of Stripe's test tokens (``tok_visa``), or out of a simulated wallet (``tok_applePay_visa``)."""
    name = token.removeprefix("tok_")
    wallet = next((wallet for wallet in WALLETS if name.startswith(f"{wallet}_")), None)
    card = BY_TOKEN.get(f"pm_card_{name.removeprefix(f'{wallet}_')}")
    if card is None or name == token:
        raise invalid(f"No such token: '{token}'", code="resource_missing", param="card[token]")
    year = datetime.fromtimestamp(call.now, UTC).year + 1
    body = objects.card_payment_method(card, 12, year, billing, call.now)
    if wallet:
        kind = WALLETS[wallet]
        body["card"]["wallet"] = {"type": kind, kind: {}, "dynamic_last4": card.number[-4:]}
    return call.store.add(body, {"card": card.number})


def _card(call: Call, given: Obj, billing: Obj) -> Obj:
    if token := forms.text(given, "token"):
        return _card_of_token(call, token, billing)
    number = str(given.get("number", "")).replace(" ", "")
    if not luhn_valid(number):
        raise card_error("incorrect_number", "Your card number is incorrect.", "number")
    month, year = forms.integer(given, "exp_month") or 0, forms.integer(given, "exp_year") or 0
    year += 2000 if year < 100 else 0
    now = datetime.fromtimestamp(call.now, UTC)
    if not 1 <= month <= 12:
        raise card_error("invalid_expiry_month", "Your card's expiration month is invalid.", "exp_month")
    if (year, month) < (now.year, now.month) or year > now.year + 50:
        raise card_error("invalid_expiry_year", "Your card's expiration year is invalid.", "exp_year")
    cvc = given.get("cvc")
    brand = brand_of(number)
    if cvc is not None and (not str(cvc).isdigit() or len(str(cvc)) != (4 if brand == "amex" else 3)):
        raise card_error("invalid_cvc", "Your card's security code is invalid.", "cvc")
    known = BY_NUMBER.get(number)
    card = known or TestCard(number, "", "not a test card", brand=brand, decline=LIVE_CARD)
    body = objects.card_payment_method(card, month, year, billing, call.now)
    return call.store.add(body, {"card": known.number if known else None})


def _bank(call: Call, given: Obj, billing: Obj) -> Obj:
    connection = forms.text(given, "financial_connections_account")
    if connection and connection not in BANK_BY_CONNECTION:
        raise invalid(f"No such financial connections account: '{connection}'", code="resource_missing",
                      param="us_bank_account[financial_connections_account]")  # fmt: skip
    if not connection and given.get("routing_number") != ROUTING_NUMBER:
        raise invalid("Routing number must have 9 digits and be a test routing number.",
                      code="routing_number_invalid", param="us_bank_account[routing_number]")  # fmt: skip
    account_number = str(given.get("account_number", ""))
    bank = BANK_BY_CONNECTION[connection] if connection else BANK_BY_ACCOUNT.get(account_number)
    if bank is None:
        raise invalid("You must use a test bank account number in test mode.",
                      code="account_number_invalid", param="us_bank_account[account_number]")  # fmt: skip
    if not billing["name"]:
        raise invalid("You must provide billing_details[name] to create us_bank_account PaymentMethods.",
                      param="billing_details[name]")  # fmt: skip
    holder, kind = given.get("account_holder_type", "individual"), given.get("account_type", "checking")
    body = objects.bank_payment_method(bank, holder, kind, billing, call.now)
    body["us_bank_account"]["financial_connections_account"] = connection
    # The customer's own bank has vouched for a connected account; a typed one needs micro-deposits.
    return call.store.add(body, {"bank": bank.account, "verified": connection is not None})


def make_method(call: Call, params: Obj) -> Obj:
    """A new payment method from ``type`` and its details (also ``payment_method_data`` of a confirmation)."""
    kind = forms.text(params, "type")
    billing = objects.billing_details(forms.mapping(params, "billing_details"))
    if kind == "card":
        body = _card(call, forms.mapping(params, "card"), billing)
    elif kind == "us_bank_account":
        body = _bank(call, forms.mapping(params, "us_bank_account"), billing)
    elif kind is None:
        raise invalid("Missing required param: type.", param="type", code="parameter_missing")
    else:
        raise invalid(f"The stand-in has no payment methods of type {kind}.", param="type")
    changed: Obj = {"metadata": forms.metadata(params, {})}
    if redisplay := forms.text(params, "allow_redisplay"):
        changed["allow_redisplay"] = redisplay
    return call.store.save({**body, **changed})


def find_method(call: Call, method_id: str, param: str = "payment_method") -> Obj:
    """The payment method; Stripe's ready-made test names (``pm_card_visa``) make a new one."""
    if method_id in BY_TOKEN:
        year = datetime.fromtimestamp(call.now, UTC).year + 1
        body = objects.card_payment_method(BY_TOKEN[method_id], 12, year, objects.billing_details(), call.now)
        return call.store.add(body, {"card": BY_TOKEN[method_id].number})
    if method_id in BANK_BY_TOKEN:
        billing = objects.billing_details({"name": "Test Holder"})
        bank = BANK_BY_TOKEN[method_id]
        body = objects.bank_payment_method(bank, "individual", "checking", billing, call.now)
        return call.store.add(body, {"bank": bank.account})
    found = call.store.find("payment_method", method_id)
    if found is None:
        raise invalid(f"No such PaymentMethod: '{method_id}'", code="resource_missing", param=param, save=True)
    return found


def card_of(call: Call, method: Obj) -> TestCard:
    """How the card behind a payment method behaves."""
    number = call.store.hidden(method["id"]).get("card")
    return BY_NUMBER[number] if number else TestCard("0000", "", "not a test card", decline=LIVE_CARD)


def create_method(call: Call) -> Obj:
    """POST /v1/payment_methods"""
    return make_method(call, call.params)


def retrieve_method(call: Call) -> Obj:
    """GET /v1/payment_methods/{payment_method}"""
    return find_method(call, call.path["payment_method"])


def update_method(call: Call) -> Obj:
    """POST /v1/payment_methods/{payment_method}"""
    body = find_method(call, call.path["payment_method"])
    if not body["customer"]:
        raise invalid("You must save this PaymentMethod to a customer before you can update it.", save=True)
    if "billing_details" in call.params:
        body["billing_details"] = objects.billing_details(forms.mapping(call.params, "billing_details"))
    if redisplay := forms.text(call.params, "allow_redisplay"):
        body["allow_redisplay"] = redisplay
    card = forms.mapping(call.params, "card")
    for name in ("exp_month", "exp_year"):
        if name in card:
            body["card"][name] = forms.integer(card, name)
    body["metadata"] = forms.metadata(call.params, body["metadata"])
    call.store.save(body)
    call.emit("payment_method.updated", body)
    return body


def attach(call: Call, body: Obj, customer_id: str) -> Obj:
    """Saves a payment method for a customer."""
    body["customer"] = customer_id
    if body["type"] == "card":
        body["card"]["checks"]["cvc_check"] = "pass"
    call.store.save(body)
    call.emit("payment_method.attached", body)
    return body


def attach_method(call: Call) -> Obj:
    """POST /v1/payment_methods/{payment_method}/attach: a card that the bank would refuse is refused here."""
    customer_id = forms.text(call.params, "customer")
    if customer_id is None:
        raise invalid("Missing required param: customer.", param="customer", code="parameter_missing")
    live_customer(call, customer_id)
    body = find_method(call, call.path["payment_method"])
    if body["customer"] == customer_id:
        return body
    if body["customer"]:
        raise invalid("The payment method you provided has already been attached to a customer.", save=True)
    facts = call.store.hidden(body["id"])
    if facts.get("detached"):
        raise invalid(
            "This PaymentMethod was detached from a Customer. It may not be used again: to use a payment method "
            "again, create a new PaymentMethod and attach it.", save=True,
        )  # fmt: skip
    if not facts.get("verified", True):
        raise invalid("This bank account must be verified before it can be attached to a customer: use a SetupIntent.",
                      code="bank_account_unverified", param="payment_method", save=True)  # fmt: skip
    if body["type"] == "card":
        card = card_of(call, body)
        if card.decline and card.declines_on_attach:
            raise card_error(card.decline.code, card.decline.message, None, card.decline.decline_code)
    return attach(call, body, customer_id)


def detach_method(call: Call) -> Obj:
    """POST /v1/payment_methods/{payment_method}/detach"""
    body = find_method(call, call.path["payment_method"])
    if not body["customer"]:
        raise invalid("The payment method you provided is not attached to a customer so detachment is impossible.",
                      save=True)  # fmt: skip
    return _detach(call, body)


def _detach(call: Call, body: Obj) -> Obj:
    owner = body["customer"]
    body["customer"] = None
    call.store.save(body)
    call.store.hide(body["id"], detached=True)
    call.emit("payment_method.detached", body, {"customer": owner})
    mandates.end(call, call.store.hidden(body["id"]).get("mandate"))
    return body


def _methods_of(call: Call, customer_id: str | None) -> Obj:
    equal: dict[str, Any] = {"customer": customer_id}
    equal |= {name: forms.text(call.params, name) for name in ("type", "allow_redisplay")}
    return call.page("payment_method", equal=equal, where="json_extract(body, '$.customer') IS NOT NULL")


def list_methods(call: Call) -> Obj:
    """GET /v1/payment_methods"""
    return _methods_of(call, forms.text(call.params, "customer"))


def list_methods_of_customer(call: Call) -> Obj:
    """GET /v1/customers/{customer}/payment_methods"""
    live_customer(call, call.path["customer"])
    return _methods_of(call, call.path["customer"])
