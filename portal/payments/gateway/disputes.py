"""Disputes (chargebacks). https://docs.stripe.com/api/disputes"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import stripe

from portal.money import Money
from portal.payments.gateway.outcome import outcome
from portal.payments.gateway.reading import id_of, moment
from portal.payments.gateway.values import StripeDispute


def _dispute(found: Any) -> StripeDispute:
    moved = list(found.balance_transactions or [])
    withdrawn = -sum(one.amount for one in moved if one.amount < 0)
    returned = sum(one.amount for one in moved if one.amount > 0)
    currency = found.currency.upper()
    by = found.evidence_details.due_by if found.evidence_details is not None else None
    return StripeDispute(
        id=found.id,
        status=str(found.status),
        amount=Money(found.amount, currency),
        reason=str(found.reason),
        charge_id=id_of(found.charge),
        intent_id=id_of(found.payment_intent),
        answer_by=moment(by) if by else None,
        withdrawn=Money(withdrawn, currency),
        returned=Money(returned, currency),
        fee=Money(sum(one.fee for one in moved), currency),
        created_at=moment(found.created),
    )


class Disputes:
    """Payments that a bank called back. Every method may raise StripeUnreachable or StripeRefused."""

    def __init__(self, client: stripe.StripeClient) -> None:
        self._client = client

    def retrieve(self, stripe_dispute_id: str) -> StripeDispute:
        """The dispute as it is now."""
        with outcome():
            return _dispute(self._client.v1.disputes.retrieve(stripe_dispute_id))

    def of_charge(self, charge_id: str) -> list[StripeDispute]:
        """Every dispute of a charge."""
        with outcome():
            page = self._client.v1.disputes.list({"charge": charge_id, "limit": 100})
            return [_dispute(found) for found in page.auto_paging_iter()]

    def every(self, *, since: datetime) -> Iterator[StripeDispute]:
        """Disputes opened since then, newest first."""
        with outcome():
            page = self._client.v1.disputes.list({"created": {"gte": int(since.timestamp())}, "limit": 100})
            for found in page.auto_paging_iter():
                yield _dispute(found)
