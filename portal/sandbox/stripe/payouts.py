"""Payouts (https://docs.stripe.com/payouts): once a day what is available goes to the account's bank.

Each balance transaction goes into one payout, kept among its hidden facts; the payout's amount is the sum of their
nets. A sum of nothing or less is carried to the next day.
"""

from __future__ import annotations

from portal.sandbox.stripe import forms, movements
from portal.sandbox.stripe.call import Call
from portal.sandbox.stripe.errors import Obj, missing
from portal.sandbox.stripe.objects import DAY

_NEXT = "next_payout"
_UNPAID = "kind = 'balance_transaction' AND json_extract(hidden, '$.payout') IS NULL"


def next_at(call: Call) -> int:
    """When the next daily payout is made: midnight UTC, first the one after the stand-in (or its store) is new."""
    kept = call.store.setting(_NEXT)
    if kept is None:
        kept = str((call.now // DAY + 1) * DAY)
        call.store.set(_NEXT, kept)
    return int(kept)


def daily(call: Call) -> None:
    """Makes the day's payout and sets the time of the next."""
    call.store.set(_NEXT, str(next_at(call) + DAY))
    pay_out(call)


def pay_out(call: Call) -> Obj | None:
    """Sends all that is available to the bank; None when that is nothing or a debt."""
    found = call.store.rows(
        f"SELECT id, json_extract(body, '$.net') FROM objects WHERE {_UNPAID} "
        "AND json_extract(body, '$.available_on') <= ? ORDER BY seq", call.now,
    )  # fmt: skip
    amount = sum(net for _, net in found)
    if amount <= 0:
        return None
    body = movements.payout(amount, call.now)
    moved = movements.balance_transaction(body["id"], "payout", -amount, 0, "usd", call.now, "STRIPE PAYOUT")
    body["balance_transaction"] = moved["id"]
    call.store.add(body)
    call.store.add(moved)
    for one in (*(one for one, _ in found), moved["id"]):
        call.store.hide(one, payout=body["id"])
    call.store.later(body["arrival_date"], "payout_arrives", body["id"])
    call.emit("payout.created", body)
    body["reconciliation_status"] = "completed"
    call.store.save(body)
    call.emit("payout.updated", body, {"reconciliation_status": "in_progress"})
    call.emit("payout.reconciliation_completed", body)
    return body


def arrive(call: Call, payout_id: str) -> None:
    """The bank has the money; a payout that failed meanwhile stays failed."""
    body = call.get("payout", payout_id)
    if body["status"] != "in_transit":
        return
    body.update(status="paid", trace_id=movements.trace_id())
    call.store.save(body)
    call.emit("payout.paid", body)


def fail(call: Call, payout_id: str) -> Obj:
    """The bank sends a payout back, before or after it arrived: its money is in the balance again.

    Raises ValueError for one that has failed already.
    """
    body = call.get("payout", payout_id)
    if body["status"] not in ("in_transit", "paid"):
        raise ValueError(f"payout {payout_id} is {body['status']}: it cannot fail")
    moved = movements.balance_transaction(
        body["id"], "payout_failure", body["amount"], 0, "usd", call.now, "REFUND FOR PAYOUT (STRIPE PAYOUT)"
    )
    call.store.add(moved)
    body.update(
        status="failed", failure_balance_transaction=moved["id"], failure_code="account_closed",
        failure_message="The bank account has been closed.",
    )  # fmt: skip
    call.store.save(body)
    call.emit("payout.failed", body)
    return body


def adjust(call: Call, amount: int) -> Obj:
    """Stripe corrects the balance of its own accord, by cents that may be less than nothing; of no payment.

    https://docs.stripe.com/reports/balance-transaction-types (``adjustment``). Raises ValueError for nothing.
    """
    if not amount:
        raise ValueError("an adjustment of nothing")
    moved = movements.balance_transaction(None, "adjustment", amount, 0, "usd", call.now, "Adjustment")
    call.store.add(moved)
    return moved


# The API (https://docs.stripe.com/api/payouts)


def retrieve(call: Call) -> Obj:
    """GET /v1/payouts/{payout}"""
    return call.get("payout", call.path["payout"])


def listing(call: Call) -> Obj:
    """GET /v1/payouts"""
    where, values = forms.compared(call.params, "arrival_date")
    equal = {name: forms.text(call.params, name) for name in ("status", "destination")}
    clauses = [f"json_extract(body, '$.arrival_date') {sign} ?" for sign in where]
    return call.page("payout", equal=equal, where=" AND ".join(clauses), where_values=values)


def transactions_of(call: Call, payout_id: str) -> tuple[str, tuple[str, ...]]:
    """The condition by which ``/v1/balance_transactions?payout=`` finds a payout's own and all it holds."""
    if call.store.find("payout", payout_id) is None:
        raise missing("payout", payout_id, "payout")
    return "json_extract(hidden, '$.payout') = ?", (payout_id,)
