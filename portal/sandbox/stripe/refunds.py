"""Refunds (https://docs.stripe.com/refunds): up to what is left of a charge, at once or later, and failing later.

One of a bank debit that is still under way waits for it (``pending_reason: charge_pending``): it goes out when the
debit has succeeded, and is canceled when it fails, "because the money was never debited"
(https://support.stripe.com/questions/refunds-for-ach-direct-debit-payments).
"""

from __future__ import annotations

from dataclasses import replace

from portal.sandbox.stripe import disputes, forms, movements
from portal.sandbox.stripe.call import Call
from portal.sandbox.stripe.cards import BY_NUMBER
from portal.sandbox.stripe.errors import Obj, invalid
from portal.sandbox.stripe.objects import DAY

#: A pending refund succeeds, a failing one fails, this much later.
REFUND_MOVES_AFTER = 2 * DAY


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


def _amount(call: Call, charge: Obj) -> int:
    """Cents to give back: as asked, else all that is left; never more than is left of the charge."""
    unrefunded = charge["amount"] - charge["amount_refunded"]
    if unrefunded == 0:
        raise invalid(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded", save=True)
    left = max(0, unrefunded - disputes.withheld(call, charge["id"]))
    amount = forms.integer(call.params, "amount", left or unrefunded) or 0
    if amount < 1:
        raise invalid("Invalid positive integer", param="amount", code="parameter_invalid_integer")
    if amount > unrefunded:
        raise invalid(
            f"Refund amount (${amount / 100:,.2f}) is greater than unrefunded amount on charge "
            f"(${unrefunded / 100:,.2f})", param="amount", save=True,
        )  # fmt: skip
    if amount > left:
        raise invalid(f"Charge {charge['id']} has been charged back; cannot issue a refund.",
                      code="charge_disputed", save=True)  # fmt: skip
    return amount


def create(call: Call) -> Obj:
    """POST /v1/refunds"""
    charge = _charge_to_refund(call)
    by_card = charge["payment_method_details"]["type"] == "card"
    waits = charge["status"] == "pending" and not by_card
    if charge["status"] != "succeeded" and not waits:
        raise invalid(f"Charge {charge['id']} cannot be refunded: its status is {charge['status']}.", save=True)
    amount = _amount(call, charge)
    number = call.store.hidden(charge["payment_method"]).get("card")
    course = BY_NUMBER[number].refund if by_card and number in BY_NUMBER else "pending_then_succeeded"
    status = "pending" if course == "pending_then_succeeded" else "succeeded"
    body = movements.refund(charge, amount, forms.text(call.params, "reason"), status, call.now)
    body["metadata"] = forms.metadata(call.params, {})
    if waits:
        body["pending_reason"] = "charge_pending"
    else:
        _move(call, body)
    call.store.add(body)
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    call.store.save(charge)
    if course != "succeeded" and not waits:
        call.store.later(call.now + REFUND_MOVES_AFTER, course, body["id"])
    call.emit("refund.created", body)
    call.emit("charge.refunded", charge)
    if charge["refunded"]:
        disputes.settle_inquiry(call, charge["id"])
    return body


def _move(call: Call, body: Obj) -> None:
    """The refund's money leaves the account's balance."""
    kind = "refund" if "destination_details" in body else "payment_refund"
    moved = movements.balance_transaction(body["id"], kind, -body["amount"], 0, body["currency"], call.now,
                                          f"REFUND FOR {kind.partition('_')[0].upper()}")  # fmt: skip
    call.store.add(moved)
    body["balance_transaction"] = moved["id"]


def _waiting(call: Call, charge: Obj) -> list[Obj]:
    """The refunds that wait for a debit, oldest first."""
    made = call.store.every("refund", equal={"charge": charge["id"]})[0]
    return [one for one in reversed(made) if one.get("pending_reason") == "charge_pending"]


def debit_succeeded(call: Call, charge: Obj) -> None:
    """What waited for a bank debit goes out now."""
    for body in _waiting(call, charge):
        _move(call, body)
        body["pending_reason"] = "processing"
        call.store.save(body)
        call.store.later(call.now + REFUND_MOVES_AFTER, "pending_then_succeeded", body["id"])
        call.emit("refund.updated", body, {"balance_transaction": None, "pending_reason": "charge_pending"})


def debit_failed(call: Call, charge: Obj) -> None:
    """What waited for a bank debit is canceled: there is nothing to give back. The caller saves the charge."""
    for body in _waiting(call, charge):
        body["status"] = "canceled"
        body.pop("pending_reason")
        call.store.save(body)
        charge.update(amount_refunded=charge["amount_refunded"] - body["amount"], refunded=False)
        call.emit("refund.updated", body, {"pending_reason": "charge_pending", "status": "pending"})


def in_dashboard(call: Call, charge_id: str, amount: int | None) -> Obj:
    """``amount`` cents of a charge (None: all that is left), given back without a request of the merchant's."""
    params: Obj = {"charge": charge_id} if amount is None else {"charge": charge_id, "amount": str(amount)}
    return create(replace(call, params=params))


def finish(call: Call, refund_id: str) -> None:
    """A pending refund arrives; one that failed meanwhile stays failed."""
    body = call.get("refund", refund_id)
    if body["status"] != "pending":
        return
    body["status"] = "succeeded"
    body.pop("pending_reason", None)
    call.store.save(body)
    call.emit("refund.updated", body, {"status": "pending"})


def fail(call: Call, refund_id: str) -> Obj:
    """The payer's bank sends a refund back: the money returns to the account's balance.

    Raises ValueError for a refund that has failed already.
    """
    body = call.get("refund", refund_id)
    if body["status"] not in ("pending", "succeeded"):
        raise ValueError(f"refund {refund_id} is {body['status']}: it cannot fail")
    if body.get("pending_reason") == "charge_pending":
        raise ValueError(f"refund {refund_id} waits for its payment: it cannot fail before it went out")
    charge = call.get("charge", body["charge"])
    moved = movements.balance_transaction(
        body["id"], "refund_failure", body["amount"], 0, body["currency"], call.now, "REFUND FAILURE"
    )
    call.store.add(moved)
    previous = body["status"]
    body.update(status="failed", failure_reason="unknown", failure_balance_transaction=moved["id"])
    body.pop("pending_reason", None)
    call.store.save(body)
    charge["amount_refunded"] -= body["amount"]
    charge["refunded"] = False
    call.store.save(charge)
    call.emit("refund.updated", body, {"status": previous})
    call.emit("refund.failed", body)
    return body


def fail_by_card(call: Call, refund_id: str) -> None:
    """The timetable's failure of a test card's refund, unless it was made to fail before."""
    if call.get("refund", refund_id)["status"] == "succeeded":
        fail(call, refund_id)


def cancel(call: Call) -> Obj:
    """POST /v1/refunds/{refund}/cancel: only a refund that waits for the payer's details (``requires_action``) can be
    canceled, and cards and bank debits never make one."""
    body = call.get("refund", call.path["refund"])
    raise invalid(f"Refund {body['id']} cannot be canceled: its status is {body['status']}, and only a refund with a "
                  "status of requires_action can be.", save=True)  # fmt: skip


def retrieve(call: Call) -> Obj:
    """GET /v1/refunds/{refund}"""
    return call.get("refund", call.path["refund"])


def listing(call: Call) -> Obj:
    """GET /v1/refunds"""
    names = ("charge", "payment_intent")
    return call.page("refund", equal={name: forms.text(call.params, name) for name in names})
