"""What the portal relies on of saved payment methods and SetupIntents, on the stand-in and on Stripe."""

from collections.abc import Callable
from typing import Any

import pytest
import stripe

from .conftest import RETURN_URL


@pytest.fixture
def save(stripe_client: stripe.StripeClient, customer: str) -> Callable[..., Any]:
    """Saves a card of the customer for later by a SetupIntent that is confirmed at once."""

    def make(method: str = "pm_card_visa", **changes: Any) -> Any:
        params: Any = {"customer": customer, "payment_method": method, "confirm": True, "usage": "off_session",
                       "allowed_payment_method_types": ["card"], "return_url": RETURN_URL, **changes}  # fmt: skip
        return stripe_client.v1.setup_intents.create(params)

    return make


@pytest.fixture
def charge_later(new_intent: Callable[..., Any], customer: str) -> Callable[..., Any]:
    """Charges a saved method while its owner is away."""

    def act(method: str) -> Any:
        return new_intent(
            customer=customer, payment_method=method, confirm=True, off_session=True, return_url=RETURN_URL
        )

    return act


def test_a_card_is_set_up_and_charged_later(
    save: Callable[..., Any], charge_later: Callable[..., Any], stripe_client: stripe.StripeClient, customer: str
) -> None:
    made = save(metadata={"ref": "s1"})
    assert (made.object, made.status, made.usage, made.customer) == (
        "setup_intent", "succeeded", "off_session", customer,
    )  # fmt: skip
    assert made.metadata["ref"] == "s1"
    (kept,) = stripe_client.v1.payment_methods.list({"customer": customer, "type": "card"}).data
    assert (kept.id, kept.customer) == (made.payment_method, customer)
    done = charge_later(kept.id)
    assert (done.status, done.payment_method) == ("succeeded", kept.id)


def test_paying_may_save_the_card_too(
    new_intent: Callable[..., Any], confirm: Callable[..., Any], charge_later: Callable[..., Any],
    stripe_client: stripe.StripeClient, customer: str,
) -> None:  # fmt: skip
    made = new_intent(customer=customer)
    changed = stripe_client.v1.payment_intents.update(made.id, {"setup_future_usage": "off_session"})
    assert changed.setup_future_usage == "off_session"
    confirm(made.id, "pm_card_visa")
    (kept,) = stripe_client.v1.payment_methods.list({"customer": customer}).data
    assert charge_later(kept.id).status == "succeeded"


def test_a_card_that_was_only_used_is_not_kept(
    paid: Callable[..., Any], stripe_client: stripe.StripeClient, customer: str
) -> None:
    paid(customer=customer)
    assert stripe_client.v1.payment_methods.list({"customer": customer}).data == []


def test_a_declined_card_is_not_set_up(save: Callable[..., Any]) -> None:
    with pytest.raises(stripe.CardError) as caught:
        save("pm_card_chargeDeclined")
    error: Any = caught.value.error
    assert (caught.value.http_status, error.code) == (402, "card_declined")
    assert error.setup_intent.status == "requires_payment_method"


def test_a_card_may_be_saved_and_declined_later(
    charge_later: Callable[..., Any], stripe_client: stripe.StripeClient, customer: str
) -> None:
    kept = stripe_client.v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": customer})
    with pytest.raises(stripe.CardError) as caught:
        charge_later(kept.id)
    assert caught.value.code == "card_declined"


def test_setting_up_may_ask_for_three_d_secure(save: Callable[..., Any]) -> None:
    waiting = save("pm_card_authenticationRequired")
    assert (waiting.status, waiting.next_action.type) == ("requires_action", "redirect_to_url")


def test_a_saved_card_may_want_its_owner_back(
    charge_later: Callable[..., Any], stripe_client: stripe.StripeClient, customer: str
) -> None:
    kept = stripe_client.v1.payment_methods.attach("pm_card_authenticationRequired", {"customer": customer})
    with pytest.raises(stripe.CardError) as caught:
        charge_later(kept.id)
    error: Any = caught.value.error
    assert (error.code, error.payment_intent.status) == ("authentication_required", "requires_payment_method")
    again = stripe_client.v1.payment_intents.confirm(
        error.payment_intent.id, {"payment_method": kept.id, "return_url": RETURN_URL}
    )
    assert again.status == "requires_action"


def test_a_detached_card_is_gone_for_good(
    save: Callable[..., Any], charge_later: Callable[..., Any], stripe_client: stripe.StripeClient, customer: str
) -> None:
    kept = save().payment_method
    gone = stripe_client.v1.payment_methods.detach(kept)
    assert gone.customer is None
    with pytest.raises(stripe.InvalidRequestError):
        charge_later(kept)
    with pytest.raises(stripe.InvalidRequestError):
        stripe_client.v1.payment_methods.attach(kept, {"customer": customer})


def test_another_customers_card_cannot_be_charged(
    save: Callable[..., Any], new_intent: Callable[..., Any], stripe_client: stripe.StripeClient
) -> None:
    other = stripe_client.v1.customers.create().id
    with pytest.raises(stripe.InvalidRequestError):
        new_intent(customer=other, payment_method=save().payment_method, confirm=True, return_url=RETURN_URL)


def test_one_card_has_one_fingerprint(stripe_client: stripe.StripeClient, customer: str) -> None:
    attach = stripe_client.v1.payment_methods.attach
    prints = [attach(name, {"customer": customer}).card.fingerprint  # type: ignore[union-attr]
              for name in ("pm_card_visa", "pm_card_visa", "pm_card_mastercard")]  # fmt: skip
    assert prints[0] == prints[1] != prints[2]


def test_saving_and_removing_make_events(
    save: Callable[..., Any], stripe_client: stripe.StripeClient, eventually: Callable[[Callable[[], Any]], Any]
) -> None:
    made = save()
    stripe_client.v1.payment_methods.detach(made.payment_method)
    wanted: Any = {"types": ["payment_method.attached", "payment_method.detached", "setup_intent.succeeded"],
                   "limit": 100}  # fmt: skip

    def mine() -> Any:
        ids = (made.id, made.payment_method)
        found = [one.type for one in stripe_client.v1.events.list(wanted).data if one.data.object["id"] in ids]
        return found if len(found) == 3 else None

    assert sorted(eventually(mine)) == sorted(wanted["types"])


def test_a_canceled_setup_cannot_be_confirmed(stripe_client: stripe.StripeClient, customer: str) -> None:
    made = stripe_client.v1.setup_intents.create({"customer": customer})
    assert made.status == "requires_payment_method"
    assert stripe_client.v1.setup_intents.cancel(made.id).status == "canceled"
    with pytest.raises(stripe.InvalidRequestError) as caught:
        stripe_client.v1.setup_intents.confirm(made.id, {"payment_method": "pm_card_visa", "return_url": RETURN_URL})
    assert caught.value.code == "setup_intent_unexpected_state"
