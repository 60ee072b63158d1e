"""What tests can ask for.

``database`` is an empty, migrated database of the test's own, on SQLite and once more on PostgreSQL where there is
one. Tests of pages run on SQLite alone: what a page shows is the same on both, and that PostgreSQL takes every page's
statements is seen in ``tests/architecture/test_query_plans.py``, which opens them all there. A module of those that is
about the database after all says ``BOTH_DATABASES = True``. ``PLAINBILL_TEST_DATABASE=all`` runs everything on both
(``make test-all``), ``sqlite`` or ``postgres`` on one of them only; ``PLAINBILL_TEST_POSTGRES_URL`` names a
server to use instead of a private one. ``PLAINBILL_TEST_NOW`` has it all happen on another day (tests/days.py).
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import flask
import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask
from flask_security.utils import login_user
from jinja2.bccache import Bucket, BytecodeCache
from sqlalchemy.orm import Session

import portal.app
import portal.queue
from portal import clock
from portal.accounts.models import Account
from portal.auth import identity
from portal.auth.models import User
from portal.billing.models import Charge, Visit
from portal.config import Settings
from portal.db import normal_url
from portal.migrate import upgrade
from portal.payments.gateway import StripeGateway
from portal.sandbox import clinic as demo_clinic
from portal.sandbox.privacy import JudgedHTTPClient
from portal.sandbox.stripe import StandIn, spec
from portal.web.database import db
from portal.web.health import SchemaWatch
from portal.web.limits import limiter
from tests import pages
from tests.databases import Backend, PostgresServer, SqliteFiles
from tests.postgres import NoPostgres, start_cluster

pytest_plugins = ["tests.browser", "tests.days"]

BACKENDS = ("sqlite", "postgres")

#: What the portal told the stand-in of the running test beyond ids and amounts.
_leaks: list[str] = []

# Real passwords are hashed slowly on purpose; the tests' are "juniper-demo-2026".
identity.ARGON2.update({"argon2__memory_cost": 64, "argon2__time_cost": 1})


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what uses a database on every kind of it."""
    if "backend" in metafunc.fixturenames:
        asked = os.environ.get("PLAINBILL_TEST_DATABASE", "")
        if asked not in ("", "all", *BACKENDS):
            raise pytest.UsageError(f"PLAINBILL_TEST_DATABASE is {asked!r}, not one of all, {', '.join(BACKENDS)}")
        both = asked == "all" or not _is_of_pages(metafunc.module)
        backends = [asked] if asked in BACKENDS else BACKENDS if both else BACKENDS[:1]
        metafunc.parametrize("backend", backends, indirect=True, scope="session")


def _is_of_pages(module: ModuleType) -> bool:
    """Whether a module's tests look at pages, which are the same on both databases."""
    return module.__name__.startswith("tests.web.") and not getattr(module, "BOTH_DATABASES", False)


@pytest.fixture(scope="session")
def sqlite_backend(tmp_path_factory: pytest.TempPathFactory) -> Backend:
    """SQLite files of this run."""
    return SqliteFiles(tmp_path_factory.mktemp("sqlite"))


@pytest.fixture(scope="session")
def postgres_backend() -> Iterator[Backend]:
    """A PostgreSQL server of this run; skips with the reason where there is none."""
    tag = f"test_{os.getpid()}"
    url = os.environ.get("PLAINBILL_TEST_POSTGRES_URL", "")
    if url:
        server = PostgresServer(url, tag)
        yield server
        server.close()
        return
    try:
        cluster = start_cluster()
    except NoPostgres as reason:
        pytest.skip(f"not tested on PostgreSQL: {reason}")
    try:
        yield PostgresServer(cluster.url("postgres"), tag)
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def backend(request: pytest.FixtureRequest) -> Backend:
    """The kind of database this test runs on."""
    found: Backend = request.getfixturevalue(f"{request.param}_backend")
    return found


@dataclass(frozen=True)
class Database:
    """A database of one test's own."""

    url: str
    kind: str


@pytest.fixture
def clinic_made() -> datetime | None:
    """When the demo clinic's books were written (None: now). Tests that begin on a day of their own set it before."""
    return None


@pytest.fixture
def database(
    backend: Backend, request: pytest.FixtureRequest, tmp_path: Path, clinic_made: datetime | None
) -> Iterator[Database]:
    """A migrated database: empty, or with the demo clinic for a test that asks for ``clinic``."""
    template = backend.template("empty", upgrade)
    if "clinic" in request.fixturenames:
        name = f"clinic_{clinic_made:%Y%m%d}" if clinic_made else "clinic"
        fill = functools.partial(_fill_with_clinic, tmp_path / "queue.sqlite", clinic_made)
        template = backend.template(name, fill)
    url = backend.copy_in_place(template)
    yield Database(url, backend.name)
    backend.drop(url)


