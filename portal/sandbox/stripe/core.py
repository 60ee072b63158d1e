"""The stand-in itself: one account of a simulated Stripe, answering requests without a network.

:meth:`StandIn.handle` is the whole API; :mod:`client` puts stripe-python on it in-process and :mod:`server` puts
HTTP on it. A request is authenticated, meets the faults on order, is looked up by its idempotency key, and then
runs in one transaction with its events and its stored answer.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from portal.sandbox.stripe import account, customers, forms, intents, objects, setups, spec
from portal.sandbox.stripe.call import Call
from portal.sandbox.stripe.errors import (
    ApiError,
    ConnectionDropped,
    Obj,
    SpecViolation,
    StandInSetupError,
    invalid,
    unauthorized,
)  # fmt: skip
from portal.sandbox.stripe.faults import Fault, FaultPlan
from portal.sandbox.stripe.store import Store
from portal.sandbox.stripe.webhooks import Deliverer, Post, WebhookPlan

#: The version that stripe-python 15.6 speaks and ``../shared/stripe`` describes.
API_VERSION = "2026-08-26.dahlia"
IDEMPOTENCY_SECONDS = objects.DAY
IDEMPOTENCY_KEY_LENGTH = 255
KEPT_REQUESTS = 10_000

Endpoint = Callable[[Call], Obj]
Answer = tuple[int, dict[str, str], bytes]

#: Every simulated operation, by method and the path's name in the API description.
ENDPOINTS: tuple[tuple[str, str, Endpoint], ...] = (
    ("POST", "/v1/customers", customers.create_customer),
    ("GET", "/v1/customers", customers.list_customers),
    ("GET", "/v1/customers/{customer}", customers.retrieve_customer),
    ("POST", "/v1/customers/{customer}", customers.update_customer),
    ("DELETE", "/v1/customers/{customer}", customers.delete_customer),
    ("GET", "/v1/customers/{customer}/payment_methods", customers.list_methods_of_customer),
    ("POST", "/v1/payment_methods", customers.create_method),
    ("GET", "/v1/payment_methods", customers.list_methods),
    ("GET", "/v1/payment_methods/{payment_method}", customers.retrieve_method),
    ("POST", "/v1/payment_methods/{payment_method}", customers.update_method),
    ("POST", "/v1/payment_methods/{payment_method}/attach", customers.attach_method),
    ("POST", "/v1/payment_methods/{payment_method}/detach", customers.detach_method),
    ("POST", "/v1/payment_intents", intents.create),
    ("GET", "/v1/payment_intents", intents.listing),
    ("GET", "/v1/payment_intents/{intent}", intents.retrieve),
    ("POST", "/v1/payment_intents/{intent}", intents.update),
    ("POST", "/v1/payment_intents/{intent}/confirm", intents.confirm),
    ("POST", "/v1/payment_intents/{intent}/cancel", intents.cancel),
    ("POST", "/v1/setup_intents", setups.create),
    ("GET", "/v1/setup_intents", setups.listing),
    ("GET", "/v1/setup_intents/{intent}", setups.retrieve),
    ("POST", "/v1/setup_intents/{intent}", setups.update),
    ("POST", "/v1/setup_intents/{intent}/confirm", setups.confirm),
    ("POST", "/v1/setup_intents/{intent}/cancel", setups.cancel),
    ("GET", "/v1/charges", account.list_charges),
    ("GET", "/v1/charges/{charge}", account.retrieve_charge),
    ("POST", "/v1/refunds", account.create_refund),
    ("GET", "/v1/refunds", account.list_refunds),
    ("GET", "/v1/refunds/{refund}", account.retrieve_refund),
    ("GET", "/v1/balance", account.balance),
    ("GET", "/v1/balance_transactions", account.list_balance_transactions),
    ("GET", "/v1/balance_transactions/{id}", account.retrieve_balance_transaction),
    ("GET", "/v1/events", account.list_events),
    ("GET", "/v1/events/{id}", account.retrieve_event),
    ("POST", "/v1/webhook_endpoints", account.create_endpoint),
    ("GET", "/v1/webhook_endpoints", account.list_endpoints),
)

#: What a browser may do with a publishable key and a client secret.
PUBLIC = frozenset({
    ("GET", "/v1/payment_intents/{intent}"), ("POST", "/v1/payment_intents/{intent}/confirm"),
    ("GET", "/v1/setup_intents/{intent}"), ("POST", "/v1/setup_intents/{intent}/confirm"),
    ("POST", "/v1/payment_methods"),
})  # fmt: skip

_ROUTES = tuple(
    (method, re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template)), template, endpoint)
    for method, template, endpoint in ENDPOINTS
)

#: What becomes of things by themselves, by the names on the timetable.
ACTS: Mapping[str, Callable[[Call, str], None]] = {
    "settle_debit": intents.settle_debit,
    "pending_then_succeeded": account.finish_refund,
    "succeeded_then_failed": account.fail_refund,
}


@dataclass(slots=True)
class _Request:
    method: str
    path: str
    template: str
    endpoint: Endpoint
    ids: dict[str, str]
    query: Obj
    body: Obj
    request_id: str
    key: str | None
    public: bool = False
    problems: list[str] | None = None


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
    ) -> None:
        if not secret_key.startswith("sk_test_") or not publishable_key.startswith("pk_test_"):
            raise StandInSetupError("The Stripe stand-in takes test keys only: sk_test_... and pk_test_...")
        if webhook_url is not None and not account.is_loopback(webhook_url):
            raise StandInSetupError(f"The Stripe stand-in sends webhooks to this machine only, not {webhook_url}")
        self.secret_key, self.publishable_key = secret_key, publishable_key
        self.webhook_secret = webhook_secret
        self.base_url = base_url
        self.faults = FaultPlan()
        self.violations: list[str] = []
        self.requests: deque[Obj] = deque(maxlen=KEPT_REQUESTS)
        self.store = Store(store)
        self._clock, self._sleep, self._signature_clock = clock, sleep, signature_clock
        self._offset = timedelta(seconds=int(self.store.setting("clock_offset") or 0))
        self._in_flight: set[str] = set()
        self._in_flight_lock = threading.Lock()
        self._tolerating = threading.local()
        self._deliverer = Deliverer(WebhookPlan())
        located = spec.locate(spec_path)
        self._spec = spec.Spec(located) if located is not None else None
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
        """Moves the virtual clock ahead and lets what falls due happen (bank debits, refunds); returns the time."""
        if seconds < 0:
            raise ValueError("the clock moves forward only")
        self._offset += timedelta(seconds=seconds)
        self.store.set("clock_offset", str(int(self._offset.total_seconds())))
        self._run_timetable()
        return self.now()

    def _call(self, **more: Any) -> Call:
        return Call(
            store=self.store, now=int(self.now().timestamp()), version=API_VERSION, base_url=self.base_url,
            check_snapshot=self._check_snapshot, **more,
        )  # fmt: skip

    def _run_timetable(self) -> None:
        call = self._call()
        if not self.store.rows("SELECT 1 FROM timetable WHERE due <= ? LIMIT 1", call.now):
            return
        with self.store.transaction():
            for act, target in self.store.take_due(call.now):
                ACTS[act](call, target)

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

    # Validation

    @property
    def validating(self) -> bool:
        """Whether requests and answers are checked against Stripe's OpenAPI description."""
        return self._spec is not None

    @contextmanager
    def tolerating_violations(self) -> Iterator[None]:
        """In this thread, wrong requests get Stripe's answer and are not recorded: for tests of that answer."""
        self._tolerating.on = True
        try:
            yield
        finally:
            self._tolerating.on = False

    def _violate(self, problem: str, into: list[str] | None = None) -> None:
        if getattr(self._tolerating, "on", False):
            return
        self.violations.append(problem)
        if into is not None:
            into.append(problem)

    def _check_snapshot(self, body: Obj) -> None:
        if self._spec is not None and not body.get("deleted"):
            for problem in self._spec.object_problems(body):
                self._violate(f"event snapshot of {body['object']} {problem}")

    # Requests

    def handle(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"", *, check: bool = False
    ) -> Answer:
        """Answers one request as Stripe would: status, headers, JSON body.

        ``path`` may carry a query. Raises :class:`ConnectionDropped` for an injected drop, and with ``check``
        :class:`SpecViolation` when the request or the answer does not match Stripe's description.
        """
        given = {name.lower(): value for name, value in headers.items()}
        request_id = objects.new_id("request")
        record: Obj = {
            "at": self.now().isoformat(), "method": method, "path": urlsplit(path).path, "request_id": request_id,
            "idempotency_key": given.get("idempotency-key"), "version": given.get("stripe-version"),
        }  # fmt: skip
        problems: list[str] = []
        replayed = False
        try:
            self._run_timetable()
            request = self._read(method, path, given, body, request_id, record, problems)
            status, text, replayed = self._answer(request, record)
        except ApiError as error:
            status, text = error.status, self._error_body(error, request_id)
        except ConnectionDropped:
            record["status"] = "dropped"
            raise
        finally:
            self.requests.append(record)
        record["status"] = status
        out = {"Content-Type": "application/json", "Request-Id": request_id, "Stripe-Version": API_VERSION}
        if key := given.get("idempotency-key"):
            out["Idempotency-Key"] = key
        if replayed:
            out["Idempotent-Replayed"] = "true"
        if status == 500:
            out["Stripe-Should-Retry"] = "false"
        if check and problems:
            raise SpecViolation("; ".join(problems))
        return status, out, text.encode()

    def _read(
        self, method: str, path: str, given: Mapping[str, str], body: bytes, request_id: str, record: Obj,
        problems: list[str],
    ) -> _Request:  # fmt: skip
        parts = urlsplit(path)
        query = forms.decode(parts.query)
        form = forms.decode(body.decode("utf-8", "replace")) if body else {}
        record["params"] = _masked({**query, **form})
        public = self._authorize(given)
        found = _route(method, parts.path)
        if found is None:
            self._violate(f"{method} {parts.path} is not simulated", problems)
            raise ApiError(404, type="invalid_request_error", save=False, message=(
                f"Unrecognized request URL ({method}: {parts.path}). The stand-in has no such operation."
            ))  # fmt: skip
        template, endpoint, ids = found
        record["template"] = template
        if public and (method, template) not in PUBLIC:
            raise unauthorized(
                "This API call cannot be made with a publishable API key. Please use a secret API key. You can find "
                "a list of your API keys at https://dashboard.stripe.com/account/apikeys.", "secret_key_required",
            )  # fmt: skip
        key = given.get("idempotency-key") if method == "POST" else None
        if key and len(key) > IDEMPOTENCY_KEY_LENGTH:
            raise invalid(f"Idempotency keys can have up to {IDEMPOTENCY_KEY_LENGTH} characters.")
        return _Request(
            method, parts.path, template, endpoint, ids, query, form, request_id, key, public, problems
        )

    def _authorize(self, given: Mapping[str, str]) -> bool:
        """Whether the key is the publishable one; 401 for any but the account's two."""
        scheme, _, value = given.get("authorization", "").partition(" ")
        key = value.strip()
        if scheme.lower() == "basic":
            try:
                key = base64.b64decode(key).decode().split(":", 1)[0]
            except ValueError:
                key = ""
        if not key:
            raise unauthorized("You did not provide an API key. You need to provide your API key in the "
                               "Authorization header, using Bearer auth.")  # fmt: skip
        if "_live_" in key:
            raise unauthorized("This is the Stripe stand-in, which refuses live keys: nothing here moves money. The "
                               "key was not stored. Use the stand-in's test key.")  # fmt: skip
        if key == self.publishable_key:
            return True
        if key != self.secret_key:
            raise unauthorized(f"Invalid API Key provided: {key[:8]}{'*' * 8}{key[-4:] if len(key) > 16 else ''}")
        return False

    def _answer(self, request: _Request, record: Obj) -> tuple[int, str, bool]:
        fault = self.faults.take(request.method, request.path)
        if fault is not None:
            record["fault"] = fault.kind
            if fault.kind == "drop_before":
                raise ConnectionDropped(request.path)
            if fault.kind == "rate_limited":
                raise ApiError(429, save=False, type="invalid_request_error", code="rate_limit", message=(
                    "Request rate limit exceeded. Learn more about rate limits here "
                    "https://docs.stripe.com/rate-limits."
                ))  # fmt: skip
        with self._holding(request.key):
            if fault is not None and fault.kind == "slow":
                self._sleep(fault.seconds)
            with self.store.transaction():
                status, text, replayed = self._once(request, fault)
        if fault is not None and fault.kind == "drop_after":
            raise ConnectionDropped(request.path)
        return status, text, replayed

    @contextmanager
    def _holding(self, key: str | None) -> Iterator[None]:
        if key is None:
            yield
            return
        with self._in_flight_lock:
            if key in self._in_flight:
                raise ApiError(409, save=False, type="idempotency_error", code="idempotency_key_in_use", message=(
                    f"There is currently another in-progress request using this Idempotent Key (that probably means "
                    f"you submitted twice, and the other request is still going through): {key}. Please try again "
                    f"later."
                ))  # fmt: skip
            self._in_flight.add(key)
        try:
            yield
        finally:
            with self._in_flight_lock:
                self._in_flight.discard(key)

    def _once(self, request: _Request, fault: Fault | None) -> tuple[int, str, bool]:
        now = int(self.now().timestamp())
        # Compared as pairs in order of name: the order in which a client writes its form does not matter.
        digest = sha256(json.dumps([request.query, request.body], sort_keys=True).encode()).hexdigest()
        if request.key is not None:
            self.store.rows("DELETE FROM idempotency WHERE created <= ?", now - IDEMPOTENCY_SECONDS)
            kept = self.store.rows(
                "SELECT path, digest, status, body FROM idempotency WHERE key = ?", request.key
            )
            if kept:
                return self._replay(request, kept[0], digest)
        if fault is not None and fault.kind == "error_500":
            status, text, save = 500, self._error_body(_server_error(), request.request_id), True
        else:
            status, text, save = self._perform(request)
            if fault is not None and fault.kind == "error_500_after":
                status, text, save = 500, self._error_body(_server_error(), request.request_id), True
        if request.key is not None and save:
            self.store.rows(
                "INSERT INTO idempotency (key, path, digest, status, body, request_id, created) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                request.key, request.path, digest, status, text, request.request_id, now,
            )  # fmt: skip
        return status, text, False

    def _replay(self, request: _Request, kept: tuple[Any, ...], digest: str) -> tuple[int, str, bool]:
        path, kept_digest, status, text = kept
        if path != request.path:
            message = "Keys for idempotent requests can only be used for the same endpoint they were first used for "
            message += f"('{request.path}' vs '{path}'). "
        elif kept_digest != digest:
            message = "Keys for idempotent requests can only be used with the same parameters they were first used "
            message += "with. "
        else:
            return status, text, True
        message += f"Try using a key other than '{request.key}' if you meant to execute a different request."
        raise ApiError(400, save=False, type="idempotency_error", message=message)

    def _perform(self, request: _Request) -> tuple[int, str, bool]:
        """Runs the endpoint; keeps its writes, or takes them back when it refused without effect."""
        self.store.rows("SAVEPOINT endpoint")
        call = self._call(
            params={**request.query, **request.body}, path=request.ids, template=request.template,
            public=request.public, request_id=request.request_id, idempotency_key=request.key,
        )  # fmt: skip
        try:
            self._check_request(request)
            body = call.expanded(request.endpoint(call))
            if body["object"] in ("balance_transaction", "event"):
                body = call.fresh(body)
            status, text, save = 200, self._finish(request, 200, body), True
        except ApiError as error:
            if not error.keep:
                self.store.rows("ROLLBACK TO endpoint")
            status, save = error.status, error.save
            text = self._finish(request, status, self._error_object(error, request.request_id))
        except BaseException:
            self.store.rows("ROLLBACK TO endpoint")
            raise
        finally:
            self.store.rows("RELEASE endpoint")
        return status, text, save

    def _check_request(self, request: _Request) -> None:
        if self._spec is None:
            return
        found = self._spec.request_problems(request.method, request.template, request.query, request.body)
        for problem in found:
            self._violate(f"{request.method} {request.template} request {problem}", request.problems)
        if found:
            unknown = re.search(r"\('(\w+)' was unexpected\)|unknown parameter '(\w+)'", found[0])
            if unknown:
                name = unknown.group(1) or unknown.group(2)
                raise invalid(f"Received unknown parameter: {name}", param=name, code="parameter_unknown")
            required = re.search(r"'(\w+)' is a required property", found[0])
            if required:
                name = required.group(1)
                raise invalid(f"Missing required param: {name}.", param=name, code="parameter_missing")
            # Anything else is left to the endpoint, which refuses it in Stripe's own words where Stripe would.

    def _finish(self, request: _Request, status: int, body: Obj) -> str:
        if self._spec is not None:
            for problem in self._spec.response_problems(request.method, request.template, status, body):
                self._violate(f"{request.method} {request.template} answer {problem}", request.problems)
        return json.dumps(_for_browser(body) if request.public else body, indent=2)

    def _error_object(self, error: ApiError, request_id: str) -> Obj:
        log = f"https://dashboard.stripe.com/test/logs/{request_id}"
        return {"error": {**error.error, "request_log_url": log}}

    def _error_body(self, error: ApiError, request_id: str) -> str:
        return json.dumps(self._error_object(error, request_id), indent=2)


