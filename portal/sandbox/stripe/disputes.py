"""Disputes and inquiries (https://docs.stripe.com/disputes): the payer's bank takes a payment back, or asks about it.

A dispute takes its amount and a fee off the balance when it opens, and gives the amount back when it is won. An
inquiry moves nothing. A bank debit's dispute is final: it is lost as it opens.
"""

from __future__ import annotations

from datetime import UTC, datetime

from portal.sandbox.stripe import forms, movements
from portal.sandbox.stripe.call import Call
from portal.sandbox.stripe.errors import Obj, invalid
from portal.sandbox.stripe.objects import DAY

#: Time to answer: the issuer's rules give 7 to 21 days (https://docs.stripe.com/disputes/responding).
DAYS_TO_ANSWER = 14
#: An inquiry that was not escalated by then is closed (https://docs.stripe.com/disputes/how-disputes-work#inquiries).
INQUIRY_CLOSES_AFTER = 120 * DAY
#: Evidence text that decides a test dispute (https://docs.stripe.com/testing#disputes).
WINNING, LOSING = "winning_evidence", "losing_evidence"

ANSWERABLE = ("needs_response", "under_review", "warning_needs_response", "warning_under_review")
_INQUIRY = ("warning_needs_response", "warning_under_review")


def _due_by(now: int) -> int:
    """The last second of the day on which the time to answer ends."""
    day = datetime.fromtimestamp(now + DAYS_TO_ANSWER * DAY, UTC).replace(hour=23, minute=59, second=59)
    return int(day.timestamp())


def _of_charge(call: Call, charge_id: str) -> list[Obj]:
    return call.store.every("dispute", equal={"charge": charge_id})[0]


def withheld(call: Call, charge_id: str) -> int:
    """Cents of a charge that open and lost disputes hold back from refunds; inquiries and won disputes hold none."""
    return sum(
        one["amount"] for one in _of_charge(call, charge_id)
        if one["status"] in ("needs_response", "under_review", "lost")
    )  # fmt: skip


def _move(call: Call, body: Obj, amount: int, fee: int, category: str, what: str) -> None:
    moved = movements.balance_transaction(
        body["id"], "adjustment", amount, fee, body["currency"], call.now, f"Chargeback {what} for {body['charge']}",
        category=category, fee_description="Dispute fee",
    )  # fmt: skip
    call.store.add(moved)
    body["balance_transactions"].append(moved)


def _withdraw(call: Call, body: Obj) -> None:
    _move(call, body, -body["amount"], movements.DISPUTE_FEE, "dispute", "withdrawal")
    call.store.save(body)
    call.emit("charge.dispute.funds_withdrawn", body)


def _escalate(call: Call, body: Obj) -> Obj:
    """The bank that asked now takes the money back."""
    previous = {"status": body["status"], "is_charge_refundable": True}
    body.update(status="needs_response", is_charge_refundable=False)
    body["evidence_details"]["due_by"] = _due_by(call.now)
    body["payment_method_details"]["card"]["case_type"] = "chargeback"
    call.store.save(body)
    call.store.later(body["evidence_details"]["due_by"] + 1, "dispute_overdue", body["id"])
    call.emit("charge.dispute.updated", body, previous)
    _withdraw(call, body)
    return body


def open_one(call: Call, charge_id: str, reason: str, amount: int | None, *, inquiry: bool = False) -> Obj:
    """The payer's bank disputes a succeeded charge, or all that is left of it.

    An open inquiry of the charge becomes the dispute. Raises ValueError where there is nothing left to dispute, or
    for an inquiry about a bank debit, which banks do not make.
    """
    charge = call.get("charge", charge_id)
    if charge["status"] != "succeeded":
        raise ValueError(f"charge {charge_id} is {charge['status']}: only a succeeded one can be disputed")
    asked = [one for one in _of_charge(call, charge_id) if one["status"] in _INQUIRY]
    if asked and not inquiry:
        left = _checked(call, charge, amount)
        return _escalate(call, {**asked[0], "reason": reason, "amount": amount or min(left, asked[0]["amount"])})
    if asked:
        raise ValueError(f"charge {charge_id} has an open inquiry")
    by_card = charge["payment_method_details"]["type"] == "card"
    if inquiry and not by_card:
        raise ValueError(f"charge {charge_id} is a bank debit: banks dispute these without an inquiry")
    body = movements.dispute(
        charge, _checked(call, charge, amount), reason, inquiry=inquiry,
        due_by=_due_by(call.now) if by_card else None, now=call.now,
    )  # fmt: skip
    call.store.add(body)
    charge["disputed"] = True
    call.store.save(charge)
    if not by_card:
        body["status"] = "lost"
    elif inquiry:
        call.store.later(call.now + INQUIRY_CLOSES_AFTER, "inquiry_ends", body["id"])
    else:
        call.store.later(body["evidence_details"]["due_by"] + 1, "dispute_overdue", body["id"])
    call.store.save(body)
    call.emit("charge.dispute.created", body)
    if not inquiry:
        _withdraw(call, body)
    if not by_card:
        call.emit("charge.dispute.closed", body)
    return body


