"""What the portal relies on of US bank account debits, on the stand-in and on Stripe."""

from collections.abc import Callable
from typing import Any

import pytest
import stripe

from .conftest import RETURN_URL

BANK = "us_bank_account"
ACCEPTED = {"customer_acceptance": {"type": "online", "online": {"ip_address": "203.0.113.7", "user_agent": "test"}}}
TYPED = {
    "type": BANK, "billing_details": {"name": "Contract Test"},
    BANK: {"routing_number": "110000000", "account_number": "000123456789", "account_holder_type": "individual"},
}  # fmt: skip


@pytest.fixture
def debit(new_intent: Callable[..., Any], stripe_client: stripe.StripeClient) -> Callable[..., Any]:
    """Confirms an intent with a bank account whose owner has agreed."""

    def act(method: str | None = "pm_usBankAccount_success", **changes: Any) -> Any:
        made = new_intent(allowed_payment_method_types=[BANK], **changes)
        chosen = {"payment_method": method} if method else {"payment_method_data": TYPED}
        params: Any = {**chosen, "mandate_data": ACCEPTED, "return_url": RETURN_URL}
        return stripe_client.v1.payment_intents.confirm(made.id, params)

    return act


@pytest.fixture
def set_up(stripe_client: stripe.StripeClient, customer: str) -> Callable[..., Any]:
    """Confirms a SetupIntent of the customer with a bank account whose owner has agreed."""

    def act(**chosen: Any) -> Any:
        params: Any = {"customer": customer, "allowed_payment_method_types": [BANK], "confirm": True,
                       "mandate_data": ACCEPTED, "return_url": RETURN_URL, **chosen}  # fmt: skip
        return stripe_client.v1.setup_intents.create(params)

    return act


def test_a_verified_account_is_debited_for_days(
    debit: Callable[..., Any], stripe_client: stripe.StripeClient
) -> None:
    going = debit()
    assert (going.status, going.amount_received) == ("processing", 0)
    charge = stripe_client.v1.charges.retrieve(going.latest_charge)
    assert (charge.status, charge.paid, charge.balance_transaction) == ("pending", False, None)
    details: Any = charge.payment_method_details
    assert (details.type, details[BANK].last4) == (BANK, "6789")
    assert stripe_client.v1.mandates.retrieve(details[BANK].mandate).status == "active"


def test_a_debit_needs_its_owners_leave(new_intent: Callable[..., Any], stripe_client: stripe.StripeClient) -> None:
    made = new_intent(allowed_payment_method_types=[BANK])
    with pytest.raises(stripe.InvalidRequestError) as caught:
        stripe_client.v1.payment_intents.confirm(
            made.id, {"payment_method": "pm_usBankAccount_success", "return_url": RETURN_URL}
        )
    assert caught.value.http_status == 400


@pytest.mark.parametrize(
    "given", [{"amounts": [32, 45]}, {"descriptor_code": "SM11AA"}], ids=["amounts", "descriptor_code"]
)
def test_a_typed_account_is_verified_by_micro_deposits(
    given: dict[str, Any], debit: Callable[..., Any], stripe_client: stripe.StripeClient
) -> None:
    waiting = debit(None)
    assert (waiting.status, waiting.next_action.type) == ("requires_action", "verify_with_microdeposits")
    sent = waiting.next_action.verify_with_microdeposits
    assert sent.hosted_verification_url.startswith("http")
    assert sent.arrival_date > waiting.created
    params: Any = given
    going = stripe_client.v1.payment_intents.verify_microdeposits(waiting.id, params)
    assert going.status == "processing"


def test_too_many_wrong_answers_end_the_verification(
    debit: Callable[..., Any], stripe_client: stripe.StripeClient
) -> None:
    waiting = debit(None)
    with pytest.raises(stripe.InvalidRequestError) as caught:
        stripe_client.v1.payment_intents.verify_microdeposits(waiting.id, {"descriptor_code": "SM33CC"})
    assert caught.value.code == "payment_method_microdeposit_verification_attempts_exceeded"
    assert stripe_client.v1.payment_intents.retrieve(waiting.id).status == "requires_payment_method"


