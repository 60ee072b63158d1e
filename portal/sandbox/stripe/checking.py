"""What is held against requests and answers: Stripe's API description, where it is found."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from portal.sandbox.stripe import spec
from portal.sandbox.stripe.errors import Obj, invalid


class Checker:
    """Keeps what does not match in ``violations``; ``spec`` is None where there is no description."""

    def __init__(self, spec_path: Path | None) -> None:
        located = spec.locate(spec_path)
        self.spec = spec.Spec(located) if located is not None else None
        self.violations: list[str] = []
        self._tolerating = threading.local()

    @contextmanager
    def tolerating(self) -> Iterator[None]:
        """In this thread nothing is kept while the block runs."""
        self._tolerating.on = True
        try:
            yield
        finally:
            self._tolerating.on = False

    def violate(self, problem: str, into: list[str] | None = None) -> None:
        """Keeps a problem, and adds it to a request's own list."""
        if getattr(self._tolerating, "on", False):
            return
        self.violations.append(problem)
        if into is not None:
            into.append(problem)

    def snapshot(self, body: Obj) -> None:
        """Checks an object that goes into an event."""
        if self.spec is not None and not body.get("deleted"):
            for problem in self.spec.object_problems(body):
                self.violate(f"event snapshot of {body['object']} {problem}")

    def request(self, method: str, template: str, query: Obj, body: Obj, into: list[str]) -> None:
        """Checks a request; raises Stripe's 400 for an unknown or a missing parameter."""
        if self.spec is None:
            return
        found = self.spec.request_problems(method, template, query, body)
        for problem in found:
            self.violate(f"{method} {template} request {problem}", into)
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

    def answer(self, method: str, template: str, status: int, body: Obj, into: list[str]) -> None:
        """Checks an answer."""
        if self.spec is not None:
            for problem in self.spec.response_problems(method, template, status, body):
                self.violate(f"{method} {template} answer {problem}", into)
