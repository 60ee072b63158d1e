"""Whoever asks chooses the Host header: the portal answers to its own names, and builds addresses from BASE_URL."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask, redirect, url_for
from sqlalchemy.orm import Session
from werkzeug.test import EnvironBuilder, run_wsgi_app

from portal.config import Settings
from portal.notifications.models import Notification
from portal.sandbox.stripe import StandIn
from portal.web import guards
from tests import conftest
from tests.conftest import Clinic

MALFORMED = (
    "a..b",
    ".",
    "",
    f"{'x' * 64}.example",
    "-a.example",
    "localhost:0",
    "localhost:99999",
    "localhost:",
    "a b",
    "localhost:80:80",
    "[::1",
    "evil.test/localhost",
    "localhost@evil.test",
    "l\u00f6calhost",
)
STRANGERS = ("evil.test", "localhost.evil.test", "localhost.", "localhost:8080", "127.0.0.1", "[::1]", "xlocalhost")
OURS = ("localhost", "LOCALHOST", "LocalHost:80", "desk.clinic.example:8443", "DESK.Clinic.Example:8443")

#: Headers that every answer has, whatever it says.
HEADERS = (
    "Content-Security-Policy",
    "X-Content-Type-Options",
    "X-Frame-Options",
    "Referrer-Policy",
    "Permissions-Policy",
    "Cross-Origin-Opener-Policy",
    "Cache-Control",
)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """The tests' portal, which answers to a second name."""
    return replace(settings, extra_hosts=("desk.clinic.example:8443",))


def ask(app: Flask, path: str, host: str | None, **more: Any) -> tuple[int, dict[str, str], str]:
    """Status, headers and text of the answer to a request with exactly this Host header; None sends none."""
    builder = EnvironBuilder(path=path, **more)
    environ = builder.get_environ()
    if host is None:
        environ.pop("HTTP_HOST", None)
    else:
        environ["HTTP_HOST"] = host.encode().decode("latin-1")
    body, status, headers = run_wsgi_app(app.wsgi_app, environ, buffered=True)
    return int(status.split()[0]), dict(headers), b"".join(body).decode()


@pytest.mark.parametrize("path", ["/sign-in", "/guest", "/static/css/portal.css", "/no-such-page"])
@pytest.mark.parametrize("host", [*MALFORMED, *STRANGERS])
def test_any_other_host_is_refused(app: Flask, host: str, path: str) -> None:
    status, headers, text = ask(app, path, host)
    assert status == 400
    assert [name for name in HEADERS if name not in headers] == []
    assert "http://localhost" in text  # where we are to be found
    assert "evil.test" not in text + str(headers)


@pytest.mark.parametrize("host", OURS)
def test_our_own_hosts_are_answered(app: Flask, host: str) -> None:
    assert ask(app, "/sign-in", host)[0] == 200


def test_health_is_told_whatever_the_host_if_it_is_one(app: Flask) -> None:
    for path in ("/healthz", "/readyz"):
        for host in (*STRANGERS, *OURS, None):  # None: HTTP/1.0 has no such header
            assert ask(app, path, host)[0] == 200, host
        for host in MALFORMED:
            assert ask(app, path, host)[0] == 400, host
    assert ask(app, "/sign-in", None)[0] == 400


def test_every_route_refuses_a_stranger(app: Flask) -> None:
    answered = [
        rule.endpoint
        for rule in app.url_map.iter_rules()
        for method in sorted((rule.methods or set()) - {"OPTIONS"})
        if ask(app, re.sub(r"<.*?>", "x", rule.rule), "evil.test", method=method)[0] != 400
    ]
    assert set(answered) <= {"health.alive", "health.ready"}


def test_a_reset_mail_never_points_to_a_stranger(app: Flask, clinic: Clinic, session: Session) -> None:
    """The request itself is refused; the link of one that comes under a second name of ours leads to BASE_URL."""
    for host in ("evil.test", "desk.clinic.example:8443"):
        ask_reset(app, host)
    bodies = session.scalars(sa.select(Notification.body)).all()
    links = [link for body in bodies for link in re.findall(r"https?://\S+", body)]
    assert len(links) == 1
    assert links[0].startswith("http://localhost/forgot-password/")


