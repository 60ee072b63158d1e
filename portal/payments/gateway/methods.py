"""Saved methods and the SetupIntents that save them. https://docs.stripe.com/payments/save-and-reuse"""

from __future__ import annotations

from calendar import monthrange
from datetime import date
from typing import Any

import stripe

from portal.payments.errors import StripeRefused
from portal.payments.gateway.outcome import outcome
from portal.payments.gateway.reading import failure_code, id_of, moment, tag
from portal.payments.gateway.values import Method, Setup


def _method(found: Any) -> Method:
    card, bank = getattr(found, "card", None), getattr(found, "us_bank_account", None)
    shown: Any = card or bank
    expires_on = None
    if card is not None:
        last = monthrange(card.exp_year, card.exp_month)[1]
        expires_on = date(card.exp_year, card.exp_month, last)
    return Method(
        id=found.id,
        kind=str(found.type),
        issuer=str(card.brand).title() if card is not None else str(getattr(bank, "bank_name", None) or ""),
        last4=str(shown.last4 or "") if shown is not None else "",
        expires_on=expires_on,
        customer_id=id_of(found.customer),
        fingerprint=str(getattr(shown, "fingerprint", None) or "")[:64],
    )


def _setup(found: Any) -> Setup:
    action = found.next_action
    verify = getattr(action, "verify_with_microdeposits", None) if action is not None else None
    return Setup(
        id=found.id,
        status=str(found.status),
        client_secret=found.client_secret or "",
        setup_id=tag(found, "setup_id"),
        method_id=id_of(found.payment_method),
        failure_code=failure_code(found.last_setup_error),
        action=str(action.type) if action is not None else "",
        action_url=str(verify.hosted_verification_url or "") if verify is not None else "",
        created_at=moment(found.created),
    )


class Methods:
    """What people keep with Stripe. Every method may raise StripeUnreachable or StripeRefused."""

    def __init__(self, client: stripe.StripeClient) -> None:
        self._client = client

    def create_setup(self, *, setup_id: str, customer_id: str, kinds: tuple[str, ...]) -> Setup:
        """A SetupIntent for one attempt to save a method; ``setup_id`` is the idempotency key."""
        params: Any = {
            "customer": customer_id,
            "allowed_payment_method_types": list(kinds),
            "usage": "off_session",
            "metadata": {"setup_id": setup_id},
        }
        with outcome():
            return _setup(self._client.v1.setup_intents.create(params, {"idempotency_key": setup_id}))

    def retrieve_setup(self, setup_intent_id: str) -> Setup:
        """The SetupIntent as it is now."""
        with outcome():
            return _setup(self._client.v1.setup_intents.retrieve(setup_intent_id))

    def find_setup(self, *, customer_id: str, setup_id: str) -> Setup | None:
        """The SetupIntent made for an attempt, found by listing; None when Stripe has none."""
        with outcome():
            page = self._client.v1.setup_intents.list({"customer": customer_id, "limit": 100})
            for found in page.auto_paging_iter():
                if tag(found, "setup_id") == setup_id:
                    return _setup(found)
        return None

    def cancel_setup(self, setup_intent_id: str) -> Setup:
        """Make a SetupIntent unusable; where it can't be cancelled any more, its present state comes back."""
        try:
            with outcome():
                return _setup(self._client.v1.setup_intents.cancel(setup_intent_id))
        except StripeRefused as refused:
            if refused.code != "setup_intent_unexpected_state":
                raise
            return self.retrieve_setup(setup_intent_id)

    def retrieve(self, method_id: str) -> Method:
        """A method as it is now; ``customer_id`` is empty once Stripe has let go of it."""
        with outcome():
            return _method(self._client.v1.payment_methods.retrieve(method_id))

    def detach(self, method_id: str) -> None:
        """Have Stripe forget a method; one that is detached already stays so."""
        try:
            with outcome():
                self._client.v1.payment_methods.detach(method_id)
        except StripeRefused:
            if self.retrieve(method_id).customer_id:
                raise
