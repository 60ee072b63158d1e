"""Verification of a bank account by micro-deposits (https://docs.stripe.com/payments/ach-direct-debit).

An account whose number was typed in is verified by what Stripe sends to it: two amounts, or one cent with a code.
The same for payment and setup intents.
"""

from __future__ import annotations

from portal.sandbox.stripe import forms, mandates
from portal.sandbox.stripe.call import Call
from portal.sandbox.stripe.cards import BANK_BY_ACCOUNT
from portal.sandbox.stripe.errors import ApiError, Obj, doc_url, invalid, unexpected_state
from portal.sandbox.stripe.objects import DAY

#: The deposits arrive this much later (one to two business days), and can be named until this much later.
ARRIVE_AFTER, VERIFY_WITHIN = DAY, 10 * DAY
#: Wrong answers that are allowed, by what was sent.
ATTEMPTS = {"amounts": 3, "descriptor_code": 10}
#: The test values (https://docs.stripe.com/payments/ach-direct-debit/accept-a-payment#test): right, exceeding, late.
VERIFYING = ((32, 45), "SM11AA")
EXCEEDING = ((10, 11), "SM33CC")
LATE = ((40, 41), "SM44DD")

_CODE = "payment_method_microdeposit_"
_MESSAGES = {
    "failed": "The microdeposits could not be sent to the customer's bank account. Check the account and routing "
              "numbers.",
    "verification_amounts_invalid": "You must provide exactly two microdeposit amounts.",
    "verification_amounts_mismatch": "The amounts provided do not match the amounts that were sent to the bank "
                                     "account.",
    "verification_descriptor_code_mismatch": "The verification code provided does not match the one sent to the bank "
                                             "account.",
    "verification_attempts_exceeded": "You have exceeded the number of allowed verification attempts.",
    "verification_timeout": "The bank account was not verified with microdeposits within the required period.",
}  # fmt: skip
_KIND_OF_ERROR = {"payment_intent": "last_payment_error", "setup_intent": "last_setup_error"}
_EVENT = {"payment_intent": "payment_intent.payment_failed", "setup_intent": "setup_intent.setup_failed"}


def take_options(call: Call, body: Obj) -> None:
    """Keeps ``payment_method_options[us_bank_account][verification_method]`` with the intent."""
    given = forms.mapping(forms.mapping(call.params, "payment_method_options"), "us_bank_account")
    if wanted := forms.text(given, "verification_method"):
        options = body["payment_method_options"] or {}
        body["payment_method_options"] = {**options, "us_bank_account": {"verification_method": wanted}}


def needed(call: Call, body: Obj, method: Obj) -> bool:
    """Whether the account must be verified first; raises Stripe's 400 where the intent allows no micro-deposits."""
    if call.store.hidden(method["id"]).get("verified", True):
        return False
    options = (body["payment_method_options"] or {}).get("us_bank_account", {})
    if options.get("verification_method") == "instant":
        raise invalid(
            "This bank account cannot be verified at once: its number was typed in, and the intent's "
            "verification_method is instant.", param="payment_method", save=True,
        )  # fmt: skip
    return True


def ask(call: Call, body: Obj, method: Obj) -> Obj:
    """Sends the deposits and lets the intent wait for them. A savings account gets two amounts, another one a code."""
    kind = "amounts" if method["us_bank_account"]["account_type"] == "savings" else "descriptor_code"
    until = call.now + VERIFY_WITHIN
    body["status"] = "requires_action"
    body["next_action"] = {"type": "verify_with_microdeposits", "verify_with_microdeposits": {
        "arrival_date": call.now + ARRIVE_AFTER,
        "hosted_verification_url": f"{call.base_url}/microdeposits/{body['id']}?client_secret={body['client_secret']}",
        "microdeposit_type": kind,
    }}  # fmt: skip
    call.store.save(body)
    call.store.hide(body["id"], wrong_answers=0, verify_until=until)
    if BANK_BY_ACCOUNT[call.store.hidden(method["id"])["bank"]].deposits_fail:
        call.store.later(call.now + ARRIVE_AFTER, "microdeposits_fail", body["id"])
    call.store.later(until, "microdeposits_time_out", body["id"])
    call.emit(f"{body['object']}.requires_action", body)
    return body


def _waiting(body: Obj) -> bool:
    return body["status"] == "requires_action" and body["next_action"]["type"] == "verify_with_microdeposits"


def _error(name: str, **more: Obj) -> Obj:
    code = _CODE + name
    return {"type": "invalid_request_error", "code": code, "doc_url": doc_url(code), "message": _MESSAGES[name], **more}


def _give_up(call: Call, body: Obj, name: str) -> None:
    method = call.get("payment_method", body["payment_method"])
    body.update(status="requires_payment_method", payment_method=None, next_action=None)
    body[_KIND_OF_ERROR[body["object"]]] = _error(name, payment_method=method)
    call.store.save(body)
    mandates.end(call, call.store.hidden(body["id"]).get("mandate"))
    call.emit(_EVENT[body["object"]], body)


def _answer(call: Call) -> tuple[int, ...] | str:
    amounts, code = forms.items(call.params.get("amounts")), forms.text(call.params, "descriptor_code")
    if bool(amounts) == bool(code):
        raise invalid("You must provide either amounts or descriptor_code to verify microdeposits.")
    if code:
        return code.upper()
    given = [forms.integer({"amounts": one}, "amounts") or 0 for one in amounts]
    if len(given) != 2:
        raise ApiError(400, **_error("verification_amounts_invalid"))
    return tuple(sorted(given))


def check(call: Call, body: Obj) -> None:
    """Returns when the request names what was sent, and the account is verified; else raises Stripe's 400.

    Too many wrong answers, and the test values for that and for an answer that comes too late, end the wait: the
    intent needs another payment method.
    """
    if not _waiting(body):
        name = "setup_intent" if body["object"] == "setup_intent" else "payment_intent"
        error = unexpected_state(f"This intent does not wait for microdeposits: its status is {body['status']}.", body,
                                 f"{name}_unexpected_state")  # fmt: skip
        error.error[name] = error.error.pop("payment_intent")
        raise error
    answer = _answer(call)
    if answer in VERIFYING:
        call.store.hide(body["payment_method"], verified=True)
        body["next_action"] = None
        return
    wrong = call.store.hidden(body["id"]).get("wrong_answers", 0) + 1
    call.store.hide(body["id"], wrong_answers=wrong)
    kind = "descriptor_code" if isinstance(answer, str) else "amounts"
    if answer in LATE:
        name = "verification_timeout"
    elif answer in EXCEEDING or wrong >= ATTEMPTS[kind]:
        name = "verification_attempts_exceeded"
    else:
        raise ApiError(400, keep=True, **_error(f"verification_{kind}_mismatch"))
    _give_up(call, body, name)
    raise ApiError(400, keep=True, **{**_error(name), body["object"]: body})


# What becomes of a waiting intent by itself


def _intent(call: Call, intent_id: str) -> Obj:
    return call.get("setup_intent" if intent_id.startswith("seti_") else "payment_intent", intent_id)


def fail(call: Call, intent_id: str) -> None:
    """The deposits came back: there is no such account."""
    body = _intent(call, intent_id)
    if _waiting(body):
        _give_up(call, body, "failed")


def time_out(call: Call, intent_id: str) -> None:
    """Nobody named the deposits in time; an intent that waits for later ones goes on waiting."""
    body = _intent(call, intent_id)
    if _waiting(body) and call.store.hidden(intent_id)["verify_until"] <= call.now:
        _give_up(call, body, "verification_timeout")
