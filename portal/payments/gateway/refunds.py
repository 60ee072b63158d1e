"""Refunds. https://docs.stripe.com/api/refunds"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import stripe

from portal.money import Money
from portal.payments.gateway.outcome import outcome
from portal.payments.gateway.reading import id_of, moment, tag
from portal.payments.gateway.values import StripeRefund


def _refund(found: Any) -> StripeRefund:
    return StripeRefund(
        id=found.id,
        status=str(found.status),
        amount=Money(found.amount, found.currency.upper()),
        refund_id=tag(found, "refund_id"),
        charge_id=id_of(found.charge),
        intent_id=id_of(found.payment_intent),
        failure_code=str(getattr(found, "failure_reason", None) or ""),
        created_at=moment(found.created),
        customer_id=id_of(getattr(found, "customer", None)),
    )


class Refunds:
    """Giving money back. Every method may raise StripeUnreachable or StripeRefused."""

    def __init__(self, client: stripe.StripeClient) -> None:
        self._client = client

    def create(self, *, refund_id: str, key: str, intent_id: str, amount: Money) -> StripeRefund:
        """Give ``amount`` of an intent back; ``key`` is the idempotency key of this try, ``refund_id`` ours."""
        with outcome():
            return _refund(
                self._client.v1.refunds.create(
                    {"payment_intent": intent_id, "amount": amount.cents, "metadata": {"refund_id": refund_id}},
                    {"idempotency_key": key},
                )
            )

    def retrieve(self, stripe_refund_id: str) -> StripeRefund:
        """The refund as it is now."""
        with outcome():
            return _refund(self._client.v1.refunds.retrieve(stripe_refund_id))

    def of_intent(self, intent_id: str) -> list[StripeRefund]:
        """Every refund of an intent, ours and those made elsewhere (in Stripe's dashboard)."""
        with outcome():
            page = self._client.v1.refunds.list({"payment_intent": intent_id, "limit": 100})
            return [_refund(found) for found in page.auto_paging_iter()]

    def every(self, *, since: datetime) -> Iterator[StripeRefund]:
        """Refunds made since then, by whomever, newest first."""
        with outcome():
            page = self._client.v1.refunds.list({"created": {"gte": int(since.timestamp())}, "limit": 100})
            for found in page.auto_paging_iter():
                yield _refund(found)
