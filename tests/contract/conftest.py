"""The contract suite runs on the stand-in always, and on Stripe's test mode when STRIPE_TEST_KEY is set."""

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import stripe

from portal.sandbox.stripe import StandIn, StandInHTTPClient

RETURN_URL = "https://portal.example/return"


@pytest.fixture
def standin() -> Iterator[StandIn]:
    made = StandIn()
    yield made
    made.close()
    assert made.violations == []


@pytest.fixture(params=["standin", pytest.param("stripe", marks=pytest.mark.enable_socket)])
def api(request: pytest.FixtureRequest) -> str:
    """Which Stripe this test runs on."""
    if request.param == "stripe" and not os.environ.get("STRIPE_TEST_KEY"):
        pytest.skip("STRIPE_TEST_KEY is not set: only the stand-in is tested")
    return str(request.param)


@pytest.fixture
def stripe_client(api: str, request: pytest.FixtureRequest) -> stripe.StripeClient:
    """A client of the stand-in or of Stripe's test mode."""
    if api == "stripe":
        key = os.environ["STRIPE_TEST_KEY"]
        assert key.startswith(("sk_test_", "rk_test_")), "the contract suite never touches live mode"
        return stripe.StripeClient(key)
    made = request.getfixturevalue("standin")
    return stripe.StripeClient(made.secret_key, http_client=StandInHTTPClient(made))


@pytest.fixture
def new_intent(stripe_client: stripe.StripeClient) -> Callable[..., Any]:
    """Makes an open intent as the portal does; keyword arguments change its parameters."""

    def make(**changes: Any) -> Any:
        params: dict[str, Any] = {"amount": 1234, "currency": "usd", "allowed_payment_method_types": ["card"]}
        return stripe_client.v1.payment_intents.create({**params, **changes})  # type: ignore[typeddict-item]

    return make


@pytest.fixture
def confirm(stripe_client: stripe.StripeClient) -> Callable[..., Any]:
    """Confirms an intent with one of Stripe's ready-made test payment methods."""

    def act(intent_id: str, method: str, **more: Any) -> Any:
        params: Any = {"payment_method": method, "return_url": RETURN_URL, **more}
        return stripe_client.v1.payment_intents.confirm(intent_id, params)

    return act


@pytest.fixture
def eventually(api: str) -> Callable[[Callable[[], Any]], Any]:
    """What ``fetch`` gives once it is not empty: at once on the stand-in, within seconds at Stripe."""

    def wait(fetch: Callable[[], Any]) -> Any:
        for _ in range(20 if api == "stripe" else 1):
            if found := fetch():
                return found
            if api == "stripe":
                time.sleep(1)
        raise AssertionError("it never came")

    return wait


@pytest.fixture
def tolerating(api: str, request: pytest.FixtureRequest) -> Any:
    """A context in which a deliberately wrong request is not held against the suite."""
    from contextlib import nullcontext

    return nullcontext() if api == "stripe" else request.getfixturevalue("standin").tolerating_violations()


@pytest.fixture
def advance(api: str, request: pytest.FixtureRequest) -> Callable[[int], Any]:
    """Lets days pass. Stripe's clock cannot be moved, so a test that asks for it runs on the stand-in only."""
    if api == "stripe":
        pytest.skip("Stripe's clock cannot be moved")
    made: StandIn = request.getfixturevalue("standin")
    return lambda days: made.advance(days * 86_400)


@pytest.fixture
def customer(stripe_client: stripe.StripeClient) -> str:
    """A new customer's id."""
    return str(stripe_client.v1.customers.create({"metadata": {"ref": "contract"}}).id)


@pytest.fixture
def paid(new_intent: Callable[..., Any], confirm: Callable[..., Any]) -> Callable[..., Any]:
    """A succeeded intent, by default with a plain card; keyword arguments change the intent's parameters."""

    def make(method: str = "pm_card_visa", **changes: Any) -> Any:
        done = confirm(new_intent(**changes).id, method)
        assert done.status == "succeeded"
        return done

    return make
