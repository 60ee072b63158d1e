"""Bank debits of the Stripe stand-in: verified, agreed to, settled, failed, returned."""

from typing import Any

import pytest
import stripe

from portal.sandbox.stripe import StandIn

from .conftest import confirm, create

DAY = 86_400
ACCEPTED = {"customer_acceptance": {"type": "online", "online": {"ip_address": "127.0.0.1", "user_agent": "x"}}}
BANK = "us_bank_account"


def typed(account: str = "000123456789", kind: str = "checking") -> dict[str, Any]:
    """A bank account as a person types it in."""
    return {
        "type": BANK, "billing_details": {"name": "Test Holder"},
        BANK: {"routing_number": "110000000", "account_number": account, "account_type": kind,
               "account_holder_type": "individual"},
    }  # fmt: skip


def debit(client: stripe.StripeClient, account: str = "000123456789", kind: str = "checking", **more: Any) -> Any:
    made = create(client, allowed_payment_method_types=[BANK], **more)
    params: Any = {"payment_method_data": typed(account, kind), "mandate_data": ACCEPTED}
    return client.v1.payment_intents.confirm(made.id, params)


def setup(client: stripe.StripeClient, customer: str, **more: Any) -> Any:
    made = client.v1.setup_intents.create({"customer": customer, "allowed_payment_method_types": [BANK]})
    params: Any = {"mandate_data": ACCEPTED, **more}
    return client.v1.setup_intents.confirm(made.id, params)


def name_deposits(client: stripe.StripeClient, intent: Any, given: dict[str, Any]) -> Any:
    part: Any = client.v1.setup_intents if intent.object == "setup_intent" else client.v1.payment_intents
    return part.verify_microdeposits(intent.id, given)


# Micro-deposits


@pytest.mark.parametrize(
    ("kind", "asked", "given"),
    [
        ("checking", "descriptor_code", {"descriptor_code": "SM11AA"}),
        ("savings", "amounts", {"amounts": [45, 32]}),
    ],
)
def test_a_typed_account_is_verified_before_it_is_debited(
    standin: StandIn, client: stripe.StripeClient, kind: str, asked: str, given: dict[str, Any]
) -> None:
    waiting = debit(client, kind=kind)
    now = int(standin.now().timestamp())
    assert (waiting.status, waiting.latest_charge, waiting.next_action.type) == (
        "requires_action", None, "verify_with_microdeposits",
    )  # fmt: skip
    sent = waiting.next_action.verify_with_microdeposits
    assert (sent.microdeposit_type, sent.arrival_date) == (asked, now + DAY)
    assert sent.hosted_verification_url.startswith(f"{standin.base_url}/microdeposits/{waiting.id}?client_secret=")
    standin.advance(2 * DAY)

    going = name_deposits(client, waiting, given)

    assert (going.status, going.next_action) == ("processing", None)
    charge = client.v1.charges.retrieve(going.latest_charge)
    assert charge.payment_method_details is not None
    mandate = client.v1.mandates.retrieve(str(charge.payment_method_details[BANK].mandate))
    assert (mandate.status, mandate.type, mandate.single_use.amount) == ("active", "single_use", 1234)  # type: ignore[union-attr]
    standin.advance(4 * DAY)
    assert client.v1.payment_intents.retrieve(waiting.id).status == "succeeded"
    with pytest.raises(stripe.InvalidRequestError) as caught:
        name_deposits(client, waiting, given)
    assert caught.value.code == "payment_intent_unexpected_state"
    assert standin.violations == []


