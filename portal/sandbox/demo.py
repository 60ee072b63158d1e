"""``portal demo``: the whole of Plainbill on one machine, with a clinic, a back office and a Stripe that are not real.

Three services on 127.0.0.1 (the portal, its worker, and the stand-in with the mail page), each a child process with
a log of its own. What they store is kept between runs.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import signal
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from portal.config import Settings
from portal.sandbox.clinic import CLINIC_NAME, CLINIC_PHONE, PASSWORD, SIGN_INS, paper_bills
from portal.sandbox.processes import Service, Services

LOOPBACK = "127.0.0.1"
WEBHOOK_PATH = "/stripe/webhook"
#: Where the project lies: ``wsgi.py`` and ``migrations/`` are beside the package.
ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 90.0

TEST_CARDS = (
    ("4242 4242 4242 4242", "succeeds"),
    ("4000 0000 0000 0002", "is declined"),
    ("4000 0000 0000 9995", "is declined: not enough funds"),
    ("4000 0027 6000 3184", "asks for 3-D Secure first"),
)


class CannotStart(Exception):
    """The demo cannot start; the text says why and what to do."""


class _Stopped(Exception):
    """Somebody asked for the end while the demo was starting."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """The demo's ports: the portal's, and the two after it."""

    port: int

    @property
    def ports(self) -> tuple[int, int, int]:
        """Portal, stand-in, mail server."""
        return self.port, self.port + 1, self.port + 2

    @property
    def portal(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def standin(self) -> str:
        return f"http://{LOOPBACK}:{self.port + 1}"

    @property
    def mail(self) -> str:
        return f"{self.standin}/mail"

    @property
    def smtp(self) -> str:
        return f"smtp://{LOOPBACK}:{self.port + 2}"


def demo_environment(addresses: Addresses, data_dir: Path) -> dict[str, str]:
    """The settings of the demo, as an operator would put them in the environment."""
    kept = _secrets(data_dir)
    return {
        "DATABASE_URL": f"sqlite:///{data_dir / 'portal.sqlite'}",
        "QUEUE_PATH": str(data_dir / "queue.sqlite"),
        "SECRET_KEY": kept["secret_key"],
        "BASE_URL": addresses.portal,
        "STRIPE_SECRET_KEY": "sk_test_plainbill_standin",
        "STRIPE_PUBLISHABLE_KEY": "pk_test_plainbill_standin",
        "STRIPE_WEBHOOK_SECRET": kept["webhook_secret"],
        "STRIPE_API_BASE": addresses.standin,
        "STRIPE_JS_ORIGIN": addresses.standin,
        "CLINIC_NAME": CLINIC_NAME,
        "CLINIC_PHONE": CLINIC_PHONE,
        "MAIL_FROM": "billing@juniper-demo.example",
        "SMTP_URL": addresses.smtp,
        "LOG_FORMAT": "text",
        "PLAINBILL_SANDBOX": "1",
        "PLAINBILL_SANDBOX_CLOCK": str(data_dir / "clock"),
    }


def environment_of(data_dir: Path) -> dict[str, str] | None:
    """The settings of the demo whose data is in ``data_dir``, as it ran last; None where there is none."""
    try:
        port = int((data_dir / "port").read_text())
    except (OSError, ValueError):
        return None
    return demo_environment(Addresses(port), data_dir.resolve()) if (data_dir / "secrets.json").exists() else None


def _secrets(data_dir: Path) -> dict[str, str]:
    path = data_dir / "secrets.json"
    if not path.exists():
        made = {"secret_key": secrets.token_hex(32), "webhook_secret": f"whsec_{secrets.token_hex(24)}"}
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(made, file)
    kept: dict[str, str] = json.loads(path.read_text())
    return kept


@contextlib.contextmanager
def _sole_use(data_dir: Path) -> Iterator[None]:
    """Hold the data directory: two demos on the same files would spoil each other's mail and webhooks."""
    with (data_dir / "demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CannotStart(
                f"A demo is running on {data_dir} already. End it first (Ctrl-C), or choose another --data-dir."
            ) from None
        yield


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def check_ports(addresses: Addresses) -> None:
    """Raises :class:`CannotStart` that names the ports in use and a ``make demo PORT=…`` that would do."""
    taken = [port for port in addresses.ports if not _free(port)]
    if not taken:
        return
    starts = range(addresses.port + 10, min(addresses.port + 2000, 65533), 10)
    better = next((start for start in starts if all(map(_free, Addresses(start).ports))), None)
    names = " and ".join(str(port) for port in taken)
    advice = f", or type: make demo PORT={better}" if better else " first"
    raise CannotStart(
        f"Port {names} on {LOOPBACK} is in use; the demo needs {addresses.port} to {addresses.ports[-1]}. "
        f"End the other program{advice}"
    )


