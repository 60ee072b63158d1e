"""The way to Stripe, and the only module that imports ``stripe``.

It speaks in small frozen values; a StripeObject never leaves this file. Nothing but opaque ids and amounts is sent
(design, "Always true" 8).
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import stripe

from portal.config import STRIPE_API, Settings
from portal.money import Money
from portal.payments.errors import BadSignature, StripeRefused, StripeUnreachable

#: The least a USD charge can be: https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts
MINIMUM = Money(50)
MAXIMUM = Money(99_999_999)
#: How far a webhook's timestamp may be from our clock, either way (Stripe's own library checks the past only).
TOLERANCE_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Intent:
    """A PaymentIntent as Stripe has it now."""

    id: str
    status: str
    amount: Money
    received: Money
    client_secret: str
    attempt_id: str
    charge_id: str
    method: str
    failure_code: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Event:
    """A verified webhook event: what it is about, not what it says (the object is fetched fresh)."""

    id: str
    type: str
    livemode: bool
    object_id: str
    intent_id: str


@dataclass(frozen=True, slots=True)
class Captured:
    """What Stripe took for one intent, less what it gave back."""

    intent_id: str
    charge_id: str
    net: Money


@contextmanager
def _outcome() -> Iterator[None]:
    """Turn Stripe's exceptions into ours: refused is final, everything else is unknown."""
    try:
        yield
    except (stripe.APIConnectionError, stripe.RateLimitError) as error:
        raise StripeUnreachable(type(error).__name__) from error
    except stripe.CardError as error:
        raise StripeRefused(error.code or "card_error") from error
    except (stripe.InvalidRequestError, stripe.AuthenticationError, stripe.PermissionError) as error:
        raise StripeRefused(error.code or type(error).__name__) from error
    except stripe.IdempotencyError as error:
        raise StripeRefused("idempotency_error") from error
    except stripe.StripeError as error:  # 5xx: may have happened
        raise StripeUnreachable(type(error).__name__) from error


def _method_text(charge: Any) -> str:
    details = getattr(charge, "payment_method_details", None)
    card = getattr(details, "card", None) if details is not None else None
    if card is None:
        return str(getattr(details, "type", "") or "").replace("_", " ")
    return f"{str(card.brand or 'card').title()} ending {card.last4}"


def _intent(found: Any) -> Intent:
    charge = found.latest_charge
    expanded = charge is not None and not isinstance(charge, str)
    failure = found.last_payment_error
    code = ""
    if failure is not None:
        code = getattr(failure, "decline_code", None) or getattr(failure, "code", None) or "unknown"
    return Intent(
        id=found.id,
        status=found.status,
        amount=Money(found.amount, found.currency.upper()),
        received=Money(found.amount_received or 0, found.currency.upper()),
        client_secret=found.client_secret or "",
        attempt_id=found.metadata["attempt_id"] if found.metadata and "attempt_id" in found.metadata else "",
        charge_id=charge.id if expanded else (charge or ""),
        method=_method_text(charge) if expanded else "",
        failure_code=code,
        created_at=datetime.fromtimestamp(found.created, UTC),
    )


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

    @classmethod
    def from_settings(cls, settings: Settings) -> StripeGateway:
        """The gateway an operator's settings describe."""
        return cls(settings.stripe_secret_key, settings.stripe_webhook_secret, api_base=settings.stripe_api_base)

    def create_customer(self, *, account_key: str) -> str:
        """A customer that stands for an account; asking twice makes one (within Stripe's 24 h)."""
        with _outcome():
            customer = self._client.v1.customers.create(
                {"metadata": {"account_key": account_key}}, {"idempotency_key": f"customer-{account_key}"}
            )
        return customer.id

    def create_intent(self, *, attempt_id: str, amount: Money, customer_id: str) -> Intent:
        """A PaymentIntent for one attempt. ``attempt_id`` is the idempotency key: asking twice makes one.

        Cards only so far; wallets come with the card. https://docs.stripe.com/api/payment_intents/create
        """
        with _outcome():
            return _intent(
                self._client.v1.payment_intents.create(
                    {
                        "amount": amount.cents,
                        "currency": amount.currency.lower(),
                        "customer": customer_id,
                        "allowed_payment_method_types": ["card"],
                        "metadata": {"attempt_id": attempt_id},
                        "expand": ["latest_charge"],
                    },
                    {"idempotency_key": attempt_id},
                )
            )

    def retrieve_intent(self, intent_id: str) -> Intent:
        """The intent as it is now."""
        with _outcome():
            return _intent(self._client.v1.payment_intents.retrieve(intent_id, {"expand": ["latest_charge"]}))

    def find_intent(self, *, customer_id: str, attempt_id: str) -> Intent | None:
        """The intent made for an attempt, found by listing (search lags); None when Stripe has none."""
        with _outcome():
            page = self._client.v1.payment_intents.list(
                {"customer": customer_id, "limit": 100, "expand": ["data.latest_charge"]}
            )
            for found in page.auto_paging_iter():
                intent = _intent(found)
                if intent.attempt_id == attempt_id:
                    return intent
        return None

    def cancel_intent(self, intent_id: str) -> Intent:
        """Make the intent unpayable. When it can't be cancelled any more, its present state comes back."""
        try:
            with _outcome():
                return _intent(
                    self._client.v1.payment_intents.cancel(intent_id, {"expand": ["latest_charge"]})
                )
        except StripeRefused as refused:
            if refused.code != "payment_intent_unexpected_state":
                raise
            return self.retrieve_intent(intent_id)

    def captured(self, customer_id: str) -> list[Captured]:
        """What Stripe has taken for an account's customer, charge by charge, net of refunds."""
        with _outcome():
            page = self._client.v1.charges.list({"customer": customer_id, "limit": 100})
            return [
                Captured(
                    intent_id=str(charge.payment_intent or ""),
                    charge_id=charge.id,
                    net=Money(charge.amount_captured - charge.amount_refunded, charge.currency.upper()),
                )
                for charge in page.auto_paging_iter()
                if charge.paid and charge.captured
            ]

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
            event = json.loads(payload)
            subject = event["data"]["object"]
            intent = subject["id"] if subject["object"] == "payment_intent" else subject.get("payment_intent")
            return Event(
                id=str(event["id"]),
                type=str(event["type"]),
                livemode=bool(event["livemode"]),
                object_id=str(subject.get("id", "")),
                intent_id=intent if isinstance(intent, str) else "",
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadSignature("not an event") from error
