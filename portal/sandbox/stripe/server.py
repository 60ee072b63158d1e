"""The stand-in over HTTP on 127.0.0.1: the API here, what a browser opens in :mod:`pages`, and the first page with
the controls under ``/_standin/`` in :mod:`controls`.
"""

from __future__ import annotations

import contextlib
import errno
import re
import socket
import threading
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from flask import Blueprint, Flask, Response, abort, request
from waitress import wasyncore
from waitress.server import create_server

from portal.sandbox.stripe import controls, pages
from portal.sandbox.stripe.core import StandIn
from portal.sandbox.stripe.errors import ApiError, ConnectionDropped, StandInSetupError

LOOPBACK = "127.0.0.1"
#: (text, address) pairs for the first page.
Links = Iterable[tuple[str, str]]
STATIC = Path(__file__).parent / "static"

_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, POST, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key, Stripe-Version",
    "Access-Control-Expose-Headers": "Request-Id, Idempotent-Replayed",
    "Access-Control-Max-Age": "600",
}


def create_standin_app(
    standin: StandIn, blueprints: Iterable[Blueprint] = (), links: Links = ()
) -> Flask:
    """The Flask application of a stand-in.

    ``blueprints`` add the demo's own pages, such as its mail; ``links`` are (text, address) on the first page.
    """
    app = Flask(__name__, static_folder=str(STATIC), static_url_path="/static", template_folder="templates")
    app.extensions["standin"] = standin
    app.jinja_env.filters["dollars"] = lambda cents: f"${cents / 100:,.2f}"
    app.jinja_env.filters["when"] = lambda at: f"{datetime.fromtimestamp(at, UTC):%b %d, %H:%M:%S} UTC" if at else ""
    app.jinja_env.filters["spaced"] = lambda number: re.sub(r"(\d{4})(?=\d)", r"\1 ", number)
    _guard(app)
    _add_api(app, standin)
    pages.add_to(app, standin)
    controls.add_to(app, standin, tuple(links))
    for blueprint in blueprints:
        app.register_blueprint(blueprint)
    return app


def _guard(app: Flask) -> None:
    @app.before_request
    def only_this_machine() -> None:
        # A page elsewhere that resolves its own name to 127.0.0.1 must not reach the stand-in.
        if (urlsplit(f"//{request.host}").hostname or "") not in (LOOPBACK, "localhost"):
            abort(421, "The Stripe stand-in answers on 127.0.0.1 and localhost only.")
        origin = request.headers.get("Origin")
        own_page = request.method != "POST" or request.path.startswith("/v1/") or request.is_json
        if not own_page and origin not in (None, request.host_url.rstrip("/")):
            abort(403, "This form must be sent from the stand-in's own page.")

    @app.after_request
    def headers(response: Response) -> Response:
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        # not no-referrer: that would make the Origin of our own forms "null"
        response.headers.setdefault("Referrer-Policy", "same-origin")
        if response.mimetype == "text/html":
            response.headers.setdefault("Content-Security-Policy", pages.OWN_PAGE)
            response.headers.setdefault("Cache-Control", "no-store")
        return response


def _add_api(app: Flask, standin: StandIn) -> None:
    @app.route("/v1/<path:rest>", methods=["GET", "POST", "DELETE", "OPTIONS"], provide_automatic_options=False)
    def api(rest: str) -> Response:
        if request.method == "OPTIONS":
            return Response(status=204, headers=_CORS)
        query = request.query_string.decode("ascii", "replace")
        path = f"/v1/{rest}?{query}" if query else f"/v1/{rest}"
        try:
            status, headers, body = standin.handle(request.method, path, dict(request.headers), request.get_data())
        except ConnectionDropped:
            return _drop()
        return Response(body, status, headers={**headers, **_CORS})


def _drop() -> Response:
    """An answer shorter than promised: the server closes the connection and the client sees it break."""
    response = Response(b"", 200, content_type="application/json")
    response.automatically_set_content_length = False
    response.headers["Content-Length"] = "1000"
    return response


class RunningStandIn:
    """A stand-in answering on ``url``; a background thread delivers its webhooks. ``close`` ends both."""

    def __init__(
        self, standin: StandIn, listening: socket.socket, blueprints: Iterable[Blueprint], links: Links
    ) -> None:
        self.standin = standin
        self.url = f"http://{LOOPBACK}:{listening.getsockname()[1]}"
        standin.base_url = self.url
        self._stopping = threading.Event()
        app = create_standin_app(standin, blueprints, links)
        self._server = create_server(app, sockets=[listening], threads=8, ident="Stripe stand-in")
        self._deliverer = threading.Thread(target=self._deliver, name="standin-webhooks", daemon=True)

    def _deliver(self) -> None:
        while not self._stopping.wait(0.2):
            # One round that fails must not end the thread; what was not delivered is due again.
            with contextlib.suppress(OSError, ApiError):
                self.standin.deliver_due(controls.post_on_loopback)

    def run(self) -> None:
        """Answers until :meth:`close` or Ctrl-C."""
        self._deliverer.start()
        try:
            # Waitress's own loop goes on while a browser keeps a connection open; this one ends when asked.
            while not self._stopping.is_set():
                wasyncore.loop(timeout=1, map=self._server._map, use_poll=True, count=1)
        finally:
            self._stopping.set()
            self._server.task_dispatcher.shutdown(timeout=5)
            wasyncore.close_all(self._server._map, ignore_all=True)
            self._deliverer.join(timeout=5)

    def close(self) -> None:
        """Stops answering and delivering; returns at once, and :meth:`run` returns soon after."""
        self._stopping.set()
        # The loop may have ended already, between the two lines.
        with contextlib.suppress(OSError):
            self._server.pull_trigger()


def prepare(
    standin: StandIn, host: str = LOOPBACK, port: int = 0, blueprints: Iterable[Blueprint] = (), links: Links = ()
) -> RunningStandIn:
    """Takes the port (0 picks a free one) without answering yet.

    Raises :class:`StandInSetupError` when the port is in use or the address is not 127.0.0.1.
    """
    if host not in (LOOPBACK, "localhost"):
        raise StandInSetupError(f"The Stripe stand-in listens on 127.0.0.1 only, not on {host}.")
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((LOOPBACK, port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise StandInSetupError(f"Port {port} on 127.0.0.1 is in use: the Stripe stand-in cannot start there. "
                                    "End the other program or choose another port.") from None  # fmt: skip
        raise StandInSetupError(f"The Stripe stand-in cannot listen on 127.0.0.1:{port}: {error.strerror}") from None
    return RunningStandIn(standin, listening, blueprints, links)


def serve(
    host: str, port: int, *, standin: StandIn, blueprints: Iterable[Blueprint] = (), links: Links = ()
) -> None:
    """Answers on 127.0.0.1 until interrupted; raises :class:`StandInSetupError` as :func:`prepare` does."""
    here = prepare(standin, host, port, blueprints, links)
    print(f"Stripe stand-in on {here.url} - test mode, no real money", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        here.run()


@contextlib.contextmanager
def running(
    standin: StandIn, port: int = 0, blueprints: Iterable[Blueprint] = (), links: Links = ()
) -> Iterator[RunningStandIn]:
    """For tests: answers in a thread while the block runs; gives the :class:`RunningStandIn`."""
    here = prepare(standin, port=port, blueprints=blueprints, links=links)
    thread = threading.Thread(target=here.run, name="standin-http", daemon=True)
    thread.start()
    try:
        yield here
    finally:
        here.close()
        thread.join(timeout=5)

