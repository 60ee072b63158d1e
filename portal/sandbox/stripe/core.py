"""The stand-in itself: one account of a simulated Stripe, answering requests without a network.

:meth:`StandIn.handle` is the whole API (see :mod:`api`); :mod:`client` puts stripe-python on it in-process and
:mod:`server` puts HTTP on it. The other methods are what a test or the stand-in's own page does to it: time passes,
webhooks are sent, payers dispute, money is paid out.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from portal.sandbox.stripe import account, disputes, intents, payouts, refunds, setups
from portal.sandbox.stripe.api import API_VERSION, Answer, Api
from portal.sandbox.stripe.call import Call
from portal.sandbox.stripe.cards import BANK_BY_TOKEN, BY_TOKEN
from portal.sandbox.stripe.checking import Checker
from portal.sandbox.stripe.errors import ApiError, Obj, StandInSetupError
from portal.sandbox.stripe.faults import FaultPlan
from portal.sandbox.stripe.operations import ACTS
from portal.sandbox.stripe.store import Store
from portal.sandbox.stripe.webhooks import Deliverer, Post, WebhookPlan


class StandIn:
    """One simulated Stripe account.

    ``store`` is its SQLite file, None keeps it in memory; ``clock`` tells the time with a time zone, and
    :meth:`advance` moves a virtual clock ahead of it. ``webhook_url`` gets every event, signed with
    ``webhook_secret``. ``spec_path`` is Stripe's OpenAPI description (else found by ``STRIPE_OPENAPI_SPEC`` or in
    ``../shared/stripe``; without one ``validating`` is False). Safe for many threads of one process.

    Raises :class:`StandInSetupError` for keys that are not test keys or a webhook address beyond this machine.
    """

    def __init__(
        self,
        store: Path | None = None,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        secret_key: str = "sk_test_plainbill_standin",
        publishable_key: str = "pk_test_plainbill_standin",
        webhook_url: str | None = None,
        webhook_secret: str = "whsec_plainbill_standin",
        spec_path: Path | None = None,
        base_url: str = "http://127.0.0.1:12111",
        sleep: Callable[[float], None] = time.sleep,
        signature_clock: Callable[[], float] = time.time,
        on_advance: Callable[[timedelta], None] = lambda _offset: None,
    ) -> None:
        if not secret_key.startswith("sk_test_") or not publishable_key.startswith("pk_test_"):
            raise StandInSetupError("The Stripe stand-in takes test keys only: sk_test_... and pk_test_...")
        if webhook_url is not None and not account.is_loopback(webhook_url):
            raise StandInSetupError(f"The Stripe stand-in sends webhooks to this machine only, not {webhook_url}")
        self.secret_key, self.publishable_key = secret_key, publishable_key
        self.webhook_secret = webhook_secret
        self.base_url = base_url
        self.faults = FaultPlan()
        self.store = Store(store)
        self._clock, self._signature_clock = clock, signature_clock
        self._offset = timedelta(seconds=int(self.store.setting("clock_offset") or 0))
        self._on_advance = on_advance
        on_advance(self._offset)
        self._checker = Checker(spec_path)
        self._api = Api(self.store, self._checker, self.faults, self._call, (secret_key, publishable_key), sleep)
        self._deliverer = Deliverer(WebhookPlan())
        payouts.next_at(self._call())
        if webhook_url is not None:
            self._keep_own_endpoint(webhook_url)

    def close(self) -> None:
        """Closes the store."""
        self.store.close()

    # The clock

    def now(self) -> datetime:
        """The stand-in's time: the given clock plus all that was advanced."""
        return self._clock() + self._offset

    def advance(self, seconds: int) -> datetime:
        """Moves the virtual clock ahead and lets what falls due happen (bank debits, refunds, disputes, daily
        payouts), each at its own time; returns the time."""
        if seconds < 0:
            raise ValueError("the clock moves forward only")
        self._offset += timedelta(seconds=seconds)
        self.store.set("clock_offset", str(int(self._offset.total_seconds())))
        self._on_advance(self._offset)
        self._run_timetable()
        return self.now()

    def _call(self, *, at: int | None = None, **more: Any) -> Call:
        return Call(
            store=self.store, now=int(self.now().timestamp()) if at is None else at, version=API_VERSION,
            base_url=self.base_url, check_snapshot=self._checker.snapshot, **more,
        )  # fmt: skip

    def _run_timetable(self) -> None:
        """Lets happen what has fallen due, each at its own time and in its order, and the payout of each day."""
        now = int(self.now().timestamp())
        due = self.store.next_due()
        if (due is None or due > now) and payouts.next_at(self._call()) > now:
            return
        with self.store.transaction():
            while True:
                payout_at = payouts.next_at(self._call())
                taken = self.store.take_due(min(now, payout_at))
                if taken is not None:
                    at, act, target = taken
                    ACTS[act](self._call(at=at, told_at=now), target)
                elif payout_at <= now:
                    payouts.daily(self._call(at=payout_at, told_at=now))
                else:
                    return

    # Webhooks

    def _keep_own_endpoint(self, url: str) -> None:
        with self.store.transaction():
            call = self._call()
            for endpoint in self.store.every("webhook_endpoint")[0]:
                if self.store.hidden(endpoint["id"]).get("own"):
                    self.store.save({**endpoint, "url": url})
                    self.store.hide(endpoint["id"], secret=self.webhook_secret)
                    return
            made = account.add_endpoint(call, url, ["*"], self.webhook_secret, "set when the stand-in started")
            self.store.hide(made["id"], own=True)

    @property
    def webhook_plan(self) -> WebhookPlan:
        """How deliveries misbehave; assign a new :class:`WebhookPlan` to change it."""
        return self._deliverer.plan

    @webhook_plan.setter
    def webhook_plan(self, plan: WebhookPlan) -> None:
        self._deliverer.plan = plan

    def deliver_due(self, post: Post, *, ignore_pauses: bool = False) -> int:
        """Sends the events that are due with ``post(url, body, headers) -> status``; returns how many posts.

        Anything but 2xx (or an exception) is tried again later by the clock, for three days;
        ``ignore_pauses`` retries at once.
        """
        self._run_timetable()
        return self._deliverer.deliver(self._call(), post, self._signature_clock, ignore_pauses=ignore_pauses)

    def deliveries(self, limit: int = 50) -> list[Obj]:
        """The latest deliveries, newest first: event, type, url, attempts, last_status, next_at, delivered_at."""
        found = self.store.rows(
            "SELECT d.event, json_extract(e.body, '$.type'), json_extract(w.body, '$.url'), d.attempts, "
            "d.last_status, d.next_at, d.delivered_at FROM deliveries d JOIN objects e ON e.id = d.event "
            "JOIN objects w ON w.id = d.endpoint ORDER BY d.seq DESC LIMIT ?", limit,
        )  # fmt: skip
        names = ("event", "type", "url", "attempts", "last_status", "next_at", "delivered_at")
        return [dict(zip(names, row, strict=True)) for row in found]

    # Looking inside, for tests and the stand-in's own page

    def every(self, kind: str, limit: int = 1000) -> list[Obj]:
        """The stored objects of a kind (``charge``, ``event``), newest first."""
        call = self._call()
        return [call.fresh(one) for one in self.store.every(kind, limit=limit)[0]]

    def authenticate(self, intent_id: str, client_secret: str, *, passed: bool) -> tuple[Obj, str | None]:
        """Answers the 3-D Secure challenge of a payment or setup intent; returns it and its return_url.

        Raises :class:`ApiError` for an unknown intent or a wrong secret. A card may still be declined after it.
        """
        self._run_timetable()
        module = setups if intent_id.startswith("seti_") else intents
        call = self._call(path={"intent": intent_id}, params={"client_secret": client_secret}, public=True)
        with self.store.transaction():
            try:
                body = module.authenticate(call, passed)
            except ApiError as error:
                if not error.keep:
                    raise
                body = module.retrieve(call)
        return body, self.store.hidden(intent_id).get("return_url")

    # What payers, banks and the calendar do, on order. Each raises ValueError where it cannot be done, ApiError (404)
    # for an unknown id.

    def _act(self, act: Callable[[Call], Obj | None]) -> Obj | None:
        self._run_timetable()
        call = self._call()
        with self.store.transaction():
            done = act(call)
        return None if done is None else call.fresh(done)

    def open_dispute(self, charge_id: str, reason: str = "fraudulent", amount: int | None = None) -> Obj:
        """The payer disputes a charge (or ``amount`` cents of it); an open inquiry of it becomes the dispute.

        ``reason`` as in https://docs.stripe.com/disputes/categories. A bank debit's dispute is lost at once.
        """
        return self._done(lambda call: disputes.open_one(call, charge_id, reason, amount))

    def open_inquiry(self, charge_id: str) -> Obj:
        """The payer's bank asks about a card charge; no money moves."""
        return self._done(lambda call: disputes.open_one(call, charge_id, "fraudulent", None, inquiry=True))

    def close_dispute(self, dispute_id: str, won: bool) -> Obj:
        """The bank decides an open dispute; an inquiry is closed either way."""
        return self._done(lambda call: disputes.decide(call, dispute_id, won=won))

    def pay_out(self) -> Obj | None:
        """Makes the payout of all that is available now; None when that is nothing or a debt."""
        return self._act(payouts.pay_out)

    def fail_payout(self, payout_id: str) -> Obj:
        """The bank sends a payout back; its money is in the balance again."""
        return self._done(lambda call: payouts.fail(call, payout_id))

    def adjust_balance(self, amount: int) -> Obj:
        """Stripe corrects its balance by cents, of its own accord and of no payment."""
        return self._done(lambda call: payouts.adjust(call, amount))

    def refund_in_dashboard(self, charge_id: str, amount: int | None = None) -> Obj:
        """Somebody gives back all that is left of a charge (or ``amount`` cents) in Stripe's dashboard.

        A bank debit that is still under way can be refunded, too: the refund waits for it.
        """
        return self._done(lambda call: refunds.in_dashboard(call, charge_id, amount))

    def turn_into(self, method_id: str, token: str) -> None:
        """From now on the bank treats a saved card or account as it treats one of its kind of the test tokens
        (``pm_card_chargeDeclined``): it has run dry, expired, was closed, or works again."""
        known: dict[str, str] = {**{one.token: one.number for one in BY_TOKEN.values()},
                                 **{one.token: one.account for one in BANK_BY_TOKEN.values()}}  # fmt: skip
        with self.store.transaction():
            kind = self._call().get("payment_method", method_id)["type"]
            if (token in BANK_BY_TOKEN) is not (kind == "us_bank_account") or token not in known:
                raise ValueError(f"a {kind} can't behave like {token}")
            self.store.hide(method_id, **{"card" if kind == "card" else "bank": known[token]})

    def forget_intent(self, intent_id: str) -> Obj:
        """An intent that holds no money is gone, as when test data is deleted in the dashboard."""
        return self._done(lambda call: intents.forget(call, intent_id))

    def fail_refund(self, refund_id: str) -> Obj:
        """The payer's bank sends a refund back; its money is in the balance again."""
        return self._done(lambda call: refunds.fail(call, refund_id))

    def _done(self, act: Callable[[Call], Obj]) -> Obj:
        done = self._act(act)
        assert done is not None
        return done

    # Requests

    @property
    def validating(self) -> bool:
        """Whether requests and answers are checked against Stripe's OpenAPI description."""
        return self._checker.spec is not None

    @property
    def violations(self) -> list[str]:
        """What did not match Stripe's description, in either direction."""
        return self._checker.violations

    @property
    def requests(self) -> deque[Obj]:
        """The latest requests, card numbers masked."""
        return self._api.requests

    def tolerating_violations(self) -> AbstractContextManager[None]:
        """In this thread, wrong requests get Stripe's answer and are not recorded: for tests of that answer."""
        return self._checker.tolerating()

    def handle(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"", *, check: bool = False
    ) -> Answer:
        """Answers one request as Stripe would: status, headers, JSON body.

        ``path`` may carry a query. Raises :class:`ConnectionDropped` for an injected drop, and with ``check``
        :class:`SpecViolation` when the request or the answer does not match Stripe's description.
        """
        self._run_timetable()
        return self._api.handle(method, path, headers, body, check=check, at=self.now().isoformat())
