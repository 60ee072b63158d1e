"""Messages go out once, and none is lost."""

from __future__ import annotations

import smtplib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal import clock
from portal.notifications.models import Notification
from portal.notifications.service import queue_email, send_due
from portal.notifications.transport import CannotSend, smtp

SENDER = "billing@juniper-demo.example"


class Post:
    """A transport that notes what it sent; ``away`` makes it fail."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.tried: list[str] = []
        self.away = False

    def __call__(self, *, to: str, subject: str, body: str, key: str) -> None:
        self.tried.append(key)
        if self.away:
            raise CannotSend("ConnectionRefusedError")
        self.sent.append(key)


@pytest.fixture
def post() -> Post:
    return Post()


@pytest.fixture
def move(monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], None]:
    """``move(timedelta)`` moves the portal's clock on."""

    def act(by: timedelta) -> None:
        moved = clock.now() + by
        monkeypatch.setattr(clock, "now", lambda: moved)

    return act


def queue(session: Session, *keys: str) -> list[bool]:
    told = [queue_email(session, key=key, to="a@example.test", subject="Hello", body="A message.\n") for key in keys]
    session.commit()
    return told


def waits(session: Session) -> timedelta:
    """How long until the next try."""
    due_at = session.scalars(sa.select(Notification.next_try_at)).one()
    session.commit()
    return due_at - clock.now()


def test_a_message_is_sent_once(session: Session, post: Post, move: Callable[..., None]) -> None:
    queue(session, "one", "two")
    assert (send_due(session, post), send_due(session, post)) == (2, 0)
    move(timedelta(days=2))
    assert send_due(session, post) == 0
    assert post.sent == ["one", "two"]
    assert all(session.scalars(sa.select(Notification.sent_at)))
    session.commit()


def test_nothing_is_told_twice(session: Session, post: Post) -> None:
    assert (queue(session, "one"), queue(session, "one", "two")) == ([True], [False, True])
    send_due(session, post)
    assert queue(session, "one") == [False]
    send_due(session, post)
    assert post.sent == ["one", "two"]


def test_what_is_rolled_back_is_never_told(session: Session, post: Post) -> None:
    queue_email(session, key="one", to="a@example.test", subject="Hello", body="")
    session.rollback()
    assert send_due(session, post) == 0


def test_tries_come_ever_later(session: Session, post: Post, move: Callable[..., None]) -> None:
    queue(session, "one")
    post.away = True
    pauses = []
    for _try in range(6):
        assert send_due(session, post) == 0
        pauses.append(waits(session))
        assert send_due(session, post) == 0  # not due yet
        move(pauses[-1])
    assert len(post.tried) == 6
    assert pauses == sorted(pauses)
    assert pauses[0] >= timedelta(minutes=1)
    assert pauses[-1] > pauses[0]


def test_a_mail_server_that_is_away_loses_nothing(session: Session, post: Post, move: Callable[..., None]) -> None:
    queue(session, "one", "two", "three")
    post.away = True
    for _run in range(4):
        send_due(session, post)
        move(timedelta(minutes=5))
    row = session.scalars(sa.select(Notification).where(Notification.key == "one")).one()
    assert (row.sent_at, row.last_error) == (None, "ConnectionRefusedError")
    session.commit()
    post.away = False
    move(timedelta(hours=4))
    assert send_due(session, post) == 3
    assert sorted(post.sent) == ["one", "three", "two"]
    assert set(session.scalars(sa.select(Notification.last_error))) == {""}
    session.commit()


class Killed(BaseException):
    """The worker's process ends here."""


def test_a_worker_that_dies_leaves_the_message_to_a_later_run(
    session: Session, engine: sa.Engine, post: Post, move: Callable[..., None]
) -> None:
    queue(session, "one")

    def die(**_message: str) -> None:
        raise Killed

    with pytest.raises(Killed):
        send_due(session, die)
    session.close()
    with Session(engine) as fresh:
        assert send_due(fresh, post) == 0  # claimed for the moment
        move(timedelta(minutes=5))
        assert send_due(fresh, post) == 1
        assert send_due(fresh, post) == 0
    assert post.sent == ["one"]


