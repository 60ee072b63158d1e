"""One web process of several that tries wrong passwords: ``python -m tests.trying TRIES NETWORK``.

Says "ready", waits for a line, sends its tries from threads of its own, and prints the statuses.
"""

from __future__ import annotations

import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor

from flask import Flask

from portal.app import create_app
from portal.config import Settings


def wrong_tries(app: Flask, number: int, *, network: str, threads: int = 3) -> list[int]:
    """The statuses of so many sign-ins with a wrong password, sent at once from one network."""
    client = app.test_client()
    found = re.search(r'name="csrf_token"[^>]* value="([^"]+)"', client.get("/sign-in").text)
    assert found is not None
    cookie = client.get_cookie("plainbill")
    assert cookie is not None

    def attempt(which: int) -> int:
        fields = {"email": f"who{which}@example.com", "password": "wrong-password-1", "csrf_token": found.group(1)}
        other = app.test_client()
        other.set_cookie("plainbill", cookie.value)
        return other.post("/sign-in", data=fields, environ_base={"REMOTE_ADDR": network}).status_code

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(attempt, range(number)))


if __name__ == "__main__":
    portal = create_app(Settings.from_env(os.environ))
    portal.test_client().get("/sign-in")
    print("ready", flush=True)
    sys.stdin.readline()
    print(*wrong_tries(portal, int(sys.argv[1]), network=sys.argv[2]), flush=True)
