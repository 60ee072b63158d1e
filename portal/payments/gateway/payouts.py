"""Payouts and balance transactions. https://docs.stripe.com/payouts/reconciliation"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import stripe

from portal.money import Money
from portal.payments.gateway.outcome import outcome
from portal.payments.gateway.reading import id_of, moment
from portal.payments.gateway.values import Movement, StripePayout


def _payout(found: Any) -> StripePayout:
    return StripePayout(
        id=found.id,
        status=str(found.status),
        amount=Money(found.amount, found.currency.upper()),
        arrives_on=moment(found.arrival_date).date(),
        created_at=moment(found.created),
    )


def _movement(found: Any, payout_id: str) -> Movement:
    currency = found.currency.upper()
    return Movement(
        id=found.id,
        kind=str(found.type),
        gross=Money(found.amount, currency),
        fee=Money(found.fee, currency),
        net=Money(found.net, currency),
        source_id=id_of(found.source),
        payout_id=payout_id,
        created_at=moment(found.created),
        available_on=moment(found.available_on).date(),
    )


class Payouts:
    """What reaches the clinic's bank. Every method may raise StripeUnreachable or StripeRefused."""

    def __init__(self, client: stripe.StripeClient) -> None:
        self._client = client

    def every(self, *, since: datetime) -> Iterator[StripePayout]:
        """Payouts made since then, newest first."""
        with outcome():
            page = self._client.v1.payouts.list({"created": {"gte": int(since.timestamp())}, "limit": 100})
            for found in page.auto_paging_iter():
                yield _payout(found)

    def retrieve(self, stripe_payout_id: str) -> StripePayout:
        """The payout as it is now."""
        with outcome():
            return _payout(self._client.v1.payouts.retrieve(stripe_payout_id))

    def movements_of(self, stripe_payout_id: str) -> Iterator[Movement]:
        """The balance transactions that a payout is made of, the payout's own left out.

        An earlier payout that came back is one of them: its money goes out again with this one.
        """
        with outcome():
            page = self._client.v1.balance_transactions.list({"payout": stripe_payout_id, "limit": 100})
            for found in page.auto_paging_iter():
                if id_of(found.source) != stripe_payout_id:
                    yield _movement(found, stripe_payout_id)

    def movements(self, *, since: datetime) -> Iterator[Movement]:
        """Every balance transaction made since then, newest first, whether paid out yet or not."""
        with outcome():
            page = self._client.v1.balance_transactions.list(
                {"created": {"gte": int(since.timestamp())}, "limit": 100}
            )
            for found in page.auto_paging_iter():
                yield _movement(found, "")

    def charges_moved(self, *, since: datetime) -> Iterator[str]:
        """The charges of which money moved on Stripe's balance since then: taken, refunded, disputed, returned."""
        with outcome():
            page = self._client.v1.balance_transactions.list(
                {"created": {"gte": int(since.timestamp())}, "limit": 100, "expand": ["data.source"]}
            )
            for found in page.auto_paging_iter():
                source: Any = found.source
                kind = getattr(source, "object", "")
                if kind == "charge":
                    yield source.id
                elif kind in ("refund", "dispute") and source.charge:
                    yield id_of(source.charge)
