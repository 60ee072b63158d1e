"""The stand-in's own SQLite file: objects as JSON, idempotency keys, webhook deliveries, and a timetable.

One connection, one lock: a request is one transaction that holds its objects, its events and its stored
answer together, so that a killed process leaves either all of them or none.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from portal.sandbox.stripe.errors import Obj

_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, created INTEGER NOT NULL,
    body TEXT NOT NULL, hidden TEXT NOT NULL DEFAULT '{}');
CREATE INDEX IF NOT EXISTS objects_kind ON objects (kind, seq);
CREATE INDEX IF NOT EXISTS objects_customer ON objects (kind, json_extract(body, '$.customer'));
CREATE INDEX IF NOT EXISTS objects_intent ON objects (kind, json_extract(body, '$.payment_intent'));
CREATE INDEX IF NOT EXISTS objects_attempt ON objects (kind, json_extract(body, '$.metadata.attempt_id'));
CREATE INDEX IF NOT EXISTS objects_payout ON objects (kind, json_extract(hidden, '$.payout'));
CREATE INDEX IF NOT EXISTS objects_charge ON objects (kind, json_extract(body, '$.charge'));
CREATE TABLE IF NOT EXISTS idempotency (
    key TEXT PRIMARY KEY, path TEXT NOT NULL, digest TEXT NOT NULL, status INTEGER NOT NULL, body TEXT NOT NULL,
    request_id TEXT NOT NULL, created INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS deliveries (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL, endpoint TEXT NOT NULL, attempts INTEGER NOT NULL,
    next_at INTEGER, delivered_at INTEGER, last_status TEXT, UNIQUE (event, endpoint));
CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (next_at);
CREATE TABLE IF NOT EXISTS timetable (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, due INTEGER NOT NULL, act TEXT NOT NULL, target TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class Store:
    """Objects of one Stripe account. ``path`` None keeps them in memory."""

    def __init__(self, path: Path | None) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(str(path or ":memory:"), isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        # A killed process loses nothing in WAL mode; only a power cut could lose the last commits.
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute("PRAGMA busy_timeout=5000")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Closes the file; the store cannot be used afterwards."""
        with self._lock:
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; joins the transaction already open in this thread."""
        with self._lock:
            if self._depth:
                yield
                return
            self._db.execute("BEGIN IMMEDIATE")
            self._depth = 1
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            else:
                self._db.execute("COMMIT")
            finally:
                self._depth = 0

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Runs one statement and returns its rows."""
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    # Objects

    def add(self, body: Obj, hidden: Obj | None = None, *, created: int | None = None) -> Obj:
        """Stores a new object under its ``id`` and ``object``; returns it. ``created`` is for one that does not say
        when it was."""
        self.rows(
            "INSERT INTO objects (id, kind, created, body, hidden) VALUES (?, ?, ?, ?, ?)",
            body["id"], body["object"], body["created"] if created is None else created,
            json.dumps(body), json.dumps(hidden or {}),
        )  # fmt: skip
        return body

    def save(self, body: Obj) -> Obj:
        """Replaces an object's stored state."""
        self.rows("UPDATE objects SET body = ? WHERE id = ?", json.dumps(body), body["id"])
        return body

    def forget(self, object_id: str) -> None:
        """Removes an object, as if it had never been, and what was to happen to it."""
        with self.transaction():
            self.rows("DELETE FROM timetable WHERE target = ?", object_id)
            self.rows("DELETE FROM objects WHERE id = ?", object_id)

    def find(self, kind: str, object_id: str) -> Obj | None:
        """The object, or None."""
        found = self.rows("SELECT body FROM objects WHERE id = ? AND kind = ?", object_id, kind)
        return json.loads(found[0][0]) if found else None

    def hidden(self, object_id: str) -> Obj:
        """What the stand-in knows of an object and Stripe does not show (a card's behavior)."""
        found = self.rows("SELECT hidden FROM objects WHERE id = ?", object_id)
        return json.loads(found[0][0]) if found else {}

    def hide(self, object_id: str, **facts: Any) -> None:
        """Adds such facts."""
        merged = {**self.hidden(object_id), **facts}
        self.rows("UPDATE objects SET hidden = ? WHERE id = ?", json.dumps(merged), object_id)

    def every(
        self,
        kind: str,
        *,
        equal: Mapping[str, Any] | None = None,
        created: tuple[tuple[str, int], ...] = (),
        where: str = "",
        where_values: tuple[Any, ...] = (),
        before: str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> tuple[list[Obj], bool]:
        """Newest first: a page of objects and whether there are more.

        ``equal`` compares top-level fields, ``created`` is (operator, seconds) pairs, ``after`` and ``before``
        are ids: older than the one, newer than the other.
        """
        sql = "SELECT body FROM objects WHERE kind = ?"
        values: list[Any] = [kind]
        for name, value in (equal or {}).items():
            sql += f" AND json_extract(body, '$.{name}') = ?"
            values.append(value)
        for operator, seconds in created:
            sql += f" AND created {operator} ?"
            values.append(seconds)
        if where:
            sql += f" AND ({where})"
            values.extend(where_values)
        if after:
            sql += " AND seq < (SELECT seq FROM objects WHERE id = ?)"
            values.append(after)
        if before:
            sql += " AND seq > (SELECT seq FROM objects WHERE id = ?)"
            values.append(before)
        sql += f" ORDER BY seq {'ASC' if before else 'DESC'} LIMIT ?"
        found = [json.loads(row[0]) for row in self.rows(sql, *values, limit + 1)]
        page = found[:limit]
        return (page[::-1] if before else page), len(found) > limit

    # Settings and the timetable

    def setting(self, name: str) -> str | None:
        """A kept setting, such as the virtual clock's offset."""
        found = self.rows("SELECT value FROM settings WHERE name = ?", name)
        return str(found[0][0]) if found else None

    def set(self, name: str, value: str) -> None:
        """Keeps a setting."""
        self.rows("INSERT INTO settings VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                  name, value)  # fmt: skip

    def later(self, due: int, act: str, target: str) -> None:
        """Puts an act on the timetable, at ``due`` seconds since 1970."""
        self.rows("INSERT INTO timetable (due, act, target) VALUES (?, ?, ?)", due, act, target)

    def next_due(self) -> int | None:
        """When the earliest act is due, in seconds since 1970."""
        return self.rows("SELECT min(due) FROM timetable")[0][0]

    def take_due(self, now: int) -> tuple[int, str, str] | None:
        """Takes the earliest act that is due off the timetable: (due, act, target), or None."""
        found = self.rows("SELECT seq, due, act, target FROM timetable WHERE due <= ? ORDER BY due, seq LIMIT 1", now)
        if not found:
            return None
        seq, due, act, target = found[0]
        self.rows("DELETE FROM timetable WHERE seq = ?", seq)
        return due, act, target
