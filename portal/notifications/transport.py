"""How an email leaves the house."""

import smtplib
import ssl
from email.message import EmailMessage
from typing import Protocol
from urllib.parse import unquote, urlsplit


class CannotSend(Exception):
    """The mail server did not take the message; the text has no address in it."""


class Transport(Protocol):
    """Sends one message or raises :class:`CannotSend`."""

    def __call__(self, *, to: str, subject: str, body: str, key: str) -> None: ...


def smtp(url: str, sender: str, *, timeout: float = 20) -> Transport:
    """A transport over ``smtp://[user:password@]host:port`` or ``smtps://…``.

    Over ``smtp`` STARTTLS is required unless the host is this machine.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (465 if parts.scheme == "smtps" else 25)
    local = host in ("127.0.0.1", "localhost", "::1")

    def connect() -> smtplib.SMTP:
        if parts.scheme == "smtps":
            return smtplib.SMTP_SSL(host, port, timeout=timeout, context=ssl.create_default_context())
        server = smtplib.SMTP(host, port, timeout=timeout)
        if not local:
            try:
                server.starttls(context=ssl.create_default_context())
            except BaseException:
                server.close()
                raise
        return server

    def send(*, to: str, subject: str, body: str, key: str) -> None:
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = sender, to, subject
        # The same key gives the same id, so that a mail program can fold a second copy.
        message["Message-ID"] = f"<{key.replace('/', '.')}@{sender.rsplit('@', 1)[1]}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(body)
        try:
            with connect() as server:
                if parts.username:
                    server.login(unquote(parts.username), unquote(parts.password or ""))
                server.send_message(message)
        except (OSError, smtplib.SMTPException) as error:
            raise CannotSend(type(error).__name__) from error

    return send


