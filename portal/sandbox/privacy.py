"""What the portal may tell Stripe: ids, amounts and a few words of Stripe's own. Everything else is a leak.

Stripe signs no business associate agreement, so nothing clinical or identifying may reach it (design, "Always true" 8).
Each request of the portal's is held to a closed list: the place, the parameter, and the shape of its value. Every test
that uses the stand-in is judged by it, in-process (:class:`JudgedHTTPClient`, also in the fault runs) and over HTTP
(:func:`leaks_of_demo`), where what our pages have Stripe's script send is looked at, too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import sqlalchemy as sa

from portal.sandbox.stripe import StandIn, StandInHTTPClient, forms

_OURS = r"[0-9a-f]{32}"
_CENTS = r"[1-9][0-9]{0,7}"
_SECONDS = r"[0-9]{1,11}"
_THEIRS = r"(cus|pi|pm|seti|ch|py|re|pyr|du|dp|po|txn|evt|mandate)_[0-9A-Za-z_]+"

#: Parameter (of any request) -> what its value may look like.
_ALLOWED: dict[str, str] = {
    "amount": _CENTS,
    "currency": "usd",
    "customer": _THEIRS,
    "charge": _THEIRS,
    "payment_method": _THEIRS,
    "payment_intent": _THEIRS,
    "payout": _THEIRS,
    "starting_after": _THEIRS,
    "confirm": "true",
    "off_session": "true",
    "setup_future_usage": "(off_session)?",  # empty takes it back
    "usage": "off_session",
    "allowed_payment_method_types[]": "card|us_bank_account",
    "expand[]": r"(data\.)?(latest_charge|source)",
    "metadata.attempt_id": _OURS,
    "metadata.payer_key": _OURS,
    "metadata.refund_id": _OURS,
    "metadata.setup_id": _OURS,
    "limit": "[0-9]{1,3}",
    "created.gte": _SECONDS,
    "client_secret": r"(pi|seti)_\w+_secret_\w+",  # Stripe's own, where the worker looks as a browser would
    "delivery_success": "false",
}
#: What a browser sends with the publishable key. What somebody types into Stripe's own form is between them and Stripe;
#: what comes from our page is not.
_FROM_A_BROWSER: dict[str, str] = {
    "client_secret": r"(pi|seti)_\w+_secret_\w+",
    "return_url": rf"https?://[^/?#]+/((guest/)?payments|methods/setups)/{_OURS}/return",
    "payment_method": _THEIRS,
    "use_stripe_sdk": "true",
    "type": "card|us_bank_account",
}
_TYPED_AT_STRIPE = re.compile(
    r"(card|us_bank_account)\.\w+|billing_details\.(name|email|address\.(country|postal_code))|descriptor_code|amounts\[\]"
)
_PATH = re.compile(rf"/v1(/[a-z_]+(/{_THEIRS})?)+")
_KEY = re.compile(rf"(customer-)?{_OURS}(-(keep|[0-9]{{1,3}}))?|[0-9a-f-]{{36}}")


def leaks_of_browser(request: Mapping[str, Any]) -> list[str]:
    """What a request that a browser made from one of our pages should not have said."""
    where = f"{request.get('method', '')} {request['path']} (browser)"
    found = [] if _PATH.fullmatch(request["path"]) else [f"{where}: the path"]
    for name, value in _flat(request.get("params") or {}):
        name = re.sub(r"\.\d+$", "[]", name)
        if name in _FROM_A_BROWSER:
            if not re.fullmatch(_FROM_A_BROWSER[name], value):
                found.append(f"{where}: {name}={value!r}")
        elif not _TYPED_AT_STRIPE.fullmatch(name):
            found.append(f"{where}: {name}={value!r}")
    return found


def _flat(params: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(params, Mapping):
        for key, value in params.items():
            yield from _flat(value, f"{name}.{key}" if name else str(key))
    elif isinstance(params, list):
        for value in params:
            yield from _flat(value, f"{name}[]")
    else:
        yield name, str(params)


def leaks(request: Mapping[str, Any]) -> list[str]:
    """What a request (``path``, ``params``, ``idempotency_key``) says beyond the closed list."""
    where = f"{request.get('method', '')} {request['path']}"
    found = []
    if not _PATH.fullmatch(request["path"]):
        found.append(f"{where}: the path")
    key = request.get("idempotency_key")
    if key and not _KEY.fullmatch(key):
        found.append(f"{where}: the idempotency key {key!r}")
    for name, value in _flat(request.get("params") or {}):
        name = re.sub(r"\.\d+$", "[]", name)  # stripe-python numbers its lists
        if name not in _ALLOWED or not re.fullmatch(_ALLOWED[name], value):
            found.append(f"{where}: {name}={value!r}")
    return found


class JudgedHTTPClient(StandInHTTPClient):
    """The portal's own way to the stand-in; ``leaks`` collects what it should not have said."""

    def __init__(self, standin: StandIn, found: list[str]) -> None:
        super().__init__(standin)
        self.leaks = found

    def request(
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None, **more: Any
    ) -> tuple[str, int, Mapping[str, str]]:
        """Judge, then ask."""
        parts = urlsplit(url)
        body = post_data.decode() if isinstance(post_data, bytes) else (post_data or "")
        given = {name.lower(): value for name, value in (headers or {}).items()}
        self.leaks += leaks(
            {
                "method": method.upper(),
                "path": parts.path,
                "params": {**forms.decode(parts.query), **forms.decode(body)},
                "idempotency_key": given.get("idempotency-key"),
            }
        )
        return super().request(method, url, headers, post_data, **more)


def leaks_of_demo(stripe_url: str, database_url: str) -> list[str]:
    """What the requests to a stand-in over HTTP should not have said: with the secret key, and by browsers.

    Fails when the books know Stripe's names for things and yet no request is on record: then nothing was judged.
    """
    with urlopen(f"{stripe_url}/_standin/requests", timeout=10) as answer:
        requests = json.load(answer)
    engine = sa.create_engine(database_url)
    with engine.connect() as connection:
        known = connection.scalar(sa.text("SELECT count(*) FROM stripe_customer"))
    engine.dispose()
    assert requests or not known, "the portal has customers at Stripe, but no request is on record"
    return [
        leak for request in requests for leak in (leaks_of_browser if request["public"] else leaks)(request)
    ]
