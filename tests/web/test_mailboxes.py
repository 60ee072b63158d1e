"""Limits count mailboxes, not the spellings of their addresses; and networks, not their addresses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from json import dumps
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask_security.utils import lookup_identity
from sqlalchemy.orm import Session

from portal import clock
from portal.auth.mailbox import canonical, key_of, key_of_user
from portal.auth.models import User
from portal.notifications.models import Notification
from portal.web.database import db
from tests.conftest import Clinic
from tests.pages import JudgingClient

TESTA, NOBODY = "testa@example.com", "nobody@example.com"
WRONG = "wrong-password-1"

#: How the mailbox testa@example.com may be spelled; sign-in finds its user by some of them.
SPELLINGS = [
    "testa@example.com",
    "TESTA@EXAMPLE.COM",
    "Testa@example.com",
    "testa@ｅxample.com",
    "testa@example。com",
    "testa@ⓔxample.com",
    "tEsTa@eXaMpLe.CoM",
    "testa@EXAMPLE．com",
    " testa@example.com ",
    "testa@example.com.",
    "ｔesta@example.com",
    "te\u017fta@example.com",
]

#: What names no mailbox, sent as a form and as JSON.
NOTHING: list[Any] = [None, "", " ", "testa", 7, True, [], {}, {"a": 1}, [["a"]], "a\x00b@example.com", "a" * 400]


@pytest.fixture
def token(client: JudgingClient, clinic: Clinic) -> str:
    """What a form of this browser carries against forgery."""
    return str(client.page("/sign-in").all("input", name="csrf_token")[0].get("value"))


@pytest.fixture
def addresses() -> Callable[[], str]:
    """Every try comes from a network of its own."""

    def count() -> Iterator[str]:
        for number in range(1, 60_000):
            yield f"10.1.{number // 250}.{number % 250 + 1}"

    networks = count()
    return lambda: next(networks)


def send(client: JudgingClient, path: str, token: str, network: str, fields: dict[str, Any], *, json: bool) -> int:
    """The status of what ``path`` answers."""
    origin = {"REMOTE_ADDR": network}
    if json:
        return client.post(path, json=fields, headers={"X-CSRFToken": token}, environ_base=origin).status_code
    return client.post(path, data={**fields, "csrf_token": token}, environ_base=origin).status_code


@pytest.mark.parametrize("email", [TESTA, NOBODY])
def test_a_locked_mailbox_is_locked_in_every_spelling(
    client: JudgingClient, clinic: Clinic, token: str, addresses: Callable[[], str], email: str
) -> None:
    """Whether or not there is such a user."""

    def attempt(spelling: str, password: str, *, json: bool) -> int:
        fields = {"email": spelling.replace("testa", email.split("@")[0]), "password": password}
        return send(client, "/sign-in", token, addresses(), fields, json=json)

    spellings = [spelling for spelling in SPELLINGS if email == TESTA or "testa" in spelling]
    statuses = [attempt(spellings[number % len(spellings)], WRONG, json=number % 2 == 1) for number in range(20)]
    assert set(statuses) == {200, 400}
    for spelling in spellings:
        assert attempt(spelling, clinic.password, json=False) == 429
        assert attempt(spelling, clinic.password, json=True) == 429


def test_json_that_signs_in_is_not_counted_and_json_that_is_refused_is(
    app: Flask, client: JudgingClient, clinic: Clinic, token: str
) -> None:
    def attempt(password: str) -> int:
        other = app.test_client()
        assert isinstance(other, JudgingClient)
        page = other.page("/sign-in")
        there = str(page.all("input", name="csrf_token")[0].get("value"))
        return send(other, "/sign-in", there, "10.2.0.1", {"email": TESTA, "password": password}, json=True)

    assert [attempt(clinic.password) for _time in range(12)] == [200] * 12
    assert [attempt(WRONG) for _time in range(11)] == [400] * 10 + [429]


def test_spellings_of_a_mailbox_get_five_reset_mails_in_all(
    client: JudgingClient, clinic: Clinic, token: str, addresses: Callable[[], str], session: Session
) -> None:
    for spelling in SPELLINGS * 2:
        for json in (False, True):
            assert send(client, "/forgot-password", token, addresses(), {"email": spelling}, json=json) in (200, 429)
    mails = sa.select(sa.func.count()).where(Notification.key.like("%reset_instructions/%"))
    assert 1 <= session.execute(mails).scalar_one() <= 5
    session.commit()


@pytest.mark.parametrize("json", [False, True], ids=["form", "json"])
def test_what_names_no_mailbox_counts_where_it_comes_from(
    client: JudgingClient, clinic: Clinic, token: str, addresses: Callable[[], str], json: bool
) -> None:
    """Thirty such tries from many networks lock nobody out; from one network they are one counter."""
    for value in NOTHING:
        if not json and (not isinstance(value, str | None) or "\x00" in (value or "")):
            continue  # no form sends it; a NUL is shown again, which is no valid page
        fields = {"password": WRONG} if value is None and not json else {"email": value, "password": WRONG}
        for _time in range(3):
            assert send(client, "/sign-in", token, addresses(), fields, json=json) in (200, 400)


def test_what_names_no_mailbox_has_one_key_in_a_network(app: Flask, clinic: Clinic) -> None:
    def keys(network: str) -> set[str]:
        with app.test_request_context(environ_base={"REMOTE_ADDR": network}):
            return {key_of(value) for value in (*NOTHING, "\ud800@example.com")}

    assert len(keys("192.0.2.1")) == 1
    assert keys("192.0.2.1") != keys("192.0.2.2")
    assert keys("2001:db8::1") == keys("2001:db8::2")


def test_the_key_is_the_users_where_the_address_finds_one(app: Flask, clinic: Clinic) -> None:
    with app.test_request_context(environ_base={"REMOTE_ADDR": "192.0.2.1"}):
        assert {key_of(spelling) for spelling in SPELLINGS} == {key_of_user(clinic.user_id(TESTA))}
        unknown = {key_of(spelling.replace("testa", "nobody")) for spelling in SPELLINGS if "testa" in spelling}
        assert len(unknown) == 1
        assert not unknown & {key_of_user(number) for number in range(100)}


def test_who_the_database_takes_for_one_has_one_key(app: Flask, clinic: Clinic, session: Session) -> None:
    """Every letter: where the look-up of sign-in would find the same user, known or not, the spelling is the same."""
    letters = [chr(code) for code in range(0x21, 0x2FA1E) if chr(code).isprintable() and chr(code) != "@"]
    folded: dict[str, set[str | None]] = {}
    some: Any
    for rows in [letters[start : start + 20_000] for start in range(0, len(letters), 20_000)]:
        if session.get_bind().dialect.name == "sqlite":
            query, some = "SELECT value, lower(value) FROM json_each(:some)", dumps(rows)
        else:
            query, some = "SELECT one, lower(one) FROM unnest(CAST(:some AS text[])) AS one", rows
        for letter, lower in session.execute(sa.text(query), {"some": some}):
            folded.setdefault(lower, set()).add(canonical(f"a{letter}b@example.com"))
    session.commit()
    assert {lower: keys for lower, keys in folded.items() if len(keys) > 1} == {}


def test_a_user_is_found_by_one_key_wherever_sign_in_finds_them(app: Flask, clinic: Clinic, session: Session) -> None:
    """Addresses with letters of many scripts, in the spellings that the look-up of sign-in takes for theirs."""
    stored = ["ÅSA.ØRSTED@example.org", "straße@bücher.example", "ΣΊΣΥΦΟΣ@example.org", "ann@xn--bcher-kva.example"]
    with app.test_request_context(environ_base={"REMOTE_ADDR": "192.0.2.1"}):
        for email in stored:
            db.session.add(User(email=email, created_at=clock.wall()))
        db.session.commit()
        for email in stored:
            for spelling in (email, email.lower(), email.upper(), email.swapcase(), f" {email} "):
                found = lookup_identity(spelling)
                if found is not None:
                    assert key_of(spelling) == key_of_user(found.id)


def test_an_ipv6_subscriber_is_one_network(app: Flask, client: JudgingClient, clinic: Clinic, token: str) -> None:
    def attempt(network: str, number: int) -> int:
        fields = {"email": f"who{number}@example.com", "password": WRONG}
        return send(client, "/sign-in", token, network, fields, json=False)

    statuses = [attempt(f"2001:db8:0:1:{number:x}::{number:x}", number) for number in range(1, 12)]
    assert statuses == [200] * 10 + [429]
    assert attempt("2001:db8:0:2::1", 12) == 200
    assert attempt("::ffff:192.0.2.9", 13) == 200
