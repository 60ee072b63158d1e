"""Whoever asks with an address learns nothing from how long the answer takes: the work is the same, known or not.

Counted here: hashes by what makes them, statements in their order (so rows written, too), and messages in the outbox.
``make attack`` measures the time itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import argon2.low_level
import passlib.context
import pytest
import sqlalchemy as sa
from flask import Flask
from flask_security.forms import ForgotPasswordForm
from sqlalchemy.orm import Session

from portal import clock
from portal.auth.models import User
from portal.notifications.kinds import NOBODY
from portal.notifications.models import Notification
from portal.notifications.service import send_due
from portal.web.database import db
from tests.conftest import Clinic
from tests.pages import JudgingClient, Page, as_page

BOTH_DATABASES = True

TESTA, SAM = "testa@example.com", "sam@example.com"
CLOSED, PASSWORDLESS, UNKNOWN = "closed@example.com", "passwordless@example.com", "nobody@example.com"


@pytest.fixture
def everybody(session: Session, clinic: Clinic) -> list[str]:
    """One of each kind: known, unknown, may not sign in any more, has no password yet."""
    session.add_all(
        [
            User(email=CLOSED, password="$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$aGFzaA", active=False,
                 created_at=clock.now()),
            User(email=PASSWORDLESS, password=None, active=True, created_at=clock.now()),
        ]
    )  # fmt: skip
    session.commit()
    return [TESTA, UNKNOWN, CLOSED, PASSWORDLESS, TESTA, UNKNOWN]


class Work:
    """What one request cost."""

    def __init__(self) -> None:
        self.hashes: list[str] = []
        self.statements: list[str] = []

    @property
    def writes(self) -> list[str]:
        """Its statements that write, by what they do to which table."""
        writing = ("INSERT", "UPDATE", "DELETE")
        return [" ".join(one.split()[:3]) for one in self.statements if one.split()[0] in writing]


@contextmanager
def counted(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[Work]:
    """What is hashed slowly, and sent to the database, meanwhile."""
    work = Work()

    def note(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        work.statements.append(statement)

    def watch(where: Any, name: str, called: Callable[..., str]) -> None:
        real = getattr(where, name)

        def act(*args: Any, **kwargs: Any) -> Any:
            work.hashes.append(called(*args))
            return real(*args, **kwargs)

        monkeypatch.setattr(where, name, act)

    with app.app_context():
        engine = db.engine
    with monkeypatch.context() as monkeypatch:
        # Whatever is hashed for the library passes here, by whichever scheme, and argon2 below it.
        for name in ("hash", "verify"):
            watch(passlib.context.CryptContext, name, lambda context, *_rest: str(context.default_scheme()))
        for name in ("hash_secret", "verify_secret"):
            watch(argon2.low_level, name, lambda *_args: "argon2 itself")
        sa.event.listen(engine, "before_cursor_execute", note)
        yield work
        sa.event.remove(engine, "before_cursor_execute", note)


def _token(page: Page) -> str:
    return next(field.get("value", "") for field in page.all("input", name="csrf_token"))


def ask(client: JudgingClient, address: str, fields: dict[str, str], *, as_json: bool) -> Any:
    token = _token(client.page(address))
    if as_json:
        headers = {"X-CSRFToken": token, "Accept": "application/json"}
        return client.post(address, json=fields, headers=headers)
    return client.post(address, data={**fields, "csrf_token": token})


def from_another(number: int) -> dict[str, str]:
    return {"REMOTE_ADDR": f"192.0.2.{number}"}


def said(answer: Any, typed: str, *, as_json: bool) -> str:
    if as_json:
        assert answer.is_json
        return str({**answer.json, "response": {**answer.json["response"], "csrf_token": ""}}).replace(typed, "")
    return as_page(answer).text("main").replace(typed, "")


def outbox(session: Session) -> list[str]:
    session.rollback()
    found = list(session.scalars(sa.select(Notification.to_email).order_by(Notification.id)))
    session.commit()
    return found


def work_of_each(
    app: Flask, monkeypatch: pytest.MonkeyPatch, address: str, fields: dict[str, str], people: list[str], as_json: bool
) -> tuple[list[Work], set[str]]:
    """What asking cost for each of them, each from a browser and a network of its own; and the answers."""
    costs, answers = [], set()
    for number, email in enumerate(people):
        client = app.test_client()
        assert isinstance(client, JudgingClient)
        client.environ_base.update(from_another(number))
        client.page(address)  # whatever is made once is made
        with counted(app, monkeypatch) as work:
            answer = ask(client, address, {**fields, "email": email}, as_json=as_json)
        costs.append(work)
        answers.add(f"{answer.status_code} {said(answer, email, as_json=as_json)}")
    return costs, answers


@pytest.mark.parametrize("as_json", [False, True], ids=["form", "json"])
def test_asking_for_a_new_password_costs_the_same_for_everybody(
    app: Flask, session: Session, everybody: list[str], monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    costs, answers = work_of_each(app, monkeypatch, "/forgot-password", {}, everybody, as_json)
    assert len(answers) == 1
    first = costs[0]
    assert "INSERT INTO notification" in first.writes
    assert first.hashes == []
    for email, work in zip(everybody, costs, strict=True):
        assert work.hashes == first.hashes, email
        assert work.writes == first.writes, email
        assert work.statements == first.statements, email
    # A message each; the ones to nobody say as much.
    assert outbox(session)[-6:] == [TESTA, NOBODY, NOBODY, PASSWORDLESS, TESTA, NOBODY]


def test_the_count_sees_the_librarys_own_way(
    app: Flask, everybody: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the test above can fail: the library hashes for known people only, slowly, and mails them only."""
    form = app.extensions["plainbill_security"].forms["forgot_password_form"]
    monkeypatch.setattr(form, "cls", ForgotPasswordForm)
    costs, _answers = work_of_each(app, monkeypatch, "/forgot-password", {}, [TESTA, UNKNOWN], False)
    assert costs[0].hashes != costs[1].hashes
    assert costs[0].writes != costs[1].writes


