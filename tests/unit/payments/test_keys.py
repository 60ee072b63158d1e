"""Keys of two Stripe accounts are found when the worker starts, not by a patient on the pay page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
import stripe

from portal import worker
from portal.config import BadSettings, Settings
from portal.money import Money
from portal.payments.errors import StripeUnreachable
from portal.payments.gateway import StripeGateway
from portal.sandbox.privacy import JudgedHTTPClient
from portal.sandbox.stripe import StandIn, StandInHTTPClient
from tests.conftest import _leaks

OTHER = "pk_test_of_another_account"


@pytest.fixture
def elsewhere(read_spec_once: None) -> Iterator[StandIn]:
    """Another Stripe account, with a publishable key of its own."""
    other = StandIn(publishable_key=OTHER)
    yield other
    other.close()


class _Both(StandInHTTPClient):
    """Stripe with two accounts: a request is answered by the one whose key it bears."""

    def __init__(self, ours: stripe.HTTPClient, theirs: StandIn) -> None:
        super().__init__(theirs)
        self._ours = ours

    def request(self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None) -> Any:
        if OTHER in str((headers or {}).get("Authorization", "")):
            return super().request(method, url, headers, post_data)
        return self._ours.request(method, url, headers, post_data)


@pytest.fixture
def gateway(standin: StandIn, elsewhere: StandIn) -> StripeGateway:
    return StripeGateway(
        standin.secret_key, "whsec_x", http_client=_Both(JudgedHTTPClient(standin, _leaks), elsewhere)
    )


def _one_payment(gateway: StripeGateway) -> None:
    customer = gateway.create_customer(payer_key="a" * 32)
    gateway.create_intent(attempt_id="b" * 32, amount=Money(500), customer_id=customer)


def test_a_key_is_of_our_account_or_of_another(gateway: StripeGateway, standin: StandIn) -> None:
    assert gateway.is_of(standin.publishable_key) is None  # there is nothing to look at yet
    _one_payment(gateway)
    assert gateway.is_of(standin.publishable_key) is True
    assert gateway.is_of(OTHER) is False
    assert gateway.is_of("pk_test_revoked") is None


def test_the_worker_does_not_start_with_keys_of_two_accounts(
    app: Any, settings: Settings, gateway: StripeGateway, standin: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "make_queue", lambda *_all: pytest.fail("it went on"))
    monkeypatch.setitem(app.extensions, "plainbill_gateway", gateway)
    _one_payment(gateway)
    with pytest.raises(BadSettings, match="two Stripe accounts"):
        worker.run(app, replace(settings, stripe_publishable_key=OTHER))


def test_a_worker_that_cannot_ask_starts(app: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_self: StripeGateway, _key: str) -> None:
        raise StripeUnreachable("APIConnectionError")

    monkeypatch.setattr(StripeGateway, "is_of", away)
    worker._refuse_two_accounts(app, settings)


def test_stripe_says_so_by_the_error_that_is_looked_for(gateway: StripeGateway, elsewhere: StandIn) -> None:
    """https://docs.stripe.com/error-codes#resource-missing: what a page of an account knows of another's intent."""
    _one_payment(gateway)
    browser = stripe.StripeClient(OTHER, http_client=StandInHTTPClient(elsewhere))
    with pytest.raises(stripe.InvalidRequestError) as error:
        browser.v1.payment_intents.retrieve("pi_3ofAnother", {"client_secret": "pi_3ofAnother_secret_x"})
    assert error.value.code == "resource_missing"
