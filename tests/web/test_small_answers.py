"""Answers are small, files are kept for ever, and what compression could give away is not in them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import brotli
import pytest

from portal.sandbox.clinic import PASSWORD
from portal.web.csrf import masked, unmasked
from portal.web.static_files import FOLDER, url_path
from tests.pages import JudgingClient
from tests.web.paying import start

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask
    from werkzeug.test import TestResponse

    from portal.sandbox.clinic import Clinic
    from tests.pages import Page

COMPRESSED = {"Accept-Encoding": "br"}


@pytest.fixture
def patient(client: JudgingClient, clinic: Clinic, sign_in: Callable[..., Page]) -> JudgingClient:
    """A browser in which Testa is signed in."""
    sign_in(client, "testa@example.com")
    return client


@pytest.fixture
def supervisor(app: Flask, clinic: Clinic, sign_in: Callable[..., Page]) -> JudgingClient:
    """A browser in which a supervisor is signed in."""
    other = app.test_client()
    assert isinstance(other, JudgingClient)
    sign_in(other, "supervisor@example.com")
    return other


def body_of(response: TestResponse) -> bytes:
    """What the browser reads."""
    data = response.get_data()
    plain: bytes = brotli.decompress(data) if response.headers.get("Content-Encoding") == "br" else data
    return plain


def test_a_token_is_another_in_each_spelling_and_stands_for_the_same() -> None:
    spellings = {masked("secret.token-of_mine") for _ in range(50)}
    assert len(spellings) == 50
    assert {unmasked(one) for one in spellings} == {"secret.token-of_mine"}
    parts = [{one[at : at + 8] for one in spellings} for at in range(0, 40, 8)]
    assert min(len(part) for part in parts) > 40  # no part of it repeats


@pytest.mark.parametrize("bad", ["", "a", "abc", "ü", "=" * 9, "AAAA", "/////w==", "gICA" * 7])
def test_what_is_no_token_stands_for_nothing_good(bad: str) -> None:
    assert not unmasked(bad) or unmasked(bad).strip("\0") == ""


def test_a_page_that_is_fetched_twice_holds_no_secret_in_both(patient: JudgingClient) -> None:
    """What is the same in two answers can be guessed from their sizes, if it is compressed."""
    answers = [patient.get("/", headers=COMPRESSED) for _ in range(2)]
    assert [one.headers["Content-Encoding"] for one in answers] == ["br", "br"]
    with patient.session_transaction() as session:
        kept = str(session["csrf_token"]).encode()
    assert not any(kept in body_of(one) for one in answers)
    tokens = [set(re.findall(rb'name="csrf_token" value="([^"]+)"', body_of(one))) for one in answers]
    assert all(tokens)
    assert not tokens[0] & tokens[1]
    nonces = [re.findall(r"'nonce-([^']+)'", one.headers["Content-Security-Policy"]) for one in answers]
    assert nonces[0] != nonces[1]


def test_a_page_with_stripes_secret_is_not_compressed(patient: JudgingClient, clinic: Clinic) -> None:
    card_form = start(patient, clinic.account("JDC-1001"), choice="amount", amount="12.34").location
    answer = patient.get(card_form, headers=COMPRESSED)
    assert b"data-client-secret" in answer.data
    assert "Content-Encoding" not in answer.headers


def test_every_form_has_its_token_in_a_fresh_spelling(
    app: Flask, patient: JudgingClient, supervisor: JudgingClient
) -> None:
    """Also forms of libraries, on the pages that need nobody."""
    anybody = app.test_client()
    pages = [(anybody, "/sign-in"), (anybody, "/forgot-password"), (anybody, "/guest"), (patient, "/change-password")]
    pages += [(supervisor, "/desk/remittances"), (supervisor, "/desk/accounts")]
    for client, address in pages:
        found = [re.findall(r'name="csrf_token"[^>]* value="([^"]+)"', client.get(address).text) for _ in range(2)]
        assert found[0], address
        assert not set(found[0]) & set(found[1]), address
        assert all(unmasked(one) for one in found[0] + found[1]), address


def test_a_page_that_repeats_what_was_asked_is_not_compressed(
    patient: JudgingClient, supervisor: JudgingClient
) -> None:
    assert "Content-Encoding" in supervisor.get("/desk/accounts", headers=COMPRESSED).headers
    assert "Content-Encoding" not in supervisor.get("/desk/accounts?q=0", headers=COMPRESSED).headers
    assert "Content-Encoding" not in patient.get("/?anything=here", headers=COMPRESSED).headers
    wrong = {"email": "somebody@example.com", "password": PASSWORD}
    assert "Content-Encoding" not in patient.post("/sign-in", data=wrong, headers=COMPRESSED).headers


def test_files_are_named_by_their_content_and_kept_for_ever(app: Flask) -> None:
    client = app.test_client()
    page = client.get("/sign-in").text
    address = re.search(r'<link rel="stylesheet" href="([^"]+)"', page)
    assert address is not None
    assert address.group(1) == f"{url_path()}/css/plainbill.css"
    kept = client.get(address.group(1), headers=COMPRESSED)
    assert kept.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert kept.headers["Content-Encoding"] == "br"
    assert body_of(kept) == (FOLDER / "css/plainbill.css").read_bytes()
    kept.close()


@pytest.mark.parametrize("release", ["", "0123456789abcdef/"])
def test_a_page_of_another_release_gets_todays_file_for_now(app: Flask, release: str) -> None:
    """While web processes of two releases run, no browser must keep one's file under the other's name."""
    with app.test_client().get(f"/static/{release}css/plainbill.css") as answer:
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "no-cache"
        assert answer.data == (FOLDER / "css/plainbill.css").read_bytes()


@pytest.mark.parametrize("path", ["no-such-file.css", "../portal/app.py", "0123456789abcdef/", "%2e%2e/app.py"])
def test_nothing_else_is_a_file(app: Flask, path: str) -> None:
    assert app.test_client().get(f"/static/{path}").status_code == 404
    assert app.test_client().get(f"{url_path()}/{path}").status_code == 404


def test_a_program_signs_in_with_the_token_that_it_was_told(client: JudgingClient, clinic: Clinic) -> None:
    """The library tells it as it is: it is taken, and the answers with it are not compressed."""
    as_program = {"Accept": "application/json", **COMPRESSED}
    told = client.get("/sign-in", headers=as_program)
    assert "Content-Encoding" not in told.headers
    token = told.get_json()["response"]["csrf_token"]
    sent = {"email": "testa@example.com", "password": PASSWORD}
    answer = client.post("/sign-in", json=sent, headers={**as_program, "X-CSRFToken": token})
    assert answer.status_code == 200
    assert client.get("/").status_code == 200