def prepare_database(settings: Settings) -> bool:
    """Migrate the database and put the demo clinic in it, unless it is there; returns whether it was new."""
    from portal.app import create_app
    from portal.migrate import upgrade
    from portal.queue import close_queue
    from portal.sandbox.clinic import clinic_is_loaded, load_clinic
    from portal.web.database import db

    upgrade(settings.database_url)
    app = create_app(settings)
    try:
        with app.app_context():
            new = not clinic_is_loaded(db.session)
            if new:
                load_clinic(db.session)
            db.session.commit()
            for engine in db.engines.values():
                engine.dispose()
    finally:
        close_queue()
    return new


def reset_demo(data_dir: Path) -> bool:
    """Delete the demo's data; False when there is none. Raises :class:`CannotStart` while a demo runs on it."""
    if not data_dir.exists():
        return False
    if not (data_dir / "secrets.json").exists():
        raise CannotStart(f"{data_dir} does not look like a demo's data; nothing was deleted.")
    with _sole_use(data_dir):
        shutil.rmtree(data_dir)
    return True


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


class _Supervisor:
    """Starts, watches and ends the services of one demo."""

    def __init__(self, addresses: Addresses, data_dir: Path, console: Console) -> None:
        self.addresses, self.data_dir, self.console = addresses, data_dir, console
        self.settings_env = demo_environment(addresses, data_dir)
        # What the operator has set for a real portal must not leak into the demo's services.
        kept = {name: value for name, value in os.environ.items() if name not in ("REDIS_URL", "CLINIC_TIMEZONE")}
        self.services = Services({**kept, **self.settings_env, "PYTHONUNBUFFERED": "1"}, data_dir / "logs")
        self.stop = threading.Event()

    def start_standin(self) -> None:
        port, smtp_port = self.addresses.ports[1:]
        self.services.start(
            "standin",
            [
                *_portal_command("sandbox-serve"),
                f"--port={port}",
                f"--smtp-port={smtp_port}",
                f"--webhook-url={self.addresses.portal}{WEBHOOK_PATH}",
                f"--data-dir={self.data_dir}",
            ],
        )

    def start_portal(self) -> None:
        self.services.start(
            "portal",
            [
                *(sys.executable, "-m", "gunicorn", "portal.sandbox.wsgi:app", f"--chdir={ROOT}"),
                "--config=python:portal.web.gunicorn_hooks",
                f"--bind={LOOPBACK}:{self.addresses.port}",
                *("--workers=1", "--worker-class=gthread", "--threads=8"),
                *("--graceful-timeout=3", "--no-control-socket", "--access-logfile=-"),
            ],
        )

    def start_worker(self) -> None:
        self.services.start("worker", _portal_command("worker"))

    def wait_until_ready(self) -> None:
        """Raises :class:`CannotStart` when a service ends or does not answer in time."""
        deadline = time.monotonic() + START_SECONDS
        waiting = [f"{self.addresses.standin}/_standin/health", f"{self.addresses.portal}/healthz"]
        while waiting:
            if self.stop.is_set():
                raise _Stopped
            self.fail_if_dead()
            waiting = [url for url in waiting if not _answers(url)]
            if waiting and time.monotonic() > deadline:
                raise CannotStart(f"{waiting[0]} did not answer within {START_SECONDS:.0f} s; see {self.services.logs}")
            if waiting:
                self.stop.wait(0.1)
        self.fail_if_dead()

    def fail_if_dead(self) -> None:
        dead = self.services.dead()
        if dead is not None:
            raise CannotStart(describe_end(dead))