def _fill_with_clinic(queue: Path, made: datetime | None, url: str) -> None:
    upgrade(url)
    app = _make_app(_settings(url, queue), StandIn())
    with time_machine.travel(made, tick=True) if made else nullcontext(), app.app_context():
        demo_clinic.load_clinic(db.session)
    _let_go(app)


def _settings(url: str, queue: Path) -> Settings:
    return Settings.from_env(
        {
            "DATABASE_URL": url,
            "QUEUE_PATH": str(queue),
            "SECRET_KEY": "a secret that only the tests know",
            "BASE_URL": "http://localhost",
            "STRIPE_SECRET_KEY": "sk_test_plainbill_standin",
            "STRIPE_PUBLISHABLE_KEY": "pk_test_plainbill_standin",
            "STRIPE_WEBHOOK_SECRET": "whsec_plainbill_standin",
            "STRIPE_API_BASE": "http://127.0.0.1:9",
            "STRIPE_JS_ORIGIN": "http://127.0.0.1:9",
            "CLINIC_NAME": "Juniper Demo Clinic",
            "CLINIC_PHONE": "(555) 010-0199",
            "MAIL_FROM": "billing@juniper-demo.example",
            "SMTP_URL": "smtp://127.0.0.1:9",
        }
    )


def _gateway(settings: Settings, standin: StandIn) -> StripeGateway:
    return StripeGateway(
        settings.stripe_secret_key, settings.stripe_webhook_secret, http_client=JudgedHTTPClient(standin, _leaks)
    )


def _make_app(settings: Settings, standin: StandIn) -> Flask:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(portal.app, "open_queue", lambda **_where: None)
        app = portal.app.create_app(settings, gateway=_gateway(settings, standin))
    app.test_client_class = pages.JudgingClient
    app.jinja_env.bytecode_cache = _compiled_templates()
    return app


@functools.cache
def _compiled_templates() -> BytecodeCache:
    """Templates are compiled once a run, not once an app."""
    return _BytecodeInMemory()


