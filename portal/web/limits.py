"""Rate limits: who is counted, when a count stays, and what holds while nothing can be counted.

Counters live where all processes see them (``counters``). Counting comes first and asking second: a try is counted
before the view runs, in one act, so that of many at once no more than the limit's number pass. Where only refusals
count (:func:`refusals_only`), what was not refused is given back afterwards.

If the place of the counters is away, an act (POST) is not done, and answers 503: nobody guesses passwords meanwhile. A
page (GET) is shown uncounted. :func:`even_uncounted` is for acts that are better done uncounted than not at all.
"""

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from ipaddress import IPv4Address, IPv6Network, ip_address
from time import monotonic
from typing import Any, TypeVar

import structlog
from flask import Flask, Response, current_app, g, request
from flask_limiter import Limiter
from limits import RateLimitItem, parse_many
from limits.errors import ConfigurationError
from limits.strategies import STRATEGIES, FixedWindowRateLimiter

from portal.away import Away
from portal.config import BadSettings, Settings
from portal.web import counters
from portal.web.context import the_settings
from portal.web.counters import Counters
from portal.web.database import READING, db

log = structlog.get_logger(__name__)

View = TypeVar("View", bound=Callable[..., Any])

#: The least that a subscriber or a rented machine is given of IPv6 (RFC 6177): 2**64 addresses to try from.
_SUBSCRIBER = 64
_WITH_PORT = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\](?::[0-9]+)?|([0-9.]+):[0-9]+)")
#: A window that ends within these seconds is not given back to: the next one may have begun.
_NEARLY_OVER = 1.0


