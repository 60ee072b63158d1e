"""Signing in and out, and what every answer carries."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from flask import Flask, abort
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from portal import clock
from portal.audit.models import AuditEvent
from portal.audit.tags import Tag
from portal.auth import sessions
from portal.auth.models import SignInSession
from portal.notifications.kinds import NOBODY
from portal.notifications.models import Notification
from portal.web import guards
from tests.conftest import Clinic
from tests.pages import JudgingClient, Page, as_page, sign_in

TESTA, STAFF = "testa@example.com", "staff@example.com"
NEW_PASSWORD = "maple-harbor-2027-quiet"
COOKIE = "plainbill"


@pytest.fixture
def move(monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], None]:
    """``move(timedelta)`` moves the portal's clock on."""

    def act(by: timedelta) -> None:
        moved = clock.wall() + by
        monkeypatch.setattr(clock, "wall", lambda: moved)

    return act


def cookie_of(client: JudgingClient) -> str:
    found = client.get_cookie(COOKIE)
    assert found is not None
    return found.value


def is_signed_in(client: JudgingClient) -> bool:
    """Whether a page that needs a sign-in is shown."""
    return client.get("/glossary").status_code == 200


def with_cookie(app: Flask, value: str) -> JudgingClient:
    """Another browser with a copied cookie."""
    client = app.test_client()
    assert isinstance(client, JudgingClient)
    client.set_cookie(COOKIE, value)
    return client


def sign_out(client: JudgingClient) -> None:
    response = client.submit(client.page("/"), action="/sign-out")
    assert response.status_code == 302


def try_to_sign_in(client: JudgingClient, email: str, password: str, address: str = "/sign-in") -> Any:
    return client.submit(client.page(address), {"email": email, "password": password}, field="password")


def test_signing_out_ends_a_copied_cookie(app: Flask, client: JudgingClient, clinic: Clinic, session: Session) -> None:
    sign_in(client, TESTA, clinic.password)
    copy = cookie_of(client)
    assert is_signed_in(with_cookie(app, copy))
    sign_out(client)
    assert not is_signed_in(client)
    assert not is_signed_in(with_cookie(app, copy))
    ended = session.scalars(sa.select(SignInSession.ended_at)).all()
    assert [moment is not None for moment in ended] == [True]
    session.commit()


def test_signing_out_ends_no_other_sign_in(app: Flask, client: JudgingClient, clinic: Clinic) -> None:
    other = with_cookie(app, "")
    for one in (client, other):
        sign_in(one, TESTA, clinic.password)
    sign_out(client)
    assert is_signed_in(other)


def test_a_forged_or_foreign_cookie_is_nobodys(app: Flask, client: JudgingClient, clinic: Clinic) -> None:
    sign_in(client, TESTA, clinic.password)
    value = cookie_of(client)
    for forged in ("", "x", value[:-2], value.replace(".", "", 1), value[::-1]):
        assert not is_signed_in(with_cookie(app, forged))


def test_a_changed_password_ends_the_other_sign_ins(
    app: Flask, client: JudgingClient, clinic: Clinic, session: Session
) -> None:
    other = with_cookie(app, "")
    for one in (client, other):
        sign_in(one, TESTA, clinic.password)
    copy = cookie_of(client)
    fields = {"password": clinic.password, "new_password": NEW_PASSWORD, "new_password_confirm": NEW_PASSWORD}
    response = client.submit(client.page("/change-password"), fields, field="new_password")
    assert response.status_code == 302, as_page(response).text("main")
    assert not is_signed_in(other)
    assert not is_signed_in(with_cookie(app, copy))
    assert is_signed_in(client)
    # Not only does the library no longer know the cookies: the rows are closed, and the browser got a new one.
    ended = session.scalars(sa.select(SignInSession.ended_at).order_by(SignInSession.id)).all()
    assert [moment is not None for moment in ended] == [True, True, False]
    session.commit()
    assert try_to_sign_in(other, TESTA, clinic.password).status_code == 200
    assert try_to_sign_in(other, TESTA, NEW_PASSWORD).status_code == 302


