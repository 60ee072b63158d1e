"""US bank account debits (https://docs.stripe.com/payments/ach-direct-debit): agreed to, verified, processing for
days, then succeeded or failed - and sometimes returned even later.
"""

from __future__ import annotations

from typing import Any

from portal.sandbox.stripe import charging, mandates, microdeposits, objects, refunds
from portal.sandbox.stripe.call import Call
from portal.sandbox.stripe.cards import BANK_BY_ACCOUNT, TestBank
from portal.sandbox.stripe.errors import Obj, doc_url

#: A debit succeeds or fails this much later.
SETTLES_AFTER = 4 * objects.DAY
#: A debit that succeeded is returned this much later, when its money may have been paid out.
RETURNED_AFTER = 3 * objects.DAY


def _bank_of(call: Call, method_id: str) -> TestBank:
    return BANK_BY_ACCOUNT[call.store.hidden(method_id)["bank"]]


def debit(call: Call, body: Obj, method: Obj) -> Obj:
    """Confirms a payment intent with a bank account: under way, or waiting for the account's verification."""
    mandate = mandates.for_debit(call, body, method)
    if microdeposits.needed(call, body, method):
        return microdeposits.ask(call, body, method)
    return _submit(call, body, method, mandate)


def go_on(call: Call, body: Obj) -> Obj:
    """The account is verified: the debit that waited for it is under way."""
    method = call.get("payment_method", body["payment_method"])
    return _submit(call, body, method, mandates.of_intent(call, body) or mandates.for_debit(call, body, method))


def _submit(call: Call, body: Obj, method: Obj, mandate: Obj) -> Obj:
    mandates.activate(call, mandate)
    charge = objects.charge(body, method, now=call.now, decline=None, authenticated=False, card=None, pending=True)
    charge.update(paid=False)
    charge["payment_method_details"]["us_bank_account"]["mandate"] = mandate["id"]
    call.store.add(charge)
    body.update(status="processing", latest_charge=charge["id"])
    call.store.save(body)
    charging.keep_method(call, body, method)
    if not _bank_of(call, method["id"]).never_settles:
        call.store.later(call.now + SETTLES_AFTER, "settle_debit", body["id"])
    call.emit("charge.pending", charge)
    call.emit("payment_intent.processing", body)
    return body


def cancelable(call: Call, body: Obj) -> bool:
    """Whether a debit under way can still be stopped: the bank has not taken it up (one test account's never does)."""
    return body["status"] == "processing" and _bank_of(call, body["payment_method"]).never_settles


def stop(call: Call, body: Obj) -> None:
    """Takes a debit back before the bank has it."""
    charge = call.get("charge", body["latest_charge"])
    charge.update(status="failed", captured=False, amount_captured=0)
    refunds.debit_failed(call, charge)
    call.store.save(charge)
    call.emit("charge.failed", charge)


def settle(call: Call, intent_id: str) -> None:
    """The bank answered: a debit under way succeeds or fails."""
    body = call.get("payment_intent", intent_id)
    if body["status"] != "processing":
        return
    charge = call.get("charge", body["latest_charge"])
    method = call.get("payment_method", body["payment_method"])
    bank = _bank_of(call, method["id"])
    if bank.failure is None:
        charging.settle_charge(call, charge, "us_bank_account")
        charge.update(paid=True)
        call.store.save(charge)
        body.update(status="succeeded", amount_received=body["amount"])
        call.store.save(body)
        if bank.returned:
            call.store.later(call.now + RETURNED_AFTER, "dispute_returned", charge["id"])
        call.emit("charge.succeeded", charge)
        call.emit("payment_intent.succeeded", body)
        refunds.debit_succeeded(call, charge)
        return
    failure = bank.failure
    charge.update(
        status="failed", captured=False, amount_captured=0, failure_code=failure.code,
        failure_message=failure.message, outcome=objects.outcome(failure),
    )  # fmt: skip
    refunds.debit_failed(call, charge)
    call.store.save(charge)
    error: dict[str, Any] = {
        "charge": charge["id"], "code": failure.code, "doc_url": doc_url(failure.code), "message": failure.message,
        "payment_method": method, "type": "invalid_request_error",
    }  # fmt: skip
    body.update(status="requires_payment_method", payment_method=None, last_payment_error=error)
    call.store.save(body)
    call.emit("charge.failed", charge)
    call.emit("payment_intent.payment_failed", body)
