"""Stripe's error answers (https://docs.stripe.com/api/errors).

An :class:`ApiError` carries the status, the JSON body, and two decisions the caller of an endpoint cannot
guess: whether what was written before it must be kept (a decline leaves a failed charge behind), and whether
the answer is stored under the request's idempotency key (a refused parameter is not).
"""

from __future__ import annotations

from typing import Any

Obj = dict[str, Any]


class ApiError(Exception):
    """An answer of 4xx or 5xx. ``error`` is the object under the body's ``error`` key."""

    def __init__(self, status: int, *, keep: bool = False, save: bool = True, **error: Any) -> None:
        super().__init__(error.get("message", ""))
        self.status = status
        self.keep = keep
        self.save = save
        self.error: Obj = {name: value for name, value in error.items() if value is not None}


class ConnectionDropped(Exception):
    """An injected fault: the client sees its connection closed and no answer."""


class SpecViolation(AssertionError):
    """A request or an answer does not match Stripe's OpenAPI description."""


class StandInSetupError(RuntimeError):
    """The stand-in cannot start as asked: a live key, a port in use, an address beyond this machine."""


def invalid(
    message: str, *, param: str | None = None, code: str | None = None, save: bool = False, **more: Any
) -> ApiError:
    """400: a parameter is missing, unknown or out of range."""
    kind = "invalid_request_error"
    return ApiError(400, save=save, type=kind, message=message, param=param, code=code, **more)


def missing(kind: str, object_id: str, param: str = "id") -> ApiError:
    """``resource_missing``: 404 for an id in the address, 400 for one in a parameter."""
    return ApiError(
        404 if param in ("id", "intent") else 400,
        type="invalid_request_error",
        code="resource_missing",
        param=param,
        message=f"No such {kind}: '{object_id}'",
    )


def unexpected_state(message: str, intent: Obj, code: str = "payment_intent_unexpected_state") -> ApiError:
    """400: the intent's status does not allow this; the intent comes with the error."""
    return invalid(message, code=code, save=True, payment_intent=intent)


def unauthorized(message: str, code: str | None = None) -> ApiError:
    """401: no key, a wrong key, or a key that may not do this."""
    return ApiError(401, save=False, type="invalid_request_error", message=message, code=code)


def doc_url(code: str) -> str:
    """The page Stripe links for an error code."""
    return "https://docs.stripe.com/error-codes/" + code.replace("_", "-")