@pytest.mark.parametrize("intent", ["payment", "setup"])
@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"amounts": [10, 11]}, "payment_method_microdeposit_verification_attempts_exceeded"),
        ({"descriptor_code": "SM33CC"}, "payment_method_microdeposit_verification_attempts_exceeded"),
        ({"amounts": [40, 41]}, "payment_method_microdeposit_verification_timeout"),
        ({"descriptor_code": "SM44DD"}, "payment_method_microdeposit_verification_timeout"),
    ],
)
def test_test_values_end_the_verification(
    standin: StandIn, client: stripe.StripeClient, intent: str, given: dict[str, Any], code: str
) -> None:
    if intent == "setup":
        waiting = setup(client, client.v1.customers.create().id, payment_method_data=typed())
    else:
        waiting = debit(client)
    with pytest.raises(stripe.InvalidRequestError) as caught:
        name_deposits(client, waiting, given)
    assert caught.value.code == code
    after: Any = standin.store.find(waiting.object, waiting.id)
    error = after["last_setup_error" if intent == "setup" else "last_payment_error"]
    assert (after["status"], after["payment_method"], error["code"]) == ("requires_payment_method", None, code)
    last = standin.every("event")[0]["type"]
    assert last == ("setup_intent.setup_failed" if intent == "setup" else "payment_intent.payment_failed")
    assert [one["status"] for one in standin.every("mandate")] == ["inactive"]
    assert standin.violations == []


@pytest.mark.parametrize(
    ("given", "code", "allowed"),
    [({"amounts": [1, 2]}, "amounts_mismatch", 3), ({"descriptor_code": "SM99ZZ"}, "descriptor_code_mismatch", 10)],
)
def test_wrong_answers_are_counted(
    standin: StandIn, client: stripe.StripeClient, given: dict[str, Any], code: str, allowed: int
) -> None:
    waiting, codes = debit(client), []
    for _ in range(allowed):
        with pytest.raises(stripe.InvalidRequestError) as caught:
            name_deposits(client, waiting, given)
        codes.append(str(caught.value.code).removeprefix("payment_method_microdeposit_verification_"))
    assert codes == [code] * (allowed - 1) + ["attempts_exceeded"]
    assert client.v1.payment_intents.retrieve(waiting.id).status == "requires_payment_method"
    assert standin.violations == []


def test_deposits_are_named_as_two_amounts_or_a_code(client: stripe.StripeClient) -> None:
    waiting = debit(client)
    with pytest.raises(stripe.InvalidRequestError) as caught:
        name_deposits(client, waiting, {"amounts": [32]})
    assert caught.value.code == "payment_method_microdeposit_verification_amounts_invalid"
    for given in ({}, {"amounts": [32, 45], "descriptor_code": "SM11AA"}):
        with pytest.raises(stripe.InvalidRequestError, match="either amounts or descriptor_code"):
            name_deposits(client, waiting, given)
    assert name_deposits(client, waiting, {"amounts": [32, 45]}).status == "processing"


def test_deposits_nobody_names_in_ten_days_end_the_wait(standin: StandIn, client: stripe.StripeClient) -> None:
    waiting = debit(client)
    standin.advance(10 * DAY - 1)
    assert client.v1.payment_intents.retrieve(waiting.id).status == "requires_action"
    standin.advance(1)
    after = client.v1.payment_intents.retrieve(waiting.id)
    assert after.status == "requires_payment_method"
    assert after.last_payment_error is not None
    assert after.last_payment_error.code == "payment_method_microdeposit_verification_timeout"


def test_an_old_wait_does_not_end_a_new_one(standin: StandIn, client: stripe.StripeClient) -> None:
    waiting = debit(client)
    standin.advance(9 * DAY)
    params: Any = {"payment_method_data": typed(), "mandate_data": ACCEPTED}
    client.v1.payment_intents.confirm(waiting.id, params)
    standin.advance(2 * DAY)
    assert client.v1.payment_intents.retrieve(waiting.id).status == "requires_action"
    standin.advance(8 * DAY)
    assert client.v1.payment_intents.retrieve(waiting.id).status == "requires_payment_method"


def test_deposits_to_no_account_come_back(standin: StandIn, client: stripe.StripeClient) -> None:
    waiting = debit(client, "000666666661")
    standin.advance(DAY)
    after = client.v1.payment_intents.retrieve(waiting.id)
    assert after.last_payment_error is not None
    assert (after.status, after.last_payment_error.code) == (
        "requires_payment_method", "payment_method_microdeposit_failed",
    )  # fmt: skip


