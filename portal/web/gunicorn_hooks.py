"""gunicorn's own answers, to what is no HTTP request: they get our headers and show nothing of what was sent.

A gunicorn config module: ``gunicorn.conf.py`` beside ``wsgi.py`` names it, and gunicorn reads that by itself.
"""

import secrets
from typing import Any

from flask import Flask
from gunicorn import util  # type: ignore[import-untyped]

from portal.config import Settings
from portal.web.headers import security_headers

_PAGE = (
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>That did not work</title></head>'
    "<body><main><h1>That did not work</h1><p>Nothing was changed. Go back and try again.</p></main></body></html>\n"
)


def post_worker_init(worker: Any) -> None:
    """Called by gunicorn in each worker once it has loaded the portal."""
    app: Flask = worker.wsgi
    settings: Settings = app.extensions["plainbill_settings"]

    def write_error(sock: Any, status_int: int, reason: str, _what_was_sent: str) -> None:
        headers = {
            **security_headers(settings, nonce=secrets.token_urlsafe(18)),
            "Cache-Control": "no-store",
            "Connection": "close",
            "Content-Type": "text/html; charset=utf-8",
            "Content-Length": str(len(_PAGE.encode())),
        }
        lines = [f"HTTP/1.1 {status_int} {reason}", *(f"{name}: {value}" for name, value in headers.items()), "", _PAGE]
        util.write_nonblock(sock, "\r\n".join(lines).encode())

    # gunicorn has a hook for a worker's start, but none for these answers.
    util.write_error = write_error
