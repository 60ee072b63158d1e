"""A private Redis for one test, from the server program that Debian calls redis-server: ``python -m tests.redis``
says whether there is one."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from redis import Redis
from redis.backoff import ConstantBackoff
from redis.exceptions import ConnectionError as RedisIsAway
from redis.retry import Retry

_TRIES = 200


class NoRedis(Exception):
    """There is no Redis to test on; the text says why."""


def program() -> str:
    """Where the server program is. Raises :class:`NoRedis`."""
    found = shutil.which("redis-server")
    if found is None:
        raise NoRedis("Redis is not installed (Debian: apt-get install redis-server)")
    return found


@dataclass
class PrivateRedis:
    """A server that nobody else uses and that keeps nothing; :meth:`stop` and :meth:`start` as a test needs it."""

    home: Path
    port: int = 0
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """How the portal reaches it."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it and wait until it answers; on the port it had before, if it had one."""
        if not self.port:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
        self._process = subprocess.Popen(
            [program(), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
            cwd=self.home,
            stdout=subprocess.DEVNULL,
        )
        # The client waits and tries again until the server listens.
        client = Redis(port=self.port, retry=Retry(ConstantBackoff(0.05), _TRIES), retry_on_error=[RedisIsAway])
        client.ping()
        client.close()

    def stop(self) -> None:
        """End it; whoever asks is refused from now on."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None


if __name__ == "__main__":
    try:
        print(program())
    except NoRedis as reason:
        sys.exit(str(reason))
