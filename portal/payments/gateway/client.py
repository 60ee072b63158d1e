"""The client: intents, customers, captures and webhooks. Nothing but opaque ids and amounts is sent (design,
"Always true" 8).
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from datetime import datetime
from hashlib import sha256
from typing import Any

import stripe

from portal.config import STRIPE_API, Settings
from portal.money import Money
from portal.payments.errors import BadSignature, StripeRefused
from portal.payments.gateway.disputes import Disputes
from portal.payments.gateway.methods import Methods
from portal.payments.gateway.outcome import outcome
from portal.payments.gateway.payouts import Payouts
from portal.payments.gateway.reading import id_of, moment, read_intent, tag
from portal.payments.gateway.refunds import Refunds
from portal.payments.gateway.values import Event, Intent, StripeCharge
from portal.untrusted import read_json

#: The least a USD charge can be: https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts
MINIMUM = Money(50)
MAXIMUM = Money(99_999_999)
#: What a patient may pay with. Wallets (Apple Pay, Google Pay) come with cards, as do HSA and FSA cards.
METHOD_KINDS = ("card", "us_bank_account")
#: How far a webhook's timestamp may be from our clock, either way (Stripe's own library checks the past only).
TOLERANCE_SECONDS = 300


class StripeGateway:
    """Stripe's API as the portal needs it. Every method may raise StripeUnreachable or StripeRefused."""

    def __init__(
        self,
        secret_key: str,
        webhook_secret: str,
        *,
        api_base: str = STRIPE_API,
        http_client: stripe.HTTPClient | None = None,
    ) -> None:
        self._webhook_secret = webhook_secret
        self.live = "_live_" in secret_key
        self._client = stripe.StripeClient(
            secret_key,
            base_addresses={"api": api_base},
            http_client=http_client or stripe.RequestsClient(timeout=(5, 20)),
            max_network_retries=1,
        )
        self.methods = Methods(self._client)
        self.refunds = Refunds(self._client)
        self.disputes = Disputes(self._client)
        self.payouts = Payouts(self._client)

    @classmethod
    def from_settings(cls, settings: Settings) -> StripeGateway:
        """The gateway an operator's settings describe."""
        return cls(settings.stripe_secret_key, settings.stripe_webhook_secret, api_base=settings.stripe_api_base)

    def create_customer(self, *, payer_key: str) -> str:
        """A customer that stands for a payer; asking twice makes one (within Stripe's 24 h)."""
        with outcome():
            customer = self._client.v1.customers.create(
                {"metadata": {"payer_key": payer_key}}, {"idempotency_key": f"customer-{payer_key}"}
            )
        return customer.id

    def create_intent(
        self,
        *,
        attempt_id: str,
        amount: Money,
        customer_id: str,
        method_id: str = "",
        off_session: bool = False,
        keep_method: bool = False,
    ) -> Intent:
        """A PaymentIntent for one attempt. ``attempt_id`` is the idempotency key: asking twice makes one.

        ``off_session`` charges the saved ``method_id`` at once, with nobody there to confirm; a decline then comes
        back as the intent with its ``failure_code``. https://docs.stripe.com/api/payment_intents/create
        """
        params: dict[str, Any] = {
            "amount": amount.cents,
            "currency": amount.currency.lower(),
            "customer": customer_id,
            "allowed_payment_method_types": list(METHOD_KINDS),
            "metadata": {"attempt_id": attempt_id},
            "expand": ["latest_charge"],
        }
        if keep_method:
            params["setup_future_usage"] = "off_session"
        if method_id and off_session:
            params |= {"payment_method": method_id, "off_session": True, "confirm": True}
        try:
            return read_intent(self._client.v1.payment_intents.create(params, {"idempotency_key": attempt_id}))  # type: ignore[arg-type]
        except stripe.CardError as declined:
            # Stripe made the intent and the bank said no: that is an intent to settle, not a refusal.
            made = getattr(declined.error, "payment_intent", None)
            if made is None:
                with outcome():
                    raise
            return self.retrieve_intent(made.id)
        except stripe.StripeError:
            with outcome():
                raise

    def keep_method(self, intent_id: str, *, wanted: bool = True) -> Intent:
        """Have the intent's method kept for later payments, or not: what the patient has just said.

        Setting a value twice is setting it once, so no key of ours: one would replay an answer from before a change
        of mind.
        """
        with outcome():
            return read_intent(
                self._client.v1.payment_intents.update(
                    intent_id,
                    {"setup_future_usage": "off_session" if wanted else "", "expand": ["latest_charge"]},
                )
            )

    def retrieve_intent(self, intent_id: str) -> Intent:
        """The intent as it is now."""
        with outcome():
            return read_intent(self._client.v1.payment_intents.retrieve(intent_id, {"expand": ["latest_charge"]}))

    def find_intent(self, *, customer_id: str, attempt_id: str) -> Intent | None:
        """The intent made for an attempt, found by listing (search lags); None when Stripe has none."""
        with outcome():
            page = self._client.v1.payment_intents.list(
                {"customer": customer_id, "limit": 100, "expand": ["data.latest_charge"]}
            )
            for found in page.auto_paging_iter():
                intent = read_intent(found)
                if intent.attempt_id == attempt_id:
                    return intent
        return None

    def cancel_intent(self, intent_id: str) -> Intent:
        """Make the intent unpayable. When it can't be cancelled any more, its present state comes back."""
        try:
            with outcome():
                return read_intent(
                    self._client.v1.payment_intents.cancel(intent_id, {"expand": ["latest_charge"]})
                )
        except StripeRefused as refused:
            if refused.code != "payment_intent_unexpected_state":
                raise
            return self.retrieve_intent(intent_id)

    def is_of(self, publishable_key: str) -> bool | None:
        """Whether a browser with this key finds what our secret key makes: with a key of another account it can't.

        Looks at the latest PaymentIntent as a browser would. None where nothing can be said: there is none yet, or
        Stripe does not take the key at all (which its own script says on the page).
        """
        with outcome():
            latest = self._client.v1.payment_intents.list({"limit": 1}).data
        if not latest:
            return None
        secret: Any = {"client_secret": latest[0].client_secret or ""}
        try:
            with outcome():
                self._client.v1.payment_intents.retrieve(latest[0].id, secret, {"api_key": publishable_key})
        except StripeRefused as refused:
            return False if refused.code == "resource_missing" else None
        return True

    def captured(self, *, since: datetime | None = None) -> Iterator[StripeCharge]:
        """What Stripe has taken on this account, charge by charge, net of refunds; newest first.

        ``since`` leaves out charges made before then, whatever became of them later.
        """
        query: Any = {"limit": 100}
        if since is not None:
            query["created"] = {"gte": int(since.timestamp())}
        with outcome():
            for charge in self._client.v1.charges.list(query).auto_paging_iter():
                if charge.paid and charge.captured:
                    yield _captured(charge)

    def charge(self, charge_id: str) -> StripeCharge:
        """One charge as it is now; ``net`` is nothing when no money was taken."""
        with outcome():
            return _captured(self._client.v1.charges.retrieve(charge_id))

    def undelivered_events(self, *, since: datetime) -> Iterator[Event]:
        """Events that no endpoint of ours has taken, newest first; Stripe keeps them for 30 days.

        https://docs.stripe.com/webhooks/process-undelivered-events
        """
        query: Any = {"delivery_success": False, "created": {"gte": int(since.timestamp())}, "limit": 100}
        with outcome():
            for event in self._client.v1.events.list(query).auto_paging_iter():
                yield _event(read_json(str(event)))

    def read_event(self, payload: bytes, signature: str, *, now: datetime) -> Event:
        """A webhook's event, after checking its signature and time.

        https://docs.stripe.com/webhooks#verify-manually. Raises :class:`BadSignature`, also for what is no event.
        """
        parts = [part.split("=", 1) for part in signature.split(",") if "=" in part]
        stamps = [value for name, value in parts if name.strip() == "t"]
        if len(stamps) != 1 or not stamps[0].isascii() or not stamps[0].isdigit() or len(stamps[0]) > 12:
            raise BadSignature("no time")
        if abs(now.timestamp() - int(stamps[0])) > TOLERANCE_SECONDS:
            raise BadSignature("time too far from ours")
        expected = hmac.new(
            self._webhook_secret.encode(), stamps[0].encode() + b"." + payload, sha256
        ).hexdigest()
        given = [value for name, value in parts if name.strip() == "v1" and value.isascii()]
        if not any(hmac.compare_digest(expected, value) for value in given):
            raise BadSignature("signature differs")
        try:
            return _event(read_json(payload))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, OSError) as error:
            raise BadSignature("not an event") from error


def _captured(charge: Any) -> StripeCharge:
    # A refund of a bank debit that is still under way is counted on its charge, and has moved nothing.
    net = charge.amount_captured - charge.amount_refunded if charge.paid and charge.captured else 0
    return StripeCharge(
        intent_id=id_of(charge.payment_intent),
        charge_id=charge.id,
        net=Money(net, charge.currency.upper()),
        attempt_id=tag(charge, "attempt_id"),
        customer_id=id_of(charge.customer),
        created_at=moment(charge.created),
    )


def _event(event: Any) -> Event:
    subject = event["data"]["object"]
    intent = subject["id"] if subject["object"] == "payment_intent" else subject.get("payment_intent")
    return Event(
        id=str(event["id"]),
        type=str(event["type"]),
        livemode=bool(event["livemode"]),
        object_id=str(subject.get("id", "")),
        intent_id=intent if isinstance(intent, str) else "",
        created_at=moment(int(event["created"])),
    )
