"""What the portal relies on of PaymentIntents, on the stand-in and on Stripe."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
import stripe

from portal.sandbox.stripe import StandIn

DECLINES = [
    ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
    ("pm_card_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
    ("pm_card_chargeDeclinedExpiredCard", "expired_card", None),
    ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", None),
    ("pm_card_chargeDeclinedProcessingError", "processing_error", None),
]


def test_a_new_intent_waits_for_a_payment_method(new_intent: Callable[..., Any]) -> None:
    made = new_intent(metadata={"attempt_id": "a1"}, description="Payment")

    assert (made.object, made.status, made.amount, made.amount_received) == (
        "payment_intent", "requires_payment_method", 1234, 0,
    )  # fmt: skip
    assert made.id.startswith("pi_")
    assert made.client_secret.startswith(made.id + "_secret_")
    assert made.metadata["attempt_id"] == "a1"
    assert made.livemode is False
    assert made.latest_charge is None
    assert made.last_payment_error is None
    assert list(made.payment_method_types) == ["card"]


def test_confirming_with_a_good_card_charges_it_with_a_fee(
    new_intent: Callable[..., Any], confirm: Callable[..., Any], stripe_client: stripe.StripeClient
) -> None:
    done = confirm(new_intent().id, "pm_card_visa")

    assert (done.status, done.amount_received) == ("succeeded", 1234)
    charge = stripe_client.v1.charges.retrieve(done.latest_charge, {"expand": ["balance_transaction"]})
    assert (charge.status, charge.paid, charge.amount, charge.payment_intent) == ("succeeded", True, 1234, done.id)
    assert charge.payment_method_details is not None
    assert charge.payment_method_details.card is not None
    assert charge.payment_method_details.card.last4 == "4242"
    moved: Any = charge.balance_transaction
    assert (moved.amount, moved.fee, moved.net) == (1234, 66, 1168)


@pytest.mark.parametrize(("method", "code", "decline_code"), DECLINES)
def test_a_decline_is_a_402_and_the_intent_takes_another_card(
    method: str, code: str, decline_code: str | None, new_intent: Callable[..., Any], confirm: Callable[..., Any],
    stripe_client: stripe.StripeClient,
) -> None:  # fmt: skip
    made = new_intent()

    with pytest.raises(stripe.CardError) as caught:
        confirm(made.id, method)

    error: Any = caught.value.error
    assert (caught.value.http_status, error.type, error.code) == (402, "card_error", code)
    assert error.message
    if decline_code:
        assert error.decline_code == decline_code
    assert error.payment_intent.status == "requires_payment_method"
    after = stripe_client.v1.payment_intents.retrieve(made.id)
    assert (after.status, after.payment_method, after.amount_received) == ("requires_payment_method", None, 0)
    assert after.last_payment_error is not None
    assert after.last_payment_error.code == code
    failed = stripe_client.v1.charges.retrieve(str(after.latest_charge))
    assert (failed.status, failed.paid, failed.balance_transaction) == ("failed", False, None)

    again = confirm(made.id, "pm_card_visa")
    assert (again.status, again.last_payment_error) == ("succeeded", None)
    assert len(stripe_client.v1.charges.list({"payment_intent": made.id}).data) == 2


def test_a_succeeded_intent_cannot_be_confirmed_canceled_or_changed(
    new_intent: Callable[..., Any], confirm: Callable[..., Any], stripe_client: stripe.StripeClient
) -> None:
    done = confirm(new_intent().id, "pm_card_visa")

    for act in (
        lambda: confirm(done.id, "pm_card_mastercard"),
        lambda: stripe_client.v1.payment_intents.cancel(done.id),
        lambda: stripe_client.v1.payment_intents.update(done.id, {"amount": 999}),
    ):
        with pytest.raises(stripe.InvalidRequestError) as caught:
            act()
        assert caught.value.code == "payment_intent_unexpected_state"
        assert caught.value.http_status == 400
    assert len(stripe_client.v1.charges.list({"payment_intent": done.id}).data) == 1


def test_a_canceled_intent_cannot_be_confirmed(
    new_intent: Callable[..., Any], confirm: Callable[..., Any], stripe_client: stripe.StripeClient
) -> None:
    gone = stripe_client.v1.payment_intents.cancel(new_intent().id, {"cancellation_reason": "abandoned"})

    assert (gone.status, gone.cancellation_reason) == ("canceled", "abandoned")
    assert gone.canceled_at
    with pytest.raises(stripe.InvalidRequestError) as caught:
        confirm(gone.id, "pm_card_visa")
    assert caught.value.code == "payment_intent_unexpected_state"


def test_three_d_secure_waits_for_the_customer(new_intent: Callable[..., Any], confirm: Callable[..., Any]) -> None:
    waiting = confirm(new_intent().id, "pm_card_authenticationRequired")

    assert waiting.status == "requires_action"
    assert waiting.next_action.type == "redirect_to_url"
    assert waiting.next_action.redirect_to_url.url.startswith("http")
    assert waiting.latest_charge is None


@pytest.mark.parametrize(
    ("method", "passed", "status", "code"),
    [
        ("pm_card_authenticationRequired", True, "succeeded", None),
        ("pm_card_authenticationRequired", False, "requires_payment_method", "payment_intent_authentication_failure"),
        ("pm_card_threeDSecureRequiredChargeDeclined", True, "requires_payment_method", "card_declined"),
    ],
)
def test_three_d_secure_ends(
    method: str, passed: bool, status: str, code: str | None, api: str, new_intent: Callable[..., Any],
    confirm: Callable[..., Any], stripe_client: stripe.StripeClient, request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    if api == "stripe":
        pytest.skip("Stripe's own challenge page needs a person")
    standin: StandIn = request.getfixturevalue("standin")
    waiting = confirm(new_intent().id, method)

    standin.authenticate(waiting.id, waiting.client_secret, passed=passed)

    after = stripe_client.v1.payment_intents.retrieve(waiting.id)
    assert (after.status, after.next_action) == (status, None)
    assert (after.last_payment_error.code if after.last_payment_error else None) == code


def test_off_session_a_card_that_wants_authentication_is_declined(
    new_intent: Callable[..., Any], stripe_client: stripe.StripeClient
) -> None:
    customer = stripe_client.v1.customers.create()
    with pytest.raises(stripe.CardError) as caught:
        new_intent(customer=customer.id, payment_method="pm_card_authenticationRequired", confirm=True,
                   off_session=True, return_url="https://portal.example/return")  # fmt: skip
    assert caught.value.code == "authentication_required"


@pytest.mark.parametrize(("amount", "code"), [(49, "amount_too_small"), (100_000_000, "amount_too_large")])
def test_amounts_have_limits(amount: int, code: str, new_intent: Callable[..., Any]) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        new_intent(amount=amount)
    assert (caught.value.code, caught.value.param) == (code, "amount")


def test_the_largest_and_smallest_amounts_are_taken(new_intent: Callable[..., Any]) -> None:
    assert new_intent(amount=50).amount == 50
    assert new_intent(amount=99_999_999).amount == 99_999_999


def test_an_unknown_parameter_is_refused(new_intent: Callable[..., Any], tolerating: Any) -> None:
    with tolerating, pytest.raises(stripe.InvalidRequestError) as caught:
        new_intent(amonut=1)
    assert (caught.value.code, caught.value.param) == ("parameter_unknown", "amonut")


def test_a_missing_parameter_is_named(stripe_client: stripe.StripeClient, tolerating: Any) -> None:
    params: Any = {"currency": "usd"}
    with tolerating, pytest.raises(stripe.InvalidRequestError) as caught:
        stripe_client.v1.payment_intents.create(params)
    assert (caught.value.code, caught.value.param) == ("parameter_missing", "amount")


def test_metadata_has_limits(new_intent: Callable[..., Any], stripe_client: stripe.StripeClient) -> None:
    for wrong in ({"k" * 41: "v"}, {"k": "v" * 501}, {f"k{n}": "v" for n in range(51)}):
        with pytest.raises(stripe.InvalidRequestError):
            new_intent(metadata=wrong)
    made = new_intent(metadata={"a": "1", "b": "2"})
    after = stripe_client.v1.payment_intents.update(made.id, {"metadata": {"a": "", "c": "3"}})
    assert dict(after.metadata.to_dict()) == {"b": "2", "c": "3"}


def test_an_unknown_intent_is_a_404(stripe_client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        stripe_client.v1.payment_intents.retrieve("pi_none")
    assert (caught.value.http_status, caught.value.code) == (404, "resource_missing")


def test_lists_are_newest_first_and_paged_by_cursor(
    new_intent: Callable[..., Any], stripe_client: stripe.StripeClient
) -> None:
    customer = stripe_client.v1.customers.create().id
    made = [new_intent(customer=customer).id for _ in range(5)]

    first = stripe_client.v1.payment_intents.list({"customer": customer, "limit": 2})
    assert ([one.id for one in first.data], first.has_more) == ([made[4], made[3]], True)
    second = stripe_client.v1.payment_intents.list({"customer": customer, "limit": 2, "starting_after": made[3]})
    assert ([one.id for one in second.data], second.has_more) == ([made[2], made[1]], True)
    back = stripe_client.v1.payment_intents.list({"customer": customer, "limit": 2, "ending_before": made[2]})
    assert ([one.id for one in back.data], back.has_more) == ([made[4], made[3]], False)
    walked = stripe_client.v1.payment_intents.list({"customer": customer, "limit": 2}).auto_paging_iter()
    assert [one.id for one in walked] == made[::-1]


def test_expand_replaces_ids_by_objects(
    new_intent: Callable[..., Any], confirm: Callable[..., Any], stripe_client: stripe.StripeClient
) -> None:
    done = confirm(new_intent().id, "pm_card_visa", expand=["latest_charge.balance_transaction", "payment_method"])
    assert done.latest_charge.balance_transaction.net == 1168
    assert done.payment_method.card.brand == "visa"
    with pytest.raises(stripe.InvalidRequestError):
        stripe_client.v1.payment_intents.retrieve(done.id, {"expand": ["amount"]})


# Idempotency


def test_the_same_key_replays_the_same_answer(stripe_client: stripe.StripeClient) -> None:
    key, params = f"contract-{uuid4().hex}", {"amount": 700, "currency": "usd"}
    first = stripe_client.v1.payment_intents.create(params, {"idempotency_key": key})  # type: ignore[arg-type]
    second = stripe_client.v1.payment_intents.create(params, {"idempotency_key": key})  # type: ignore[arg-type]

    assert first.id == second.id
    assert second.last_response is not None
    headers: Any = second.last_response.headers
    assert headers["Idempotent-Replayed"] == "true"
    assert headers["Request-Id"].startswith("req_")


def test_the_same_key_with_other_parameters_is_refused(stripe_client: stripe.StripeClient) -> None:
    key = f"contract-{uuid4().hex}"
    stripe_client.v1.payment_intents.create({"amount": 700, "currency": "usd"}, {"idempotency_key": key})
    with pytest.raises(stripe.IdempotencyError) as caught:
        stripe_client.v1.payment_intents.create({"amount": 701, "currency": "usd"}, {"idempotency_key": key})
    assert caught.value.http_status == 400
    with pytest.raises(stripe.IdempotencyError):
        stripe_client.v1.customers.create({}, {"idempotency_key": key})


def test_a_decline_is_stored_under_its_key(new_intent: Callable[..., Any], stripe_client: stripe.StripeClient) -> None:
    made, key = new_intent(), f"contract-{uuid4().hex}"
    params: Any = {"payment_method": "pm_card_chargeDeclined", "return_url": "https://portal.example/return"}
    for _ in range(2):
        with pytest.raises(stripe.CardError):
            stripe_client.v1.payment_intents.confirm(made.id, params, {"idempotency_key": key})
    assert len(stripe_client.v1.charges.list({"payment_intent": made.id}).data) == 1


# Events


def test_what_happens_makes_events(
    new_intent: Callable[..., Any], confirm: Callable[..., Any], stripe_client: stripe.StripeClient,
    eventually: Callable[[Callable[[], Any]], Any],
) -> None:  # fmt: skip
    made = new_intent()
    with pytest.raises(stripe.CardError):
        confirm(made.id, "pm_card_chargeDeclined")
    confirm(made.id, "pm_card_visa")

    def of_intent() -> Any:
        listed = stripe_client.v1.events.list({"type": "payment_intent.*", "limit": 100}).data
        mine = [one for one in listed if one.data.object["id"] == made.id]
        return mine if len(mine) >= 3 else None

    found = eventually(of_intent)
    assert sorted(one.type for one in found) == [
        "payment_intent.created", "payment_intent.payment_failed", "payment_intent.succeeded",
    ]  # fmt: skip
    snapshots = {one.type: one.data.object["status"] for one in found}
    assert snapshots["payment_intent.payment_failed"] == "requires_payment_method"
    assert all(one.livemode is False for one in found)
    again = stripe_client.v1.events.retrieve(found[0].id)
    assert again.type == found[0].type


def test_a_refund_gives_the_money_back_once(
    new_intent: Callable[..., Any], confirm: Callable[..., Any], stripe_client: stripe.StripeClient
) -> None:
    done = confirm(new_intent().id, "pm_card_visa")
    part = stripe_client.v1.refunds.create({"payment_intent": done.id, "amount": 234})
    assert (part.status, part.amount, part.charge) == ("succeeded", 234, done.latest_charge)
    with pytest.raises(stripe.InvalidRequestError):
        stripe_client.v1.refunds.create({"payment_intent": done.id, "amount": 1001})
    stripe_client.v1.refunds.create({"payment_intent": done.id})
    charge = stripe_client.v1.charges.retrieve(done.latest_charge)
    assert (charge.amount_refunded, charge.refunded) == (1234, True)
    with pytest.raises(stripe.InvalidRequestError) as caught:
        stripe_client.v1.refunds.create({"payment_intent": done.id})
    assert caught.value.code == "charge_already_refunded"


def test_a_card_is_saved_for_a_customer_and_removed(stripe_client: stripe.StripeClient) -> None:
    customer = stripe_client.v1.customers.create({"metadata": {"ref": "x"}}).id
    saved = stripe_client.v1.payment_methods.attach("pm_card_visa", {"customer": customer})
    assert [one.id for one in stripe_client.v1.customers.payment_methods.list(customer).data] == [saved.id]
    stripe_client.v1.payment_methods.detach(saved.id)
    assert stripe_client.v1.customers.payment_methods.list(customer).data == []
    with pytest.raises(stripe.CardError):
        stripe_client.v1.payment_methods.attach("pm_card_chargeDeclined", {"customer": customer})
