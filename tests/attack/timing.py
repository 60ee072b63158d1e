"""Does the time an answer takes tell who is known? Tries with a known and an unknown name, interleaved and measured."""

from __future__ import annotations

import http.client
import itertools
import json
import random
import re
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

from portal.sandbox.clinic import paper_bills
from tests.attack.server import LOOPBACK, Portal

#: So many tries of each kind, after some that are not counted: what is made once is made then.
TRIES, UNCOUNTED = 200, 10
#: What is apart is measured again, so often in all: a busy machine is off now and then, an answer that tells is always.
ROUNDS = 3
#: How far the two medians may be apart, as a share of the larger.
MOST_APART = 0.10
_TIMEOUT = 20.0
#: Everything an attacker can send with a name in it and no session.
WRONG_PASSWORD, WRONG_DATE = "not-the-password", "1/2/1903"


class NotMeasured(Exception):
    """An answer was not the one whose time is of interest; the text says which came."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to ask about a name."""

    name: str
    address: str
    as_json: bool
    expects: int
    known: Callable[[int], dict[str, str]]
    unknown: Callable[[int], dict[str, str]]


@dataclass(frozen=True, slots=True)
class Medians:
    """What one way took, in milliseconds."""

    way: str
    known: float
    unknown: float
    tries: int

    @property
    def apart(self) -> float:
        """How far apart the two are, as a share of the larger."""
        return abs(self.known - self.unknown) / max(self.known, self.unknown)

    @property
    def tells(self) -> bool:
        """Whether an attacker could tell the known from the unknown by it."""
        return self.apart > MOST_APART


def known(number: int) -> str:
    """Somebody who can sign in; as long as :func:`unknown` is."""
    return f"known-{number:04}@example.com"


def unknown(number: int) -> str:
    """Nobody."""
    return f"guess-{number:04}@example.com"


def people() -> list[str]:
    """Everybody whom the tries name: each of them so seldom that no limit on a mailbox is reached."""
    return [known(number) for number in range(ROUNDS * (TRIES + UNCOUNTED))]


def ways() -> list[Way]:
    """Every form that takes a name from somebody who is nobody yet."""
    codes = [code.replace("-", "") for code, _born_on, _name in paper_bills()]
    found = []
    for as_json in (False, True):
        kind = "JSON" if as_json else "form"
        found += [
            Way(f"forgotten password, {kind}", "/forgot-password", as_json, 200,
                lambda number: {"email": known(number)}, lambda number: {"email": unknown(number)}),
            Way(f"wrong password, {kind}", "/sign-in", as_json, 400 if as_json else 200,
                lambda number: {"email": known(number), "password": WRONG_PASSWORD},
                lambda number: {"email": unknown(number), "password": WRONG_PASSWORD}),
        ]  # fmt: skip
    found.append(
        Way("code of a statement", "/guest", False, 403,
            lambda number: {"code": codes[number % len(codes)], "born_on": WRONG_DATE},
            lambda number: {"code": f"ZZZZZZZZZ{number:04}", "born_on": WRONG_DATE})
    )  # fmt: skip
    return found


def measure(portal: Portal, way: Way, *, turn: int, seed: int, until: float) -> Medians:
    """The medians of :data:`TRIES` tries of each kind, each pair in an order that is drawn.

    Each ``turn`` (of :data:`ROUNDS`, from 0) names other people. ``until`` is the moment (of ``time.monotonic``) to
    give up at. Raises :class:`NotMeasured`.
    """
    dice, networks = random.Random(seed), _networks(seed)
    browser = _Browser(portal, way)
    took: dict[bool, list[float]] = {True: [], False: []}
    for number in range(TRIES + UNCOUNTED):
        pair = [True, False]
        dice.shuffle(pair)
        for is_known in pair:
            if time.monotonic() > until:
                raise NotMeasured(f"{way.name}: out of time after {number} tries of each kind")
            name = number + turn * (TRIES + UNCOUNTED)
            seconds = browser.ask((way.known if is_known else way.unknown)(name), next(networks))
            if number >= UNCOUNTED:
                took[is_known].append(seconds)
    return Medians(
        way.name, statistics.median(took[True]) * 1000, statistics.median(took[False]) * 1000, len(took[True])
    )


def _networks(seed: int) -> Iterator[str]:
    """A network for every try, none of them twice: no limit on a network is reached."""
    block = seed % 200
    return (f"10.{block}.{number // 250}.{number % 250 + 1}" for number in itertools.count())


class _Browser:
    """A session with a token, used for every try alike."""

    def __init__(self, portal: Portal, way: Way) -> None:
        self._portal, self._way = portal, way
        self._cookie, self._token = "", ""
        status, page, headers, _seconds = self._send("GET", b"", {"X-Forwarded-For": "10.255.0.1"})
        if status != 200:
            raise NotMeasured(f"{way.name}: the page answered {status}")
        found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
        cookie = headers.get("Set-Cookie", "")
        if found is None or not cookie:
            raise NotMeasured(f"{way.name}: the page has no token")
        self._token, self._cookie = found.group(1), cookie.split(";")[0]

    def ask(self, fields: dict[str, str], network: str) -> float:
        """One try from ``network``; how long the whole answer took, in seconds."""
        headers = {"Cookie": self._cookie, "X-Forwarded-For": network}
        if self._way.as_json:
            headers |= {"Content-Type": "application/json", "Accept": "application/json", "X-CSRFToken": self._token}
            body = json.dumps(fields)
        else:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            body = urlencode({**fields, "csrf_token": self._token})
        status, _page, _headers, seconds = self._send("POST", body.encode(), headers)
        if status != self._way.expects:
            raise NotMeasured(f"{self._way.name}: {status} instead of {self._way.expects}")
        return seconds

    def _send(
        self, method: str, body: bytes, headers: dict[str, str]
    ) -> tuple[int, str, http.client.HTTPMessage, float]:
        connection = http.client.HTTPConnection(LOOPBACK, self._portal.port, timeout=_TIMEOUT)
        try:
            connection.connect()
            began = time.perf_counter()
            connection.request(method, self._way.address, body=body, headers=headers)
            answer = connection.getresponse()
            page = answer.read().decode(errors="replace")
            return answer.status, page, answer.headers, time.perf_counter() - began
        finally:
            connection.close()
