"""Payouts of the Stripe stand-in: every cent of the balance reaches the bank once, by the day."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
import stripe

from portal.sandbox.stripe import StandIn, StandInHTTPClient

from .conftest import NOW, confirm, create

DAY = 86_400
ACCEPTED = {"customer_acceptance": {"type": "online", "online": {"ip_address": "127.0.0.1", "user_agent": "x"}}}


def pay(client: stripe.StripeClient, amount: int, method: str = "pm_card_visa") -> Any:
    return confirm(client, create(client, amount=amount).id, method)


def held(client: stripe.StripeClient, payout: str) -> list[Any]:
    """The balance transactions in a payout, with what each came from."""
    params: Any = {"payout": payout, "limit": 100, "expand": ["data.source"]}
    return client.v1.balance_transactions.list(params).data


def types(standin: StandIn) -> list[str]:
    return [one["type"] for one in standin.every("event")[::-1] if one["type"].startswith("payout.")]


def test_nothing_is_paid_out_before_it_is_available(standin: StandIn, client: stripe.StripeClient) -> None:
    pay(client, 1234)
    assert standin.pay_out() is None
    standin.advance(2 * DAY)
    payout = standin.pay_out()
    assert payout is not None
    assert (payout["amount"], payout["status"], payout["automatic"]) == (1168, "in_transit", True)
    assert standin.pay_out() is None


def test_a_payout_lists_what_it_is_made_of(standin: StandIn, client: stripe.StripeClient) -> None:
    first, second = pay(client, 1234), pay(client, 5000)
    refund = client.v1.refunds.create({"payment_intent": first.id, "amount": 234})
    dispute = standin.open_dispute(first.latest_charge, amount=500)
    standin.advance(2 * DAY)
    later = pay(client, 700)
    payout = standin.pay_out()
    assert payout is not None

    listed = held(client, payout["id"])
    own = [one for one in listed if one.type == "payout"]
    rest = [one for one in listed if one.type != "payout"]
    assert [(one.net, one.source.id) for one in own] == [(-payout["amount"], payout["id"])]
    assert sum(one.net for one in rest) == payout["amount"] == 1168 + 4825 - 234 - 500 - 1500
    assert {one.source.id for one in rest} == {first.latest_charge, second.latest_charge, refund.id, dispute["id"]}
    assert later.latest_charge not in {one.source.id for one in rest}
    assert client.v1.payouts.retrieve(payout["id"]).balance_transaction == own[0].id
    with pytest.raises(stripe.InvalidRequestError):
        held(client, "po_none")
    assert standin.violations == []


def test_every_day_with_something_available_makes_one_payout(standin: StandIn, client: stripe.StripeClient) -> None:
    pay(client, 1234)
    standin.advance(DAY)
    pay(client, 5000)
    standin.advance(30 * DAY)

    listed = client.v1.payouts.list({"limit": 100}).data
    assert [(one.amount, one.status, one.reconciliation_status) for one in listed] == [
        (4825, "paid", "completed"), (1168, "paid", "completed"),
    ]  # fmt: skip
    # 1 September, noon: available on the 3rd and the 4th at noon, paid out at the midnights after.
    start = int(NOW.timestamp())
    assert [one.created - start for one in listed] == [int(3.5 * DAY), int(2.5 * DAY)]
    assert [one.arrival_date - one.created for one in listed] == [2 * DAY, 2 * DAY]
    assert types(standin) == [
        "payout.created", "payout.updated", "payout.reconciliation_completed",
        "payout.created", "payout.updated", "payout.reconciliation_completed", "payout.paid", "payout.paid",
    ]  # fmt: skip
    at = [one["created"] for one in standin.every("event")]
    assert at == sorted(at, reverse=True)
    assert client.v1.payouts.list({"arrival_date": {"gt": listed[1].arrival_date}}).data[0].id == listed[0].id
    assert len(client.v1.payouts.list({"arrival_date": {"gt": listed[1].arrival_date}}).data) == 1
    assert client.v1.payouts.list({"status": "in_transit"}).data == []
    assert standin.violations == []


def test_what_falls_due_on_the_way_happens_in_its_order(standin: StandIn, client: stripe.StripeClient) -> None:
    intent = create(client, amount=10_000, allowed_payment_method_types=["us_bank_account"])
    confirm(client, intent.id, "pm_usBankAccount_success", mandate_data=ACCEPTED)
    disputed = pay(client, 20_000)
    dispute = standin.open_dispute(disputed.latest_charge)

    standin.advance(40 * DAY)

    # The dispute takes more than the charge gave until the debit is there: that debt is carried.
    assert client.v1.disputes.retrieve(dispute["id"]).status == "lost"
    assert [one.amount for one in client.v1.payouts.list().data] == [20_000 - 610 - 21_500 + 10_000 - 80]
    charge = client.v1.charges.retrieve(
        str(client.v1.payment_intents.retrieve(intent.id).latest_charge), {"expand": ["balance_transaction"]}
    )
    moved: Any = charge.balance_transaction
    assert moved.created == int(NOW.timestamp()) + 4 * DAY
    assert standin.violations == []


def test_a_debt_is_carried_and_not_paid_out(standin: StandIn, client: stripe.StripeClient) -> None:
    done = pay(client, 1234)
    client.v1.refunds.create({"payment_intent": done.id})
    standin.advance(10 * DAY)
    assert client.v1.payouts.list().data == []
    assert client.v1.balance.retrieve().available[0].amount == -66
    pay(client, 1000)
    standin.advance(10 * DAY)
    (payout,) = client.v1.payouts.list().data
    assert payout.amount == 1000 - 59 - 66
    assert len(held(client, payout.id)) == 4
    assert client.v1.balance.retrieve().available[0].amount == 0


@pytest.mark.parametrize("days", [0, 5])
def test_a_failed_payout_comes_back_and_goes_out_again(
    standin: StandIn, client: stripe.StripeClient, days: int
) -> None:
    pay(client, 1234)
    standin.advance(2 * DAY)
    payout = standin.pay_out()
    assert payout is not None
    standin.advance(days * DAY)

    failed = standin.fail_payout(payout["id"])

    assert (failed["status"], failed["failure_code"]) == ("failed", "account_closed")
    back = client.v1.balance_transactions.retrieve(failed["failure_balance_transaction"])
    assert (back.type, back.net, back.source, back.status) == ("payout_failure", 1168, payout["id"], "available")
    assert client.v1.balance.retrieve().available[0].amount == 1168
    with pytest.raises(ValueError, match="it cannot fail"):
        standin.fail_payout(payout["id"])
    standin.advance(5 * DAY)
    assert client.v1.payouts.retrieve(payout["id"]).status == "failed"
    (again,) = [one for one in client.v1.payouts.list().data if one.id != payout["id"]]
    assert (again.amount, again.status) == (1168, "paid")
    assert {one.id for one in held(client, again.id)} == {back.id, str(again.balance_transaction)}
    assert sum(one["net"] for one in standin.every("balance_transaction")) == 0
    assert standin.violations == []


def test_a_store_of_an_older_stand_in_opens_and_pays_out(tmp_path: Path) -> None:
    """The tables and the fields that the first version wrote; nothing else is needed."""
    path = tmp_path / "old.sqlite"
    first = StandIn(path, clock=lambda: NOW)
    client = stripe.StripeClient(first.secret_key, http_client=StandInHTTPClient(first))
    pay(client, 1234)
    first.close()
    with sqlite3.connect(path) as raw:
        raw.execute("DELETE FROM settings WHERE name = 'next_payout'")
        raw.execute("DROP INDEX objects_payout")
        raw.execute("DROP INDEX objects_charge")
    raw.close()

    second = StandIn(path, clock=lambda: NOW)
    client = stripe.StripeClient(second.secret_key, http_client=StandInHTTPClient(second))
    second.advance(5 * DAY)
    assert [one.amount for one in client.v1.payouts.list().data] == [1168]
    second.close()
