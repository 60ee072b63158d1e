"""Processes that die: forked, killed by SIGKILL at a numbered place, or held there while somebody else acts.

A process is forked for what may die, so that it dies for itself while the interpreter stays warm. What it wrote to
files and databases outlives it; nothing else does.
"""

from __future__ import annotations

import os
import select
import signal
import time
import traceback
from collections.abc import Callable

#: No forked process takes longer; one that hangs is a failure, not a wait.
DEADLINE_SECONDS = 300

_HOLD, _GO_ON = b"\0", b"\1"


class HarnessFailed(RuntimeError):
    """A process ended otherwise than it should: the text says how."""


class Points:
    """The places at which a process may die, numbered as they are passed: each side of a commit and of a request.

    ``kind`` counts only the places that begin so. ``hold_at`` is a place where ``hold`` is called once; it is put
    off to the next place at which no transaction is open.
    """

    def __init__(
        self,
        die_at: int = 0,
        last_words: Callable[[str], None] = lambda _place: None,
        *,
        kind: str = "",
        hold_at: int = 0,
        hold: Callable[[], None] = lambda: None,
    ) -> None:
        self.passed: list[str] = []
        self._die_at, self._last_words, self._kind, self._counted = die_at, last_words, kind, 0
        self._hold_at, self._hold = hold_at, hold

    def reach(self, place: str) -> None:
        """Pass a place, or die there: SIGKILL, which runs no handler and flushes nothing."""
        self.passed.append(place)
        if self._hold_at and len(self.passed) >= self._hold_at and place != "before a commit":
            self._hold_at = 0
            self._hold()
        if not place.startswith(self._kind):
            return
        self._counted += 1
        if self._counted == self._die_at:
            self._last_words(place)
            os.kill(os.getpid(), signal.SIGKILL)


Say = Callable[[str], None]


def in_child(work: Callable[[Say], None]) -> tuple[bool, str]:
    """Do ``work(say)`` in a forked process; returns whether SIGKILL ended it, and what it said.

    Raises :class:`HarnessFailed` when it raised, ended otherwise, or took too long; it is gone in any case.
    """
    return in_child_that_waits(lambda say, _hold: work(say), meanwhile=lambda: None)


def in_child_that_waits(
    work: Callable[[Say, Callable[[], None]], None], *, meanwhile: Callable[[], None]
) -> tuple[bool, str]:
    """Do ``work(say, hold)`` as :func:`in_child` does; where it calls ``hold()``, it waits for ``meanwhile()``."""
    read, write = os.pipe()
    go_read, go_write = os.pipe()
    process = os.fork()
    if process == 0:
        code = 70
        try:
            os.close(read)
            os.close(go_write)

            def hold() -> None:
                _write_all(write, _HOLD)
                os.read(go_read, 1)

            work(lambda words: _write_all(write, words.encode()), hold)
            code = 0
        except BaseException:
            _write_all(write, traceback.format_exc().encode())
        finally:
            os._exit(code)
    os.close(write)
    os.close(go_read)
    ended = False
    try:
        def held() -> None:
            meanwhile()
            os.write(go_write, _GO_ON)

        said = _read_all(read, DEADLINE_SECONDS, held)
        _pid, status = os.waitpid(process, 0)
        ended = True
    finally:
        os.close(read)
        os.close(go_write)
        if not ended:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return True, said
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0:
        return False, said
    raise HarnessFailed(said or f"ended with status {status}")


def _write_all(pipe: int, data: bytes) -> None:
    while data:
        data = data[os.write(pipe, data) :]


def _read_all(pipe: int, seconds: float, held: Callable[[], object]) -> str:
    """All that comes until the other end is closed. Raises :class:`HarnessFailed` when that takes too long."""
    parts: list[bytes] = []
    until = time.monotonic() + seconds
    while True:
        ready, _, _ = select.select([pipe], [], [], max(0.0, until - time.monotonic()))
        if not ready:
            raise HarnessFailed(f"a process took more than {seconds} seconds")
        part = os.read(pipe, 65536)
        if not part:
            return b"".join(parts).decode()
        if _HOLD in part:
            held()
            until = time.monotonic() + seconds
            part = part.replace(_HOLD, b"")
        parts.append(part)
