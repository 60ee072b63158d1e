"""Fixtures of the end-to-end tests: a real Chromium, and a real ``portal demo`` to visit with it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from portal.sandbox.clinic import PASSWORD
from portal.sandbox.privacy import leaks_of_demo
from tests.chromium import FLAGS, find_chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PHONE = (390, 844)
DESKTOP = (1280, 900)
_ROOT = Path(__file__).parents[1]
_START_SECONDS = 120


def free_port() -> int:
    """The first of three free ports in a row, as ``portal demo`` needs them. Test processes side by side look apart."""
    beside = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    for start in range(8300 + 300 * beside, 8600 + 300 * beside, 3):
        try:
            for port in range(start, start + 3):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return start
    raise AssertionError("no three free ports in a row")


@dataclass
class LiveDemo:
    """A running demo; ``output`` is what it has printed so far."""

    port: int
    data_dir: Path
    process: subprocess.Popen[str]
    output: list[str] = field(default_factory=list)
    password: str = PASSWORD

    @property
    def url(self) -> str:
        """The portal."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def standin_url(self) -> str:
        """The Stripe stand-in."""
        return f"http://127.0.0.1:{self.port + 1}"

    @property
    def mail_url(self) -> str:
        """The page with the mail the portal has sent."""
        return f"{self.standin_url}/mail"

    @property
    def database_url(self) -> str:
        """The portal's database, to look at the books."""
        return f"sqlite:///{self.data_dir / 'portal.sqlite'}"

    def command(self, *arguments: str) -> list[str]:
        """A ``portal`` command line; run it with :attr:`environment`."""
        return portal_command(*arguments)

    @property
    def environment(self) -> dict[str, str]:
        """The demo's settings, for commands that look at it."""
        from portal.sandbox.demo import Addresses, demo_environment

        path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH", "")]))
        return {**os.environ, **demo_environment(Addresses(self.port), self.data_dir), "PYTHONPATH": path}

    def nudge(self) -> None:
        """Have the worker do now what it would do within the minute."""
        from portal.queue import EVERY_JOB, close_queue, open_queue, wake

        queue = open_queue(redis_url="", path=str(self.data_dir / "queue.sqlite"))
        wake(EVERY_JOB)
        close_queue()
        queue.storage.close()

    def stop(self) -> int:
        """Ctrl-C; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def portal_command(*arguments: str) -> list[str]:
    """``portal …`` of this environment."""
    return [sys.executable, "-c", "from portal.cli import main; main()", *arguments]


def _start_demo(data_dir: Path) -> LiveDemo:
    """Start ``portal demo`` and wait until it says that it is ready. Fails with what it printed."""
    port = free_port()
    process = subprocess.Popen(
        portal_command("demo", f"--port={port}", f"--data-dir={data_dir}"),
        cwd=_ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "COLUMNS": "200", "PYTHONUNBUFFERED": "1"},
    )
    demo = LiveDemo(port, data_dir.resolve(), process)
    ready = threading.Event()

    def read() -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                demo.output.append(line)
                if line.startswith("Ready in"):
                    ready.set()
        ready.set()

    threading.Thread(target=read, daemon=True).start()
    if not ready.wait(_START_SECONDS) or process.poll() is not None:
        demo.stop()
        raise AssertionError("the demo did not start:\n" + "".join(demo.output))
    return demo


#: The demos that run now: what waits for one of their workers nudges them (:func:`until`).
_running: list[LiveDemo] = []


@contextmanager
def running_demo(data_dir: Path) -> Iterator[LiveDemo]:
    """A real demo on free ports. It must end cleanly, and have told Stripe nothing but ids and amounts."""
    demo = _start_demo(data_dir)
    _running.append(demo)
    try:
        yield demo
        told = leaks_of_demo(demo.standin_url, demo.database_url)
    finally:
        _running.remove(demo)
        code = demo.stop()
    assert code == 0, "".join(demo.output)
    assert not told, "Stripe was told more than ids and amounts:\n" + "\n".join(told)


def until(what: Callable[[], Any], *, seconds: float = 90) -> Any:
    """The first answer of ``what`` that is something; the last one when none came in time.

    The workers of the demos that run are nudged meanwhile: on their own they look after things each minute.
    """
    end, pause = time.monotonic() + seconds, threading.Event()  # never set: the demo needs the processor more than we
    next_nudge = time.monotonic()
    while not (found := what()) and time.monotonic() < end:
        if time.monotonic() >= next_nudge:
            next_nudge = time.monotonic() + 2
            for demo in _running:
                demo.nudge()
        pause.wait(0.1)
    return found


@pytest.fixture(scope="session")
def prepared_demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of a demo that has just been started for the first time, to copy."""
    folder = tmp_path_factory.mktemp("prepared") / "demo"
    with running_demo(folder):
        pass
    return folder


@pytest.fixture
def live_demo(prepared_demo: Path, tmp_path: Path) -> Iterator[LiveDemo]:
    """A demo for one test, which may pay all its bills."""
    shutil.copytree(prepared_demo, tmp_path / "demo")
    with running_demo(tmp_path / "demo") as demo:
        yield demo


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests come last: they are slow, and while Playwright runs its event loop no Flask app can be used."""
    items.sort(key=lambda item: "browser" in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium with a fresh profile; skips with the reason where there is none.

    Ends with its module: Playwright keeps an event loop running in this thread, beside which Flask's application
    contexts refuse to work. A browser test looks into the database through an engine, not through an app.
    """
    path = find_chromium()
    if path is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=15_000)  # a loaded machine is no failure

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, headless=True, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """``open_page(PHONE)`` is a new window with cookies of its own; errors on its pages fail the test at the end."""
    contexts, errors = [], []

    def act(size: tuple[int, int] = DESKTOP) -> Page:
        width, height = size
        context = browser.new_context(viewport={"width": width, "height": height}, locale="en-US")
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        return page

    yield act
    for context in contexts:
        context.close()
    assert not errors, "errors on the pages:\n" + "\n".join(errors)
