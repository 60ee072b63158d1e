"""The web server and the worker as operators start them: without a database, on the wrong schema, asked nonsense."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path

import pytest

from portal.config import Settings
from portal.migrate import downgrade
from portal.queue import close_queue, open_queue, wake
from portal.schema import history
from tests.browser import free_port, portal_command
from tests.conftest import Database
from tests.web.test_away import HEADERS

BOTH_DATABASES = True

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60.0

Start = Callable[..., "Running"]


class Running:
    """A process whose output goes to a file."""

    def __init__(self, command: list[str], settings: Settings, log: Path) -> None:
        self._log = log
        env = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
        for field in fields(settings):
            if isinstance(value := getattr(settings, field.name), str) and value:
                env[field.name.upper()] = value
        with log.open("wb") as stream:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT
            )

    @property
    def output(self) -> str:
        return self._log.read_text(errors="replace")

    def wait_for(self, seen: Callable[[str], bool]) -> None:
        """Until its output shows something; fails when it ends before, or takes too long."""
        deadline = time.monotonic() + PATIENCE
        while not seen(self.output):
            assert self.process.poll() is None, self.output
            assert time.monotonic() < deadline, self.output
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(0.05)

    def code(self) -> int:
        """The exit code of a process that ends by itself."""
        return self.process.wait(PATIENCE)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """``start(command, settings)``: ended with the test."""
    running: list[Running] = []

    def act(command: list[str], settings: Settings) -> Running:
        running.append(Running(command, settings, tmp_path / f"log-{len(running)}"))
        return running[-1]

    yield act
    for one in running:
        one.end()


def gunicorn(port: int) -> list[str]:
    options = ["--workers=1", "--worker-class=gthread", "--threads=4", "--no-control-socket"]
    return [sys.executable, "-m", "gunicorn", "wsgi:app", f"--bind=127.0.0.1:{port}", *options]


def say(port: int, sent: bytes) -> tuple[int, dict[str, str], str]:
    """Status, headers and body of the answer to raw bytes."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as line:
        line.sendall(sent)
        answer = b""
        while chunk := line.recv(65536):
            answer += chunk
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    assert first.startswith("HTTP/1.1 "), first
    return int(first.split()[1]), dict(one.split(": ", 1) for one in rest), body.decode()


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()


#: What is no HTTP request, with what must not come back in the answer to it.
NONSENSE = {
    "no request line": b"zebra\r\n\r\n",
    "no method": b"zebra! / HTTP/1.1\r\n\r\n",
    "no such version": b"GET /zebra HTTP/7\r\n\r\n",
    "no header": b"GET / HTTP/1.1\r\nzebra\r\n\r\n",
    "a header's name": b"GET / HTTP/1.1\r\nzeb ra: x\r\n\r\n",
    "too long a line": b"GET /" + b"zebra" * 2000 + b" HTTP/1.1\r\n\r\n",
    "too large a header": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"zebra" * 4000 + b"\r\n\r\n",
    "no such coding": b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: zebra\r\n\r\n",
    "an expectation": b"GET / HTTP/1.1\r\nHost: localhost\r\nExpect: zebra\r\n\r\n",
}
_CHUNKS = b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
#: What is HTTP, and what it gets of a portal without a database.
ASKED = {
    get("/healthz"): 200,
    get("/readyz"): 503,
    get("/sign-in"): 503,
    get("/static/css/plainbill.css"): 200,
    get("/no-such-page"): 404,
    b"GET /healthz HTTP/1.1\r\nHost: a..b\r\nConnection: close\r\n\r\n": 400,
    b"POST /sign-in HTTP/1.1\r\nHost: localhost\r\n" + _CHUNKS + b"zebra\r\n": 503,
}


def test_every_answer_has_the_headers_also_without_a_database(settings: Settings, start: Start) -> None:
    """The portal's, and gunicorn's own."""
    port = free_port()
    server = start(gunicorn(port), replace(settings, database_url="sqlite:////nowhere/at/all.sqlite"))
    server.wait_for(lambda output: "Listening at" in output and "start.database_away" in output)
    for sent, right in ASKED.items():
        status, headers, _body = say(port, sent)
        assert (sent, status) == (sent, right)
        assert set(HEADERS) <= set(headers), sent
    for name, sent in NONSENSE.items():
        status, headers, body = say(port, sent)
        assert 400 <= status < 600, name
        assert set(HEADERS) <= set(headers), name
        assert "zebra" not in body
        assert "<h1>" in body


def test_a_server_does_not_start_on_an_older_schema(settings: Settings, database: Database, start: Start) -> None:
    downgrade(database.url, history()[1])
    server = start(gunicorn(free_port()), settings)
    assert server.code() != 0
    assert "Type: portal migrate" in server.output


def test_nor_does_a_worker(settings: Settings, database: Database, start: Start) -> None:
    downgrade(database.url, history()[1])
    worker = start(portal_command("worker"), settings)
    assert worker.code() == 1
    assert "Type: portal migrate" in worker.output
    assert "Traceback" not in worker.output


def test_a_worker_waits_for_its_database_and_stops_where_it_comes_back_older(
    settings: Settings, database: Database, start: Start, tmp_path: Path
) -> None:
    if database.kind != "sqlite":
        pytest.skip("what is waited for is a file that comes back")
    downgrade(database.url, history()[1])
    place = tmp_path / "later" / "portal.sqlite"
    worker = start(portal_command("worker"), replace(settings, database_url=f"sqlite:///{place}"))
    worker.wait_for(lambda output: output.count("worker.waits_for_database") >= 2)  # each of its threads looked
    place.parent.mkdir()
    Path(database.url.removeprefix("sqlite:///")).rename(place)
    open_queue(redis_url="", path=settings.queue_path)
    try:
        wake("billing.check")
    finally:
        close_queue()
    assert worker.code() == 1
    assert "Type: portal migrate" in worker.output


def test_a_worker_waits_for_its_queue(settings: Settings, start: Start) -> None:
    """The tick runs at the start whatever the queue is; its threads go on asking for what comes next."""
    worker = start(portal_command("worker"), replace(settings, redis_url=f"redis://127.0.0.1:{free_port()}"))
    worker.wait_for(lambda output: output.count("Error reading from queue") > 4)
    worker.wait_for(lambda output: "Error reading schedule" in output)
    assert "died" not in worker.output
    assert worker.process.poll() is None
