"""SetupIntents: saving a card for later payments (https://docs.stripe.com/payments/setup-intents)."""

from __future__ import annotations

from portal.sandbox.stripe import customers, forms, mandates, microdeposits, objects
from portal.sandbox.stripe.call import Call
from portal.sandbox.stripe.errors import ApiError, Obj, doc_url, invalid, unexpected_state
from portal.sandbox.stripe.intents import DASHBOARD_METHODS, FAILED_AUTHENTICATION, OPEN


def create(call: Call) -> Obj:
    """POST /v1/setup_intents"""
    body = objects.setup_intent(call.now)
    allowed = forms.items(call.params.get("allowed_payment_method_types"))
    listed = forms.items(call.params.get("payment_method_types"))
    if not listed:
        redirects = forms.mapping(call.params, "automatic_payment_methods").get("allow_redirects", "always")
        body["automatic_payment_methods"] = {"enabled": True, "allow_redirects": redirects}
        body["allowed_payment_method_types"] = allowed or None
    body["payment_method_types"] = listed or allowed or DASHBOARD_METHODS
    body["usage"] = forms.text(call.params, "usage") or "off_session"
    _change(call, body)
    call.store.add(body)
    call.emit("setup_intent.created", body)
    return _confirm(call, body) if forms.boolean(call.params, "confirm") else body


def _change(call: Call, body: Obj) -> None:
    if customer_id := forms.text(call.params, "customer"):
        body["customer"] = customers.live_customer(call, customer_id)["id"]
    if "description" in call.params:
        body["description"] = forms.text(call.params, "description")
    if named := forms.text(call.params, "payment_method"):
        body.update(payment_method=customers.find_method(call, named)["id"], status="requires_confirmation")
    microdeposits.take_options(call, body)
    body["metadata"] = forms.metadata(call.params, body["metadata"])


def _of_caller(call: Call) -> Obj:
    body = call.get("setup_intent", call.path["intent"], "intent")
    secret = forms.text(call.params, "client_secret")
    if (call.public or secret) and secret != body["client_secret"]:
        raise invalid("The client_secret provided does not match the client_secret associated with this "
                      "SetupIntent.", param="client_secret", code="setup_intent_invalid_parameter")  # fmt: skip
    return body


def retrieve(call: Call) -> Obj:
    """GET /v1/setup_intents/{intent}"""
    return _of_caller(call)


def listing(call: Call) -> Obj:
    """GET /v1/setup_intents"""
    names = ("customer", "payment_method")
    return call.page("setup_intent", equal={name: forms.text(call.params, name) for name in names})


def update(call: Call) -> Obj:
    """POST /v1/setup_intents/{intent}"""
    body = _of_caller(call)
    for name in ("customer", "payment_method"):
        if name in call.params:
            _require_open(body, f"update the {name} of")
    _change(call, body)
    return call.store.save(body)


def _require_open(body: Obj, verb: str) -> None:
    if body["status"] not in OPEN:
        message = f"You cannot {verb} this SetupIntent because it has a status of {body['status']}."
        error = unexpected_state(message, body, "setup_intent_unexpected_state")
        error.error["setup_intent"] = error.error.pop("payment_intent")
        raise error


def cancel(call: Call) -> Obj:
    """POST /v1/setup_intents/{intent}/cancel"""
    body = _of_caller(call)
    _require_open(body, "cancel")
    reason = forms.text(call.params, "cancellation_reason")
    body.update(status="canceled", cancellation_reason=reason, next_action=None)
    call.store.save(body)
    call.emit("setup_intent.canceled", body)
    return body


def confirm(call: Call) -> Obj:
    """POST /v1/setup_intents/{intent}/confirm"""
    body = _of_caller(call)
    _require_open(body, "confirm")
    return _confirm(call, body)


