"""One thing is away at a time, for real: the disk, Redis, the database in the middle of a job, an error page itself."""

import sqlite3
from collections.abc import Callable
from dataclasses import replace

import pytest
import sqlalchemy as sa
from flask import Flask
from structlog.testing import capture_logs

import portal.app
from portal.config import Settings
from portal.schema import WrongSchema
from portal.web import guards
from portal.web.database import db
from portal.worker import may_work, run_job
from tests.browser import free_port
from tests.conftest import Clinic, Database
from tests.outage import Outage
from tests.pages import JudgingClient
from tests.web.test_away import HEADERS, TESTA, has_headers, is_styled_503

BOTH_DATABASES = True


def fill(path: str) -> None:
    """Let the database's file grow no more, and write what is audited at a sign-in until no page has room for it."""
    with sqlite3.connect(path) as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        names = [row[1] for row in connection.execute("PRAGMA table_info(audit_event)") if row[1] != "id"]
        copied = ", ".join(names)
        full = False
        while not full:
            try:
                connection.execute(
                    f"INSERT INTO audit_event ({copied}) SELECT {copied} FROM audit_event ORDER BY id DESC LIMIT 1"
                )
            except sqlite3.OperationalError as error:
                full = "full" in str(error)
                assert full
                connection.rollback()
            else:
                connection.commit()
    connection.close()


def test_a_full_disk_at_sign_in_is_a_503(app: Flask, client: JudgingClient, clinic: Clinic, database: Database) -> None:
    if database.kind != "sqlite":
        pytest.skip("a full disk of PostgreSQL is raised in test_away.py")
    page = client.page("/sign-in")
    client.submit(page, {"email": TESTA, "password": "wrong"}, field="password")  # so that there is a row to copy
    page = client.page("/sign-in")
    with app.app_context():
        db.engine.dispose()
        clinic.session.close()
        fill(database.url.removeprefix("sqlite:///"))

        def grow_no_more(connection: sqlite3.Connection, _record: object) -> None:
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            connection.execute(f"PRAGMA max_page_count = {pages}")

        sa.event.listen(db.engine, "connect", grow_no_more)
    is_styled_503(client.submit(page, {"email": TESTA, "password": clinic.password}, field="password"))
    is_styled_503(client.submit(page, {"email": TESTA, "password": "wrong"}, field="password"))
    assert client.get("/sign-in").status_code == 200


def test_without_redis_a_sign_in_is_a_503_and_pages_are_read(
    settings: Settings, clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(portal.app, "open_queue", lambda **_where: None)
    away = replace(settings, redis_url=f"redis://127.0.0.1:{free_port()}")
    app = portal.app.create_app(away)
    app.test_client_class = JudgingClient
    client = app.test_client()
    assert isinstance(client, JudgingClient)
    page = client.page("/sign-in")
    for password in ("wrong", clinic.password):
        is_styled_503(client.submit(page, {"email": TESTA, "password": password}, field="password"))
    ready = client.get("/readyz")
    assert (ready.status_code, ready.get_data(as_text=True).split(":")[0]) == (200, "ready; Redis is away")
    assert client.get("/healthz").status_code == 200
    with app.app_context():
        db.engine.dispose()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_headers_are_there_when_not_even_an_error_page_can_be_made(new_app: Flask, method: str) -> None:
    app = new_app

    def fail(_response: object) -> None:
        raise ZeroDivisionError

    def forget(_error: object) -> None:
        raise sa.exc.TimeoutError

    app.add_url_rule("/fine", "fine", guards.public(lambda: "fine"))
    app.after_request_funcs.setdefault(None, []).append(fail)  # type: ignore[arg-type]
    response = app.test_client().open("/fine", method=method)
    assert response.status_code == 500
    has_headers(response)
    app.after_request_funcs[None].remove(fail)  # type: ignore[arg-type]
    app.teardown_request_funcs.setdefault(None, []).append(forget)  # type: ignore[arg-type]
    with capture_logs() as lines:
        response = app.test_client().open("/fine", method=method)
    assert (response.status_code, response.headers["Retry-After"]) == (503, "60")
    assert ("having trouble" in response.get_data(as_text=True)) is (method == "GET")
    assert [line["event"] for line in lines] == ["request.fell_over"]
    has_headers(response)


@pytest.mark.parametrize("address", ["/sign-in", "/healthz", "/no-such-page", "/static/css/plainbill.css", "/"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "TRACE", "POST"])
def test_every_method_gets_the_headers(client: JudgingClient, address: str, method: str) -> None:
    with client.open(address, method=method) as response:
        assert response.status_code < 500
        has_headers(response)
        assert response.status_code != 405 or response.headers["Allow"]


@pytest.mark.parametrize("host", ["evil.test", "a..b", ".", "x" * 64 + ".test", "", "localhost:x", "[::1"])
def test_a_refused_host_gets_the_headers(client: JudgingClient, host: str) -> None:
    response = client.get("/sign-in", headers={"Host": host})
    assert response.status_code == 400
    assert set(HEADERS) <= set(response.headers.keys())


def test_a_job_whose_database_goes_away_under_it_stops_nobody(
    app: Flask, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    outage, done = Outage(database), []

    def job() -> None:
        db.session.execute(sa.text("SELECT 1"))
        outage.begin()
        if database.kind == "sqlite":
            db.session.rollback()
            db.engine.dispose()
        db.session.execute(sa.text("SELECT 1 FROM alembic_version"))

    jobs: dict[str, Callable[[], object]] = {"first": job, "second": lambda: done.append("second")}
    stops: list[WrongSchema] = []
    try:
        assert may_work(app, stops.append)
        for name in jobs:
            run_job(app, jobs, name)
        assert done == ["second"]
        with capture_logs() as lines:
            assert not may_work(app, stops.append)
        assert [line["event"] for line in lines] == ["worker.waits_for_database"]
    finally:
        outage.end()
    assert may_work(app, stops.append)
    assert stops == []
