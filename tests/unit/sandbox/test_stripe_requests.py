"""Keys, idempotency, faults and recording of the Stripe stand-in."""

import base64
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import stripe

from portal.sandbox.stripe import StandIn, StandInHTTPClient, StandInSetupError
from portal.sandbox.stripe.errors import ConnectionDropped
from portal.sandbox.stripe.forms import decode

from .conftest import confirm, create


def call(standin: StandIn, method: str, path: str, params: dict[str, Any] | None = None, *, key: str = "",
         **headers: str) -> tuple[int, dict[str, str], Any]:  # fmt: skip
    sent = {"Authorization": f"Bearer {key or standin.secret_key}", **headers}
    status, out, body = standin.handle(method, path, sent, urlencode(params or {}).encode())
    return status, out, json.loads(body)


CREATE = {"amount": "1234", "currency": "usd"}


# Keys


@pytest.mark.parametrize("key", ["sk_live_abc", "rk_live_abc", "pk_live_abc"])
def test_live_keys_are_refused(standin: StandIn, key: str) -> None:
    status, _, body = call(standin, "POST", "/v1/payment_intents", CREATE, key=key)
    assert status == 401
    assert "refuses live keys" in body["error"]["message"]
    assert key not in json.dumps(list(standin.requests))
    assert standin.every("payment_intent") == []


def test_a_stand_in_is_not_made_with_live_keys_or_webhooks_elsewhere() -> None:
    with pytest.raises(StandInSetupError, match="test keys only"):
        StandIn(secret_key="sk_live_abc")
    with pytest.raises(StandInSetupError, match="this machine only"):
        StandIn(webhook_url="https://portal.example/hook")


def test_wrong_and_absent_keys_get_401(standin: StandIn) -> None:
    assert call(standin, "GET", "/v1/customers", key="sk_test_other_account_0000")[0] == 401
    assert standin.handle("GET", "/v1/customers", {})[0] == 401
    basic = base64.b64encode(f"{standin.secret_key}:".encode()).decode()
    assert standin.handle("GET", "/v1/customers", {"authorization": f"Basic {basic}"})[0] == 200


def test_a_publishable_key_sees_and_confirms_only_its_intent(
    standin: StandIn, client: stripe.StripeClient
) -> None:
    made = create(client, metadata={"attempt_id": "a1"})
    other = create(client)
    path, key = f"/v1/payment_intents/{made.id}", standin.publishable_key
    secret = urlencode({"client_secret": made.client_secret})

    assert call(standin, "GET", "/v1/payment_intents", key=key)[0] == 401
    assert call(standin, "POST", f"{path}/cancel", {"client_secret": made.client_secret}, key=key)[0] == 401
    assert call(standin, "GET", path, key=key)[0] == 400
    assert call(standin, "GET", f"/v1/payment_intents/{other.id}?{secret}", key=key)[0] == 400
    status, _, body = call(standin, "GET", f"{path}?{secret}", key=key)
    assert status == 200
    assert "metadata" not in body
    assert "customer" not in body
    params = {"client_secret": made.client_secret, "payment_method": "pm_card_visa", "return_url": "http://x.test/"}
    status, _, body = call(standin, "POST", f"{path}/confirm", params, key=key)
    assert (status, body["status"]) == (200, "succeeded")
    assert "latest_charge" not in body


# Idempotency


def test_a_key_is_forgotten_after_a_day(standin: StandIn, client: stripe.StripeClient) -> None:
    first = create(client, "k1")
    standin.advance(24 * 3600 - 1)
    assert create(client, "k1").id == first.id
    standin.advance(1)
    assert create(client, "k1").id != first.id