def _checked(call: Call, charge: Obj, amount: int | None) -> int:
    left = int(charge["amount"] - charge["amount_refunded"] - withheld(call, charge["id"]))
    if left <= 0:
        raise ValueError(f"nothing is left of charge {charge['id']} to dispute")
    if amount is not None and not 0 < amount <= left:
        raise ValueError(f"{amount} cents cannot be disputed: {left} are left of charge {charge['id']}")
    return left if amount is None else amount


def decide(call: Call, dispute_id: str, *, won: bool) -> Obj:
    """The bank decides: a dispute is won or lost, an inquiry is closed. Raises ValueError for a closed one."""
    body = call.get("dispute", dispute_id)
    if body["status"] not in ANSWERABLE:
        raise ValueError(f"dispute {dispute_id} is closed: {body['status']}")
    if body["status"] in _INQUIRY:
        body["status"] = "warning_closed"
    else:
        body["status"] = "won" if won else "lost"
        if won:
            _move(call, body, body["amount"], 0, "dispute_reversal", "reversal")
    call.store.save(body)
    if body["status"] == "won":
        call.emit("charge.dispute.funds_reinstated", body)
    call.emit("charge.dispute.closed", body)
    return body


def settle_inquiry(call: Call, charge_id: str) -> None:
    """The charge was refunded in full: its inquiry has no object any more and is closed."""
    for one in _of_charge(call, charge_id):
        if one["status"] in _INQUIRY:
            decide(call, one["id"], won=True)


# What becomes of disputes by themselves


def overdue(call: Call, dispute_id: str) -> None:
    """The time to answer has passed: a dispute nobody answered is lost."""
    if call.get("dispute", dispute_id)["status"] == "needs_response":
        decide(call, dispute_id, won=False)


def inquiry_ends(call: Call, dispute_id: str) -> None:
    """An inquiry that the bank did not escalate is closed."""
    if call.get("dispute", dispute_id)["status"] in _INQUIRY:
        decide(call, dispute_id, won=True)


def judge(call: Call, dispute_id: str) -> None:
    """The test evidence decides a dispute that is still open."""
    body = call.get("dispute", dispute_id)
    if body["status"] in ANSWERABLE:
        decide(call, dispute_id, won=body["evidence"]["uncategorized_text"] == WINNING)


def open_fraudulent(call: Call, charge_id: str) -> None:
    """The payer says the payment was not theirs."""
    _open_if_left(call, charge_id, "fraudulent", inquiry=False)


def open_not_received(call: Call, charge_id: str) -> None:
    """The payer says that nothing was received."""
    _open_if_left(call, charge_id, "product_not_received", inquiry=False)


def open_asked(call: Call, charge_id: str) -> None:
    """The payer's bank asks about the payment."""
    _open_if_left(call, charge_id, "fraudulent", inquiry=True)


def open_returned(call: Call, charge_id: str) -> None:
    """The payer's bank returns a debit that had succeeded."""
    _open_if_left(call, charge_id, "debit_not_authorized", inquiry=False)


def _open_if_left(call: Call, charge_id: str, reason: str, *, inquiry: bool) -> None:
    charge = call.get("charge", charge_id)
    if charge["amount_refunded"] < charge["amount"] and not charge["disputed"]:
        open_one(call, charge_id, reason, None, inquiry=inquiry)


# The API (https://docs.stripe.com/api/disputes)


def retrieve(call: Call) -> Obj:
    """GET /v1/disputes/{dispute}"""
    return call.get("dispute", call.path["dispute"])


def listing(call: Call) -> Obj:
    """GET /v1/disputes"""
    names = ("charge", "payment_intent")
    return call.page("dispute", equal={name: forms.text(call.params, name) for name in names})


def _open_for_answer(call: Call) -> Obj:
    body = call.get("dispute", call.path["dispute"])
    if body["status"] not in ANSWERABLE:
        raise invalid("This dispute is already closed", save=True)
    return body


def update(call: Call) -> Obj:
    """POST /v1/disputes/{dispute}: evidence goes to the bank at once unless ``submit`` is false."""
    body = call.get("dispute", call.path["dispute"])
    body["metadata"] = forms.metadata(call.params, body["metadata"])
    evidence = forms.mapping(call.params, "evidence")
    if not evidence and "submit" not in call.params:
        return call.store.save(body)
    body = {**_open_for_answer(call), "metadata": body["metadata"]}
    if body["evidence_details"]["submission_count"]:
        raise invalid("Evidence for this dispute has already been submitted.", save=True)
    for name, value in evidence.items():
        if name in movements.EVIDENCE:
            body["evidence"][name] = value or None
    details = body["evidence_details"]
    details["has_evidence"] = any(body["evidence"][name] for name in movements.EVIDENCE)
    previous = body["status"]
    if forms.boolean(call.params, "submit", True):
        details["submission_count"] += 1
        body["status"] = "warning_under_review" if previous in _INQUIRY else "under_review"
        if body["evidence"]["uncategorized_text"] in (WINNING, LOSING):
            call.store.later(call.now, "dispute_judged", body["id"])
    call.store.save(body)
    call.emit("charge.dispute.updated", body, {"status": previous} if body["status"] != previous else {})
    return body


def close(call: Call) -> Obj:
    """POST /v1/disputes/{dispute}/close: the account concedes; a dispute is lost for good, an inquiry closed."""
    return decide(call, _open_for_answer(call)["id"], won=False)
