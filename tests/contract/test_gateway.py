"""The portal's own gateway, on the stand-in and on Stripe: every request it makes is one that both take."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pytest
import stripe

from portal.money import Money
from portal.payments.errors import StripeRefused
from portal.payments.gateway import METHOD_KINDS, StripeGateway
from portal.sandbox.privacy import JudgedHTTPClient

from .conftest import RETURN_URL


@pytest.fixture
def gateway(api: str, request: pytest.FixtureRequest) -> Iterator[StripeGateway]:
    """The gateway to either; it tells both ids and amounts only."""
    if api == "stripe":
        yield StripeGateway(os.environ["STRIPE_TEST_KEY"], "whsec_not_used")
        return
    standin, told = request.getfixturevalue("standin"), list[str]()
    yield StripeGateway(standin.secret_key, "whsec_not_used", http_client=JudgedHTTPClient(standin, told))
    assert told == []


@pytest.fixture
def payer(gateway: StripeGateway) -> str:
    """A customer that the gateway made."""
    return gateway.create_customer(payer_key=uuid.uuid4().hex)


def test_asking_twice_makes_one_of_each(gateway: StripeGateway) -> None:
    key = uuid.uuid4().hex
    customer = gateway.create_customer(payer_key=key)
    assert gateway.create_customer(payer_key=key) == customer
    ask: dict[str, Any] = {"attempt_id": uuid.uuid4().hex, "amount": Money(2345), "customer_id": customer}
    made = gateway.create_intent(**ask)
    assert gateway.create_intent(**ask).id == made.id
    assert (made.status, made.amount, made.received) == ("requires_payment_method", Money(2345), Money(0))
    assert (made.attempt_id, made.customer_id, made.keeps_method) == (ask["attempt_id"], customer, False)
    found = gateway.find_intent(customer_id=customer, attempt_id=ask["attempt_id"])
    assert found is not None
    assert found.id == made.id
    assert gateway.find_intent(customer_id=customer, attempt_id=uuid.uuid4().hex) is None
    with pytest.raises(StripeRefused):
        gateway.create_intent(**{**ask, "amount": Money(2346)})


def test_a_payment_is_kept_paid_and_given_back_in_part(
    gateway: StripeGateway, payer: str, confirm: Callable[..., Any], eventually: Callable[..., Any]
) -> None:
    began = datetime.now(UTC) - timedelta(minutes=5)
    made = gateway.create_intent(attempt_id=uuid.uuid4().hex, amount=Money(2345), customer_id=payer)
    assert gateway.keep_method(made.id).keeps_method
    assert not gateway.keep_method(made.id, wanted=False).keeps_method
    assert gateway.keep_method(made.id).keeps_method
    confirm(made.id, "pm_card_visa")
    paid = gateway.retrieve_intent(made.id)
    assert (paid.status, paid.received, paid.method_kind) == ("succeeded", Money(2345), "card")
    assert gateway.cancel_intent(made.id).status == "succeeded"  # too late is an answer
    kept = gateway.methods.retrieve(paid.method_id)
    assert (kept.customer_id, kept.last4, kept.kind, bool(kept.fingerprint)) == (payer, "4242", "card", True)
    refund: dict[str, Any] = {"refund_id": uuid.uuid4().hex, "key": uuid.uuid4().hex, "intent_id": made.id}
    back = gateway.refunds.create(**refund, amount=Money(1000))
    assert gateway.refunds.create(**refund, amount=Money(1000)).id == back.id
    assert [one.refund_id for one in gateway.refunds.of_intent(made.id)] == [refund["refund_id"]]
    assert gateway.refunds.retrieve(back.id).amount == Money(1000)
    captured = gateway.charge(paid.charge_id)
    assert (captured.net, captured.attempt_id, captured.customer_id) == (Money(1345), made.attempt_id, payer)
    assert next(one for one in gateway.captured() if one.charge_id == paid.charge_id).net == Money(1345)
    assert gateway.disputes.of_charge(paid.charge_id) == []

    def moved() -> Any:
        return [one for one in gateway.payouts.movements(since=began) if one.source_id == paid.charge_id]

    (movement,) = eventually(moved)
    assert movement.gross == Money(2345)
    assert movement.fee > Money(0)
    assert movement.net == movement.gross - movement.fee
    gateway.methods.detach(kept.id)
    gateway.methods.detach(kept.id)
    assert gateway.methods.retrieve(kept.id).customer_id == ""


def test_an_intent_is_canceled_and_a_second_time_too(gateway: StripeGateway, payer: str) -> None:
    made = gateway.create_intent(attempt_id=uuid.uuid4().hex, amount=Money(500), customer_id=payer)
    assert gateway.cancel_intent(made.id).status == "canceled"
    assert gateway.cancel_intent(made.id).status == "canceled"
    with pytest.raises(StripeRefused) as refused:
        gateway.retrieve_intent("pi_0unknown")
    assert refused.value.is_missing


@pytest.mark.parametrize(
    ("card", "status", "code"),
    [("pm_card_visa", "succeeded", ""), ("pm_card_chargeCustomerFail", "requires_payment_method", "generic_decline")],
)
def test_a_saved_card_is_charged_with_nobody_there(
    gateway: StripeGateway, payer: str, stripe_client: stripe.StripeClient, card: str, status: str, code: str
) -> None:
    """A decline comes back as the intent that Stripe made of it, since there is nobody to throw it at."""
    setup_id = uuid.uuid4().hex
    setup = gateway.methods.create_setup(setup_id=setup_id, customer_id=payer, kinds=METHOD_KINDS)
    found = gateway.methods.find_setup(customer_id=payer, setup_id=setup_id)
    assert found is not None
    assert found.id == setup.id
    stripe_client.v1.setup_intents.confirm(setup.id, {"payment_method": card, "return_url": RETURN_URL})
    saved = gateway.methods.retrieve_setup(setup.id)
    assert (saved.status, saved.setup_id) == ("succeeded", setup_id)
    assert gateway.methods.cancel_setup(setup.id).status == "succeeded"
    charged = gateway.create_intent(
        attempt_id=uuid.uuid4().hex, amount=Money(777), customer_id=payer, method_id=saved.method_id, off_session=True
    )
    assert (charged.status, charged.failure_code) == (status, code)


def test_lists_that_the_jobs_read_can_be_read(gateway: StripeGateway) -> None:
    since = datetime.now(UTC) - timedelta(hours=1)
    for found in (
        gateway.payouts.every(since=since),
        gateway.disputes.every(since=since),
        gateway.undelivered_events(since=since),
    ):
        assert len(list(islice(found, 3))) <= 3
