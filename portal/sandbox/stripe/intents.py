"""PaymentIntents and what becomes of them (https://docs.stripe.com/payments/paymentintents/lifecycle).

Every status move happens in one function here, inside the request's transaction, so two tabs that confirm the
same intent cannot both charge: the second finds it succeeded and gets Stripe's 400.
"""

from __future__ import annotations

from portal.sandbox.stripe import charging, customers, debits, forms, microdeposits, objects
from portal.sandbox.stripe.call import Call
from portal.sandbox.stripe.cards import AUTHENTICATION_REQUIRED
from portal.sandbox.stripe.errors import Obj, doc_url, invalid, unexpected_state

#: https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts (USD)
SMALLEST, LARGEST = 50, 99_999_999

OPEN = ("requires_payment_method", "requires_confirmation", "requires_action")
CANCELABLE = (*OPEN, "requires_capture")
#: Methods that ``automatic_payment_methods`` offers, as if switched on in the Dashboard.
DASHBOARD_METHODS = ["card", "us_bank_account"]
#: Among the ones offered, none sends the customer to another page; yet Stripe asks for a return_url whenever
#: redirects are not ruled out, and so does the stand-in.
FAILED_AUTHENTICATION = (
    "We are unable to authenticate your payment method. "
    "Please choose a different payment method and try again."
)


def _amount(call: Call) -> int:
    amount = forms.integer(call.params, "amount")
    if amount is None:
        raise invalid("Missing required param: amount.", param="amount", code="parameter_missing")
    if amount < 1:
        raise invalid("This value must be greater than or equal to 1.", param="amount",
                      code="parameter_invalid_integer")  # fmt: skip
    if amount < SMALLEST:
        raise invalid("Amount must be at least $0.50 usd", param="amount", code="amount_too_small")
    if amount > LARGEST:
        raise invalid("Amount must be no more than $999,999.99", param="amount", code="amount_too_large")
    return amount


def _currency(call: Call) -> str:
    currency = (forms.text(call.params, "currency") or "").lower()
    if not currency:
        raise invalid("Missing required param: currency.", param="currency", code="parameter_missing")
    if currency != "usd":
        raise invalid(f"Invalid currency: {currency}. The stand-in takes usd only.", param="currency")
    return currency


def _method_types(call: Call, body: Obj) -> None:
    automatic = forms.mapping(call.params, "automatic_payment_methods")
    allowed = forms.items(call.params.get("allowed_payment_method_types"))
    listed = forms.items(call.params.get("payment_method_types"))
    excluded = forms.items(call.params.get("excluded_payment_method_types"))
    if listed and (automatic or allowed):
        raise invalid("You may only specify one of these parameters: automatic_payment_methods, "
                      "payment_method_types.", param="payment_method_types")  # fmt: skip
    if listed:
        body["payment_method_types"] = listed
        return
    if automatic and not forms.boolean(automatic, "enabled"):
        body["automatic_payment_methods"] = {"enabled": False}
    else:
        redirects = automatic.get("allow_redirects", "always")
        body["automatic_payment_methods"] = {"enabled": True, "allow_redirects": redirects}
    if allowed:
        body["allowed_payment_method_types"] = allowed
    if excluded:
        body["excluded_payment_method_types"] = excluded
    body["payment_method_types"] = [kind for kind in (allowed or DASHBOARD_METHODS) if kind not in excluded]


_UPDATABLE_TEXTS = ("description", "receipt_email", "statement_descriptor_suffix", "transfer_group")


def _change(call: Call, body: Obj) -> None:
    for name in _UPDATABLE_TEXTS:
        if name in call.params:
            body[name] = forms.text(call.params, name)
    if "setup_future_usage" in call.params:
        body["setup_future_usage"] = forms.text(call.params, "setup_future_usage")
    if customer_id := forms.text(call.params, "customer"):
        body["customer"] = customers.live_customer(call, customer_id)["id"]
    microdeposits.take_options(call, body)
    body["metadata"] = forms.metadata(call.params, body["metadata"])


