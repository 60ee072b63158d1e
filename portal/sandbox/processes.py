"""Child processes that live and die together: started with a log each, watched, and ended as whole groups."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

#: How long a service may take to end by itself before it is killed.
GRACE_SECONDS = 8.0
_PR_SET_PDEATHSIG = 1


@dataclass(slots=True)
class Service:
    """One running child; everything it prints is in ``log``."""

    name: str
    log: Path
    process: subprocess.Popen[bytes]

    def tail(self, lines: int = 20) -> str:
        """The last lines of its log."""
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""


def _libc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(slots=True)
class Services:
    """The children of one supervisor."""

    environment: Mapping[str, str]
    logs: Path
    running: list[Service] = field(default_factory=list)

    def start(self, name: str, command: Sequence[str]) -> Service:
        """Start a child in a process group of its own; Ctrl-C in the terminal does not reach it, :meth:`end` does."""
        self.logs.mkdir(parents=True, exist_ok=True)
        log = self.logs / f"{name}.log"
        libc = _libc()

        def die_with_parent() -> None:
            # A supervisor that is killed outright cannot end its children; on Linux the kernel does.
            if libc is not None:
                libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(self.environment),
                start_new_session=True,
                preexec_fn=die_with_parent,  # no threads run here while services start
            )
        service = Service(name, log, process)
        self.running.append(service)
        return service

    def dead(self) -> Service | None:
        """The first child that has ended by itself, if one has."""
        return next((service for service in self.running if service.process.poll() is not None), None)

    def end(self) -> list[str]:
        """End every child and all that it started; returns the names of those that had to be killed."""
        for service in self.running:
            _signal_group(service.process, signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        killed = []
        for service in self.running:
            try:
                service.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                killed.append(service.name)
            # Also for one that has ended: a grandchild it left behind is in its group.
            _signal_group(service.process, signal.SIGKILL)
            service.process.wait()
        self.running.clear()
        return killed


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        return