def network_of(address: str | None) -> str:
    """The network that limits count ``address`` by: an IPv4 address, an IPv6 /64, or "nowhere".

    An IPv4 address that is mapped into IPv6 (``::ffff:192.0.2.1``) is the IPv4 address. Some proxies write the port of
    the connection behind the address.
    """
    told = _WITH_PORT.fullmatch(address or "")
    try:
        found = ip_address((told[1] or told[2]) if told else address or "")
    except ValueError:
        return "nowhere"  # a socket in the file system has no addresses: whoever comes by it counts as one
    if isinstance(found, IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(IPv6Network((int(found), _SUBSCRIBER), strict=False))


def network() -> str:
    """The network this request came from; the key of every limit that names no other."""
    return network_of(request.remote_addr)


@dataclass(frozen=True, slots=True)
class _Taken:
    """What this request took of one counter, and when (by the monotonic clock) its window ends."""

    key: str
    amount: int
    ends: float


class _CountFirst(FixedWindowRateLimiter):
    """The library's fixed windows, on counters that all processes share and with keys that tell nothing."""

    storage: Counters

    def hit(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> bool:
        """Count; whether that was within the limit. Raises :class:`Away` where an act cannot be counted."""
        _end_reading()
        key = _hashed(item, *identifiers)
        try:
            count, left = self.storage.take(key, item.get_expiry(), cost)
        except self.storage.base_exceptions as error:
            log.error("limits.away", endpoint=request.endpoint, error=type(error).__name__)
            if request.method in READING or _is_done_uncounted():
                return True
            raise Away("rate limits") from error
        g.setdefault("limits_taken", []).append(_Taken(key, cost, monotonic() + left))
        return count <= item.amount

    def test(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> bool:
        """Whether ``cost`` more would be within the limit; by then it may not."""
        return self.storage.get(_hashed(item, *identifiers)) + cost <= item.amount

    def get_window_stats(self, item: RateLimitItem, *identifiers: str) -> Any:
        """Headers that would tell of a window are off."""
        raise NotImplementedError

    def clear(self, item: RateLimitItem, *identifiers: str) -> None:
        """Forget one counter."""
        self.storage.clear(_hashed(item, *identifiers))


STRATEGIES["count-first"] = _CountFirst

limiter = Limiter(key_func=network, default_limits=[])


def _hashed(item: RateLimitItem, *identifiers: str) -> str:
    """A counter's key, which tells nobody without the secret key who tried what from where."""
    secret = the_settings()
    return hmac.new(secret.secret_key.encode(), item.key_for(*identifiers).encode(), hashlib.sha256).hexdigest()


def _end_reading() -> None:
    """End what this request has read so far: on SQLite an act's first look takes the one write lock.

    Nothing is lost: limits are asked before the view has written anything.
    """
    if request.method not in READING and db.session.in_transaction() and _one_writer():
        db.session.commit()


def _one_writer() -> bool:
    return db.engine.dialect.name == "sqlite"


def _is_done_uncounted() -> bool:
    return bool(getattr(current_app.view_functions.get(request.endpoint or ""), "even_uncounted", False))


def even_uncounted(view: View) -> View:
    """Mark an act that is done although nothing can be counted: one that only keeps somebody from harm."""
    view.even_uncounted = True  # type: ignore[attr-defined]
    return view


def refusals_only(was_refused: Callable[[Response], bool]) -> Callable[[View], View]:
    """Let a view's limits count refusals only; stands below every ``limiter.limit`` of the view.

    What was counted when the request came is given back when ``was_refused`` says no of the answer. So right tries
    count while they run, never afterwards; and of wrong ones sent at once no more are heard than the limit's number.
    """

    def mark(view: View) -> View:
        @wraps(view)
        def inner(*args: Any, **kwargs: Any) -> Any:
            g.limits_refused = was_refused  # only now: what the limits themselves turn away stays counted
            return view(*args, **kwargs)

        inner.refusals_only = True  # type: ignore[attr-defined]
        return inner  # type: ignore[return-value]

    return mark


def _give_back(response: Response) -> Response:
    taken: list[_Taken] = g.pop("limits_taken", [])
    was_refused: Callable[[Response], bool] | None = g.pop("limits_refused", None)
    if was_refused is None or was_refused(response):
        return response
    if db.session.in_transaction() and _one_writer():
        db.session.rollback()  # the view is done: what it did not commit ends here anyway
    where: Any = limiter.storage
    for one in taken:
        if monotonic() < one.ends - _NEARLY_OVER:
            try:
                where.give_back(one.key, one.amount)
            except where.base_exceptions as error:  # counted once too often until the window ends
                log.error("limits.away", endpoint=request.endpoint, error=type(error).__name__)
    return response


def forget(limit: str, key: str, endpoint: str) -> None:
    """Forget what ``limit`` ("20 per hour") counted under ``key`` at ``endpoint``: it begins anew."""
    for item in parse_many(limit):
        limiter.limiter.clear(item, key, endpoint)


def init_app(app: Flask, settings: Settings) -> None:
    """Count in Redis where there is one, else in the database. Raises :class:`BadSettings` for anywhere else."""
    app.config.update(
        RATELIMIT_ENABLED=True,
        RATELIMIT_STORAGE_URI=_where(settings),
        RATELIMIT_STORAGE_OPTIONS=_options(settings),
        RATELIMIT_STRATEGY="count-first",
        RATELIMIT_HEADERS_ENABLED=False,
        # Whatever cannot be counted is told apart above; counting in memory meanwhile would count by process.
        RATELIMIT_SWALLOW_ERRORS=False,
        RATELIMIT_IN_MEMORY_FALLBACK_ENABLED=False,
    )
    try:
        limiter.init_app(app)
    except ConfigurationError:
        raise BadSettings(["REDIS_URL does not name a Redis server that rate limits can be counted in"]) from None
    if not (isinstance(limiter.storage, Counters) or settings.sandbox):
        raise BadSettings(["Rate limits would be counted in memory, each process for itself"])
    app.after_request(_give_back)
    with app.app_context():
        counters.lose_no_time(db.get_engine(counters.ENGINE))


def _where(settings: Settings) -> str:
    return f"counters+{settings.redis_url}" if settings.redis_url else "counters+database://"


def _options(settings: Settings) -> dict[str, Any]:
    return counters.redis_options() if settings.redis_url else {}
