"""Requests to the simulated API, from bytes to bytes.

A request is authenticated, meets the faults on order, is looked up by its idempotency key, and then runs in one
transaction with its events and its stored answer.
"""

from __future__ import annotations

import base64
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from portal.sandbox.stripe import forms, objects
from portal.sandbox.stripe.call import Call
from portal.sandbox.stripe.checking import Checker
from portal.sandbox.stripe.errors import (
    ApiError,
    ConnectionDropped,
    Obj,
    SpecViolation,
    invalid,
    unauthorized,
)  # fmt: skip
from portal.sandbox.stripe.faults import Fault, FaultPlan
from portal.sandbox.stripe.operations import PUBLIC, Endpoint, route
from portal.sandbox.stripe.store import Store

#: The version that stripe-python 15.6 speaks and ``../shared/stripe`` describes.
API_VERSION = "2026-08-26.dahlia"
IDEMPOTENCY_SECONDS = objects.DAY
IDEMPOTENCY_KEY_LENGTH = 255
KEPT_REQUESTS = 10_000

Answer = tuple[int, dict[str, str], bytes]


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
    public: bool
    problems: list[str]


class Api:
    """The API of one account. ``new_call`` gives a :class:`Call` at the account's time; ``keys`` are the secret and
    the publishable one; ``sleep`` waits out a slow fault. ``requests`` are the latest ones, masked."""

    def __init__(
        self, store: Store, checker: Checker, faults: FaultPlan, new_call: Callable[..., Call],
        keys: tuple[str, str], sleep: Callable[[float], None],
    ) -> None:  # fmt: skip
        self.store, self.checker, self.faults, self._call = store, checker, faults, new_call
        self._secret_key, self._publishable_key = keys
        self.sleep = sleep
        self.requests: deque[Obj] = deque(maxlen=KEPT_REQUESTS)
        self._in_flight: set[str] = set()
        self._in_flight_lock = threading.Lock()

    def handle(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, *, check: bool, at: str
    ) -> Answer:
        """As :meth:`StandIn.handle`; ``at`` is the time that the request is recorded with."""
        given = {name.lower(): value for name, value in headers.items()}
        request_id = objects.new_id("request")
        record: Obj = {
            "at": at, "method": method, "path": urlsplit(path).path, "request_id": request_id,
            "idempotency_key": given.get("idempotency-key"), "version": given.get("stripe-version"),
            "public": False,
        }  # fmt: skip
        problems: list[str] = []
        replayed = False
        try:
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
        public = record["public"] = self._authorize(given)
        found = route(method, parts.path)
        if found is None:
            self.checker.violate(f"{method} {parts.path} is not simulated", problems)
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
        if key == self._publishable_key:
            return True
        if key != self._secret_key:
            raise unauthorized(f"Invalid API Key provided: {key[:8]}{'*' * 8}{key[-4:] if len(key) > 16 else ''}")
        return False

    def _answer(self, request: _Request, record: Obj) -> tuple[int, str, bool]:
        fault = self.faults.take(request.method, request.path, public=request.public)
        if fault is not None:
            record["fault"] = fault.kind
            if fault.kind == "drop_before":
                raise ConnectionDropped(request.path)
            if fault.kind == "rate_limited":
                raise ApiError(429, save=False, type="invalid_request_error", code="rate_limit", message=(
                    "Request rate limit exceeded. Learn more about rate limits here "
                    "https://docs.stripe.com/rate-limits."
                ))  # fmt: skip
            if fault.kind == "key_expired":
                raise unauthorized("Expired API Key provided.", code="api_key_expired")
            if fault.kind == "balance_insufficient":
                raise invalid("You have insufficient funds in your Stripe balance for this refund.",
                              code="balance_insufficient")  # fmt: skip
        with self._holding(request.key):
            if fault is not None and fault.kind == "slow":
                self.sleep(fault.seconds)
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
        now = self._call().now
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
            self.checker.request(
                request.method, request.template, request.query, request.body, request.problems
            )
            body = call.fresh(call.expanded(request.endpoint(call)))
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

    def _finish(self, request: _Request, status: int, body: Obj) -> str:
        self.checker.answer(request.method, request.template, status, body, request.problems)
        return json.dumps(_for_browser(body) if request.public else body, indent=2)

    def _error_object(self, error: ApiError, request_id: str) -> Obj:
        log = f"https://dashboard.stripe.com/test/logs/{request_id}"
        return {"error": {**error.error, "request_log_url": log}}

    def _error_body(self, error: ApiError, request_id: str) -> str:
        return json.dumps(self._error_object(error, request_id), indent=2)


def _server_error() -> ApiError:
    message = "Sorry, something went wrong on Stripe's end (injected fault)."
    return ApiError(500, type="api_error", message=message)


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
