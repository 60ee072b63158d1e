"""Nothing that can be sent makes the portal fall over: what is malformed is a 400, a form error or a page that is not
there, on every route and for everybody who may ask.

A new route, form or parameter is tried by being written.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

import portal
from portal.web.guards import Guard, guard_of
from tests.architecture.test_routes import SAM, STAFF, SUPERVISOR, Addresses, rules_of, token_of
from tests.conftest import Clinic, Database
from tests.pages import JudgingClient
from tests.web.test_forms import forms

Browse = Callable[[str], JudgingClient]

#: Who asks for what a guard protects.
WHO = {
    Guard.PUBLIC: "",
    Guard.SIGNED_WEBHOOK: "",
    Guard.GUEST: "",
    Guard.SIGNED_IN: SAM,
    Guard.OWN_ACCOUNT: SAM,
    Guard.STAFF: STAFF,
    Guard.SUPERVISOR: SUPERVISOR,
}
#: Text that is sent where a number, a day, an id or a word is meant.
HOSTILE = (
    "",
    "9" * 5000,
    "99999999999999999999",
    "-1",
    "²",
    "٣",
    "0000-00-00",
    "99999-01-01",
    "x" * 100_000,
    "\u202e\U0001f4b8",
    "%s%(x)s{0}",
    "http://[",
    "http://ex\u2100mple/",
)
DEEP = b"[" * 100_000
#: JSON that is not what a form is made of.
JSON = (
    DEEP,
    b'{"email":' + DEEP,
    b"",
    b"\xff",
    b"null",
    b"7",
    b"[1]",
    b'"text"',
    b'{"email": "\\ud800"}',
    b'{"\\ud800": "x"}',
    b'{"email": "a\\u0000@example.com", "password": "b\\u0000"}',
    b'{"email": 5, "password": 5}',
    b'{"email": null, "password": null}',
    b'{"email": {"a": 1}, "password": ["a", "b"]}',
    b'{"email": ["a"], "password": true}',
    b'{"email": []}',
    b"[" + b"9" * 10_000 + b"]",
)
#: What gets as far as a form.
JSON_THAT_IS_A_FORM = (JSON[10], JSON[14])
TEXT = "application/x-www-form-urlencoded"


def parameters() -> list[str]:
    """Every name that a view or a form reads."""
    source = "".join(
        path.read_text() for path in Path(inspect.getfile(portal)).parent.rglob("*.py") if "sandbox" not in path.parts
    )
    read = re.findall(r"request\.(?:args|form|values)(?:\.get(?:list)?\(|\[)\"(\w+)\"", source)
    fields = [name for form in forms() for name in dir(form) if hasattr(getattr(form, name), "field_class")]
    return sorted({*read, *fields} - {"csrf_token"})


def addresses_of(app: Flask, addresses: Addresses, method: str) -> Iterator[tuple[str, Guard]]:
    for rule in rules_of(app, *WHO):
        if method in (rule.methods or ()) and rule.endpoint != "security.logout":
            guard = guard_of(app, rule.endpoint)
            assert guard is not None
            yield addresses.of(rule), guard


@pytest.fixture
def addresses(clinic: Clinic) -> Addresses:
    return Addresses(clinic)


@pytest.fixture
def browse(app: Flask, clinic: Clinic, sign_in: Callable[..., Any]) -> Browse:
    """``browse(email)``: a browser of its own in which somebody is signed in, nobody for an empty email."""

    def open_one(email: str) -> JudgingClient:
        client = app.test_client()
        assert isinstance(client, JudgingClient)
        if email:
            sign_in(client, email)
        return client

    return open_one


@pytest.fixture
def people(browse: Browse) -> dict[Guard, tuple[JudgingClient, str]]:
    """A browser, and a token that is good in it, for each guard."""
    clients = {email: browse(email) for email in dict.fromkeys(WHO.values())}
    return {guard: (clients[email], token_of(clients[email])) for guard, email in WHO.items()}


def test_the_parameters_are_found() -> None:
    assert {"page", "lines", "amount", "key", "day", "body"} <= set(parameters())


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda text: ascii(text[:12]))
def test_no_text_makes_a_page_fall_over(
    app: Flask, addresses: Addresses, people: dict[Guard, tuple[JudgingClient, str]], hostile: str
) -> None:
    fell = []
    query = dict.fromkeys(parameters(), hostile[:2000])
    form = dict.fromkeys(parameters(), hostile)
    for address, guard in addresses_of(app, addresses, "GET"):
        with people[guard][0].get(address, query_string=query) as answer:
            fell += [(address, answer.status_code)] * (answer.status_code >= 500)
    for address, guard in addresses_of(app, addresses, "POST"):
        client, token = people[guard]
        answer = client.post(address, data={**form, "csrf_token": token})
        fell += [(address, answer.status_code)] * (answer.status_code >= 500)
    assert fell == []


@pytest.mark.parametrize("sent", [b"\x00", b"a%00b", b"%00"], ids=repr)
def test_what_is_no_text_is_refused_wherever_it_stands(
    app: Flask, addresses: Addresses, people: dict[Guard, tuple[JudgingClient, str]], sent: bytes
) -> None:
    got: dict[str, Any] = {}
    for address, guard in addresses_of(app, addresses, "GET"):
        for query in (b"q=" + sent, sent + b"=q"):
            with people[guard][0].get(f"{address}?{query.replace(bytes(1), b'%00').decode()}") as answer:
                got[f"GET {address}?{query!r}"] = answer.status_code
    for address, guard in addresses_of(app, addresses, "POST"):
        client, token = people[guard]
        body = b"csrf_token=" + token.encode() + b"&email=" + sent + b"&password=" + sent
        got[f"POST {address}"] = client.post(address, data=body, content_type=TEXT).status_code
        file = {"csrf_token": token, "note": "a\x00b"}
        got[f"POST parts {address}"] = client.post(address, data=file, content_type="multipart/form-data").status_code
    assert {asked: status for asked, status in got.items() if status != 400} == {}


@pytest.mark.parametrize("sent", JSON, ids=lambda sent: repr(sent[:24]))
def test_no_json_makes_the_portal_fall_over(
    app: Flask,
    addresses: Addresses,
    people: dict[Guard, tuple[JudgingClient, str]],
    sent: bytes,
    database: Database,
) -> None:
    if database.kind == "postgres" and sent not in JSON_THAT_IS_A_FORM:
        pytest.skip("refused before any database is asked; tried on SQLite")
    fell = []
    for method in ("POST", "GET") if sent == DEEP else ("POST",):
        for address, guard in addresses_of(app, addresses, method):
            client, token = people[guard]
            answer = client.open(
                address, method=method, data=sent, content_type="application/json", headers={"X-CSRFToken": token}
            )
            fell += [(method, address, answer.status_code)] * (answer.status_code >= 500)
            answer.close()
    client, _token = people[Guard.PUBLIC]
    for address, right in (("/no-such-page", 404), ("/static/no-such-file", 405), ("/healthz", 405)):
        assert client.post(address, data=sent, content_type="application/json").status_code == right
    assert fell == []


@pytest.mark.parametrize("path", ["/desk/remittances/{}", "/payments/year/{}.pdf"])
@pytest.mark.parametrize("number", ["0", "99999", "9223372036854775808", "9" * 5000])
def test_no_number_in_an_address_makes_it_fall_over(browse: Browse, path: str, number: str) -> None:
    client = browse(STAFF if path.startswith("/desk") else SAM)
    assert client.get(path.format(number)).status_code == 404


@pytest.mark.parametrize("sent", ["%00", "a%00", "%ed%a0%80", "%ff"])
def test_no_path_makes_it_fall_over(app: Flask, addresses: Addresses, browse: Browse, sent: str) -> None:
    client = browse(STAFF)
    for rule in rules_of(app):
        parts = re.sub(r"<[^>]+>", sent, rule.rule)
        for path in (parts, f"{parts}{sent}", f"{parts}/{sent}"):
            with client.get(path) as answer:
                assert answer.status_code < 500, path