def _server_error() -> ApiError:
    message = "Sorry, something went wrong on Stripe's end (injected fault)."
    return ApiError(500, type="api_error", message=message)


def _route(method: str, path: str) -> tuple[str, Endpoint, dict[str, str]] | None:
    for known, pattern, template, endpoint in _ROUTES:
        if known == method and (match := pattern.fullmatch(path)):
            return template, endpoint, match.groupdict()
    return None


def _for_browser(body: Obj) -> Obj:
    """What a publishable key is shown: an intent without its metadata, customer and charge."""
    if body.get("object") in ("payment_intent", "setup_intent"):
        shown = objects.PUBLIC_INTENT_FIELDS | {"usage", "last_setup_error"}
        return {name: value for name, value in body.items() if name in shown}
    error = body.get("error")
    if isinstance(error, dict):
        kept = {name: _for_browser(value) if isinstance(value, dict) else value for name, value in error.items()}
        return {"error": kept}
    return body


def _masked(params: Any) -> Any:
    """The parameters without card numbers and security codes, which are never kept."""
    if isinstance(params, dict):
        hidden = ("number", "cvc", "account_number")
        return {name: "***" if name in hidden else _masked(value) for name, value in params.items()}
    if isinstance(params, list):
        return [_masked(value) for value in params]
    return params
