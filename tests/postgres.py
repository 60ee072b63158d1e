"""A private PostgreSQL for one run of the tests, from the server programs that Debian puts in /usr/lib/postgresql."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg

_START_SECONDS = 30
_ROLE = "plainbill"


class NoPostgres(Exception):
    """There is no PostgreSQL to test on; the text says why."""


@dataclass(frozen=True)
class Cluster:
    """A running server that nobody else uses; :meth:`stop` ends it and deletes its files."""

    home: Path
    process: subprocess.Popen[bytes]

    def url(self, database: str) -> str:
        """How the portal reaches a database of it."""
        return f"postgresql://{_ROLE}@/{database}?host={self.home}"

    def stop(self) -> None:
        """Fast shutdown; kills what does not end."""
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.home, ignore_errors=True)


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    if on_path is None:
        raise NoPostgres("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    return Path(on_path).resolve().parent


def _as_somebody() -> tuple[list[str], int, int]:
    """A prefix that runs a command as an ordinary user, whom the server insists on, and ends it when we end."""
    setpriv = shutil.which("setpriv")
    if os.getuid() != 0:
        return ([setpriv, "--pdeathsig", "INT"] if setpriv else []), os.getuid(), os.getgid()
    if setpriv is None:
        raise NoPostgres("setpriv is missing, and PostgreSQL does not run as root")
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        ids = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--pdeathsig", "INT"]
        return [setpriv, *ids], user.pw_uid, user.pw_gid
    raise NoPostgres("there is no ordinary user to run PostgreSQL as")


def start_cluster() -> Cluster:
    """Make and start a server on a socket in a directory of its own. Raises :class:`NoPostgres`."""
    programs = _programs()
    prefix, uid, gid = _as_somebody()
    # Short, because the path of a Unix socket may have 107 characters only.
    home = Path(tempfile.mkdtemp(prefix="pb-pg-", dir="/tmp"))
    os.chown(home, uid, gid)
    environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    try:
        subprocess.run(
            [*prefix, programs / "initdb", "-D", home / "data", "-U", _ROLE, "-A", "trust", "-E", "UTF8", "--no-sync"],
            check=True,
            capture_output=True,
            env=environment,
            cwd=home,
        )
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(home),
            "fsync": "off",
            "full_page_writes": "off",
            "synchronous_commit": "off",
            "autovacuum": "off",
            "max_connections": "200",
            "shared_buffers": "64MB",
            "logging_collector": "off",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (home / "log").open("wb") as log:
            process = subprocess.Popen(
                [*prefix, programs / "postgres", "-D", home / "data", *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=home,
            )
    except subprocess.CalledProcessError as error:
        shutil.rmtree(home, ignore_errors=True)
        raise NoPostgres(f"initdb failed: {error.stderr.decode(errors='replace')[-300:]}") from error
    cluster = Cluster(home, process)
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            psycopg.connect(cluster.url("postgres")).close()
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                text = (home / "log").read_text(errors="replace")[-500:]
                cluster.stop()
                raise NoPostgres(f"PostgreSQL did not start: {text}") from error
            time.sleep(0.05)
        else:
            return cluster
