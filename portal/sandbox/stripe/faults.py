"""Faults on order: for the next N matching requests the connection drops, or the answer is an error or slow."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from typing import Any

#: drop_before: nothing is done and the connection closes. drop_after: it is done and the answer is lost.
#: error_500: nothing is done; error_500_after: it is done; either answer is stored under the idempotency key.
#: rate_limited: 429 and nothing is done. balance_insufficient: 400 and nothing is done, as for a refund that the
#: account's balance does not cover. key_expired: 401 and nothing is done, as for a secret key that was rolled. slow:
#: done after ``seconds``.
KINDS = (
    "drop_before", "drop_after", "error_500", "error_500_after", "rate_limited", "balance_insufficient", "key_expired",
    "slow",
)  # fmt: skip


@dataclass(slots=True)
class Fault:
    """``path`` is a regular expression matched from the start of the request's path (without the query)."""

    kind: str
    times: int = 1
    method: str = ""
    path: str = "/v1/"
    skip: int = 0
    seconds: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no fault {self.kind!r}; there are: {', '.join(KINDS)}")
        re.compile(self.path)


class FaultPlan:
    """The faults still to happen, first come first served; safe for many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self.injected = 0

    def add(self, kind: str, **options: Any) -> Fault:
        """Orders a fault (see :class:`Fault`); raises ValueError for an unknown kind or option."""
        try:
            fault = Fault(kind, **options)
        except TypeError as error:
            raise ValueError(str(error)) from None
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Cancels all that are left."""
        with self._lock:
            self._faults.clear()

    def left(self) -> list[Fault]:
        """Those still to happen."""
        with self._lock:
            return list(self._faults)

    def take(self, method: str, path: str, *, public: bool = False) -> Fault | None:
        """The fault this request meets, if any; counts it as used. A secret key's end is none of a browser's
        (``public``)."""
        with self._lock:
            for fault in self._faults:
                if public and fault.kind == "key_expired":
                    continue
                if (not fault.method or fault.method == method) and re.match(fault.path, path):
                    if fault.skip:
                        fault.skip -= 1
                        continue
                    fault.times -= 1
                    if fault.times <= 0:
                        self._faults.remove(fault)
                    self.injected += 1
                    return fault
        return None