def ask_reset(app: Flask, host: str) -> None:
    """Ask for a reset under a Host header, with the token and the cookie of a form that was fetched properly."""
    client = app.test_client()
    page = client.get("/forgot-password", base_url="http://localhost")
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page.text)
    assert token is not None
    cookie = client.get_cookie("plainbill")
    assert cookie is not None
    ask(
        app,
        "/forgot-password",
        host,
        method="POST",
        data={"email": "testa@example.com", "csrf_token": token[1]},
        headers={"Cookie": f"plainbill={cookie.value}"},
    )


@pytest.fixture
def behind_proxy(settings: Settings, standin: StandIn, woken: list[str]) -> Iterator[Callable[[int], Flask]]:
    """``behind_proxy(count)``: a portal with as many trusted proxies."""
    made: list[Flask] = []

    def make(count: int) -> Flask:
        made.append(conftest._make_app(replace(settings, trusted_proxies=count), standin))
        return made[-1]

    yield make
    for one in made:
        conftest._let_go(one)


def test_a_forwarded_host_counts_behind_a_proxy_of_ours_only(behind_proxy: Callable[[int], Flask]) -> None:
    forwarded = {"headers": {"X-Forwarded-Host": "localhost", "X-Forwarded-For": "192.0.2.7"}}
    evil = {"headers": {"X-Forwarded-Host": "evil.test", "X-Forwarded-For": "192.0.2.7"}}
    alone, behind = behind_proxy(0), behind_proxy(1)
    assert ask(alone, "/sign-in", "internal.example", **forwarded)[0] == 400
    assert ask(alone, "/sign-in", "localhost", **evil)[0] == 200
    assert ask(behind, "/sign-in", "internal.example", **forwarded)[0] == 200
    assert ask(behind, "/sign-in", "localhost", **evil)[0] == 400


def test_addresses_come_from_base_url_whatever_the_request_says(
    settings: Settings, standin: StandIn, woken: list[str]
) -> None:
    """Scheme and host, in an address that a view builds and in a redirect that is made absolute."""
    https = replace(settings, base_url="https://Billing.Clinic.example:443", extra_hosts=("desk.clinic.example",))
    app = conftest._make_app(https, standin)

    @app.get("/where")
    @guards.public
    def where() -> str:
        return url_for("where", _external=True)

    @app.get("/away")
    @guards.public
    def away() -> Any:
        answer = redirect(url_for("where"))
        answer.autocorrect_location_header = True
        return answer

    for host in ("billing.clinic.example", "desk.clinic.example", "billing.clinic.example:443"):
        assert ask(app, "/where", host)[2] == "https://billing.clinic.example/where"
        assert ask(app, "/away", host)[1]["Location"] == "https://billing.clinic.example/where"
    assert ask(app, "/where", "billing.clinic.example:80")[0] == 400
    conftest._let_go(app)


def test_forms_work_over_tls(settings: Settings, standin: StandIn, woken: list[str]) -> None:
    """Our pages send no Referer, so that a form is not refused for having none."""
    https = replace(settings, base_url="https://billing.clinic.example")
    app = conftest._make_app(https, standin)
    client = app.test_client()
    page = client.get("/sign-in", base_url="https://billing.clinic.example")
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page.text)
    assert token is not None
    answer = client.post(
        "/sign-in",
        data={"email": "nobody@example.com", "password": "not the password", "csrf_token": token[1]},
        base_url="https://billing.clinic.example",
    )
    assert answer.status_code == 200  # the form again, with what was wrong
    conftest._let_go(app)


@pytest.mark.parametrize(
    ("name", "value", "fine"),
    [
        ("BASE_URL", "https://xn--bcher-kva.example", True),
        ("BASE_URL", "https://b\u00fccher.example", True),
        ("BASE_URL", "https://a..b", False),
        ("BASE_URL", "https://billing.example:99999", False),
        ("EXTRA_HOSTS", "desk.clinic.example, 10.0.0.7:8000", True),
        ("EXTRA_HOSTS", "https://desk.clinic.example", False),
        ("EXTRA_HOSTS", "*.clinic.example", False),
    ],
)
def test_settings_name_hosts_that_exist(name: str, value: str, fine: bool) -> None:
    from tests.unit.test_config import faults_of

    assert (faults_of(**{name: value}) == []) is fine
