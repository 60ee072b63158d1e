"""The portal under its real server, on this machine's loopback, in front of a demo clinic with many people in it."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from portal import clock
from portal.app import create_app
from portal.auth.models import User
from portal.config import Settings
from portal.migrate import upgrade
from portal.queue import close_queue
from portal.sandbox import clinic as demo_clinic
from portal.sandbox.processes import Services
from portal.web.database import db
from tests.databases import Backend, PostgresServer, SqliteFiles
from tests.postgres import start_cluster

# Nothing here may import what makes hashing quick for tests: the people would have quick hashes, and be told by them.

KINDS = ("sqlite", "postgres")
LOOPBACK = "127.0.0.1"
ROOT = Path(__file__).resolve().parents[2]
_START_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Portal:
    """A portal that answers, and what its log says."""

    port: int
    log: Path


class DidNotStart(Exception):
    """The portal did not answer in time; the text is the end of its log."""


@contextlib.contextmanager
def databases(kind: str) -> Iterator[tuple[Backend, Path]]:
    """A place for databases of ``kind`` (:data:`KINDS`) and a directory; both are gone afterwards.

    Raises :class:`tests.postgres.NoPostgres`.
    """
    with tempfile.TemporaryDirectory(prefix="plainbill-attack-") as name, contextlib.ExitStack() as ending:
        directory = Path(name)
        if kind == "sqlite":
            yield SqliteFiles(directory), directory
            return
        cluster = start_cluster()
        ending.callback(cluster.stop)
        yield PostgresServer(cluster.url("postgres"), f"attack_{os.getpid()}"), directory


@contextlib.contextmanager
def running(backend: Backend, directory: Path, people: list[str]) -> Iterator[Portal]:
    """A portal where ``people`` (email addresses) can sign in; it ends with the block.

    One proxy is trusted, so that whoever asks can say which network they come from. Raises :class:`DidNotStart`.
    """
    port = _free_port()
    environment = _environment(backend.copy(backend.template("attack", upgrade)), directory, port)
    _fill(Settings.from_env(environment), people)
    services = Services({**_without_settings(), **environment, "PYTHONUNBUFFERED": "1"}, directory / backend.name)
    service = services.start(
        "portal",
        [
            *(sys.executable, "-m", "gunicorn", "wsgi:app", f"--chdir={ROOT}", f"--bind={LOOPBACK}:{port}"),
            *("--workers=1", "--worker-class=gthread", "--threads=4", "--graceful-timeout=3", "--no-control-socket"),
        ],
    )
    try:
        until = time.monotonic() + _START_SECONDS
        while not _answers(f"http://{LOOPBACK}:{port}/healthz"):
            if services.dead() or time.monotonic() > until:
                raise DidNotStart(service.tail())
            time.sleep(0.1)
        yield Portal(port, service.log)
    finally:
        services.end()


def _environment(url: str, directory: Path, port: int) -> dict[str, str]:
    nowhere = f"http://{LOOPBACK}:9"
    return {
        "DATABASE_URL": url,
        "QUEUE_PATH": str(directory / "queue.sqlite"),
        "SECRET_KEY": secrets.token_hex(32),
        "BASE_URL": f"http://{LOOPBACK}:{port}",
        "STRIPE_SECRET_KEY": "sk_test_plainbill_standin",
        "STRIPE_PUBLISHABLE_KEY": "pk_test_plainbill_standin",
        "STRIPE_WEBHOOK_SECRET": f"whsec_{secrets.token_hex(24)}",
        "STRIPE_API_BASE": nowhere,
        "STRIPE_JS_ORIGIN": nowhere,
        "CLINIC_NAME": demo_clinic.CLINIC_NAME,
        "CLINIC_PHONE": demo_clinic.CLINIC_PHONE,
        "MAIL_FROM": "billing@juniper-demo.example",
        "SMTP_URL": f"smtp://{LOOPBACK}:9",
        "LOG_FORMAT": "text",
        "TRUSTED_PROXIES": "1",
    }


def _without_settings() -> dict[str, str]:
    """This process's environment, without what an operator may have set in it for a portal of their own."""
    return {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR", "TZ")}


def _fill(settings: Settings, people: list[str]) -> None:
    """The demo clinic, and people who share one password: whom it belongs to does not matter here."""
    app = create_app(settings)
    try:
        with app.app_context():
            demo_clinic.load_clinic(db.session)
            password = db.session.query(User.password).filter(User.password.is_not(None)).limit(1).scalar()
            now = clock.now()
            db.session.add_all([User(email=one, password=password, created_at=now) for one in people])
            db.session.commit()
            db.engine.dispose()
    finally:
        close_queue()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