def test_a_browser_names_deposits_with_the_client_secret(standin: StandIn, client: stripe.StripeClient) -> None:
    waiting = debit(client)
    path = f"/v1/payment_intents/{waiting.id}/verify_microdeposits"
    key = {"Authorization": f"Bearer {standin.publishable_key}"}
    assert standin.handle("POST", path, key, b"descriptor_code=SM11AA")[0] == 400
    sent = f"descriptor_code=SM11AA&client_secret={waiting.client_secret}".encode()
    assert standin.handle("POST", path, key, sent)[0] == 200
    assert client.v1.payment_intents.retrieve(waiting.id).status == "processing"


def test_a_connected_account_needs_no_deposits(standin: StandIn, client: stripe.StripeClient) -> None:
    made = create(client, allowed_payment_method_types=[BANK])
    data = {"type": BANK, "billing_details": {"name": "Test Holder"},
            BANK: {"financial_connections_account": "fca_success"}}  # fmt: skip
    params: Any = {"payment_method_data": data, "mandate_data": ACCEPTED}
    assert client.v1.payment_intents.confirm(made.id, params).status == "processing"


def test_an_intent_may_rule_deposits_out(client: stripe.StripeClient) -> None:
    options = {BANK: {"verification_method": "instant"}}
    with pytest.raises(stripe.InvalidRequestError, match="verification_method is instant"):
        debit(client, payment_method_options=options)


def test_an_unverified_account_cannot_be_attached(client: stripe.StripeClient) -> None:
    method = client.v1.payment_methods.create(typed())  # type: ignore[arg-type]
    with pytest.raises(stripe.InvalidRequestError, match="must be verified"):
        client.v1.payment_methods.attach(method.id, {"customer": client.v1.customers.create().id})


# Saved accounts


