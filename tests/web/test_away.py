"""What is away gives a styled 503 that says when to ask again, and what asks nothing of it answers."""

import errno
import sqlite3
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
import redis
from flask import Flask
from sqlalchemy import exc
from werkzeug.test import TestResponse

from portal.away import Away, is_away
from portal.ledger.port import LedgerUnreachable
from portal.payments.errors import StripeAway
from portal.web import guards
from tests.pages import as_page

BOTH_DATABASES = True

TESTA, STAFF = "testa@example.com", "staff@example.com"
HEADERS = (
    "Content-Security-Policy",
    "X-Content-Type-Options",
    "X-Frame-Options",
    "Referrer-Policy",
    "Permissions-Policy",
    "Cross-Origin-Opener-Policy",
)


def has_headers(response: TestResponse) -> None:
    missing = [name for name in HEADERS if len(response.headers.getlist(name)) != 1]
    assert not missing, f"{response.request.method} {response.request.path} ({response.status_code}) lacks {missing}"


def is_styled_503(response: TestResponse) -> None:
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "60"
    has_headers(response)
    page = as_page(response)
    assert page.text("h1") == "We’re having trouble"
    assert [link for link in page.all("link", rel="stylesheet") if "plainbill" in link.get("href", "")]
    assert response.headers["Cache-Control"] == "no-store"


def of_sqlite(code: int) -> exc.OperationalError:
    orig = sqlite3.OperationalError("words of the library's")
    orig.sqlite_errorcode = code
    return exc.OperationalError("SELECT 1", {}, orig)


def of_postgres(kind: type[psycopg.Error], wrapper: type[exc.DBAPIError]) -> exc.DBAPIError:
    return wrapper("SELECT 1", {}, kind("words of the library's"))


AWAY: dict[str, Exception] = {
    "a store of ours": Away("rate limits"),
    "no connection came free": exc.TimeoutError(),
    "disk full on SQLite": of_sqlite(sqlite3.SQLITE_FULL),
    "no file on SQLite": of_sqlite(sqlite3.SQLITE_CANTOPEN),
    "locked for too long on SQLite": of_sqlite(sqlite3.SQLITE_BUSY),
    "PostgreSQL can't be reached": of_postgres(psycopg.OperationalError, exc.OperationalError),
    "PostgreSQL is stopping": of_postgres(psycopg.errors.AdminShutdown, exc.OperationalError),
    "disk full on PostgreSQL": of_postgres(psycopg.errors.DiskFull, exc.OperationalError),
    "its connection is closed": of_postgres(psycopg.InterfaceError, exc.InterfaceError),
    "it may only be read": of_postgres(psycopg.errors.ReadOnlySqlTransaction, exc.InternalError),
    "it broke earlier": exc.PendingRollbackError("rolled back", code="8s2b"),
    "Redis can't be reached": redis.ConnectionError(),
    "Redis is slow": redis.TimeoutError(),
    "Redis is loading": redis.BusyLoadingError(),
    "Stripe does not answer": StripeAway("rate_limit"),
    "the back office does not answer": LedgerUnreachable(),
    "no room for a file": OSError(errno.ENOSPC, "no space left on device"),
}
OURS: dict[str, Exception] = {
    "a statement that SQLite does not know": of_sqlite(sqlite3.SQLITE_ERROR),
    "a table that PostgreSQL does not know": of_postgres(psycopg.errors.UndefinedTable, exc.ProgrammingError),
    "a row that is there": of_postgres(psycopg.errors.UniqueViolation, exc.IntegrityError),
    "a session used after a mistake": exc.PendingRollbackError("rolled back", code="7s2a"),
    "a file that is not there": FileNotFoundError(errno.ENOENT, "no such file"),
    "a mistake": ZeroDivisionError(),
}


@pytest.mark.parametrize("name", [*AWAY, *OURS])
def test_what_is_away_is_told_from_what_is_wrong(name: str) -> None:
    assert is_away({**AWAY, **OURS}[name]) is (name in AWAY)


@pytest.fixture
def raising(new_app: Flask) -> Callable[..., TestResponse]:
    """``raising(error)``: the answer where a view raises it; ``late=True``: where what ends the request does."""
    told: list[Exception] = []

    def view() -> str:
        raise told[0]

    app = new_app
    app.add_url_rule("/raising", "raising", guards.public(view))
    app.add_url_rule("/late", "late", guards.public(lambda: "fine"))

    def end(response: Any) -> Any:
        if told:
            raise told.pop()
        return response

    app.after_request_funcs.setdefault(None, []).append(end)

    def ask(error: Exception, *, late: bool = False) -> TestResponse:
        told[:] = [error]
        response = app.test_client().get("/late" if late else "/raising")
        told.clear()
        return response

    return ask


@pytest.mark.parametrize("late", [False, True], ids=["in the view", "as the request ends"])
@pytest.mark.parametrize("name", AWAY)
def test_what_is_away_is_a_page_that_says_when_to_ask_again(
    raising: Callable[..., TestResponse], name: str, late: bool
) -> None:
    is_styled_503(raising(AWAY[name], late=late))


@pytest.mark.parametrize("late", [False, True], ids=["in the view", "as the request ends"])
@pytest.mark.parametrize("name", OURS)
def test_what_is_wrong_stays_an_error_of_ours(raising: Callable[..., TestResponse], name: str, late: bool) -> None:
    response = raising(OURS[name], late=late)
    assert response.status_code == 500
    assert "Retry-After" not in response.headers
    assert as_page(response).text("h1") == "Something went wrong on our side"
    has_headers(response)