def _choose_method(call: Call, body: Obj) -> None:
    """Takes the payment method that the request names or describes, if it does."""
    if data := forms.mapping(call.params, "payment_method_data"):
        method = customers.make_method(call, data)
    elif named := forms.text(call.params, "payment_method"):
        method = customers.find_method(call, named)
    else:
        return
    if method["type"] not in body["payment_method_types"]:
        raise invalid(
            f"The PaymentMethod provided ({method['type']}) is not allowed for this PaymentIntent. Please attach a "
            f"PaymentMethod of one of the following types: {', '.join(body['payment_method_types'])}.",
            save=True,
        )
    if method["customer"] and method["customer"] != body["customer"]:
        raise invalid(
            f"The provided PaymentMethod {method['id']} belongs to another Customer than this PaymentIntent.",
            param="payment_method", save=True,
        )  # fmt: skip
    facts = call.store.hidden(method["id"])
    if not method["customer"] and (facts.get("detached") or facts.get("used", body["id"]) != body["id"]):
        raise invalid(
            "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment, "
            "shared with a connected account without Customer attachment, or was detached from a Customer. It may "
            "not be used again. To use a PaymentMethod multiple times, you must attach it to a Customer first.",
            save=True,
        )
    call.store.hide(method["id"], used=body["id"])
    body["payment_method"] = method["id"]
    if body["status"] == "requires_payment_method":
        body["status"] = "requires_confirmation"


def create(call: Call) -> Obj:
    """POST /v1/payment_intents"""
    body = objects.payment_intent(_amount(call), _currency(call), call.now)
    if method := forms.text(call.params, "capture_method"):
        if method == "manual":
            raise invalid("The stand-in captures at once: capture_method manual is not simulated.",
                          param="capture_method")  # fmt: skip
        body["capture_method"] = method
    confirm_now = forms.boolean(call.params, "confirm")
    if not confirm_now and ("off_session" in call.params or "return_url" in call.params):
        raise invalid("You must set confirm=true to use off_session or return_url.", param="confirm")
    _method_types(call, body)
    _change(call, body)
    call.store.add(body)
    _choose_method(call, body)
    call.store.save(body)
    call.emit("payment_intent.created", body)
    return _confirm(call, body) if confirm_now else body


def _of_caller(call: Call) -> Obj:
    body = call.get("payment_intent", call.path["intent"], "intent")
    secret = forms.text(call.params, "client_secret")
    if (call.public or secret) and secret != body["client_secret"]:
        raise invalid("The client_secret provided does not match the client_secret associated with this "
                      "PaymentIntent.", param="client_secret", code="payment_intent_invalid_parameter")  # fmt: skip
    return body


def retrieve(call: Call) -> Obj:
    """GET /v1/payment_intents/{intent}"""
    return _of_caller(call)


def listing(call: Call) -> Obj:
    """GET /v1/payment_intents"""
    return call.page("payment_intent", equal={"customer": forms.text(call.params, "customer")})


def update(call: Call) -> Obj:
    """POST /v1/payment_intents/{intent}: the amount and the method only while nothing is under way."""
    body = _of_caller(call)
    settled = body["status"] not in OPEN
    for name in ("amount", "currency", "payment_method", "payment_method_data", "customer", "setup_future_usage"):
        if settled and name in call.params:
            raise unexpected_state(
                f"This PaymentIntent's {name} could not be updated because it has a status of {body['status']}. You "
                f"may only update the {name} of a PaymentIntent with one of the following statuses: "
                f"{', '.join(OPEN)}.", body,
            )  # fmt: skip
    if "amount" in call.params:
        body["amount"] = _amount(call)
    _change(call, body)
    _choose_method(call, body)
    return call.store.save(body)


def cancel(call: Call) -> Obj:
    """POST /v1/payment_intents/{intent}/cancel"""
    body = _of_caller(call)
    under_way = debits.cancelable(call, body)
    if body["status"] not in CANCELABLE and not under_way:
        raise unexpected_state(
            f"You cannot cancel this PaymentIntent because it has a status of {body['status']}. Only a PaymentIntent "
            f"with one of the following statuses may be canceled: {', '.join(CANCELABLE)}.", body,
        )  # fmt: skip
    body.update(
        status="canceled", canceled_at=call.now, next_action=None,
        cancellation_reason=forms.text(call.params, "cancellation_reason"),
    )  # fmt: skip
    call.store.save(body)
    if under_way:
        debits.stop(call, body)
    call.emit("payment_intent.canceled", body)
    return body


def confirm(call: Call) -> Obj:
    """POST /v1/payment_intents/{intent}/confirm"""
    body = _of_caller(call)
    if body["status"] not in OPEN:
        if body["status"] == "succeeded":
            why = "it has already succeeded after being previously confirmed."
        else:
            why = f"it has a status of {body['status']}."
        raise unexpected_state(f"You cannot confirm this PaymentIntent because {why}", body)
    return _confirm(call, body)


