"""What the portal relies on of refunds and balance transactions, on the stand-in and on Stripe."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
import stripe


def test_a_refund_is_made_once_per_key_and_listed_by_charge(
    paid: Callable[..., Any], stripe_client: stripe.StripeClient
) -> None:
    done, key = paid(), f"contract-{uuid4().hex}"
    params: Any = {"payment_intent": done.id, "amount": 234, "metadata": {"ref": "r1"},
                   "reason": "requested_by_customer"}  # fmt: skip
    first = stripe_client.v1.refunds.create(params, {"idempotency_key": key})
    second = stripe_client.v1.refunds.create(params, {"idempotency_key": key})

    assert first.id == second.id
    assert (first.object, first.currency, first.reason, first.payment_intent) == (
        "refund", "usd", "requested_by_customer", done.id,
    )  # fmt: skip
    assert dict(first.metadata.to_dict()) == {"ref": "r1"}  # type: ignore[union-attr]
    assert [one.id for one in stripe_client.v1.refunds.list({"charge": done.latest_charge}).data] == [first.id]
    charge = stripe_client.v1.charges.retrieve(done.latest_charge)
    assert (charge.amount_refunded, charge.refunded) == (234, False)


def test_a_refund_moves_the_balance_by_its_amount(
    paid: Callable[..., Any], stripe_client: stripe.StripeClient
) -> None:
    done = paid()
    made = stripe_client.v1.refunds.create(
        {"payment_intent": done.id, "amount": 1000, "expand": ["balance_transaction"]}
    )
    moved: Any = made.balance_transaction
    assert (moved.object, moved.amount, moved.fee, moved.net) == ("balance_transaction", -1000, 0, -1000)
    assert (moved.type, moved.reporting_category, moved.source) == ("refund", "refund", made.id)
    listed = stripe_client.v1.balance_transactions.list({"source": made.id}).data
    assert [one.id for one in listed] == [moved.id]


def test_a_charge_moves_the_balance_by_its_net(paid: Callable[..., Any], stripe_client: stripe.StripeClient) -> None:
    done = paid(metadata={"attempt_id": "a1"})
    charge = stripe_client.v1.charges.retrieve(done.latest_charge)
    assert charge.metadata["attempt_id"] == "a1"
    (moved,) = stripe_client.v1.balance_transactions.list(
        {"source": done.latest_charge, "type": "charge", "expand": ["data.source"]}
    ).data
    assert (moved.reporting_category, moved.net, moved.status) == ("charge", moved.amount - moved.fee, "pending")
    assert moved.available_on > moved.created
    assert moved.source.id == done.latest_charge  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("params", "code"),
    [({"amount": 0}, "parameter_invalid_integer"), ({"amount": 1235}, None)],
)
def test_a_refund_has_limits(
    params: dict[str, Any], code: str | None, paid: Callable[..., Any], stripe_client: stripe.StripeClient
) -> None:
    changed: Any = {"payment_intent": paid().id, **params}
    with pytest.raises(stripe.InvalidRequestError) as caught:
        stripe_client.v1.refunds.create(changed)
    assert caught.value.http_status == 400
    if code:
        assert caught.value.code == code


def test_an_unpaid_intent_has_nothing_to_refund(
    new_intent: Callable[..., Any], stripe_client: stripe.StripeClient
) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        stripe_client.v1.refunds.create({"payment_intent": new_intent().id})
    with pytest.raises(stripe.InvalidRequestError) as caught:
        stripe_client.v1.refunds.retrieve("re_none")
    assert caught.value.http_status == 404


def test_a_refund_that_is_done_cannot_be_canceled(
    paid: Callable[..., Any], stripe_client: stripe.StripeClient
) -> None:
    made = stripe_client.v1.refunds.create({"payment_intent": paid().id})
    with pytest.raises(stripe.InvalidRequestError) as caught:
        stripe_client.v1.refunds.cancel(made.id)
    assert caught.value.http_status == 400


def test_a_pending_refund_waits(paid: Callable[..., Any], stripe_client: stripe.StripeClient) -> None:
    made = stripe_client.v1.refunds.create({"payment_intent": paid("pm_card_pendingRefund").id})
    assert made.status == "pending"


def test_a_pending_refund_succeeds_later(
    advance: Callable[[int], Any], paid: Callable[..., Any], stripe_client: stripe.StripeClient
) -> None:
    made = stripe_client.v1.refunds.create({"payment_intent": paid("pm_card_pendingRefund").id})
    advance(2)
    assert stripe_client.v1.refunds.retrieve(made.id).status == "succeeded"


def test_a_refund_may_fail_after_it_succeeded(
    advance: Callable[[int], Any], paid: Callable[..., Any], stripe_client: stripe.StripeClient
) -> None:
    done = paid("pm_card_refundFail")
    made = stripe_client.v1.refunds.create({"payment_intent": done.id})
    assert made.status == "succeeded"
    advance(2)
    failed = stripe_client.v1.refunds.retrieve(made.id, {"expand": ["failure_balance_transaction"]})
    assert (failed.status, bool(failed.failure_reason)) == ("failed", True)
    back: Any = failed.failure_balance_transaction
    assert (back.type, back.net) == ("refund_failure", 1234)


def test_a_payout_is_made_of_balance_transactions(
    advance: Callable[[int], Any], paid: Callable[..., Any], stripe_client: stripe.StripeClient
) -> None:
    done = paid()
    advance(6)
    (payout,) = stripe_client.v1.payouts.list({"status": "paid"}).data
    assert (payout.amount, payout.automatic, payout.reconciliation_status) == (1168, True, "completed")
    listed = stripe_client.v1.balance_transactions.list({"payout": payout.id, "expand": ["data.source"]}).data
    assert {(one.type, one.net, one.source.id) for one in listed} == {  # type: ignore[union-attr]
        ("payout", -1168, payout.id), ("charge", 1168, done.latest_charge),
    }  # fmt: skip
    types = {one.type for one in stripe_client.v1.events.list({"type": "payout.*"}).data}
    assert {"payout.created", "payout.paid", "payout.reconciliation_completed"} <= types
