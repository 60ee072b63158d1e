"""Disputes of the Stripe stand-in: what they move, when they end, and what they keep from being refunded."""

from typing import Any

import pytest
import stripe

from portal.sandbox.stripe import StandIn
from portal.sandbox.stripe.errors import ApiError

from .conftest import confirm, create

DAY = 86_400
FEE = 66


def charged(client: stripe.StripeClient, method: str = "pm_card_visa") -> str:
    return str(confirm(client, create(client).id, method).latest_charge)


def types(standin: StandIn) -> list[str]:
    """What happened about disputes, oldest first."""
    found = [str(one["type"]) for one in standin.every("event")][::-1]
    return [one.removeprefix("charge.dispute.") for one in found if one.startswith("charge.dispute.")]


def balance(standin: StandIn) -> int:
    return sum(one["net"] for one in standin.every("balance_transaction"))


def test_opening_takes_the_amount_and_a_fee(standin: StandIn, client: stripe.StripeClient) -> None:
    charge = charged(client)

    made = standin.open_dispute(charge, reason="product_not_received")

    read = client.v1.disputes.retrieve(made["id"])
    assert (read.status, read.amount, read.reason, read.charge) == (
        "needs_response", 1234, "product_not_received", charge,
    )  # fmt: skip
    assert client.v1.charges.retrieve(charge).disputed is True
    moved = read.balance_transactions[0]
    assert (moved.type, moved.amount, moved.fee, moved.net) == ("adjustment", -1234, 1500, -2734)
    assert (moved.reporting_category, moved.source) == ("dispute", made["id"])
    assert balance(standin) == 1234 - FEE - 2734
    days = ((read.evidence_details.due_by or 0) - read.created) / DAY
    assert 7 <= days <= 21
    assert types(standin) == ["created", "funds_withdrawn"]
    assert standin.violations == []


def test_a_won_dispute_gives_back_the_amount_and_keeps_the_fee(standin: StandIn, client: stripe.StripeClient) -> None:
    charge = charged(client)
    dispute = standin.open_dispute(charge)["id"]

    won = standin.close_dispute(dispute, won=True)

    assert won["status"] == "won"
    assert [one["net"] for one in won["balance_transactions"]] == [-2734, 1234]
    assert won["balance_transactions"][1]["reporting_category"] == "dispute_reversal"
    assert balance(standin) == 1234 - FEE - 1500
    assert types(standin) == ["created", "funds_withdrawn", "funds_reinstated", "closed"]
    assert client.v1.refunds.create({"charge": charge}).amount == 1234
    assert standin.violations == []


def test_a_lost_dispute_gives_nothing_back(standin: StandIn, client: stripe.StripeClient) -> None:
    dispute = standin.open_dispute(charged(client))["id"]
    assert standin.close_dispute(dispute, won=False)["status"] == "lost"
    assert balance(standin) == 1234 - FEE - 2734
    assert types(standin) == ["created", "funds_withdrawn", "closed"]
    with pytest.raises(ValueError, match="is closed: lost"):
        standin.close_dispute(dispute, won=True)


def test_an_inquiry_moves_nothing_and_is_closed(standin: StandIn, client: stripe.StripeClient) -> None:
    charge = charged(client)
    made = standin.open_inquiry(charge)
    assert (made["status"], made["balance_transactions"], made["is_charge_refundable"]) == (
        "warning_needs_response", [], True,
    )  # fmt: skip
    assert standin.close_dispute(made["id"], won=False)["status"] == "warning_closed"
    assert balance(standin) == 1234 - FEE
    assert types(standin) == ["created", "closed"]
    assert standin.violations == []


def test_an_inquiry_becomes_a_dispute(standin: StandIn, client: stripe.StripeClient) -> None:
    charge = charged(client)
    asked = standin.open_inquiry(charge)
    dispute = standin.open_dispute(charge)
    assert (dispute["id"], dispute["status"], dispute["amount"]) == (asked["id"], "needs_response", 1234)
    assert balance(standin) == 1234 - FEE - 2734
    assert types(standin) == ["created", "updated", "funds_withdrawn"]
    assert standin.violations == []


def test_refunding_in_full_closes_an_inquiry(standin: StandIn, client: stripe.StripeClient) -> None:
    charge = charged(client)
    asked = standin.open_inquiry(charge)["id"]
    client.v1.refunds.create({"charge": charge, "amount": 234})
    assert client.v1.disputes.retrieve(asked).status == "warning_needs_response"
    client.v1.refunds.create({"charge": charge})
    assert client.v1.disputes.retrieve(asked).status == "warning_closed"


def test_an_inquiry_nobody_escalates_ends_after_120_days(standin: StandIn, client: stripe.StripeClient) -> None:
    asked = standin.open_inquiry(charged(client))["id"]
    standin.advance(120 * DAY - 1)
    assert client.v1.disputes.retrieve(asked).status == "warning_needs_response"
    standin.advance(1)
    assert client.v1.disputes.retrieve(asked).status == "warning_closed"


