"""Where the demo's mail ends up: an SMTP server that keeps every message, and a page to read them on.

Nothing is ever sent on. Both listen on this machine only.
"""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from flask import Blueprint, abort, render_template

LOOPBACK = "127.0.0.1"
_LARGEST_MESSAGE = 5 * 1024 * 1024
_SCHEMA = """
CREATE TABLE IF NOT EXISTS mail (
    id INTEGER PRIMARY KEY, received_at TEXT NOT NULL, sender TEXT NOT NULL, recipient TEXT NOT NULL,
    subject TEXT NOT NULL, body TEXT NOT NULL)
"""


@dataclass(frozen=True, slots=True)
class Mail:
    """One message as it came; ``body`` is its plain text."""

    id: int
    received_at: datetime
    sender: str
    recipient: str
    subject: str
    body: str


class Mailbox:
    """All the mail of one demo, in a SQLite file of its own; safe between threads and processes."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        with closing(self._open()) as connection:
            connection.execute(_SCHEMA)

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, timeout=10)
        connection.execute("PRAGMA journal_mode=WAL")
        return connection

    def keep(self, sender: str, recipients: list[str], content: bytes) -> None:
        """Store one message, once for each recipient."""
        message = message_from_bytes(content, policy=default)
        part = message.get_body(("plain",)) if isinstance(message, EmailMessage) else None
        body = str(part.get_content()) if part is not None else content.decode(errors="replace")
        received_at = datetime.now(UTC).isoformat()
        subject = str(message.get("Subject", ""))
        rows = [(received_at, sender, recipient, subject, body) for recipient in recipients]
        with closing(self._open()) as connection:
            connection.executemany(
                "INSERT INTO mail (received_at, sender, recipient, subject, body) VALUES (?, ?, ?, ?, ?)", rows
            )

    def _read(self, where: str, *values: object) -> list[Mail]:
        query = f"SELECT id, received_at, sender, recipient, subject, body FROM mail {where}"
        with closing(self._open()) as connection:
            rows = connection.execute(query, values).fetchall()
        return [Mail(row[0], datetime.fromisoformat(row[1]), *row[2:]) for row in rows]

    def newest(self, limit: int = 200) -> list[Mail]:
        """The latest messages, newest first."""
        return self._read("ORDER BY id DESC LIMIT ?", limit)

    def one(self, mail_id: int) -> Mail | None:
        """One message by its number."""
        return next(iter(self._read("WHERE id = ?", mail_id)), None)


class _Sink:
    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        content = envelope.content or b""
        self._mailbox.keep(
            envelope.mail_from or "",
            list(envelope.rcpt_tos),
            content if isinstance(content, bytes) else content.encode(),
        )
        return "250 Kept; it goes no further"


def start_smtp(mailbox: Mailbox, port: int) -> Callable[[], None]:
    """Take mail on 127.0.0.1:``port`` in a thread of its own; returns what stops it. Raises OSError (port in use)."""
    # The controller would wait out its time limit on a port in use, and leave its event loop behind.
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((LOOPBACK, port))
    controller: Any = Controller(_Sink(mailbox), hostname=LOOPBACK, port=port, data_size_limit=_LARGEST_MESSAGE)
    controller.start()
    stop: Callable[[], None] = controller.stop
    return stop


def mail_page(mailbox: Mailbox) -> Blueprint:
    """The blueprint with ``/mail`` and ``/mail/<number>``, for the stand-in's server."""
    bp = Blueprint("sandbox_mail", __name__, template_folder="templates", static_folder="static",
                   static_url_path="/mail/static")  # fmt: skip

    @bp.get("/mail")
    def inbox() -> str:
        return render_template("sandbox_mail/inbox.html", mails=mailbox.newest())

    @bp.get("/mail/<int:mail_id>")
    def message(mail_id: int) -> str:
        mail = mailbox.one(mail_id)
        if mail is None:
            abort(404)
        return render_template("sandbox_mail/message.html", mail=mail)

    return bp
