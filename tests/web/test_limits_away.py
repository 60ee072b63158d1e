"""What holds while nothing can be counted: nobody guesses, nobody pays, everybody reads. And counting in Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

from portal.config import Settings
from portal.sandbox.stripe import StandIn
from portal.web.counters import RedisCounters
from portal.web.limits import limiter
from tests.conftest import Clinic, _let_go, _make_app
from tests.pages import JudgingClient, as_page, sign_in
from tests.redis import NoRedis, PrivateRedis
from tests.trying import wrong_tries
from tests.web.guesting import BORN, CODE, issue, knock

BOTH_DATABASES = True

TESTA = "testa@example.com"


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[PrivateRedis]:
    """A Redis of the test's own; skips with the reason where there is none."""
    server = PrivateRedis(tmp_path)
    try:
        server.start()
    except NoRedis as reason:
        pytest.skip(f"not tested on Redis: {reason}")
    yield server
    server.stop()


@pytest.fixture
def redis_app(settings: Settings, standin: StandIn, woken: list[str], redis: PrivateRedis) -> Iterator[Flask]:
    """The portal with its counters in Redis."""
    app = _make_app(replace(settings, redis_url=redis.url), standin)
    yield app
    counters = limiter.storage
    assert isinstance(counters, RedisCounters)
    counters.storage.close()
    _let_go(app)


def browser(app: Flask) -> JudgingClient:
    client = app.test_client()
    assert isinstance(client, JudgingClient)
    return client


def is_the_page_of_away(response: Any) -> bool:
    """A styled 503 that says when to come back."""
    page = as_page(response)
    styled = bool(page.all("link", rel="stylesheet")) and bool(page.text("h1"))
    return response.status_code == 503 and int(response.headers["Retry-After"]) > 0 and styled


def test_of_seventy_tries_ten_are_heard_in_redis_too(redis_app: Flask, clinic: Clinic) -> None:
    assert sorted(wrong_tries(redis_app, 70, network="10.3.0.1", threads=8)) == [200] * 10 + [429] * 60


def test_redis_counts_as_the_database_does(redis_app: Flask, clinic: Clinic) -> None:
    with redis_app.app_context():
        counters = limiter.storage
        assert isinstance(counters, RedisCounters)
        count, left = counters.take("a", 60)
        assert (count, 59 < left <= 60) == (1, True)
        assert counters.incr("a", 60) == 2
        counters.give_back("a")
        assert counters.get("a") == 1
        for _time in range(3):
            counters.give_back("a")
        counters.give_back("never taken")
        assert (counters.get("a"), counters.get("never taken")) == (0, 0)
        assert counters.take("a", 60)[0] == 1
        counters.clear("a")
        assert counters.get("a") == 0


def test_what_is_in_redis_tells_nobody_who_tried(redis_app: Flask, clinic: Clinic) -> None:
    assert wrong_tries(redis_app, 1, network="192.0.2.77") == [200]
    counters = limiter.storage
    assert isinstance(counters, RedisCounters)
    keys = [key.decode() for key in counters.storage.keys("*")]
    assert len(keys) == 3
    assert not any(word in key for key in keys for word in ("192", "example", "security", "sign"))


def test_signing_in_rightly_is_not_counted_in_redis(redis_app: Flask, clinic: Clinic) -> None:
    for _time in range(12):
        sign_in(browser(redis_app), TESTA, clinic.password)


@pytest.fixture(params=["redis", "database"])
def away(request: pytest.FixtureRequest, clinic: Clinic, session: Session) -> tuple[Flask, Callable[[], None]]:
    """A portal, and what takes its counters away: Redis ends, or the table is gone."""
    if request.param == "redis":
        app: Flask = request.getfixturevalue("redis_app")
        return app, request.getfixturevalue("redis").stop
    app = request.getfixturevalue("app")

    def drop() -> None:
        session.execute(sa.text("DROP TABLE limit_counter"))
        session.commit()

    return app, drop


def test_without_counters_nobody_acts_and_everybody_reads(
    away: tuple[Flask, Callable[[], None]], clinic: Clinic, session: Session
) -> None:
    app, take_away = away
    issue(session)
    signed_in, guest, stranger = browser(app), browser(app), browser(app)
    sign_in(signed_in, TESTA, clinic.password)
    assert knock(guest, CODE, BORN).status_code == 302
    session.rollback()
    account = clinic.account("JDC-1001")
    plan_page = f"/accounts/{account}/plan"
    assert signed_in.get(plan_page).status_code in (200, 302)
    pages = {path: stranger.page(path) for path in ("/sign-in", "/forgot-password", "/guest")}
    choosing, guest_bill = signed_in.page(f"/accounts/{account}/pay"), guest.page("/guest/bill")
    changing = signed_in.page("/change-password")
    take_away()

    acts = {
        "signing in": stranger.submit(
            pages["/sign-in"], {"email": TESTA, "password": clinic.password}, field="password"
        ),
        "asking for a new password": stranger.submit(pages["/forgot-password"], {"email": TESTA}, field="email"),
        "being let in as a guest": knock(stranger, CODE, BORN),
        "paying": signed_in.submit(choosing, field="choice"),
        "paying as a guest": guest.submit(guest_bill, field="choice"),
        "changing a password": signed_in.submit(changing, {"password": clinic.password}, field="new_password"),
    }
    assert {act: is_the_page_of_away(answer) for act, answer in acts.items()} == dict.fromkeys(acts, True)

    for path in ("/", f"/accounts/{account}/pay", plan_page, "/payments", "/glossary"):
        assert signed_in.get(path).status_code in (200, 302, 404), path
    assert guest.get("/guest/bill").status_code == 200
    for path in ("/sign-in", "/forgot-password", "/guest", "/healthz", "/readyz"):
        assert stranger.get(path).status_code == 200, path
    with stranger.get("/static/favicon.svg") as file:
        assert file.status_code == 200
    assert stranger.post("/stripe/webhook", data="{}").status_code == 400, "read, and not signed"


def test_redis_that_comes_back_is_used_again(redis_app: Flask, redis: PrivateRedis, clinic: Clinic) -> None:
    page = browser(redis_app).page("/sign-in")
    assert page.text("h1")
    redis.stop()
    assert wrong_tries(redis_app, 2, network="10.4.0.1", threads=1) == [503, 503]
    redis.start()
    assert wrong_tries(redis_app, 12, network="10.4.0.1", threads=1) == [200] * 10 + [429] * 2
    sign_in(browser(redis_app), TESTA, clinic.password)


def test_what_cannot_be_given_back_changes_no_answer(
    away: tuple[Flask, Callable[[], None]], clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The counters go away while a right password is looked at: the one who knows it is in."""
    app, take_away = away
    client = browser(app)
    page = client.page("/sign-in")
    kind = type(limiter.storage)
    give_back = kind.give_back

    def gone(self: Any, key: str, amount: int = 1) -> None:
        monkeypatch.setattr(kind, "give_back", give_back)
        take_away()
        self.give_back(key, amount)

    monkeypatch.setattr(kind, "give_back", gone)
    answer = client.submit(page, {"email": TESTA, "password": clinic.password}, field="password")
    assert answer.status_code == 302
    assert client.get("/glossary").status_code == 200
