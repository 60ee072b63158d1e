"""The judge of what Stripe is told is itself judged: each of these would be a leak."""

import pytest

from portal.payments.gateway import StripeGateway
from portal.sandbox.stripe import StandIn
from tests.privacy import JudgedHTTPClient, leaks

GOOD = {
    "method": "POST",
    "path": "/v1/payment_intents",
    "idempotency_key": "0" * 32,
    "params": {
        "amount": "2500",
        "customer": "cus_1",
        "allowed_payment_method_types": ["card"],
        "metadata": {"attempt_id": "0" * 32},
    },
}


def test_ids_and_amounts_may_pass() -> None:
    assert leaks(GOOD) == []


@pytest.mark.parametrize(
    "params",
    [
        {"description": "Office visit"},
        {"receipt_email": "testa@example.com"},
        {"statement_descriptor_suffix": "CARDIOLOGY"},
        {"metadata": {"patient": "0" * 32}},
        {"metadata": {"attempt_id": "JDC-1001"}},
        {"customer": "Testa Demopatient"},
        {"expand": ["customer"]},
        {"shipping": {"name": "x"}},
    ],
)
def test_anything_else_is_a_leak(params: dict[str, object]) -> None:
    assert len(leaks({**GOOD, "params": params})) == 1


def test_paths_and_keys_are_looked_at_too() -> None:
    assert leaks({**GOOD, "path": "/v1/customers/testa@example.com"})
    assert leaks({**GOOD, "idempotency_key": "pay-V-260604-1"})


def test_what_the_gateway_sends_is_judged(standin: StandIn) -> None:
    found: list[str] = []
    gateway = StripeGateway("sk_test_plainbill_standin", "whsec_x", http_client=JudgedHTTPClient(standin, found))
    customer = gateway.create_customer(payer_key="a" * 32)
    assert found == []
    gateway._client.v1.customers.update(customer, {"name": "Testa Demopatient"})
    assert found == [f"POST /v1/customers/{customer}: name='Testa Demopatient'"]