@pytest.mark.parametrize("as_json", [False, True], ids=["form", "json"])
def test_a_wrong_password_costs_the_same_as_an_unknown_address(
    app: Flask, everybody: list[str], monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    fields = {"password": "not-the-password"}
    costs, answers = work_of_each(app, monkeypatch, "/sign-in", fields, everybody, as_json)
    assert len(answers) == 1
    first = costs[0]
    assert first.hashes == ["argon2", "argon2 itself"]
    assert "INSERT INTO audit_event" in first.writes
    for email, work in zip(everybody, costs, strict=True):
        assert work.hashes == first.hashes, email
        assert work.writes == first.writes, email
        assert work.statements == first.statements, email


def test_what_is_for_nobody_is_thrown_away_and_never_sent(
    app: Flask, session: Session, everybody: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []

    def post(*, to: str, subject: str, body: str, key: str) -> None:
        sent.append(to)

    send_due(session, post)
    sent.clear()
    work_of_each(app, monkeypatch, "/forgot-password", {}, everybody, False)
    assert outbox(session).count(NOBODY) == 3
    assert send_due(session, post) == 3
    assert sent == [TESTA, PASSWORDLESS, TESTA]
    assert outbox(session).count(NOBODY) == 0
    # Not even what no sender looked at for days.
    work_of_each(app, monkeypatch, "/forgot-password", {}, [UNKNOWN], False)
    assert outbox(session).count(NOBODY) == 1
    monkeypatch.setattr(clock, "now", lambda: clock.wall() + timedelta(days=9))
    assert send_due(session, post) == 0
    assert outbox(session).count(NOBODY) == 0


def test_a_link_for_nobody_opens_nothing(app: Flask, client: JudgingClient, session: Session, clinic: Clinic) -> None:
    ask(client, "/forgot-password", {"email": UNKNOWN}, as_json=False)
    session.rollback()
    body = session.scalars(sa.select(Notification.body).where(Notification.to_email == NOBODY)).one()
    session.commit()
    link = next(word for word in body.split() if "/forgot-password/" in word)
    assert client.get(link.removeprefix("http://localhost")).location == "/forgot-password"