def test_a_saved_account_is_debited_off_session_by_its_mandate(standin: StandIn, client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create().id
    waiting = setup(client, customer, payment_method_data=typed())
    assert waiting.next_action.type == "verify_with_microdeposits"
    assert client.v1.payment_methods.list({"customer": customer}).data == []
    saved = name_deposits(client, waiting, {"descriptor_code": "SM11AA"})
    assert saved.status == "succeeded"
    mandate = client.v1.mandates.retrieve(saved.mandate, {"expand": ["payment_method"]})
    assert (mandate.status, mandate.type) == ("active", "multi_use")
    assert mandate.payment_method.customer == customer  # type: ignore[union-attr]

    def charge() -> Any:
        return create(client, customer=customer, payment_method=saved.payment_method, confirm=True,
                      off_session=True, allowed_payment_method_types=[BANK], return_url="https://x.test/")  # fmt: skip

    going = charge()
    details: Any = client.v1.charges.retrieve(going.latest_charge).payment_method_details
    assert (going.status, details[BANK].mandate) == ("processing", saved.mandate)

    client.v1.payment_methods.detach(saved.payment_method)
    assert client.v1.mandates.retrieve(saved.mandate).status == "inactive"
    with pytest.raises(stripe.InvalidRequestError):
        charge()
    # What was under way when the account was removed goes on.
    standin.advance(4 * DAY)
    assert client.v1.payment_intents.retrieve(going.id).status == "succeeded"
    assert standin.violations == []


def test_an_account_is_not_saved_or_debited_without_a_mandate(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create().id
    made = client.v1.setup_intents.create({"customer": customer, "allowed_payment_method_types": [BANK]})
    with pytest.raises(stripe.InvalidRequestError, match="requires a mandate"):
        client.v1.setup_intents.confirm(made.id, {"payment_method": "pm_usBankAccount_success"})
    client.v1.payment_methods.attach("pm_usBankAccount_success", {"customer": customer})
    (method,) = client.v1.payment_methods.list({"customer": customer}).data
    with pytest.raises(stripe.InvalidRequestError, match="requires a mandate"):
        create(client, customer=customer, payment_method=method.id, confirm=True, off_session=True,
               allowed_payment_method_types=[BANK])  # fmt: skip


def test_a_mandate_is_named_only_while_it_holds(standin: StandIn, client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create().id
    waiting = setup(client, customer, payment_method_data=typed())
    pending = standin.every("mandate")[0]["id"]

    def charge(method: str, mandate: str) -> Any:
        return create(client, customer=customer, payment_method=method, mandate=mandate, confirm=True,
                      off_session=True, allowed_payment_method_types=[BANK], return_url="https://x.test/")  # fmt: skip

    with pytest.raises(stripe.InvalidRequestError, match="is pending or belongs"):
        charge(waiting.payment_method, pending)
    saved = name_deposits(client, waiting, {"descriptor_code": "SM11AA"})
    assert charge(saved.payment_method, saved.mandate).status == "processing"
    with pytest.raises(stripe.InvalidRequestError, match="or belongs to another"):
        charge("pm_usBankAccount_success", saved.mandate)
    assert standin.violations == []


def test_paying_and_saving_keeps_the_mandate(standin: StandIn, client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create().id
    made = create(client, customer=customer, allowed_payment_method_types=[BANK])
    client.v1.payment_intents.update(made.id, {"setup_future_usage": "off_session"})
    first = confirm(client, made.id, "pm_usBankAccount_success", mandate_data=ACCEPTED)
    (method,) = client.v1.payment_methods.list({"customer": customer}).data
    again = create(client, customer=customer, payment_method=method.id, confirm=True, off_session=True,
                   allowed_payment_method_types=[BANK], return_url="https://x.test/")  # fmt: skip
    assert (first.status, again.status) == ("processing", "processing")
    assert len(standin.every("mandate")) == 1
    assert standin.violations == []


# How debits end


@pytest.mark.parametrize(
    ("method", "code", "returned"),
    [
        ("pm_usBankAccount_insufficientFunds", "insufficient_funds", "R01"),
        ("pm_usBankAccount_accountClosed", "account_closed", "R02"),
        ("pm_usBankAccount_noAccount", "no_account", "R03"),
        ("pm_usBankAccount_debitNotAuthorized", "debit_not_authorized", "R10"),
    ],
)
def test_a_debit_fails_days_later(
    standin: StandIn, client: stripe.StripeClient, method: str, code: str, returned: str
) -> None:
    made = create(client, allowed_payment_method_types=[BANK])
    going = confirm(client, made.id, method, mandate_data=ACCEPTED)
    standin.advance(4 * DAY)
    after = client.v1.payment_intents.retrieve(made.id)
    assert after.last_payment_error is not None
    assert (after.status, after.last_payment_error.code) == ("requires_payment_method", code)
    charge = client.v1.charges.retrieve(going.latest_charge)
    assert charge.outcome is not None
    assert (charge.status, charge.failure_code, charge.outcome.network_decline_code) == ("failed", code, returned)
    assert standin.every("balance_transaction") == []
    assert standin.violations == []


def test_a_late_return_is_a_dispute_lost_at_once(standin: StandIn, client: stripe.StripeClient) -> None:
    made = create(client, allowed_payment_method_types=[BANK])
    confirm(client, made.id, "pm_usBankAccount_dispute", mandate_data=ACCEPTED)
    standin.advance(7 * DAY - 1)
    assert client.v1.payment_intents.retrieve(made.id).status == "succeeded"
    assert client.v1.disputes.list().data == []
    standin.advance(1)
    (dispute,) = client.v1.disputes.list({"payment_intent": made.id}).data
    assert (dispute.status, dispute.reason, dispute.evidence_details.due_by) == ("lost", "debit_not_authorized", None)
    assert [one.net for one in dispute.balance_transactions] == [-2734]
    found = [one["type"] for one in standin.every("event")[::-1] if "dispute" in one["type"]]
    assert found == ["charge.dispute.created", "charge.dispute.funds_withdrawn", "charge.dispute.closed"]
    with pytest.raises(ValueError, match="is closed: lost"):
        standin.close_dispute(dispute.id, won=True)
    with pytest.raises(ValueError, match="without an inquiry"):
        standin.open_inquiry(str(dispute.charge))
    assert standin.violations == []


def test_a_debit_that_the_bank_never_takes_up_can_be_canceled(standin: StandIn, client: stripe.StripeClient) -> None:
    made = create(client, allowed_payment_method_types=[BANK])
    going = confirm(client, made.id, "pm_usBankAccount_processing", mandate_data=ACCEPTED)
    standin.advance(90 * DAY)
    assert client.v1.payment_intents.retrieve(made.id).status == "processing"
    assert client.v1.payment_intents.cancel(made.id).status == "canceled"
    assert client.v1.charges.retrieve(going.latest_charge).status == "failed"
    other = create(client, allowed_payment_method_types=[BANK])
    confirm(client, other.id, "pm_usBankAccount_success", mandate_data=ACCEPTED)
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.payment_intents.cancel(other.id)
    assert caught.value.code == "payment_intent_unexpected_state"
    assert standin.violations == []


# Refunds of debits under way


def refunded(client: stripe.StripeClient, method: str, *amounts: int) -> tuple[Any, list[Any]]:
    """A debit under way, and refunds of it."""
    going = confirm(client, create(client, allowed_payment_method_types=[BANK]).id, method, mandate_data=ACCEPTED)
    assert going.status == "processing"
    return going, [client.v1.refunds.create({"payment_intent": going.id, "amount": cents}) for cents in amounts]


def updates(standin: StandIn) -> list[dict[str, Any]]:
    """What changed of refunds, oldest first."""
    found = [one for one in standin.every("event") if one["type"] == "refund.updated"]
    return [one["data"]["previous_attributes"] for one in reversed(found)]


def test_a_refund_waits_for_its_debit_and_goes_out_with_its_success(
    standin: StandIn, client: stripe.StripeClient
) -> None:
    going, (made,) = refunded(client, "pm_usBankAccount_success", 1000)
    assert (made.status, made.pending_reason, made.balance_transaction) == ("pending", "charge_pending", None)
    with pytest.raises(ValueError, match="before it went out"):
        standin.fail_refund(made.id)
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded"):
        client.v1.refunds.create({"payment_intent": going.id, "amount": 235})
    assert client.v1.balance_transactions.list({"source": made.id}).data == []
    standin.advance(4 * DAY)
    out = client.v1.refunds.retrieve(made.id, {"expand": ["balance_transaction"]})
    moved: Any = out.balance_transaction
    assert (out.status, out.pending_reason, moved.type, moved.net) == ("pending", "processing", "payment_refund", -1000)
    assert client.v1.charges.retrieve(going.latest_charge).amount_refunded == 1000
    standin.advance(2 * DAY)
    assert client.v1.refunds.retrieve(made.id).status == "succeeded"
    assert updates(standin) == [
        {"balance_transaction": None, "pending_reason": "charge_pending"}, {"status": "pending"},
    ]  # fmt: skip
    assert standin.fail_refund(made.id)["status"] == "failed"
    assert standin.violations == []


@pytest.mark.parametrize("method", ["pm_usBankAccount_insufficientFunds", "pm_usBankAccount_processing"])
def test_a_refund_is_canceled_with_its_debit(standin: StandIn, client: stripe.StripeClient, method: str) -> None:
    going, made = refunded(client, method, 1000, 234)
    assert client.v1.charges.retrieve(going.latest_charge).refunded
    if method.endswith("processing"):
        client.v1.payment_intents.cancel(going.id)
    standin.advance(4 * DAY)
    assert [client.v1.refunds.retrieve(one.id).status for one in made] == ["canceled"] * 2
    assert client.v1.balance_transactions.list().data == []
    charge = client.v1.charges.retrieve(going.latest_charge)
    assert (charge.status, charge.amount_refunded, charge.refunded) == ("failed", 0, False)
    assert updates(standin) == [{"pending_reason": "charge_pending", "status": "pending"}] * 2
    with pytest.raises(ValueError, match="it cannot fail"):
        standin.fail_refund(made[0].id)
    with pytest.raises(stripe.InvalidRequestError, match="its status is failed"):
        client.v1.refunds.create({"payment_intent": going.id})
    assert standin.violations == []