def reset_link(session: Session) -> str:
    session.rollback()
    body = session.scalars(sa.select(Notification.body).where(Notification.key.like("%reset_instructions/%"))).one()
    session.commit()
    found = re.search(r"http://localhost(/forgot-password/\S+)", body)
    assert found, body
    return found.group(1)


def test_a_forgotten_password(app: Flask, client: JudgingClient, clinic: Clinic, session: Session) -> None:
    sign_in(client, TESTA, clinic.password)
    stranger = with_cookie(app, "")
    response = stranger.submit(stranger.page("/forgot-password"), {"email": TESTA}, field="email")
    assert response.status_code in (200, 302)
    session.rollback()
    (mail,) = session.scalars(sa.select(Notification).where(Notification.to_email == TESTA)).all()
    said = f"{mail.subject} {mail.body}".lower()
    assert [word for word in ("testa", "demopatient", "patient", "visit", "jdc-") if word in said] == []
    session.commit()
    assert is_signed_in(client)

    link = reset_link(session)
    page = stranger.page(link)
    fields = {"password": NEW_PASSWORD, "password_confirm": NEW_PASSWORD}
    assert stranger.submit(page, fields, field="password_confirm").status_code == 302
    assert not is_signed_in(client)
    assert not is_signed_in(stranger)
    again = stranger.get(link)
    assert again.status_code == 302, "a link works once"
    assert try_to_sign_in(stranger, TESTA, NEW_PASSWORD).status_code == 302


def test_asking_for_a_new_password_does_not_tell_who_is_known(
    client: JudgingClient, clinic: Clinic, session: Session
) -> None:
    answers = []
    for email in (TESTA, "nobody@example.com"):
        page = client.page("/forgot-password")
        response = client.submit(page, {"email": email}, field="email", follow_redirects=True)
        answers.append((response.status_code, words_of(as_page(response), email)))
    assert answers[0] == answers[1]
    # Both are in the outbox (tests/web/test_same_work.py), and one of them is for nobody.
    resets = sa.select(Notification.to_email).where(Notification.key.like("%reset_instructions/%"))
    assert session.scalars(resets).all() == [TESTA, NOBODY]
    session.commit()


def words_of(page: Page, typed: str) -> str:
    return page.text("main").replace(typed, "")


def test_a_wrong_password_and_an_unknown_address_get_the_same_words(
    client: JudgingClient, clinic: Clinic, session: Session
) -> None:
    answers = set()
    for email, password in ((TESTA, "not-the-password"), ("nobody@example.com", clinic.password)):
        response = try_to_sign_in(client, email, password)
        answers.add((response.status_code, words_of(as_page(response), email)))
    assert len(answers) == 1
    assert "password" in answers.pop()[1].lower()
    tags = session.scalars(sa.select(AuditEvent.tag).where(AuditEvent.tag == Tag.SIGN_IN_FAILED)).all()
    assert len(tags) == 2
    session.commit()


