"""Steps that tests of paying share."""

from typing import Any

import stripe
from sqlalchemy.orm import Session

from portal.payments.models import Payment
from portal.sandbox.stripe import StandIn, StandInHTTPClient
from tests.pages import JudgingClient

TESTA = "testa@example.com"


def client_of(standin: StandIn) -> stripe.StripeClient:
    """A Stripe client of the test's own on the stand-in: the patient's browser, in effect."""
    return stripe.StripeClient(standin.secret_key, http_client=StandInHTTPClient(standin))


def confirm(standin: StandIn, payment: Payment, card: str = "pm_card_visa") -> Any:
    """Confirm a payment's intent as the browser does, by card or bank; a declined card raises stripe.CardError."""
    assert payment.stripe_intent_id
    params: Any = {"payment_method": card, "return_url": "http://localhost/back"}
    if card.startswith("pm_usBankAccount"):
        params["mandate_data"] = {"customer_acceptance": {"type": "offline"}}
    return client_of(standin).v1.payment_intents.confirm(payment.stripe_intent_id, params)


def start(client: JudgingClient, account_id: str, **fields: Any) -> Any:
    """Choose what to pay and send the form; the response is a redirect to the card page or the form again."""
    page = client.page(f"/accounts/{account_id}/pay")
    return client.submit(page, {"choice": "all", **fields}, field="choice")


def payment_at(session: Session, location: str) -> Payment:
    """The payment whose page an address is."""
    session.rollback()
    public_id = location.split("/payments/")[1].split("/")[0]
    return session.query(Payment).filter_by(public_id=public_id).one()
