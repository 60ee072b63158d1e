"""Looks on while money is taken and mail is sent, and holds each against the database as it is at that very moment.

It asks the tables and the stand-in's store itself, on a connection of its own, and none of the portal's own sums.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import sqlalchemy as sa

from portal.db import normal_url
from portal.sandbox.simulation.journal import Journal
from portal.sandbox.stripe import StandIn

#: Requests that may take money.
_TAKES = re.compile(r"^/v1/payment_intents(?:/(?P<intent>pi_\w+)/confirm)?$")
_TAKEN = ("succeeded", "processing")

_PARTS = """
SELECT a.charge_id, a.amount_cents FROM payment p JOIN allocation a ON a.payment_id = p.id WHERE p.public_id = :attempt
"""
#: What is owed of a line, what its insurer has yet to decide, and whether it is held.
_OWED = """
SELECT coalesce(sum(e.patient_cents), 0), coalesce(sum(e.insurer_cents), 0),
       (SELECT count(*) FROM hold h WHERE h.charge_id = :charge AND h.released_at IS NULL)
FROM entry e WHERE e.charge_id = :charge
"""
#: Other attempts on the line that no booking tells of yet: Stripe knows whether they took anything.
_UNBOOKED = """
SELECT p.public_id, a.amount_cents FROM allocation a JOIN payment p ON p.id = a.payment_id
WHERE a.charge_id = :charge AND p.public_id <> :attempt
  AND NOT EXISTS (SELECT 1 FROM booking b WHERE b.payment_id = p.id AND b.kind = 'payment')
"""
_INSTALLMENT = """
SELECT i.public_id, i.state, pl.id, pl.account_id, pl.state FROM instalment i JOIN plan pl ON pl.id = i.plan_id
WHERE i.public_id = :installment
"""
_PAID = """
SELECT p.public_id FROM plan_attempt t JOIN instalment i ON i.id = t.instalment_id
JOIN payment p ON p.id = t.payment_id WHERE i.public_id = :installment
"""
_ON_PLAN = "SELECT charge_id FROM plan_line WHERE plan_id = :plan AND left_at IS NULL"


class Witness:
    """Looks on in one process; what it sees goes into ``journal``."""

    def __init__(self, url: str, standin: StandIn, journal: Journal) -> None:
        self._engine = sa.create_engine(normal_url(url), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        self._standin, self._journal = standin, journal

    @contextlib.contextmanager
    def of_request(self, method: str, url: str, form: str | None) -> Iterator[None]:
        """Around a request to Stripe: what it takes is held against what was owed when it was sent."""
        found = _TAKES.match(urlsplit(url).path) if method.lower() == "post" else None
        if found is None:
            yield
            return
        if intent := found["intent"]:
            attempt = self._attempt_of(intent)
        else:
            attempt = parse_qs(form or "").get("metadata[attempt_id]", [""])[0]
        with self.of_attempt(attempt):
            yield

    @contextlib.contextmanager
    def of_attempt(self, attempt: str) -> Iterator[None]:
        """Around whatever may take the money of one attempt: what it takes is held against what was owed before."""
        before = self._status(attempt)
        above = {} if before in _TAKEN else self._above(attempt)
        try:
            yield
        finally:
            if before not in _TAKEN and self._status(attempt) in _TAKEN:
                self._journal.note("taken", attempt=attempt, at=self._standin.now().isoformat(), above=above)

    def _attempt_of(self, intent_id: str) -> str:
        found = self._standin.store.find("payment_intent", intent_id)
        return str(found["metadata"].get("attempt_id", "")) if found else ""

    def _status(self, attempt: str) -> str:
        rows = self._standin.store.rows(
            "SELECT json_extract(body, '$.status') FROM objects WHERE kind = 'payment_intent' "
            "AND json_extract(body, '$.metadata.attempt_id') = ? ORDER BY seq DESC LIMIT 1", attempt,
        )  # fmt: skip
        return str(rows[0][0]) if rows else ""

    def _above(self, attempt: str) -> dict[str, int]:
        """By line, what the attempt asks above what is owed now; nothing where it asks for no more."""
        with self._engine.connect() as asked:
            above = {}
            for charge, cents in asked.execute(sa.text(_PARTS), {"attempt": attempt}).all():
                more = int(cents) - self._due(asked, charge, attempt)
                if more > 0:
                    above[str(charge)] = more
        return above

    def _due(self, asked: sa.Connection, charge: int, attempt: str = "") -> int:
        owed, undecided, held = asked.execute(sa.text(_OWED), {"charge": charge}).one()
        if undecided or held:
            return 0
        others = asked.execute(sa.text(_UNBOOKED), {"charge": charge, "attempt": attempt}).all()
        return int(owed) - sum(int(cents) for other, cents in others if self._status(other) in _TAKEN)

    def of_mail(self, key: str) -> dict[str, Any]:
        """What is wrong with sending this mail now, as facts for the journal; empty when nothing is."""
        about = re.match(r"^plan/(?P<installment>[0-9a-f]{32})/(?P<kind>notice|failed|missed|method-needed)", key)
        if about is None:
            return {}
        with self._engine.connect() as asked:
            row = asked.execute(sa.text(_INSTALLMENT), {"installment": about["installment"]}).first()
            if row is None:
                return {}
            _id, state, plan, _account, plan_state = row
            attempts = asked.execute(sa.text(_PAID), {"installment": about["installment"]}).all()
            if any(self._status(attempt) in _TAKEN for (attempt,) in attempts):
                return {"wrong": "the installment was paid"}
            if about["kind"] != "notice":
                return {}
            if plan_state in ("paid", "canceled", "stopped"):
                return {"wrong": f"the plan is {plan_state}"}
            lines = asked.execute(sa.text(_ON_PLAN), {"plan": plan}).all()
            if all(self._due(asked, charge) <= 0 for (charge,) in lines):
                return {"wrong": "nothing is due on the plan"}
            return {} if state in ("planned", "charging") else {"wrong": f"the installment is {state}"}