@pytest.mark.parametrize("again", [1, 2])
def test_many_tries_are_paused_and_only_here(app: Flask, client: JudgingClient, clinic: Clinic, again: int) -> None:
    """Ten tries a minute, counted once each, however many portals this process has made."""
    page = client.page("/sign-in")
    statuses = [
        client.submit(page, {"email": TESTA, "password": f"wrong-password-{number}"}, field="password").status_code
        for number in range(11)
    ]
    assert statuses == [200] * 10 + [429]
    right = client.submit(page, {"email": TESTA, "password": clinic.password}, field="password")
    assert right.status_code == 429
    assert as_page(right).text("h1")
    assert client.get("/sign-in").status_code == 200


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "///evil.example",
        "https://evil.example",
        "https:evil.example",
        "http:///evil.example/x",
        "\\\\evil.example",
        "/\\evil.example",
        "\\/evil.example",
        "/\t/evil.example",
        "\t//evil.example",
        " //evil.example",
        "//evil.example\\@localhost/",
        "https://localhost@evil.example/",
        "https://localhost.evil.example/",
        "javascript:alert(1)",
        "data:text/html,evil.example",
    ],
)
def test_signing_in_leads_to_no_other_site(client: JudgingClient, clinic: Clinic, target: str) -> None:
    who = {"email": TESTA, "password": clinic.password}
    if "@" not in target:  # the client refuses addresses with an @ of any kind
        page = as_page(client.get("/sign-in", query_string={"next": target}))
        response = client.submit(page, who, field="password")
        assert stays_here(response), response.location
        if response.status_code == 302:
            sign_out(client)
    # The form itself may be forged too.
    response = client.submit(client.page("/sign-in"), {**who, "next": target}, field="password")
    assert stays_here(response), response.location


def stays_here(response: Any) -> bool:
    """Whether the form is shown again, or the browser stays: what it reads as a slash or drops is seen through."""
    if response.status_code == 200:
        return True
    seen = re.sub(r"[\t\r\n]", "", response.location.strip()).replace("\\", "/")
    parts = urlsplit(seen)
    return parts.scheme in ("", "http", "https") and parts.netloc in ("", "localhost") and not seen.startswith("//")


def test_signing_in_leads_back_to_what_was_asked_for(client: JudgingClient, clinic: Clinic) -> None:
    wanted = f"/visits/{clinic.visit('V-260604-1')}"
    sent = client.get(wanted)
    assert sent.status_code == 302
    response = client.submit(
        client.page(sent.location), {"email": TESTA, "password": clinic.password}, field="password"
    )
    assert urlsplit(response.location).path == wanted


@pytest.mark.parametrize(("email", "idle"), [(TESTA, sessions.IDLE), (STAFF, sessions.STAFF_IDLE)])
def test_a_sign_in_that_is_not_used_ends(
    client: JudgingClient, clinic: Clinic, move: Callable[..., None], email: str, idle: timedelta
) -> None:
    sign_in(client, email, clinic.password)
    for _pause in range(3):  # being used keeps it open
        move(idle - timedelta(minutes=3))
        assert is_signed_in(client)
    move(idle + timedelta(minutes=1))
    assert not is_signed_in(client)


def test_staff_are_asked_again_sooner(client: JudgingClient, clinic: Clinic) -> None:
    assert sessions.STAFF_IDLE < sessions.IDLE < sessions.LONGEST


def test_every_sign_in_ends_after_a_day(client: JudgingClient, clinic: Clinic, move: Callable[..., None]) -> None:
    sign_in(client, TESTA, clinic.password)
    pauses = int(sessions.LONGEST / timedelta(minutes=50))
    for _pause in range(pauses):
        move(timedelta(minutes=50))
        assert is_signed_in(client)
    move(timedelta(minutes=50))
    assert not is_signed_in(client)


