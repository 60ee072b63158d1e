"""Strangers can't lock somebody out: not out of their mailbox, and not out of the browser they signed in with."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask
from sqlalchemy.orm import Session

from portal import clock
from portal.auth import devices
from portal.auth.models import User
from portal.notifications.models import Notification
from tests.conftest import Clinic
from tests.pages import JudgingClient, as_page, sign_in
from tests.web.guesting import comes_from, token_of

TESTA, SAM, PAULA = "testa@example.com", "sam@example.com", "paula@example.com"
COOKIE, SESSION = "plainbill-device", "plainbill"
NEW_PASSWORD = "maple-harbor-2027-quiet"
WRONG = "not-the-password"


def browser(app: Flask, address: str = "192.0.2.1", mark: str = "") -> JudgingClient:
    """A browser of its own, somewhere; with the mark of another one."""
    client = app.test_client()
    assert isinstance(client, JudgingClient)
    if mark:
        client.set_cookie(COOKIE, mark)
    return comes_from(client, address)


def try_password(client: JudgingClient, email: str, password: str, *, as_json: bool = False) -> int:
    """The status of one try: 302 (JSON: 200) for the right one."""
    token = token_of(client.page("/sign-in"))
    fields = {"email": email, "password": password}
    if as_json:
        headers = {"X-CSRFToken": token, "Accept": "application/json"}
        return client.post("/sign-in", json=fields, headers=headers).status_code
    return client.post("/sign-in", data={**fields, "csrf_token": token}).status_code


def mark_of(client: JudgingClient) -> str:
    found = client.get_cookie(COOKIE)
    assert found is not None
    return found.value


def marked(app: Flask, clinic: Clinic, email: str = TESTA, address: str = "198.51.100.1") -> JudgingClient:
    """A browser that ``email`` signed in with, and out."""
    client = browser(app, address)
    sign_in(client, email, clinic.password)
    client.delete_cookie(SESSION)
    return client


def strangers_lock(app: Flask, email: str = TESTA) -> None:
    """Wrong passwords from everywhere, until the mailbox takes no more."""
    for number in range(20):
        assert try_password(browser(app, f"203.0.113.{number}"), email, WRONG) == 200
    assert try_password(browser(app, "203.0.113.99"), email, WRONG) == 429


def test_strangers_cannot_lock_somebody_out_of_a_browser_they_signed_in_with(app: Flask, clinic: Clinic) -> None:
    owner = marked(app, clinic)
    strangers_lock(app)
    assert try_password(browser(app), TESTA, clinic.password) == 429
    assert try_password(owner, TESTA, WRONG) == 200
    assert try_password(owner, TESTA, WRONG, as_json=True) == 400
    assert try_password(owner, TESTA, clinic.password) == 302


def test_nor_can_strangers_on_the_same_network(app: Flask, clinic: Clinic) -> None:
    owner = marked(app, clinic)
    stranger = browser(app, "198.51.100.1")
    for number in range(11):
        assert try_password(stranger, f"{number}@example.com", WRONG) == (200 if number < 10 else 429)
    assert try_password(owner, TESTA, clinic.password) == 302


def test_such_a_browser_has_a_limit_of_its_own_and_uses_up_nobody_elses(app: Flask, clinic: Clinic) -> None:
    mine, second = marked(app, clinic), marked(app, clinic)
    assert [try_password(mine, TESTA, WRONG) for _ in range(21)] == [200] * 20 + [429]
    assert try_password(mine, TESTA, clinic.password) == 429
    assert try_password(second, TESTA, WRONG) == 200
    # And the network and the mailbox are as if nothing had been.
    assert [try_password(browser(app, "198.51.100.1"), TESTA, WRONG) for _ in range(10)] == [200] * 10


def test_a_right_password_costs_such_a_browser_nothing(app: Flask, clinic: Clinic) -> None:
    client = browser(app)
    for _ in range(25):
        assert try_password(client, TESTA, clinic.password) == 302
        client.delete_cookie(SESSION)


def test_a_mark_is_good_for_its_user_alone(app: Flask, clinic: Clinic) -> None:
    strangers_lock(app, SAM)
    assert try_password(marked(app, clinic, TESTA), SAM, clinic.password) == 429


def test_a_forged_a_foreign_or_an_old_mark_is_a_strangers(app: Flask, clinic: Clinic) -> None:
    good = mark_of(marked(app, clinic))
    foreign = mark_of(marked(app, clinic, SAM, "198.51.100.2"))
    name, moment, signature = good.split(".")
    strangers_lock(app)
    for forged in (
        foreign, "x", "~", "~~~~~~~", good[:-1], f"{name}x.{moment}.{signature}", f"{name}.{moment}.{foreign[-43:]}",
        "~".join([foreign] * devices.MOST + [good]), "a" * 3000, f"{'a' * 3000}.{moment}.{signature}", "\u00e9",
    ):  # fmt: skip
        assert try_password(browser(app, mark=forged), TESTA, clinic.password) == 429, forged
    assert try_password(browser(app, mark=f"{foreign}~{good}"), TESTA, clinic.password) == 302
    with time_machine.travel(clock.wall() + devices.LASTS + timedelta(days=1), tick=False):
        strangers_lock(app)
        assert try_password(browser(app, mark=good), TESTA, clinic.password) == 429


def test_the_cookie_tells_nothing_and_opens_nothing(app: Flask, clinic: Clinic, session: Session) -> None:
    client = browser(app)
    answer = client.submit(
        client.page("/sign-in"), {"email": TESTA, "password": clinic.password}, field="password"
    )
    (cookie,) = [one for one in answer.headers.getlist("Set-Cookie") if one.startswith(f"{COOKIE}=")]
    for word in ("HttpOnly", "SameSite=Lax", "Path=/", f"Max-Age={365 * 24 * 3600}"):
        assert word in cookie
    assert "Domain" not in cookie
    assert "Secure" not in cookie  # the tests' portal is not under TLS
    user = session.query(User).filter_by(email=TESTA).one()
    value = mark_of(client)
    for secret in (TESTA, "testa", user.fs_uniquifier, user.email.encode().hex()):
        assert secret not in value
    session.commit()
    client.delete_cookie(SESSION)
    assert client.get("/payments").status_code == 302
    # Two sign-ins of one user have nothing in common.
    other = mark_of(marked(app, clinic))
    assert not set(value.split(".")[::2]) & set(other.split(".")[::2])


def test_under_tls_no_other_host_can_set_it(app: Flask, clinic: Clinic) -> None:
    settings = app.extensions["plainbill_settings"]
    object.__setattr__(settings, "base_url", "https://localhost")
    client = browser(app)
    answer = client.submit(
        client.page("/sign-in"), {"email": TESTA, "password": clinic.password}, field="password"
    )
    (cookie,) = [one for one in answer.headers.getlist("Set-Cookie") if "device" in one]
    assert cookie.startswith(f"__Host-{COOKIE}=")
    assert "; Secure" in cookie


def test_a_shared_computer_keeps_the_marks_of_the_last_few(app: Flask, clinic: Clinic) -> None:
    client = browser(app)
    for email in (TESTA, SAM, PAULA, TESTA):
        sign_in(client, email, clinic.password)
        client.delete_cookie(SESSION)
    assert mark_of(client).count("~") == 2
    strangers_lock(app, SAM)
    assert try_password(client, SAM, clinic.password) == 302


def ask_for_link(client: JudgingClient, session: Session, email: str = TESTA) -> str:
    """The path of the link that is mailed."""
    answer = client.submit(client.page("/forgot-password"), {"email": email}, field="email")
    assert answer.status_code == 200
    session.rollback()
    query = sa.select(Notification.body).where(
        Notification.key.like("%reset_instructions/%"), Notification.to_email == email
    )
    body = session.scalars(query.order_by(Notification.id.desc())).first() or ""
    session.commit()
    found = re.search(r"http://localhost(/forgot-password/\S+)", body)
    assert found, body
    return found.group(1)


def choose_password(client: JudgingClient, link: str, password: str = NEW_PASSWORD) -> Any:
    fields = {"password": password, "password_confirm": password}
    return client.submit(client.page(link), fields, field="password_confirm")


def test_a_finished_reset_lifts_the_lock(app: Flask, clinic: Clinic, session: Session) -> None:
    strangers_lock(app)
    strangers_lock(app, SAM)
    owner = browser(app, "198.51.100.1")
    link = ask_for_link(owner, session)
    assert try_password(owner, TESTA, clinic.password) == 429  # asking is not enough
    assert choose_password(owner, link).status_code == 302
    # From anywhere, and the browser it was done in is one of theirs from now on.
    assert try_password(browser(app, "198.51.100.50"), TESTA, NEW_PASSWORD) == 302
    strangers_lock(app)
    assert try_password(owner, TESTA, NEW_PASSWORD) == 302
    # Nobody else's lock was lifted.
    assert try_password(browser(app, "198.51.100.51"), SAM, clinic.password) == 429


def test_a_new_password_makes_strangers_of_the_other_browsers(app: Flask, clinic: Clinic, session: Session) -> None:
    lost, owner = marked(app, clinic), browser(app, "198.51.100.9")
    assert choose_password(owner, ask_for_link(owner, session)).status_code == 302
    strangers_lock(app)
    assert try_password(lost, TESTA, NEW_PASSWORD) == 429
    assert try_password(owner, TESTA, NEW_PASSWORD) == 302


def test_changing_the_password_keeps_the_browser_it_was_changed_in(app: Flask, clinic: Clinic) -> None:
    lost, owner = marked(app, clinic), browser(app, "198.51.100.9")
    sign_in(owner, TESTA, clinic.password)
    fields = {"password": clinic.password, "new_password": NEW_PASSWORD, "new_password_confirm": NEW_PASSWORD}
    assert owner.submit(owner.page("/change-password"), fields, field="new_password").status_code == 302
    owner.delete_cookie(SESSION)
    strangers_lock(app)
    assert try_password(lost, TESTA, NEW_PASSWORD) == 429
    assert try_password(owner, TESTA, NEW_PASSWORD) == 302


@pytest.mark.parametrize("email", [TESTA, "nobody@example.com"])
def test_the_page_of_a_lock_shows_the_way_back_and_not_who_is_known(app: Flask, clinic: Clinic, email: str) -> None:
    strangers_lock(app, email)
    client = browser(app)
    answer = client.submit(client.page("/sign-in"), {"email": email, "password": WRONG}, field="password")
    page = as_page(answer)
    assert answer.status_code == 429
    assert page.text("h1") == "Too many tries"
    assert "choose a new password" in page.text("main")
    assert page.links()["Reset your password"] == "/forgot-password"
    assert email not in page.html


def test_who_asked_for_too_many_links_is_told_where_they_are(app: Flask, clinic: Clinic) -> None:
    answer = None
    for number in range(6):
        client = browser(app, f"192.0.2.{number}")
        answer = client.submit(client.page("/forgot-password"), {"email": TESTA}, field="email")
    assert answer is not None
    assert answer.status_code == 429
    assert "spam folder" in as_page(answer).text("main")