def test_a_refused_parameter_is_not_stored_under_its_key(standin: StandIn, client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        create(client, "k1", amount=10)
    assert create(client, "k1").amount == 1234


def test_a_key_in_use_is_a_409(standin: StandIn) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def wait(seconds: float) -> None:
        entered.set()
        assert go_on.wait(10)

    standin._api.sleep = wait
    standin.faults.add("slow")
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(call, standin, "POST", "/v1/payment_intents", CREATE, **{"Idempotency-Key": "k"})
        assert entered.wait(10)
        status, _, body = call(standin, "POST", "/v1/payment_intents", CREATE, **{"Idempotency-Key": "k"})
        go_on.set()
        first = slow.result()
    assert (status, body["error"]["code"]) == (409, "idempotency_key_in_use")
    after = call(standin, "POST", "/v1/payment_intents", CREATE, **{"Idempotency-Key": "k"})
    assert after[2]["id"] == first[2]["id"]
    assert after[1]["Idempotent-Replayed"] == "true"
    assert len(standin.every("payment_intent")) == 1


def test_sixteen_tabs_confirming_make_one_charge(standin: StandIn, client: stripe.StripeClient) -> None:
    made = create(client)
    start = threading.Barrier(16)

    def tab(number: int) -> str:
        start.wait(10)
        try:
            return str(confirm(client, made.id).status)
        except stripe.InvalidRequestError as error:
            return str(error.code)

    with ThreadPoolExecutor(16) as pool:
        results = sorted(pool.map(tab, range(16)))
    assert results == ["payment_intent_unexpected_state"] * 15 + ["succeeded"]
    assert [one["status"] for one in standin.every("charge")] == ["succeeded"]


# Faults


def test_drop_before_does_nothing_and_a_retry_succeeds(standin: StandIn) -> None:
    client = stripe.StripeClient(
        standin.secret_key, http_client=StandInHTTPClient(standin), max_network_retries=2
    )
    standin.faults.add("drop_before", times=2, method="POST")
    create(client)
    assert len(standin.every("payment_intent")) == 1
    assert [one["status"] for one in standin.requests] == ["dropped", "dropped", 200]

    standin.faults.add("drop_before", times=3, method="POST")
    with pytest.raises(stripe.APIConnectionError):
        create(client)
    assert len(standin.every("payment_intent")) == 1


def test_drop_after_does_it_and_the_key_finds_it(standin: StandIn, client: stripe.StripeClient) -> None:
    standin.faults.add("drop_after", path="/v1/payment_intents$")
    with pytest.raises(stripe.APIConnectionError):
        create(client, "k1")
    assert len(standin.every("payment_intent")) == 1
    assert create(client, "k1").id == standin.every("payment_intent")[0]["id"]
    assert len(standin.every("payment_intent")) == 1


@pytest.mark.parametrize(("kind", "made"), [("error_500", 0), ("error_500_after", 1)])
def test_a_500_is_replayed_under_its_key(standin: StandIn, client: stripe.StripeClient, kind: str, made: int) -> None:
    standin.faults.add(kind)
    for _ in range(2):
        with pytest.raises(stripe.APIError) as caught:
            create(client, "k1")
        assert caught.value.http_status == 500
    assert len(standin.every("payment_intent")) == made
    assert create(client, "k2").status == "requires_payment_method"


def test_rate_limits_are_not_stored(standin: StandIn, client: stripe.StripeClient) -> None:
    standin.faults.add("rate_limited")
    with pytest.raises(stripe.RateLimitError):
        create(client, "k1")
    assert create(client, "k1").status == "requires_payment_method"


def test_faults_wait_for_their_request(standin: StandIn, client: stripe.StripeClient) -> None:
    standin.faults.add("drop_before", method="POST", path=r"/v1/payment_intents/[^/]+/confirm", skip=1)
    one, two = create(client), create(client)
    confirm(client, one.id)
    with pytest.raises(stripe.APIConnectionError):
        confirm(client, two.id)
    assert standin.faults.left() == []
    assert standin.faults.injected == 1
    with pytest.raises(ValueError, match="no fault"):
        standin.faults.add("explode")


# Cards


def test_a_card_number_is_nowhere_kept(tmp_path: Path) -> None:
    standin = StandIn(tmp_path / "s.sqlite")
    card = {"type": "card", "card[number]": "4000056655665556", "card[exp_month]": "12", "card[exp_year]": "2040",
            "card[cvc]": "737"}  # fmt: skip
    status, _, body = call(standin, "POST", "/v1/payment_methods", card)
    assert (status, body["card"]["last4"]) == (200, "5556")
    # A real card's number is declined and not even written down as a behavior.
    real = {**card, "card[number]": "4539578763621486"}
    status, _, body = call(standin, "POST", "/v1/payment_methods", real)
    standin.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"4539578763621486" not in kept
    assert "4000056655665556" not in json.dumps(list(standin.requests))
    assert "737" not in [one["params"].get("card", {}).get("cvc") for one in standin.requests]


def test_a_real_card_is_declined_as_in_test_mode(standin: StandIn, client: stripe.StripeClient) -> None:
    card: Any = {"number": "4539578763621486", "exp_month": 12, "exp_year": 2040, "cvc": "123"}
    method = client.v1.payment_methods.create({"type": "card", "card": card})
    with pytest.raises(stripe.CardError) as caught:
        confirm(client, create(client).id, method.id)
    assert caught.value.error is not None
    assert caught.value.error.decline_code == "test_mode_live_card"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"number": "4242424242424241"}, "incorrect_number"),
        ({"exp_month": 13}, "invalid_expiry_month"),
        ({"exp_year": 2020}, "invalid_expiry_year"),
        ({"cvc": "12"}, "invalid_cvc"),
    ],
)
def test_an_impossible_card_is_refused(client: stripe.StripeClient, change: dict[str, Any], code: str) -> None:
    card: Any = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2040, "cvc": "123", **change}
    with pytest.raises(stripe.CardError) as caught:
        client.v1.payment_methods.create({"type": "card", "card": card})
    assert caught.value.code == code


# Bank debits and refunds move with the clock


