"""The judge of what Stripe is told is itself judged: each of these would be a leak."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import stripe

from portal.payments.gateway import StripeGateway
from portal.sandbox.privacy import JudgedHTTPClient, leaks, leaks_of_browser
from portal.sandbox.simulation.verdict import judge
from portal.sandbox.stripe import StandIn
from tests.databases import Backend
from tests.faults import acts
from tests.faults.places import a_world
from tests.faults.world import patients

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


IN_A_BROWSER = {
    "method": "POST",
    "path": "/v1/payment_intents/pi_1/confirm",
    "params": {
        "client_secret": "pi_1_secret_2",
        "payment_method": "pm_1",
        "return_url": f"http://127.0.0.1:8300/payments/{'0' * 32}/return",
        "billing_details": {"name": "Typed at Stripe"},
    },
}


def test_a_browser_may_say_who_pays_and_where_to_come_back() -> None:
    assert leaks_of_browser(IN_A_BROWSER) == []


@pytest.mark.parametrize(
    "params",
    [
        {"return_url": "http://127.0.0.1:8300/payments/JDC-1001/return"},
        {"return_url": f"http://127.0.0.1:8300/payments/{'0' * 32}/return?visit=V-260604-1"},
        {"description": "Office visit"},
        {"receipt_email": "testa@example.com"},
        {"shipping": {"name": "Testa Demopatient"}},
        {"metadata": {"account": "JDC-1001"}},
        {"billing_details": {"phone": "(555) 010-0199"}},
    ],
)
def test_anything_else_from_a_page_is_a_leak(params: dict[str, object]) -> None:
    assert len(leaks_of_browser({**IN_A_BROWSER, "params": params})) == 1


#: Who talks to a stand-in without being judged, and why nothing is missed: each of these is a test of the stand-in
#: itself, or plays the patient's browser or bank, with a client of its own. The portal's gateway is in none of them.
UNJUDGED = {
    "portal/sandbox/simulation/world.py",  # the patient's browser: what somebody types at Stripe
    "tests/contract/conftest.py",
    "tests/unit/payments/test_keys.py",  # the browser with a key of another account
    "tests/unit/sandbox/conftest.py",
    "tests/unit/sandbox/test_stripe_element.py",
    "tests/unit/sandbox/test_stripe_payouts.py",
    "tests/unit/sandbox/test_stripe_requests.py",
    "tests/unit/sandbox/test_stripe_server.py",
    "tests/unit/sandbox/test_stripe_store.py",
    "tests/web/paying.py",
}


def test_nobody_reaches_a_stand_in_unjudged() -> None:
    """Every gateway of the tests is given the judged way, and every demo is one that is judged when it ends."""
    root = Path(__file__).parents[3]
    places = (root / "tests", root / "portal" / "sandbox" / "simulation")
    sources = {str(path.relative_to(root)): path.read_text() for place in places for path in place.rglob("*.py")}
    plain = {name for name, text in sources.items() if re.search(r"(?<!\w)StandInHTTPClient\(", text)}
    assert plain == UNJUDGED
    made = re.compile(r"StripeGateway\((?:[^()]|\([^()]*\))*\)")
    for name, text in sources.items():
        for call in made.findall(text):
            # With a key of Stripe's own there is no stand-in; the same requests are judged when there is.
            judged = "JudgedHTTPClient(" in call or "self._wire" in call or "STRIPE_TEST_KEY" in call
            assert judged, f"{name}: {call}"
        if name not in ("tests/browser.py", "tests/unit/payments/test_privacy.py"):
            assert "_start_demo" not in text, name


def test_a_fault_run_fails_when_stripe_is_told_a_name(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    create = stripe.CustomerService.create

    def talkative(self: Any, params: Any = None, options: Any = None) -> Any:
        return create(self, {**params, "name": "Testa Demopatient"}, options)

    monkeypatch.setattr(stripe.CustomerService, "create", talkative)
    with a_world(backend) as world:
        with world.at_work() as session:
            who = patients(session)[0]
        acts.confirm(world, acts.start(world, who))
        acts.come_back(world, who)
        assert any("Testa Demopatient" in note for note in judge(world, at_rest=False).notes)


def test_what_the_gateway_sends_is_judged(standin: StandIn) -> None:
    found: list[str] = []
    gateway = StripeGateway("sk_test_plainbill_standin", "whsec_x", http_client=JudgedHTTPClient(standin, found))
    customer = gateway.create_customer(payer_key="a" * 32)
    assert found == []
    gateway._client.v1.customers.update(customer, {"name": "Testa Demopatient"})
    assert found == [f"POST /v1/customers/{customer}: name='Testa Demopatient'"]