def describe_end(service: Service) -> str:
    """What to tell when a service ended by itself: its exit code and the tail of its log."""
    return (
        f"The {service.name} ended by itself (exit code {service.process.returncode}). "
        f"The end of {service.log}:\n{service.tail()}"
    )


def _portal_command(name: str) -> list[str]:
    return [sys.executable, "-c", "from portal.cli import main; main()", name]


def run_demo(port: int, data_dir: Path) -> int:
    """Run the demo until Ctrl-C or SIGTERM; returns the exit code: 0 when it was asked to end, 1 when a service died.

    ``port`` and the two after it are taken on 127.0.0.1. Raises :class:`CannotStart` when it never got to run.
    """
    began = time.monotonic()
    console = Console()
    data_dir = data_dir.resolve()
    data_dir.mkdir(parents=True, exist_ok=True)
    addresses = Addresses(port)
    with _sole_use(data_dir):
        check_ports(addresses)
        supervisor = _Supervisor(addresses, data_dir, console)
        (data_dir / "port").write_text(f"{port}\n")
        asked = 0

        def ask(_number: int, _frame: object) -> None:
            nonlocal asked
            asked += 1
            supervisor.stop.set()
            if asked > 2:  # somebody insists
                os._exit(130)

        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        try:
            new = _start(supervisor)
            took = time.monotonic() - began
            console.print(_welcome(addresses, data_dir))
            state = "a new clinic" if new else "with the data of last time"
            console.print(f"Ready in {took:.1f} s, {state}. Logs are in {supervisor.services.logs}. Ctrl-C ends it.")
            while not supervisor.stop.wait(0.5):
                supervisor.fail_if_dead()
        except _Stopped:
            pass
        except CannotStart as error:
            console.print(Text(str(error), style="red"))
            return 1
        finally:
            with console.status("Ending ..."):
                killed = supervisor.services.end()
            for number, handler in before.items():
                signal.signal(number, handler)
        console.print(f"Ended{'; killed: ' + ', '.join(killed) if killed else ''}. The data is kept in {data_dir}.")
        return 0


def _start(supervisor: _Supervisor) -> bool:
    with supervisor.console.status("Starting the Stripe stand-in ...") as status:
        supervisor.start_standin()
        status.update("Preparing the database and the demo clinic ...")
        new = prepare_database(Settings.from_env(supervisor.settings_env))
        status.update("Starting the portal and its worker ...")
        supervisor.start_portal()
        supervisor.start_worker()
        supervisor.wait_until_ready()
    return new


def _welcome(addresses: Addresses, data_dir: Path) -> Panel:
    places = _grid()
    places.add_row("Portal", f"[link={addresses.portal}]{addresses.portal}[/link]")
    places.add_row("Staff desk", f"{addresses.portal}/desk/")
    places.add_row("Mail it sends", addresses.mail)
    places.add_row("Stripe stand-in", addresses.standin)
    people = _grid()
    for sign_in in SIGN_INS:
        people.add_row(sign_in.email, sign_in.who)
    people.add_row("", f"password of all: [bold]{PASSWORD}[/bold]")
    cards = _grid()
    for number, what in TEST_CARDS:
        cards.add_row(number, what)
    cards.add_row("", "any later month, any CVC, any ZIP")
    papers = _grid()
    for code, born_on, name in paper_bills():
        papers.add_row(code, f"born {born_on:%m/%d/%Y}", name)
    statements = (Text("\nCodes on printed statements", style="bold"), papers)
    cards_and_papers = (Text("\nTest cards", style="bold"), cards, *statements)
    body = Group(places, Text("\nSign in as", style="bold"), people, *cards_and_papers)
    return Panel(body, title=f"Plainbill at the {CLINIC_NAME}", title_align="left", expand=False, padding=(1, 2))


def _grid() -> Table:
    grid = Table.grid(padding=(0, 3))
    grid.add_column(no_wrap=True)
    grid.add_column()
    return grid