class _BytecodeInMemory(BytecodeCache):
    def __init__(self) -> None:
        self._compiled: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self._compiled:
            bucket.bytecode_from_string(self._compiled[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._compiled[bucket.key] = bucket.bytecode_to_string()


def _let_go(app: Flask) -> None:
    with app.app_context():
        for engine in db.engines.values():
            engine.dispose()


@pytest.fixture(autouse=True)
def clinic_time() -> Iterator[None]:
    """A test without an app is in the clinic's time zone, too, and no app leaves another one behind."""
    with pytest.MonkeyPatch.context() as patch:  # one of its own: tests undo theirs half-way
        patch.setattr(clock, "_clinic", "America/Chicago")
        yield


@pytest.fixture
def settings(database: Database, tmp_path: Path) -> Settings:
    """Settings of a portal on the test's database; nothing listens where they point."""
    return _settings(database.url, tmp_path / "queue.sqlite")


@pytest.fixture(scope="session")
def read_spec_once() -> Iterator[None]:
    """Reading Stripe's description takes longer than most tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spec, "Spec", functools.cache(spec.Spec))
        yield


@pytest.fixture
def standin(read_spec_once: None) -> Iterator[StandIn]:
    """A Stripe of the test's own, in this process.

    The test fails when it was asked something Stripe would not take, or told something that Stripe must not know.
    """
    standin = StandIn()
    _leaks.clear()
    yield standin
    violations, told = list(standin.violations), list(_leaks)
    standin.close()
    assert not violations, "\n".join(violations)
    assert not told, "Stripe was told more than ids and amounts:\n" + "\n".join(told)


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The jobs the worker was asked to run; none of them runs."""
    asked: list[str] = []
    monkeypatch.setattr(portal.queue, "_ask", asked.append)
    return asked


@pytest.fixture
def app(settings: Settings, standin: StandIn, woken: list[str]) -> Iterator[Flask]:
    """The portal on the test's database, with the stand-in for Stripe.

    It is the app of the test before where that had the same settings: making one takes longer than most tests, and so
    does learning the portal's statements anew. Nothing of that test is left in it.
    """
    key = replace(settings, queue_path="")
    if key not in _kept_apps:
        _kept_apps[key] = _KeptApp.of(_make_app(settings, standin))
    app = _kept_apps[key].as_new(settings, standin)
    yield app
    _let_go(app)


@pytest.fixture
def new_app(settings: Settings, standin: StandIn, woken: list[str]) -> Iterator[Flask]:
    """A portal that no other test sees, for tests that add views to it."""
    app = _make_app(settings, standin)
    yield app
    _let_go(app)


_kept_apps: dict[Settings, _KeptApp] = {}


@dataclass(frozen=True)
class _KeptApp:
    """An app, and what tests may have changed of it, as it was at first."""

    app: Flask
    changeable: dict[str, dict[str, Any]]
    limiter: dict[str, Any]

    @classmethod
    def of(cls, app: Flask) -> _KeptApp:
        names = ("config", "extensions", "view_functions")
        return cls(app, {name: dict(getattr(app, name)) for name in names}, dict(vars(limiter)))

    def as_new(self, settings: Settings, standin: StandIn) -> Flask:
        for name, kept in self.changeable.items():
            there = getattr(self.app, name)
            there.clear()
            there.update(kept)
        portal.app.configure_logging(settings)
        # Other apps, which tests made for themselves, have left their place to count in it.
        vars(limiter).update(self.limiter)
        self.app.extensions["plainbill_settings"] = settings
        self.app.extensions["plainbill_gateway"] = _gateway(settings, standin)
        self.app.extensions["plainbill_schema_watch"] = SchemaWatch()
        return self.app


@pytest.fixture
def client(app: Flask) -> pages.JudgingClient:
    """A browser without JavaScript that judges every page; CSRF protection is on."""
    client = app.test_client()
    assert isinstance(client, pages.JudgingClient)
    return client


@pytest.fixture
def engine(database: Database) -> Iterator[sa.Engine]:
    """An engine on the test's database, apart from the app's."""
    engine = _engine_on(normal_url(database.url))
    yield engine
    engine.dispose()


@functools.cache
def _engine_on(url: str) -> sa.Engine:
    """One for all tests: it knows their statements by heart."""
    return sa.create_engine(url)


@pytest.fixture(autouse=True)
def deaf_engines() -> Iterator[None]:
    """What a test listens to, nobody hears after it: engines are there for all."""
    heard: list[tuple[Any, ...]] = []
    listen = sa.event.listen

    def note(*what: Any, **how: Any) -> None:
        listen(*what, **how)
        if sys._getframe(1).f_globals["__name__"].startswith("tests."):
            heard.append(what[:3])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sa.event, "listen", note)
        yield
    for one in heard:
        if sa.event.contains(*one):
            sa.event.remove(*one)


@pytest.fixture
def session(engine: sa.Engine) -> Iterator[Session]:
    """A plain session on the test's database. Commit before the app shall see what you wrote."""
    with Session(engine) as session:
        yield session


@dataclass(frozen=True)
class Clinic:
    """The demo clinic in the test's database, and the public ids of what is in it."""

    session: Session
    password: str = demo_clinic.PASSWORD

    def _one(self, query: sa.Select[tuple[Any]]) -> Any:
        value = self.session.execute(query).scalar_one()
        self.session.commit()
        return value

    def account(self, ref: str) -> str:
        """The public id of an account, by its number (``JDC-1001``)."""
        return str(self._one(sa.select(Account.public_id).where(Account.ref == ref)))

    def visit(self, ref: str) -> str:
        """The public id of a visit, by its number (``V-260604-1``)."""
        return str(self._one(sa.select(Visit.public_id).where(Visit.ref == ref)))

    def charge(self, visit_ref: str, code: str) -> str:
        """The public id of a visit's line, by its code."""
        query = sa.select(Charge.public_id).join(Visit, Visit.id == Charge.visit_id)
        return str(self._one(query.where(Visit.ref == visit_ref, Charge.code == code)))

    def user_id(self, email: str) -> int:
        """The id of one who can sign in."""
        return int(self._one(sa.select(User.id).where(User.email == email)))


@pytest.fixture
def clinic(session: Session) -> Clinic:
    """The demo clinic: everything ``make demo`` shows."""
    return Clinic(session)


@pytest.fixture
def sign_in() -> Callable[..., None]:
    """``sign_in(client, "testa@example.com")`` without the page: what it writes is written, what it checks is not.

    ``tests.pages.sign_in`` does it through the page, where that is what is tested.
    """

    def act(client: pages.JudgingClient, email: str) -> None:
        with client.application.test_request_context("/sign-in"):
            user = db.session.scalars(sa.select(User).where(User.email == email)).one()
            login_user(user, authn_via=["password"])
            signed_in = dict(flask.session)
        with client.session_transaction() as session:
            session.clear()
            session.update(signed_in)

    return act