@pytest.mark.parametrize(
    ("method", "status", "code"),
    [
        ("pm_usBankAccount_success", "succeeded", None),
        ("pm_usBankAccount_insufficientFunds", "requires_payment_method", "insufficient_funds"),
    ],
)
def test_a_bank_debit_settles_days_later(
    standin: StandIn, client: stripe.StripeClient, method: str, status: str, code: str | None
) -> None:
    made = create(client, allowed_payment_method_types=["us_bank_account"])
    accepted = {"customer_acceptance": {"type": "online", "online": {"ip_address": "127.0.0.1", "user_agent": "x"}}}
    pending = confirm(client, made.id, method, mandate_data=accepted)
    assert pending.status == "processing"
    assert client.v1.charges.retrieve(pending.latest_charge).status == "pending"

    standin.advance(4 * 86_400)

    after = client.v1.payment_intents.retrieve(made.id)
    assert after.status == status
    assert (after.last_payment_error.code if after.last_payment_error else None) == code
    assert standin.violations == []


def test_a_refund_may_fail_later_and_the_money_comes_back(standin: StandIn, client: stripe.StripeClient) -> None:
    done = confirm(client, create(client).id, "pm_card_refundFail")
    refund = client.v1.refunds.create({"payment_intent": done.id})
    assert refund.status == "succeeded"
    standin.advance(2 * 86_400)
    assert client.v1.refunds.retrieve(refund.id).status == "failed"
    assert client.v1.charges.retrieve(done.latest_charge).amount_refunded == 0
    moved = client.v1.balance_transactions.list({"limit": 100}).data
    assert sum(one.net for one in moved) == 1234 - 66
    assert standin.violations == []


# Validation


def test_a_wrong_request_fails_the_suite(standin: StandIn, client: stripe.StripeClient) -> None:
    assert standin.validating or pytest.skip("Stripe's API description is absent")
    with pytest.raises(AssertionError, match="metdata"):
        create(client, metdata={"a": "b"})
    assert len(standin.violations) == 1
    with pytest.raises(AssertionError, match="setup_future_usage"):
        create(client, setup_future_usage="whenever")
    with pytest.raises(AssertionError, match="is not simulated"):
        client.v1.subscriptions.list()


@pytest.mark.parametrize(("field", "value"), [("invented", 1), ("amount", "1234"), ("status", "paid")])
def test_a_wrong_answer_fails_the_suite(
    standin: StandIn, client: stripe.StripeClient, monkeypatch: pytest.MonkeyPatch, field: str, value: Any
) -> None:
    assert standin.validating or pytest.skip("Stripe's API description is absent")
    from portal.sandbox.stripe import objects

    right = objects.payment_intent
    monkeypatch.setattr(objects, "payment_intent", lambda *args: {**right(*args), field: value})
    with pytest.raises(AssertionError, match=field):
        create(client)
    # Both the answer and the event's snapshot are wrong.
    assert len(standin.violations) == 2


def test_without_a_description_nothing_is_checked(tmp_path: Path) -> None:
    standin = StandIn(spec_path=tmp_path / "absent.json")
    client = stripe.StripeClient(standin.secret_key, http_client=StandInHTTPClient(standin))
    assert standin.validating is False
    assert create(client, metdata={"a": "b"}).amount == 1234
    assert standin.violations == []


def test_every_simulated_operation_is_in_the_description(standin: StandIn) -> None:
    from portal.sandbox.stripe.api import API_VERSION
    from portal.sandbox.stripe.operations import ENDPOINTS

    assert standin._checker.spec is not None or pytest.skip("Stripe's API description is absent")
    assert standin._checker.spec is not None
    assert standin._checker.spec.version == API_VERSION
    assert [one[:2] for one in ENDPOINTS if not standin._checker.spec.knows(one[0], one[1])] == []


# Forms and recording


def test_nested_forms_are_read() -> None:
    text = "metadata[a]=b&metadata[c]=d+e&expand[]=x&expand[]=y&list[0]=p&list[1]=q&created[gte]=5&empty="
    assert decode(text) == {
        "metadata": {"a": "b", "c": "d e"}, "expand": ["x", "y"], "list": {"0": "p", "1": "q"},
        "created": {"gte": "5"}, "empty": "",
    }  # fmt: skip


def test_every_request_is_recorded_with_its_parameters(standin: StandIn, client: stripe.StripeClient) -> None:
    made = create(client, "k1", metadata={"attempt_id": "a1"})
    client.v1.payment_intents.list({"customer": made.customer or "", "limit": 3})
    first, second = standin.requests
    assert (first["method"], first["path"], first["idempotency_key"], first["status"]) == (
        "POST", "/v1/payment_intents", "k1", 200,
    )  # fmt: skip
    assert first["params"]["metadata"] == {"attempt_id": "a1"}
    assert first["version"] == "2026-08-26.dahlia"
    assert second["params"]["limit"] == "3"


def test_a_dropped_request_raises_in_process(standin: StandIn) -> None:
    standin.faults.add("drop_before")
    # A request without a key is refused before it meets the fault.
    assert standin.handle("GET", "/v1/customers", {})[0] == 401
    with pytest.raises(ConnectionDropped):
        call(standin, "GET", "/v1/customers")
