"""stripe-python on the stand-in without a network: ``stripe.StripeClient(key, http_client=StandInHTTPClient(s))``."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Any, cast
from urllib.parse import urlsplit

import stripe
from werkzeug.datastructures import Headers

from portal.sandbox.stripe.core import StandIn
from portal.sandbox.stripe.errors import ConnectionDropped


class StandInHTTPClient(stripe.HTTPClient):
    """The transport. Retries follow stripe-python's own rules (``max_network_retries``), without their pauses.

    A request or answer that does not match Stripe's description raises
    :class:`~portal.sandbox.stripe.errors.SpecViolation`, an AssertionError.
    """

    name = "standin"

    def __init__(self, standin: StandIn) -> None:
        super().__init__()
        self.standin = standin

    def request(
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None, *,
        _usage: list[str] | None = None,
    ) -> tuple[str, int, Mapping[str, str]]:  # fmt: skip
        """One attempt; a dropped connection raises ``stripe.APIConnectionError``, which stripe-python may retry."""
        parts = urlsplit(url)
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        body = post_data.encode() if isinstance(post_data, str) else (post_data or b"")
        try:
            status, out, content = self.standin.handle(method.upper(), path, headers or {}, body, check=True)
        except ConnectionDropped:
            raise stripe.APIConnectionError(  # type: ignore[no-untyped-call]
                "Unexpected error communicating with Stripe. (Network error: the stand-in dropped the connection)",
                should_retry=True,
            ) from None
        return content.decode(), status, cast(Mapping[str, str], Headers(list(out.items())))

    def request_stream(
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None, *,
        _usage: list[str] | None = None,
    ) -> tuple[Any, int, Mapping[str, str]]:  # fmt: skip
        """Make a request as :meth:`request` does; the body of its answer is a stream."""
        content, status, out = self.request(method, url, headers, post_data)
        return BytesIO(content.encode()), status, out

    def _sleep_time_seconds(self, num_retries: int) -> float:
        return 0.0

    def close(self) -> None:
        """Nothing is open."""