def _confirm(call: Call, body: Obj) -> Obj:
    _choose_method(call, body)
    if not body["payment_method"]:
        raise unexpected_state(
            "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update the "
            "PaymentIntent with a payment method and then confirm it again, or confirm it again directly with a "
            "payment method or ConfirmationToken.", body,
        )  # fmt: skip
    for name in ("receipt_email", "setup_future_usage"):
        if name in call.params:
            body[name] = forms.text(call.params, name)
    microdeposits.take_options(call, body)
    return_url = forms.text(call.params, "return_url")
    automatic = body["automatic_payment_methods"] or {}
    redirects = automatic.get("enabled") and automatic.get("allow_redirects") != "never"
    if redirects and not return_url and not body["allowed_payment_method_types"]:
        raise invalid(
            "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. Because some of "
            "these payment methods might redirect your customer off of your page, you must provide a `return_url`. "
            "If you don't want to accept redirect-based payment methods, set "
            "`automatic_payment_methods[enabled]` to `true` and `automatic_payment_methods[allow_redirects]` to "
            "`never` when creating Setup Intents and Payment Intents.",
            param="return_url", save=True,
        )  # fmt: skip
    call.store.hide(body["id"], return_url=return_url)
    body.update(last_payment_error=None, next_action=None)
    method = customers.find_method(call, body["payment_method"])
    if method["type"] == "us_bank_account":
        return debits.debit(call, body, method)
    return _charge_card(call, body, method, return_url)


def _charge_card(call: Call, body: Obj, method: Obj, return_url: str | None) -> Obj:
    card = customers.card_of(call, method)
    off_session = call.params.get("off_session", "false") not in ("false", "")
    set_up = off_session and call.store.hidden(method["id"]).get("set_up")
    asks = {
        "never": False, "always": True, "unless_set_up": not set_up, "on_session": not off_session,
    }  # fmt: skip
    if asks[card.authenticate]:
        if off_session:
            raise charging.decline(call, body, method, AUTHENTICATION_REQUIRED, authenticated=False)
        return _require_action(call, body, return_url)
    if card.decline:
        raise charging.decline(call, body, method, card.decline, authenticated=False)
    return charging.succeed(call, body, method, authenticated=False)


def _require_action(call: Call, body: Obj, return_url: str | None) -> Obj:
    url = f"{call.base_url}/3d-secure/{body['id']}?client_secret={body['client_secret']}"
    if forms.boolean(call.params, "use_stripe_sdk") or not return_url:
        sdk = {"type": "three_d_secure_redirect", "stripe_js": f"{url}&mode=modal", "source": "src_standin"}
        body["next_action"] = {"type": "use_stripe_sdk", "use_stripe_sdk": sdk}
    else:
        redirect = {"return_url": return_url, "url": f"{url}&mode=redirect"}
        body["next_action"] = {"type": "redirect_to_url", "redirect_to_url": redirect}
    body["status"] = "requires_action"
    call.store.save(body)
    call.emit("payment_intent.requires_action", body)
    return body


def authenticate(call: Call, passed: bool) -> Obj:
    """The customer answered the 3-D Secure challenge; the intent succeeds, is declined, or waits for another card.

    An intent that is no longer waiting is returned as it is: a second press of the button changes nothing.
    """
    body = _of_caller(call)
    if body["status"] != "requires_action":
        return body
    body["next_action"] = None
    method = customers.find_method(call, body["payment_method"])
    if not passed:
        code = "payment_intent_authentication_failure"
        body.update(status="requires_payment_method", payment_method=None, last_payment_error={
            "code": code, "doc_url": doc_url(code), "message": FAILED_AUTHENTICATION, "payment_method": method,
            "type": "invalid_request_error",
        })  # fmt: skip
        call.store.save(body)
        call.emit("payment_intent.payment_failed", body)
        return body
    card = customers.card_of(call, method)
    if card.decline:
        charging.decline(call, body, method, card.decline, authenticated=True)
        return body
    return charging.succeed(call, body, method, authenticated=True)


def verify_microdeposits(call: Call) -> Obj:
    """POST /v1/payment_intents/{intent}/verify_microdeposits"""
    body = _of_caller(call)
    microdeposits.check(call, body)
    return debits.go_on(call, body)


def forget(call: Call, intent_id: str) -> Obj:
    """The intent is gone without a word, as with deleted test data: asked for it, Stripe answers 404.

    Raises ValueError for one that holds money, or that money is on its way for: Stripe keeps those.
    """
    body = call.get("payment_intent", intent_id)
    if body["status"] in ("processing", "succeeded", "requires_capture"):
        raise ValueError(f"payment intent {intent_id} is {body['status']}: it is not forgotten")
    call.store.forget(intent_id)
    return body
