"""Whether the portal lives, whether it can serve people, and what answers while it can't."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask
from structlog.testing import capture_logs

import portal.app
from portal.config import Settings
from portal.migrate import downgrade, upgrade
from portal.schema import compatibility, history
from portal.web import guards
from portal.web.database import db
from portal.web.limits import limiter
from portal.web.static_files import url_path
from tests.conftest import Clinic, Database
from tests.outage import Outage
from tests.pages import JudgingClient, as_page
from tests.web.test_away import STAFF, TESTA, has_headers, is_styled_503

BOTH_DATABASES = True

SignIn = Callable[..., object]


@pytest.fixture
def outage(app: Flask, database: Database) -> Iterator[Outage]:
    """The app's database can be taken away; what the app had open on SQLite is closed first."""

    class WithoutOpenFiles(Outage):
        def begin(self) -> None:
            if self.database.kind == "sqlite":
                with app.app_context():
                    db.engine.dispose()
            super().begin()

    one = WithoutOpenFiles(database)
    yield one
    one.end()


def told(client: JudgingClient, address: str = "/readyz") -> tuple[int, str]:
    response = client.get(address)
    has_headers(response)
    assert ("Retry-After" in response.headers) is (response.status_code == 503)
    return response.status_code, response.get_data(as_text=True).strip()


def test_a_portal_that_works_lives_and_is_ready(client: JudgingClient) -> None:
    assert told(client, "/healthz") == (200, "ok")
    assert told(client) == (200, "ready")


def test_without_a_database_it_lives_and_is_not_ready(client: JudgingClient, outage: Outage) -> None:
    outage.begin()
    assert told(client, "/healthz") == (200, "ok")
    assert told(client) == (503, "not ready: The database is away.")
    outage.end()
    assert told(client) == (200, "ready")


