"""What the portal relies on of disputes, on the stand-in and on Stripe: test cards dispute by themselves."""

from collections.abc import Callable
from typing import Any

import pytest
import stripe


@pytest.fixture
def disputed(
    paid: Callable[..., Any], stripe_client: stripe.StripeClient, eventually: Callable[[Callable[[], Any]], Any]
) -> Callable[..., Any]:
    """The dispute of a payment with a test card that brings one about."""

    def make(method: str = "pm_card_createDispute") -> Any:
        done = paid(method)
        return eventually(lambda: stripe_client.v1.disputes.list({"payment_intent": done.id}).data)[0]

    return make


def test_a_dispute_takes_the_money_and_a_fee(disputed: Callable[..., Any], stripe_client: stripe.StripeClient) -> None:
    found = disputed()
    assert (found.object, found.status, found.reason, found.amount, found.currency) == (
        "dispute", "needs_response", "fraudulent", 1234, "usd",
    )  # fmt: skip
    assert found.is_charge_refundable is False
    details = found.evidence_details
    assert (details.has_evidence, details.past_due, details.submission_count) == (False, False, 0)
    assert details.due_by > found.created + 5 * 86_400
    (moved,) = found.balance_transactions
    assert (moved.type, moved.reporting_category, moved.amount, moved.net) == (
        "adjustment", "dispute", -1234, -1234 - moved.fee,
    )  # fmt: skip
    assert moved.fee > 0
    charge = stripe_client.v1.charges.retrieve(found.charge)
    assert (charge.disputed, charge.refunded) == (True, False)
    with pytest.raises(stripe.InvalidRequestError) as caught:
        stripe_client.v1.refunds.create({"charge": found.charge})
    assert caught.value.code == "charge_disputed"


def test_a_dispute_has_its_reason(disputed: Callable[..., Any]) -> None:
    assert disputed("pm_card_createDisputeProductNotReceived").reason == "product_not_received"


def test_an_inquiry_takes_nothing(disputed: Callable[..., Any]) -> None:
    found = disputed("pm_card_createDisputeInquiry")
    assert (found.status, found.is_charge_refundable, found.balance_transactions) == (
        "warning_needs_response", True, [],
    )  # fmt: skip


@pytest.mark.parametrize(("text", "status"), [("winning_evidence", "won"), ("losing_evidence", "lost")])
def test_test_evidence_decides(
    text: str, status: str, disputed: Callable[..., Any], stripe_client: stripe.StripeClient,
    eventually: Callable[[Callable[[], Any]], Any],
) -> None:  # fmt: skip
    found = disputed()
    stripe_client.v1.disputes.update(found.id, {"evidence": {"uncategorized_text": text}, "submit": True})

    def closed() -> Any:
        read = stripe_client.v1.disputes.retrieve(found.id)
        return read if read.status in ("won", "lost") else None

    after = eventually(closed)
    assert (after.status, after.evidence_details.submission_count) == (status, 1)
    assert sum(one.amount for one in after.balance_transactions) == (0 if status == "won" else -1234)


def test_evidence_may_wait_before_it_is_submitted(
    disputed: Callable[..., Any], stripe_client: stripe.StripeClient
) -> None:
    found = disputed()
    staged = stripe_client.v1.disputes.update(
        found.id, {"evidence": {"product_description": "A payment."}, "submit": False, "metadata": {"ref": "d1"}}
    )
    assert (staged.status, staged.evidence.product_description) == ("needs_response", "A payment.")
    assert (staged.evidence_details.has_evidence, staged.evidence_details.submission_count) == (True, 0)
    assert staged.metadata["ref"] == "d1"


def test_conceding_loses_for_good(disputed: Callable[..., Any], stripe_client: stripe.StripeClient) -> None:
    found = disputed()
    assert stripe_client.v1.disputes.close(found.id).status == "lost"
    with pytest.raises(stripe.InvalidRequestError):
        stripe_client.v1.disputes.close(found.id)


def test_disputes_make_events(
    disputed: Callable[..., Any], stripe_client: stripe.StripeClient, eventually: Callable[[Callable[[], Any]], Any]
) -> None:
    found = disputed()
    stripe_client.v1.disputes.close(found.id)

    def mine() -> Any:
        listed = stripe_client.v1.events.list({"type": "charge.dispute.*", "limit": 100}).data
        types = {one.type for one in listed if one.data.object["id"] == found.id}
        return types if "charge.dispute.closed" in types else None

    assert {"charge.dispute.created", "charge.dispute.funds_withdrawn", "charge.dispute.closed"} <= eventually(mine)


def test_a_dispute_nobody_answers_is_lost(
    advance: Callable[[int], Any], disputed: Callable[..., Any], stripe_client: stripe.StripeClient
) -> None:
    found = disputed()
    advance(22)
    assert stripe_client.v1.disputes.retrieve(found.id).status == "lost"


def test_a_returned_debit_is_lost_at_once(
    advance: Callable[[int], Any], new_intent: Callable[..., Any], stripe_client: stripe.StripeClient
) -> None:
    accepted = {"customer_acceptance": {"type": "online", "online": {"ip_address": "203.0.113.7", "user_agent": "t"}}}
    params: Any = {"payment_method": "pm_usBankAccount_dispute", "mandate_data": accepted}
    made = new_intent(allowed_payment_method_types=["us_bank_account"])
    stripe_client.v1.payment_intents.confirm(made.id, params)
    advance(7)
    assert stripe_client.v1.payment_intents.retrieve(made.id).status == "succeeded"
    (found,) = stripe_client.v1.disputes.list({"payment_intent": made.id}).data
    assert (found.status, [one.amount for one in found.balance_transactions]) == ("lost", [-1234])