def test_what_is_disputed_cannot_be_refunded(standin: StandIn, client: stripe.StripeClient) -> None:
    charge = charged(client)
    standin.open_dispute(charge, amount=1000)
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.refunds.create({"charge": charge, "amount": 235})
    assert caught.value.code == "charge_disputed"
    assert client.v1.refunds.create({"charge": charge}).amount == 234
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.refunds.create({"charge": charge})
    assert caught.value.code == "charge_disputed"
    assert standin.violations == []


def test_only_what_is_left_can_be_disputed(standin: StandIn, client: stripe.StripeClient) -> None:
    charge = charged(client)
    client.v1.refunds.create({"charge": charge, "amount": 234})
    with pytest.raises(ValueError, match="1000 are left"):
        standin.open_dispute(charge, amount=1001)
    assert standin.open_dispute(charge)["amount"] == 1000
    with pytest.raises(ValueError, match="nothing is left"):
        standin.open_dispute(charge)
    with pytest.raises(stripe.CardError):
        confirm(client, create(client).id, "pm_card_chargeDeclined")
    failed = client.v1.charges.list().data[0].id
    with pytest.raises(ValueError, match="only a succeeded one"):
        standin.open_dispute(failed)
    with pytest.raises(ApiError, match="No such charge"):
        standin.open_dispute("ch_none")


@pytest.mark.parametrize(
    ("card", "reason", "status"),
    [
        ("4000000000000259", "fraudulent", "needs_response"),
        ("4000000000002685", "product_not_received", "needs_response"),
        ("4000000000001976", "fraudulent", "warning_needs_response"),
    ],
)
def test_test_cards_dispute_by_themselves(
    standin: StandIn, client: stripe.StripeClient, card: str, reason: str, status: str
) -> None:
    details: Any = {"number": card, "exp_month": 12, "exp_year": 2040, "cvc": "123"}
    method = client.v1.payment_methods.create({"type": "card", "card": details})
    done = confirm(client, create(client).id, method.id)
    assert done.status == "succeeded"
    found = client.v1.disputes.list({"payment_intent": done.id}).data
    assert [(one.reason, one.status, one.charge) for one in found] == [(reason, status, done.latest_charge)]
    assert standin.violations == []


@pytest.mark.parametrize(("text", "status"), [("winning_evidence", "won"), ("losing_evidence", "lost")])
def test_test_evidence_decides(standin: StandIn, client: stripe.StripeClient, text: str, status: str) -> None:
    dispute = standin.open_dispute(charged(client))["id"]
    sent = client.v1.disputes.update(dispute, {"evidence": {"uncategorized_text": text}})
    assert (sent.status, sent.evidence_details.submission_count) == ("under_review", 1)
    assert client.v1.disputes.retrieve(dispute).status == status
    with pytest.raises(stripe.InvalidRequestError, match="already closed"):
        client.v1.disputes.update(dispute, {"evidence": {"product_description": "x"}})
    assert standin.violations == []


def test_evidence_is_staged_and_then_submitted_once(standin: StandIn, client: stripe.StripeClient) -> None:
    dispute = standin.open_dispute(charged(client))["id"]
    staged = client.v1.disputes.update(
        dispute, {"evidence": {"product_description": "a payment"}, "submit": False, "metadata": {"ref": "d1"}}
    )
    assert (staged.status, staged.evidence_details.has_evidence, staged.evidence_details.submission_count) == (
        "needs_response", True, 0,
    )  # fmt: skip
    sent = client.v1.disputes.update(dispute, {"submit": True})
    assert (sent.status, sent.evidence.product_description, sent.metadata["ref"]) == (
        "under_review", "a payment", "d1",
    )  # fmt: skip
    with pytest.raises(stripe.InvalidRequestError, match="already been submitted"):
        client.v1.disputes.update(dispute, {"evidence": {"product_description": "more"}})
    # An answered dispute waits for the bank, however long that takes.
    standin.advance(60 * DAY)
    assert client.v1.disputes.retrieve(dispute).status == "under_review"
    assert standin.close_dispute(dispute, won=True)["status"] == "won"
    assert standin.violations == []


def test_a_dispute_nobody_answers_is_lost_when_its_time_is_over(
    standin: StandIn, client: stripe.StripeClient
) -> None:
    dispute = standin.open_dispute(charged(client))
    due = dispute["evidence_details"]["due_by"]
    standin.advance(due - int(standin.now().timestamp()))
    assert client.v1.disputes.retrieve(dispute["id"]).status == "needs_response"
    standin.advance(1)
    read = client.v1.disputes.retrieve(dispute["id"])
    assert (read.status, read.evidence_details.past_due) == ("lost", True)
    assert types(standin) == ["created", "funds_withdrawn", "closed"]


def test_conceding_loses(standin: StandIn, client: stripe.StripeClient) -> None:
    dispute = standin.open_dispute(charged(client))["id"]
    assert client.v1.disputes.close(dispute).status == "lost"
    with pytest.raises(stripe.InvalidRequestError, match="already closed"):
        client.v1.disputes.close(dispute)
    assert standin.violations == []