def test_no_transaction_is_open_while_the_mail_server_is_asked(session: Session) -> None:
    """On SQLite an open one would keep every patient from paying as long as the mail server takes."""
    queue(session, "one")
    seen: list[bool] = []
    send_due(session, lambda **_message: seen.append(session.in_transaction()))
    assert seen == [False]


class Server:
    """An SMTP server on this machine that offers what ``offers`` says, and notes what it is told."""

    def __init__(self, offers: str = "") -> None:
        self.told: list[str] = []
        self._offers = offers
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._socket.accept()
        with connection, connection.makefile("rw", encoding="utf-8", newline="") as lines:

            def answer(text: str) -> None:
                lines.write(text + "\r\n")
                lines.flush()

            answer("220 mail.example")
            in_text = False
            for line in lines:
                self.told.append(line.rstrip("\r\n"))
                word = self.told[-1][:4].upper()
                if in_text:
                    in_text = self.told[-1] != "."
                    if not in_text:
                        answer("250 taken")
                elif word == "EHLO":
                    answer(f"250-mail.example\r\n250 {self._offers or 'HELP'}")
                elif word == "DATA":
                    in_text = True
                    answer("354 go on")
                elif word == "QUIT":
                    answer("221 bye")
                    return
                else:
                    answer("250 fine")

    def close(self) -> None:
        self._socket.close()
        self._thread.join(5)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


def send(transport: Any) -> None:
    transport(to="a@example.test", subject="Your receipt", body="Sign in to see it.\n", key="receipt/1")


def test_a_message_as_it_leaves_the_house(server: Server) -> None:
    send(smtp(f"smtp://127.0.0.1:{server.port}", SENDER))
    told = "\n".join(server.told)
    assert "Message-ID: <receipt.1@juniper-demo.example>" in told
    assert "Auto-Submitted: auto-generated" in told
    assert "To: a@example.test" in told
    assert "Sign in to see it." in told


def test_another_host_without_encryption_gets_nothing(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the message nor the password."""
    real = socket.create_connection
    monkeypatch.setattr(
        socket, "create_connection", lambda address, *args, **facts: real(("127.0.0.1", address[1]), *args, **facts)
    )
    with pytest.raises(CannotSend, match="SMTPNotSupportedError"):
        send(smtp(f"smtp://user:hush@mail.example:{server.port}", SENDER))
    assert [line[:4] for line in server.told if line[:4] != "QUIT"] == ["ehlo"]


def test_encryption_checks_who_the_other_is(monkeypatch: pytest.MonkeyPatch) -> None:
    contexts: list[ssl.SSLContext] = []

    class Recorded:
        def __init__(self, *_args: Any, context: ssl.SSLContext | None = None, **_facts: Any) -> None:
            if context is not None:
                contexts.append(context)

        def __enter__(self) -> Recorded:
            return self

        def __exit__(self, *_args: object) -> None:
            return None

        def starttls(self, *, context: ssl.SSLContext) -> None:
            contexts.append(context)

        def login(self, *_args: str) -> None:
            assert contexts, "a password before the encryption"

        def send_message(self, _message: Any) -> None:
            assert contexts, "a message before the encryption"

    monkeypatch.setattr(smtplib, "SMTP", Recorded)
    monkeypatch.setattr(smtplib, "SMTP_SSL", Recorded)
    for address in ("smtp://user:hush@mail.example:587", "smtps://user:hush@mail.example"):
        contexts.clear()
        send(smtp(address, SENDER))
        assert [(one.check_hostname, one.verify_mode) for one in contexts] == [(True, ssl.CERT_REQUIRED)]


def test_a_server_that_is_not_there_is_told_without_an_address() -> None:
    with pytest.raises(CannotSend) as error:
        send(smtp("smtp://127.0.0.1:9", SENDER))
    assert "@" not in str(error.value)