def _confirm(call: Call, body: Obj) -> Obj:
    if data := forms.mapping(call.params, "payment_method_data"):
        body["payment_method"] = customers.make_method(call, data)["id"]
    elif named := forms.text(call.params, "payment_method"):
        body["payment_method"] = customers.find_method(call, named)["id"]
    if not body["payment_method"]:
        raise invalid("You cannot confirm this SetupIntent because it's missing a payment method.",
                      code="setup_intent_unexpected_state", save=True)  # fmt: skip
    body.update(last_setup_error=None, next_action=None)
    microdeposits.take_options(call, body)
    method = customers.find_method(call, body["payment_method"])
    if method["type"] not in body["payment_method_types"]:
        raise invalid(
            f"The PaymentMethod provided ({method['type']}) is not allowed for this SetupIntent. Please attach a "
            f"PaymentMethod of one of the following types: {', '.join(body['payment_method_types'])}.", save=True,
        )  # fmt: skip
    if method["customer"] and method["customer"] != body["customer"]:
        raise invalid(
            f"The provided PaymentMethod {method['id']} belongs to another Customer than this SetupIntent.",
            param="payment_method", save=True,
        )  # fmt: skip
    call.store.hide(body["id"], return_url=forms.text(call.params, "return_url"))
    if method["type"] == "us_bank_account":
        mandate = mandates.for_debit(call, body, method)
        if microdeposits.needed(call, body, method):
            return microdeposits.ask(call, body, method)
        return _finish(call, {**body, "mandate": mandates.activate(call, mandate)["id"]}, method)
    if customers.card_of(call, method).authenticate != "never":
        url = f"{call.base_url}/3d-secure/{body['id']}?client_secret={body['client_secret']}"
        return_url = forms.text(call.params, "return_url")
        if forms.boolean(call.params, "use_stripe_sdk") or not return_url:
            sdk = {"type": "three_d_secure_redirect", "stripe_js": f"{url}&mode=modal", "source": "src_standin"}
            body["next_action"] = {"type": "use_stripe_sdk", "use_stripe_sdk": sdk}
        else:
            redirect = {"return_url": return_url, "url": f"{url}&mode=redirect"}
            body["next_action"] = {"type": "redirect_to_url", "redirect_to_url": redirect}
        body["status"] = "requires_action"
        call.store.save(body)
        call.emit("setup_intent.requires_action", body)
        return body
    return _finish(call, body, method)


def verify_microdeposits(call: Call) -> Obj:
    """POST /v1/setup_intents/{intent}/verify_microdeposits"""
    body = _of_caller(call)
    microdeposits.check(call, body)
    method = customers.find_method(call, body["payment_method"])
    mandate = mandates.of_intent(call, body) or mandates.for_debit(call, body, method)
    return _finish(call, {**body, "mandate": mandates.activate(call, mandate)["id"]}, method)


def _finish(call: Call, body: Obj, method: Obj) -> Obj:
    card = customers.card_of(call, method) if method["type"] == "card" else None
    if card and card.decline and card.declines_on_attach:
        decline = card.decline
        error: Obj = {
            "code": decline.code, "doc_url": doc_url(decline.code), "message": decline.message,
            "payment_method": method, "type": "card_error",
        }  # fmt: skip
        if decline.decline_code:
            error["decline_code"] = decline.decline_code
        body.update(status="requires_payment_method", payment_method=None, last_setup_error=error)
        call.store.save(body)
        call.emit("setup_intent.setup_failed", body)
        raise ApiError(402, keep=True, **{**error, "setup_intent": body})
    body.update(status="succeeded", next_action=None)
    call.store.save(body)
    if body["customer"] and not method["customer"]:
        customers.attach(call, method, body["customer"])
    call.store.hide(method["id"], set_up=body["usage"] == "off_session")
    call.emit("setup_intent.succeeded", body)
    return body


def authenticate(call: Call, passed: bool) -> Obj:
    """The customer answered the 3-D Secure challenge of a card being saved."""
    body = _of_caller(call)
    if body["status"] != "requires_action":
        return body
    method = customers.find_method(call, body["payment_method"])
    if passed:
        return _finish(call, body, method)
    code = "setup_intent_authentication_failure"
    body.update(status="requires_payment_method", payment_method=None, next_action=None, last_setup_error={
        "code": code, "doc_url": doc_url(code), "message": FAILED_AUTHENTICATION, "payment_method": method,
        "type": "invalid_request_error",
    })  # fmt: skip
    call.store.save(body)
    call.emit("setup_intent.setup_failed", body)
    return body
