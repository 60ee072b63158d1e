"""The supervisor of ``make demo``: its settings, its ports, and that its services live and die together."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from portal.config import Settings
from portal.sandbox import processes
from portal.sandbox.demo import Addresses, CannotStart, check_ports, demo_environment, describe_end, reset_demo
from portal.sandbox.processes import Services
from tests.browser import free_port


def test_the_demos_settings_are_settings_that_may_start(tmp_path: Path) -> None:
    settings = Settings.from_env(demo_environment(Addresses(8400), tmp_path))
    assert settings.base_url == "http://127.0.0.1:8400"
    assert settings.stripe_api_base == settings.stripe_js_origin == "http://127.0.0.1:8401"
    assert settings.smtp_url == "smtp://127.0.0.1:8402"
    assert settings.sandbox
    assert settings.stripe_secret_key.startswith("sk_test_")


def test_secrets_are_made_once_for_a_data_directory_and_are_its_owners_alone(tmp_path: Path) -> None:
    first = demo_environment(Addresses(8400), tmp_path)["SECRET_KEY"]
    assert demo_environment(Addresses(8500), tmp_path)["SECRET_KEY"] == first
    assert (tmp_path / "secrets.json").stat().st_mode & 0o077 == 0
    other = tmp_path / "other"
    other.mkdir()
    assert demo_environment(Addresses(8400), other)["SECRET_KEY"] != first


@pytest.mark.parametrize("offset", [0, 1, 2])
def test_a_port_in_use_is_named_with_a_way_out(offset: int) -> None:
    port = free_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port + offset))
        taken.listen()
        with pytest.raises(CannotStart) as failure:
            check_ports(Addresses(port))
    text = str(failure.value)
    assert f"Port {port + offset} " in text
    better = int(text.rpartition("PORT=")[2])
    check_ports(Addresses(better))


def test_reset_deletes_a_demos_data_and_nothing_else(tmp_path: Path) -> None:
    data_dir = tmp_path / "demo"
    assert not reset_demo(data_dir)
    data_dir.mkdir()
    (data_dir / "precious").write_text("not a demo's")
    with pytest.raises(CannotStart, match="does not look like"):
        reset_demo(data_dir)
    assert (data_dir / "precious").exists()
    demo_environment(Addresses(8400), data_dir)
    assert reset_demo(data_dir)
    assert not data_dir.exists()


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    services = Services(dict(os.environ), tmp_path / "logs")
    yield services
    services.end()


def _python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def _until(condition: object, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not happen in time"
        os.sched_yield()


def _gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    # A zombie that init has not collected yet is gone too.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_service_that_ends_by_itself_is_told_with_the_end_of_its_log(services: Services) -> None:
    services.start("steady", _python("import signal; signal.pause()"))
    broken = services.start("broken", _python("print('what went wrong'); raise SystemExit(3)"))
    broken.process.wait(10)
    assert services.dead() is broken
    text = describe_end(broken)
    assert "broken ended by itself (exit code 3)" in text
    assert text.endswith("what went wrong")


def test_the_end_takes_grandchildren_along(services: Services) -> None:
    child = "import os, subprocess, sys, signal\n"
    child += "p = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])\n"
    child += "print(p.pid, flush=True); signal.pause()"
    service = services.start("parent", _python(child))
    _until(lambda: service.tail().strip().isdigit())
    grandchild = int(service.tail())
    assert services.end() == []
    _until(lambda: _gone(grandchild))
    assert services.running == []


def test_a_service_that_does_not_listen_is_killed(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "GRACE_SECONDS", 0.2)
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True)\n"
    deaf = services.start("deaf", _python(code + "while True: signal.pause()"))
    _until(lambda: deaf.tail() == "deaf")
    assert services.end() == ["deaf"]
    assert deaf.process.returncode == -signal.SIGKILL
