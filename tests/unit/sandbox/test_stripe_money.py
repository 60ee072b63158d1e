"""Refunds, saved cards and the list of events of the Stripe stand-in."""

from typing import Any

import pytest
import stripe

from portal.sandbox.stripe import StandIn, WebhookPlan

from .conftest import confirm, create

DAY = 86_400
RETURN = "https://portal.example/return"


# Refunds


def paid(client: stripe.StripeClient, method: str = "pm_card_visa", **more: Any) -> Any:
    return confirm(client, create(client, **more).id, method)


def test_a_refund_is_made_once_per_key(standin: StandIn, client: stripe.StripeClient) -> None:
    done = paid(client)
    for _ in range(2):
        made = client.v1.refunds.create(
            {"payment_intent": done.id, "amount": 234, "metadata": {"ref": "r1"}}, {"idempotency_key": "refund-1"}
        )
        assert dict(made.metadata.to_dict()) == {"ref": "r1"}  # type: ignore[union-attr]
    other = client.v1.refunds.create({"charge": done.latest_charge, "amount": 100})
    listed = client.v1.refunds.list({"charge": done.latest_charge}).data
    assert [one.id for one in listed] == [other.id, made.id]
    assert client.v1.charges.retrieve(done.latest_charge).amount_refunded == 334
    moved = client.v1.balance_transactions.list({"type": "refund"}).data
    assert [(one.net, one.source, one.reporting_category) for one in moved] == [
        (-100, other.id, "refund"), (-234, made.id, "refund"),
    ]  # fmt: skip


def test_a_pending_refund_arrives(standin: StandIn, client: stripe.StripeClient) -> None:
    made = client.v1.refunds.create({"payment_intent": paid(client, "pm_card_pendingRefund").id})
    assert (made.status, made.pending_reason) == ("pending", "processing")
    standin.advance(2 * DAY)
    assert client.v1.refunds.retrieve(made.id).status == "succeeded"
    found = [one for one in standin.every("event") if one["type"] == "refund.updated"]
    assert [one["data"]["previous_attributes"] for one in found] == [{"status": "pending"}]
    assert standin.violations == []


@pytest.mark.parametrize("method", ["pm_card_visa", "pm_card_pendingRefund", "pm_card_refundFail"])
def test_a_refund_fails_on_order_once(standin: StandIn, client: stripe.StripeClient, method: str) -> None:
    done = paid(client, method)
    made = client.v1.refunds.create({"payment_intent": done.id, "amount": 1000})

    failed = standin.fail_refund(made.id)

    assert (failed["status"], failed["failure_reason"]) == ("failed", "unknown")
    back = client.v1.balance_transactions.retrieve(failed["failure_balance_transaction"])
    assert (back.type, back.net, back.reporting_category) == ("refund_failure", 1000, "refund_failure")
    standin.advance(5 * DAY)
    assert client.v1.refunds.retrieve(made.id).status == "failed"
    with pytest.raises(ValueError, match="it cannot fail"):
        standin.fail_refund(made.id)
    assert client.v1.charges.retrieve(done.latest_charge).amount_refunded == 0
    assert client.v1.refunds.create({"payment_intent": done.id}).amount == 1234
    assert standin.violations == []


def test_a_refund_that_succeeded_cannot_be_canceled(client: stripe.StripeClient) -> None:
    for method in ("pm_card_visa", "pm_card_pendingRefund"):
        made = client.v1.refunds.create({"payment_intent": paid(client, method).id})
        with pytest.raises(stripe.InvalidRequestError, match="cannot be canceled"):
            client.v1.refunds.cancel(made.id)


def test_a_refund_meets_an_empty_balance_on_order(standin: StandIn, client: stripe.StripeClient) -> None:
    done = paid(client)
    standin.faults.add("balance_insufficient", method="POST", path="/v1/refunds")
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.refunds.create({"payment_intent": done.id}, {"idempotency_key": "r"})
    assert caught.value.code == "balance_insufficient"
    assert client.v1.refunds.list().data == []
    assert client.v1.refunds.create({"payment_intent": done.id}, {"idempotency_key": "r"}).amount == 1234