def test_without_redis_bills_can_be_read_and_it_is_ready(
    app: Flask, client: JudgingClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.extensions["plainbill_settings"] = replace(settings, redis_url="redis://127.0.0.1:9")
    monkeypatch.setattr(type(limiter.storage), "check", lambda _storage: False)
    status, words = told(client)
    assert (status, words.split(":")[0]) == (200, "ready; Redis is away")


def test_on_an_older_schema_pages_wait_and_the_log_names_the_command(
    client: JudgingClient, database: Database, app: Flask
) -> None:
    with app.app_context():
        db.engine.dispose()
    downgrade(database.url, history()[1])
    with capture_logs() as lines:
        is_styled_503(client.get("/sign-in"))
        is_styled_503(client.post("/stripe/webhook", data=b"{}"))
    assert [line["what"].split(". ")[-1] for line in lines] == ["Type: portal migrate"] * 2
    status, words = told(client)
    assert (status, words.split(". ")[-1]) == (503, "Type: portal migrate")
    assert told(client, "/healthz") == (200, "ok")
    with client.get("/static/favicon.svg") as file:
        assert file.status_code == 200
    assert client.get("/no-such-page").status_code == 404
    with app.app_context():
        db.engine.dispose()
    upgrade(database.url)
    assert client.get("/sign-in").status_code == 200
    assert told(client) == (200, "ready")


def test_a_later_schema_ends_it_unless_it_is_declared(client: JudgingClient, engine: sa.Engine) -> None:
    assert client.get("/sign-in").status_code == 200
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    assert told(client)[0] == 503
    is_styled_503(client.get("/sign-in"))
    with engine.begin() as connection:
        connection.execute(sa.insert(compatibility).values(revision="9999", oldest_code=history()[0]))
    assert told(client) == (200, "ready")
    assert client.get("/sign-in").status_code == 200


def test_the_schema_is_asked_for_once_and_again_after_trouble(app: Flask, client: JudgingClient) -> None:
    asked: list[str] = []
    with app.app_context():
        sa.event.listen(db.engine, "before_cursor_execute", lambda *facts: asked.append(facts[2]))

    def looks() -> int:
        asked.clear()
        client.get("/sign-in")
        return sum("alembic_version" in statement and "SELECT version_num" in statement for statement in asked)

    assert [looks(), looks()] == [1, 0]
    app.view_functions["health.alive"] = guards.public(lambda: 1 / 0)
    assert client.get("/healthz").status_code == 500
    assert [looks(), looks()] == [1, 0]


@pytest.mark.parametrize("person", ["", TESTA, STAFF])
def test_pages_are_503_while_the_database_is_away_and_come_back(
    app: Flask, client: JudgingClient, clinic: Clinic, sign_in: SignIn, outage: Outage, person: str
) -> None:
    if person:
        sign_in(client, person)
    outage.begin()
    for address in ("/", "/sign-in", "/payments", "/glossary", "/desk/", "/change-password", "/guest"):
        response = client.get(address)
        if response.status_code != 302:  # to the sign-in page, for nobody
            is_styled_503(response)
    # Sent without a token: reading the form is no part of saying that we are away.
    assert client.post("/sign-in", data={"email": TESTA, "password": "no"}).status_code in (400, 503)
    outage.end()
    assert client.get("/sign-in", follow_redirects=True).status_code == 200
    assert told(client) == (200, "ready")


@pytest.mark.parametrize("person", ["", TESTA, STAFF])
def test_what_needs_no_database_asks_it_nothing(
    app: Flask, client: JudgingClient, clinic: Clinic, sign_in: SignIn, outage: Outage, person: str
) -> None:
    """Files, monitors and error pages, for whoever is signed in."""
    if person:
        sign_in(client, person)
    asked: list[str] = []
    with app.app_context():
        sa.event.listen(db.engine, "begin", lambda _connection: asked.append("begin"))
        sa.event.listen(db.engine, "before_cursor_execute", lambda *facts: asked.append(facts[2]))

    def answers() -> dict[str, int]:
        with client.get("/static/css/plainbill.css") as kept:
            tag = kept.headers["ETag"]
        found = {
            "file": client.get("/static/css/plainbill.css"),
            "kept file": client.get("/static/css/plainbill.css", headers={"If-None-Match": tag}),
            "missing file": client.get("/static/no-such-file.css"),
            "named file": client.get(f"{url_path()}/css/plainbill.css"),
            "alive": client.get("/healthz"),
            "no such page": client.get("/no-such-page"),
            "posted to no page": client.post("/no-such-page", data={"a": "b"}),
            "no such method": client.delete("/sign-in"),
            "options": client.options("/healthz"),
            "head": client.head("/healthz"),
            "too large": client.post("/stripe/webhook", data=b"x" * 300_000),
            "not signed": client.post("/stripe/webhook", data=b"{}"),
        }
        for response in found.values():
            has_headers(response)
            response.close()
        return {name: response.status_code for name, response in found.items()}

    client.get("/sign-in")
    asked.clear()
    there = answers()
    assert asked == []
    assert there == {
        "file": 200,
        "kept file": 304,
        "missing file": 404,
        "named file": 200,
        "alive": 200,
        "no such page": 404,
        "posted to no page": 404,
        "no such method": 405,
        "options": 200,
        "head": 200,
        "too large": 413,
        "not signed": 400,
    }
    outage.begin()
    assert answers() == there
    assert as_page(client.get("/no-such-page")).text("h1") == "We can’t find that page"


def make_app(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Flask:
    monkeypatch.setattr(portal.app, "open_queue", lambda **_where: None)
    app = portal.app.create_app(settings)
    app.test_client_class = JudgingClient
    return app


@pytest.mark.parametrize(
    "url", ["postgresql://nobody@127.0.0.1:9/none", "sqlite:////nowhere/at/all.sqlite"], ids=["postgres", "sqlite"]
)
def test_it_starts_while_its_database_is_away(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, url: str, tmp_path: Path
) -> None:
    """Nothing of the database is needed to make the app, and a dead address is as good as none."""
    app = make_app(replace(settings, database_url=url), monkeypatch)
    client = app.test_client()
    assert isinstance(client, JudgingClient)
    assert told(client, "/healthz") == (200, "ok")
    assert told(client)[0] == 503
    is_styled_503(client.get("/sign-in"))
    with client.get("/static/css/plainbill.css") as file:
        assert file.status_code == 200
