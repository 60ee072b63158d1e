"""Sends events to webhook endpoints as Stripe does (https://docs.stripe.com/webhooks): signed, again with growing
pauses for three days when they are not answered 2xx, in no promised order, sometimes twice.

Tests order bad weather with :class:`WebhookPlan`.
"""

from __future__ import annotations

import hmac
import json
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256

from portal.sandbox.stripe.call import Call
from portal.sandbox.stripe.objects import DAY

#: Sends ``body`` with ``headers`` to ``url`` and returns the answer's status; any exception is a failed attempt.
Post = Callable[[str, bytes, dict[str, str]], int]

#: Seconds until the next attempt, by how many were made; the last repeats until GIVE_UP_AFTER.
PAUSES = (60, 300, 1800, 7200, 18_000, 36_000)
GIVE_UP_AFTER = 3 * DAY


@dataclass(slots=True)
class WebhookPlan:
    """``duplicates`` more copies of each delivery; ``reorder`` shuffles what is due; ``delay_seconds`` after the
    event; ``down``: no connection; ``lost_share`` of the deliveries arrive but their answer is lost, so they come
    again. The shuffling and losing follow ``seed``."""

    duplicates: int = 0
    reorder: bool = False
    delay_seconds: int = 0
    down: bool = False
    lost_share: float = 0.0
    seed: int = 1
    dice: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)


def sign(payload: bytes, secret: str, at: int) -> str:
    """The ``Stripe-Signature`` header (https://docs.stripe.com/webhooks#verify-manually)."""
    digest = hmac.new(secret.encode(), f"{at}.".encode() + payload, sha256).hexdigest()
    return f"t={at},v1={digest}"


@dataclass(frozen=True, slots=True)
class _Due:
    seq: int
    event: str
    endpoint: str
    attempts: int


class Deliverer:
    """Delivers what is due; one delivery round at a time."""

    def __init__(self, plan: WebhookPlan) -> None:
        self.plan = plan
        self._one_round = threading.RLock()

    def deliver(self, call: Call, post: Post, signed_at: Callable[[], float], *, ignore_pauses: bool) -> int:
        """Posts every delivery that is due at ``call.now``; returns how many posts were made."""
        with self._one_round:
            plan, posts = self.plan, 0
            found = call.store.rows(
                "SELECT d.seq, d.event, d.endpoint, d.attempts FROM deliveries d JOIN objects o ON o.id = d.event "
                "WHERE d.delivered_at IS NULL AND (d.next_at <= ? OR (? AND d.attempts > 0)) AND o.created <= ? "
                "ORDER BY d.seq",
                call.now, ignore_pauses, call.now - plan.delay_seconds,
            )  # fmt: skip
            due = [_Due(*row) for row in found]
            if plan.reorder:
                plan.dice.shuffle(due)
            for one in due:
                for _ in range(1 + plan.duplicates):
                    posts += 1
                    self._attempt(call, one, post, int(signed_at()))
            return posts

    def _attempt(self, call: Call, due: _Due, post: Post, signed_at: int) -> None:
        event = call.fresh(call.get("event", due.event))
        endpoint = call.get("webhook_endpoint", due.endpoint)
        payload = json.dumps(event, indent=2).encode()
        secret = call.store.hidden(endpoint["id"])["secret"]
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "Stripe-Signature": sign(payload, secret, signed_at),
        }
        try:
            if self.plan.down:
                raise ConnectionError("endpoint down")
            status = post(endpoint["url"], payload, headers)
            arrived = 200 <= status < 300 and self.plan.dice.random() >= self.plan.lost_share
            shown = str(status) if arrived or not 200 <= status < 300 else f"{status}, answer lost"
        except Exception as error:
            # Whatever goes wrong at the endpoint is a failed delivery.
            arrived, shown = False, f"{type(error).__name__}: {error}"[:200]
        told_at: int = call.store.hidden(event["id"]).get("told_at") or event["created"]
        self._record(call, due, arrived, shown, told_at)

    def _record(self, call: Call, due: _Due, arrived: bool, shown: str, told_at: int) -> None:
        again = call.now + PAUSES[min(due.attempts, len(PAUSES) - 1)]
        next_at = again if again <= told_at + GIVE_UP_AFTER else None
        with call.store.transaction():
            # A duplicate that fails after its twin arrived leaves the delivery done.
            call.store.rows(
                "UPDATE deliveries SET attempts = attempts + 1, last_status = ?, next_at = ?, "
                "delivered_at = coalesce(delivered_at, ?) WHERE seq = ?",
                shown, None if arrived else next_at, call.now if arrived else None, due.seq,
            )  # fmt: skip