def test_deposits_are_not_named_where_none_were_sent(
    debit: Callable[..., Any], stripe_client: stripe.StripeClient
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        stripe_client.v1.payment_intents.verify_microdeposits(debit().id, {"amounts": [32, 45]})
    assert caught.value.code == "payment_intent_unexpected_state"


def test_a_saved_account_is_debited_while_its_owner_is_away(
    set_up: Callable[..., Any], new_intent: Callable[..., Any], stripe_client: stripe.StripeClient, customer: str
) -> None:
    waiting = set_up(payment_method_data=TYPED)
    assert (waiting.status, waiting.next_action.type) == ("requires_action", "verify_with_microdeposits")
    saved = stripe_client.v1.setup_intents.verify_microdeposits(waiting.id, {"descriptor_code": "SM11AA"})
    assert saved.status == "succeeded"
    mandate = stripe_client.v1.mandates.retrieve(str(saved.mandate))
    assert (mandate.status, mandate.type, mandate.payment_method) == ("active", "multi_use", saved.payment_method)
    going = new_intent(
        customer=customer, payment_method=saved.payment_method, confirm=True, off_session=True,
        allowed_payment_method_types=[BANK], return_url=RETURN_URL,
    )  # fmt: skip
    assert going.status == "processing"


def test_a_verified_account_is_set_up_at_once(
    set_up: Callable[..., Any], stripe_client: stripe.StripeClient, customer: str
) -> None:
    made = set_up(payment_method="pm_usBankAccount_success")
    assert (made.status, bool(made.mandate)) == ("succeeded", True)
    (kept,) = stripe_client.v1.payment_methods.list({"customer": customer, "type": BANK}).data
    assert kept.id == made.payment_method


@pytest.mark.parametrize(
    ("method", "status", "code"),
    [
        ("pm_usBankAccount_success", "succeeded", None),
        ("pm_usBankAccount_insufficientFunds", "requires_payment_method", "insufficient_funds"),
        ("pm_usBankAccount_accountClosed", "requires_payment_method", "account_closed"),
        ("pm_usBankAccount_noAccount", "requires_payment_method", "no_account"),
        ("pm_usBankAccount_debitNotAuthorized", "requires_payment_method", "debit_not_authorized"),
    ],
)
def test_a_debit_ends_days_later(
    method: str, status: str, code: str | None, advance: Callable[[int], Any], debit: Callable[..., Any],
    stripe_client: stripe.StripeClient,
) -> None:  # fmt: skip
    going = debit(method)
    advance(4)
    after = stripe_client.v1.payment_intents.retrieve(going.id)
    assert (after.status, after.last_payment_error.code if after.last_payment_error else None) == (status, code)
    fee = sum(one.fee for one in stripe_client.v1.balance_transactions.list({"source": going.latest_charge}).data)
    assert fee == (10 if code is None else 0)


def test_a_debit_under_way_can_be_refunded_and_the_refund_waits(
    debit: Callable[..., Any], stripe_client: stripe.StripeClient
) -> None:
    going = debit()
    assert going.status == "processing"
    made = stripe_client.v1.refunds.create({"payment_intent": going.id})
    assert (made.status, made.pending_reason) == ("pending", "charge_pending")


@pytest.mark.parametrize(
    ("method", "ends"),
    [
        ("pm_usBankAccount_success", ("pending", "processing")),
        ("pm_usBankAccount_insufficientFunds", ("canceled", None)),
    ],
)
def test_what_becomes_of_it_is_what_becomes_of_the_debit(
    advance: Callable[[int], Any],
    debit: Callable[..., Any],
    stripe_client: stripe.StripeClient,
    method: str,
    ends: tuple[str, str | None],
) -> None:
    made = stripe_client.v1.refunds.create({"payment_intent": debit(method).id})
    advance(4)
    after = stripe_client.v1.refunds.retrieve(made.id)
    assert (after.status, getattr(after, "pending_reason", None)) == ends