# Charges


def test_a_charge_has_its_intents_metadata(client: stripe.StripeClient) -> None:
    made = create(client, metadata={"attempt_id": "a1"})
    client.v1.payment_intents.update(made.id, {"metadata": {"more": "b2"}})
    with pytest.raises(stripe.CardError):
        confirm(client, made.id, "pm_card_chargeDeclined")
    confirm(client, made.id)
    charges = client.v1.charges.list({"payment_intent": made.id}).data
    assert [one.metadata.to_dict() for one in charges] == [{"attempt_id": "a1", "more": "b2"}] * 2


def test_all_charges_of_the_account_are_paged(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create().id
    ids = [paid(client, **more).latest_charge for more in ({}, {"customer": customer}, {}, {}, {})]
    walked = [one.id for one in client.v1.charges.list({"limit": 2}).auto_paging_iter()]
    assert walked == ids[::-1]


# Saved cards


def off_session(client: stripe.StripeClient, customer: str, method: str) -> Any:
    return create(client, customer=customer, payment_method=method, confirm=True, off_session=True, return_url=RETURN)


def saved(standin: StandIn, client: stripe.StripeClient, customer: str, method: str) -> str:
    """Saves a card by a SetupIntent, passing 3-D Secure where it is asked for."""
    made = client.v1.setup_intents.create(
        {"customer": customer, "payment_method": method, "confirm": True, "return_url": RETURN}
    )
    if made.status == "requires_action":
        standin.authenticate(made.id, str(made.client_secret), passed=True)
    (found,) = client.v1.payment_methods.list({"customer": customer}).data
    return str(found.id)


def test_saving_is_chosen_after_the_intent_was_made(standin: StandIn, client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create().id
    made = create(client, customer=customer)
    changed = client.v1.payment_intents.update(made.id, {"setup_future_usage": "off_session"})
    assert changed.setup_future_usage == "off_session"
    confirm(client, made.id)
    (kept,) = client.v1.payment_methods.list({"customer": customer}).data
    assert off_session(client, customer, kept.id).status == "succeeded"
    plain = create(client, customer=customer)
    client.v1.payment_intents.update(plain.id, {"setup_future_usage": "off_session"})
    client.v1.payment_intents.update(plain.id, {"setup_future_usage": ""})
    confirm(client, plain.id, "pm_card_mastercard")
    assert len(client.v1.payment_methods.list({"customer": customer}).data) == 1
    client.v1.payment_methods.detach(kept.id)
    found = [one["type"] for one in standin.every("event") if one["type"].startswith("payment_method.")]
    assert found == ["payment_method.detached", "payment_method.attached"]
    with pytest.raises(stripe.InvalidRequestError, match="detached"):
        off_session(client, customer, kept.id)
    assert standin.violations == []


@pytest.mark.parametrize(
    ("method", "works"),
    [
        ("pm_card_visa", True),
        ("pm_card_authenticationRequiredOnSetup", True),
        ("pm_card_authenticationRequiredSetupForOffSession", True),
        ("pm_card_authenticationRequired", False),
    ],
)
def test_a_saved_card_is_charged_off_session(
    standin: StandIn, client: stripe.StripeClient, method: str, works: bool
) -> None:
    customer = client.v1.customers.create().id
    kept = saved(standin, client, customer, method)
    if works:
        assert off_session(client, customer, kept).status == "succeeded"
        return
    with pytest.raises(stripe.CardError) as caught:
        off_session(client, customer, kept)
    error: Any = caught.value.error
    assert (error.code, error.payment_intent.status) == ("authentication_required", "requires_payment_method")
    assert error.payment_method.id == kept
    again = client.v1.payment_intents.confirm(error.payment_intent.id, {"payment_method": kept, "return_url": RETURN})
    assert again.status == "requires_action"


def test_a_card_that_was_not_set_up_wants_authentication(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create().id
    kept = client.v1.payment_methods.attach("pm_card_authenticationRequiredOnSetup", {"customer": customer}).id
    with pytest.raises(stripe.CardError) as caught:
        off_session(client, customer, kept)
    assert caught.value.code == "authentication_required"
    made = create(client, customer=customer)
    assert confirm(client, made.id, "pm_card_authenticationRequiredSetupForOffSession").status == "requires_action"


def test_a_card_may_be_saved_and_then_declined(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create().id
    kept = client.v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": customer}).id
    with pytest.raises(stripe.CardError) as caught:
        off_session(client, customer, kept)
    assert caught.value.code == "card_declined"


def test_one_card_has_one_fingerprint(client: stripe.StripeClient) -> None:
    def fingerprint(number: str) -> Any:
        card: Any = {"number": number, "exp_month": 12, "exp_year": 2040, "cvc": "123"}
        made = client.v1.payment_methods.create({"type": "card", "card": card, "allow_redisplay": "always"})
        assert made.allow_redisplay == "always"
        return made.card.fingerprint if made.card else None

    assert fingerprint("4242424242424242") == fingerprint("4242 4242 4242 4242")
    assert fingerprint("4242424242424242") != fingerprint("4000056655665556")


def test_saved_cards_are_listed_by_who_may_see_them(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create().id
    for name in ("always", "limited"):
        kept = client.v1.payment_methods.attach("pm_card_visa", {"customer": customer}).id
        client.v1.payment_methods.update(kept, {"allow_redisplay": name})
    shown = client.v1.payment_methods.list({"customer": customer, "allow_redisplay": "always"}).data
    assert [one.allow_redisplay for one in shown] == ["always"]


def test_deleting_a_customer_detaches_what_was_saved(standin: StandIn, client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create().id
    kept = saved(standin, client, customer, "pm_card_visa")
    client.v1.customers.delete(customer)
    assert client.v1.payment_methods.retrieve(kept).customer is None
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payment_methods.attach(kept, {"customer": customer})


# Events


def test_what_an_endpoint_missed_for_days_is_listed_to_the_last(standin: StandIn, client: stripe.StripeClient) -> None:
    taken: list[str] = []

    def post(url: str, body: bytes, headers: dict[str, str]) -> int:
        taken.append(url)
        return 200

    def listed(params: Any) -> Any:
        return client.v1.events.list(params)

    early = paid(client)
    standin.deliver_due(post)
    assert len(taken) == 3
    standin.webhook_plan = WebhookPlan(down=True)
    start = int(standin.now().timestamp())
    missed = []
    for _ in range(4):
        missed.append(paid(client).id)
        for _ in range(24):
            standin.deliver_due(post)
            standin.advance(3600)
    standin.webhook_plan = WebhookPlan()
    after = paid(client)
    standin.advance(10)
    standin.deliver_due(post)

    kinds = ["payment_intent.succeeded", "charge.succeeded"]
    wanted: dict[str, Any] = {"delivery_success": False, "types": kinds, "limit": 3}
    walked = list(listed(wanted).auto_paging_iter())
    of_intents = [one.data.object["id"] for one in walked if one.type == "payment_intent.succeeded"]
    # The first day's are past their three days of retries; the last days' are still tried again.
    assert of_intents == missed[::-1]
    assert len(walked) == 2 * len(missed)
    assert len({one.id for one in walked}) == len(walked)
    assert all(one.pending_webhooks == 1 for one in walked)
    given_up = [one for one in standin.deliveries(500) if not one["delivered_at"] and one["next_at"] is None]
    assert given_up
    assert {early.id, after.id}.isdisjoint(of_intents)
    ranged = {**wanted, "created": {"gte": start + DAY, "lt": start + 2 * DAY}, "limit": 100}
    assert {one.data.object["id"] for one in listed(ranged).data} & set(missed) == {missed[1]}
    back = listed({**wanted, "ending_before": walked[4].id})
    assert [one.id for one in back.data] == [one.id for one in walked[1:4]]
    assert back.has_more is True
    assert standin.violations == []


def test_events_are_asked_for_by_type_or_types(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="only one of"):
        client.v1.events.list({"type": "charge.succeeded", "types": ["charge.failed"]})
    with pytest.raises(stripe.InvalidRequestError, match="up to 20"):
        client.v1.events.list({"types": [f"charge.x{n}" for n in range(21)]})
