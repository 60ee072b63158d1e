"""A stand-in on a clock that stands still, and stripe-python on it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import stripe

from portal.sandbox.stripe import StandIn, StandInHTTPClient

NOW = datetime(2026, 9, 1, 12, 0, tzinfo=UTC)
HOOK = "http://127.0.0.1:9/webhooks/stripe"


@pytest.fixture
def standin() -> Iterator[StandIn]:
    made = StandIn(clock=lambda: NOW, webhook_url=HOOK, sleep=lambda seconds: None)
    yield made
    made.close()


@pytest.fixture
def client(standin: StandIn) -> stripe.StripeClient:
    return stripe.StripeClient(standin.secret_key, http_client=StandInHTTPClient(standin))


def create(client: stripe.StripeClient, key: str | None = None, **changes: Any) -> Any:
    params: Any = {"amount": 1234, "currency": "usd", "allowed_payment_method_types": ["card"], **changes}
    return client.v1.payment_intents.create(params, {"idempotency_key": key} if key else {})


def confirm(client: stripe.StripeClient, intent_id: str, method: str = "pm_card_visa", **more: Any) -> Any:
    params: Any = {"payment_method": method, "return_url": "https://portal.example/return", **more}
    return client.v1.payment_intents.confirm(intent_id, params)