def test_a_sign_in_that_ended_stays_ended(
    app: Flask, client: JudgingClient, clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Turning the clock back must not bring the browser's own session back."""
    sign_in(client, TESTA, clinic.password)
    real = clock.wall
    with monkeypatch.context() as patch:
        patch.setattr(clock, "wall", lambda: real() + timedelta(hours=2))
        assert not is_signed_in(client)
    assert not is_signed_in(client)


def test_the_cookie_is_kept_from_scripts_and_from_other_sites(client: JudgingClient, clinic: Clinic) -> None:
    response = try_to_sign_in(client, TESTA, clinic.password)
    cookies = response.headers.getlist("Set-Cookie")
    # The other one marks the browser and opens nothing (tests/web/test_devices.py).
    assert sorted(cookie.split("=")[0] for cookie in cookies) == [COOKIE, f"{COOKIE}-device"]
    for cookie in cookies:
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
        assert "Domain" not in cookie


@pytest.mark.parametrize("address", ["/", "/sign-in", "/visits/{visit}", "/no-such-page", "/glossary", "/healthz"])
def test_every_answer_carries_the_policy(client: JudgingClient, clinic: Clinic, address: str) -> None:
    sign_in(client, TESTA, clinic.password)
    response = client.get(address.format(visit=clinic.visit("V-260604-1")))
    headers = response.headers
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["form-action"] == "'self'"
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert "*" not in policy["script-src"]
    assert "http" not in policy["script-src"], "Stripe is allowed on the pages that take money only"
    assert (headers["Cache-Control"], headers["X-Content-Type-Options"]) == ("no-store", "nosniff")
    assert (headers["X-Frame-Options"], headers["Referrer-Policy"]) == ("DENY", "no-referrer")


def test_a_nonce_is_used_once(client: JudgingClient, clinic: Clinic) -> None:
    found = {re.findall(r"nonce-([^']+)", client.get("/sign-in").headers["Content-Security-Policy"])[0] for _ in "ab"}
    assert len(found) == 2


MARK = "zebra-4711"


def has_layout(page: Page, status: int, got: int) -> None:
    assert got == status
    assert MARK not in page.html
    assert page.text("h1")
    assert page.all("main")
    assert page.all("a", href="/")


@pytest.mark.parametrize("signed_in", [False, True], ids=["nobody", "testa"])
def test_error_pages_say_nothing_of_the_request(
    new_app: Flask, clinic: Clinic, signed_in: bool
) -> None:
    client = new_app.test_client()
    assert isinstance(client, JudgingClient)

    def fail() -> str:
        raise RuntimeError(f"broken by {MARK}")

    def away() -> str:
        raise OperationalError(f"SELECT '{MARK}'", {}, Exception(MARK))

    for name, view in (("fail", fail), ("away", away), ("teapot", lambda: abort(418, MARK))):
        new_app.add_url_rule(f"/test-{name}", f"test_{name}", guards.public(view))
    if signed_in:
        sign_in(client, TESTA, clinic.password)
    asked: list[tuple[int, Any]] = [
        (404, client.get(f"/{MARK}?q={MARK}", headers={"User-Agent": MARK})),
        (404, client.get(f"/visits/{'0' * 32}?q={MARK}") if signed_in else client.get(f"/x/{MARK}")),
        (400, client.post("/sign-in", data={"email": MARK, "csrf_token": MARK})),
        (405, client.delete("/sign-in", data=MARK)),
        (418, client.get(f"/test-teapot?q={MARK}")),
        (500, client.get(f"/test-fail?q={MARK}")),
        (503, client.get(f"/test-away?q={MARK}")),
    ]
    for status, response in asked:
        has_layout(as_page(response), status, response.status_code)
        assert response.headers["Cache-Control"] == "no-store"
        assert "script-src" in response.headers["Content-Security-Policy"]


def test_signing_in_rightly_is_never_paused(app: Flask, client: JudgingClient, clinic: Clinic) -> None:
    """A clinic's waiting room is one address: only refusals count."""
    for _time in range(12):
        client.delete_cookie("plainbill")
        page = client.page("/sign-in")
        right = client.submit(page, {"email": TESTA, "password": clinic.password}, field="password")
        assert right.status_code == 302


def test_one_address_is_paused_wherever_the_tries_come_from(
    app: Flask, client: JudgingClient, clinic: Clinic
) -> None:
    page = client.page("/sign-in")
    token = page.all("input", name="csrf_token")[0].get("value")

    def attempt(number: int, email: str) -> int:
        return client.post(
            "/sign-in",
            data={"email": email, "password": "wrong-password-1", "csrf_token": token},
            environ_base={"REMOTE_ADDR": f"127.0.1.{number}"},
        ).status_code

    statuses = [attempt(number, TESTA) for number in range(1, 22)]
    assert statuses == [200] * 20 + [429]
    assert attempt(99, "sam@example.com") == 200
