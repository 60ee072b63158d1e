"""The stand-in over HTTP on 127.0.0.1: the API, its own stripe.js with the Payment Element, the 3-D Secure page,
a page that shows what happened, and controls for tests under ``/_standin/``.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import re
import socket
import threading
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from flask import Blueprint, Flask, Response, abort, jsonify, redirect, render_template, request
from waitress import wasyncore
from waitress.server import create_server
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as WerkzeugResponse

from portal.sandbox.stripe.account import is_loopback
from portal.sandbox.stripe.cards import BANKS, CARDS, ROUTING_NUMBER
from portal.sandbox.stripe.core import StandIn
from portal.sandbox.stripe.errors import ApiError, ConnectionDropped, Obj, StandInSetupError
from portal.sandbox.stripe.webhooks import WebhookPlan

LOOPBACK = "127.0.0.1"
#: (text, address) pairs for the first page.
Links = Iterable[tuple[str, str]]
STATIC = Path(__file__).parent / "static"

_CSP = "default-src 'none'; style-src 'self'; img-src 'self'; form-action {form}; base-uri 'none'; {more}"
_OWN_PAGE = _CSP.format(form="'self'", more="frame-ancestors 'none'")
_ANY_LOOPBACK = "http://127.0.0.1:* http://localhost:*"
_FRAME = _CSP.format(
    form="'self'",
    more=f"script-src 'self'; connect-src 'self'; frame-ancestors {_ANY_LOOPBACK}",
)
#: The challenge may send the browser on to the merchant's return_url, so its form may lead away.
_CHALLENGE = _CSP.format(form="* 'self'", more=f"script-src 'self'; frame-ancestors {_ANY_LOOPBACK}")

_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, POST, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key, Stripe-Version",
    "Access-Control-Expose-Headers": "Request-Id, Idempotent-Replayed",
    "Access-Control-Max-Age": "600",
}


def post_on_loopback(url: str, body: bytes, headers: dict[str, str]) -> int:
    """Posts to this machine and returns the status; raises OSError where nobody answers, ValueError for an
    address elsewhere."""
    if not is_loopback(url):
        raise ValueError(f"not on this machine: {url}")
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or LOOPBACK, parts.port or 80, timeout=30)
    try:
        connection.request("POST", urlunsplit(("", "", parts.path or "/", parts.query, "")), body, headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def with_result(return_url: str, intent: Obj) -> str:
    """A return_url with what Stripe adds: the intent, its client secret, and ``redirect_status``."""
    kind = intent["object"]
    status = {"succeeded": "succeeded", "processing": "pending"}.get(intent["status"], "failed")
    parts = urlsplit(return_url)
    added = {kind: intent["id"], f"{kind}_client_secret": intent["client_secret"], "redirect_status": status}
    query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), *added.items()])
    return urlunsplit(parts._replace(query=query))


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
    _add_browser_pages(app, standin)
    _add_controls(app, standin, tuple(links))
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
            response.headers.setdefault("Content-Security-Policy", _OWN_PAGE)
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


def _local_origin(value: str) -> str:
    parts = urlsplit(value)
    if parts.path or parts.query or not is_loopback(value):
        abort(400, "The Payment Element works in pages of 127.0.0.1 and localhost only.")
    return value


def _add_browser_pages(app: Flask, standin: StandIn) -> None:
    @app.get("/<any(dahlia, v3):release>/stripe.js")
    def stripe_js(release: str) -> Response:
        response = app.send_static_file("stripe.js")
        response.headers["Cache-Control"] = "no-cache"
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        return response

    @app.get("/element/payment")
    def payment_element() -> Response:
        _local_origin(request.args.get("parent", ""))
        response = Response(render_template("element.html"), content_type="text/html; charset=utf-8")
        response.headers["Content-Security-Policy"] = _FRAME
        return response

    @app.get("/3d-secure/<intent_id>")
    def challenge(intent_id: str) -> Response:
        kind = "setup_intent" if intent_id.startswith("seti_") else "payment_intent"
        intent = standin.store.find(kind, intent_id)
        if intent is None or intent["client_secret"] != request.args.get("client_secret"):
            abort(404)
        modal = request.args.get("mode") == "modal"
        parent = _local_origin(request.args.get("parent", "")) if modal else ""
        page = render_template("challenge.html", intent=intent, modal=modal, parent=parent)
        return _challenge_page(page)

    @app.post("/3d-secure/<intent_id>")
    def answer(intent_id: str) -> WerkzeugResponse:
        passed = request.form.get("outcome") == "complete"
        try:
            secret = request.form.get("client_secret", "")
            intent, return_url = standin.authenticate(intent_id, secret, passed=passed)
        except ApiError:
            abort(404)
        if request.form.get("mode") == "modal" or not return_url:
            parent = request.form.get("parent", "")
            return _challenge_page(render_template("challenge_done.html", parent=parent and _local_origin(parent)))
        return redirect(with_result(return_url, intent), 303)


def _challenge_page(html: str) -> Response:
    response = Response(html, content_type="text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = _CHALLENGE
    return response


def _add_controls(app: Flask, standin: StandIn, links: tuple[tuple[str, str], ...]) -> None:
    @app.get("/")
    def overview() -> str:
        return render_template(
            "overview.html", standin=standin, cards=CARDS, banks=BANKS, routing=ROUTING_NUMBER,
            payments=standin.every("payment_intent", 25), events=standin.every("event", 25),
            charges={charge["id"]: charge for charge in standin.every("charge", 200)},
            deliveries=standin.deliveries(25), links=links,
        )  # fmt: skip

    @app.get("/_standin/health")
    def health() -> Response:
        return jsonify(ok=True, now=standin.now().isoformat(), validating=standin.validating)

    @app.get("/_standin/requests")
    def requests_seen() -> Response:
        return jsonify(list(standin.requests))

    @app.get("/_standin/violations")
    def violations() -> Response:
        return jsonify(standin.violations)

    @app.route("/_standin/faults", methods=["GET", "POST", "DELETE"])
    def faults() -> Response:
        if request.method == "DELETE":
            standin.faults.clear()
        elif request.method == "POST":
            given = request.get_json()
            for one in given if isinstance(given, list) else [given]:
                _ordered(lambda one=one: standin.faults.add(**one))
        return jsonify([asdict(fault) for fault in standin.faults.left()])

    @app.route("/_standin/webhooks", methods=["GET", "POST"])
    def webhooks() -> Response:
        if request.method == "POST":
            standin.webhook_plan = _ordered(lambda: WebhookPlan(**request.get_json()))
        plan = {name: getattr(standin.webhook_plan, name) for name in WebhookPlan.__slots__ if name != "dice"}
        return jsonify(plan=plan, deliveries=standin.deliveries())

    @app.post("/_standin/deliver")
    def deliver() -> WerkzeugResponse:
        sent = standin.deliver_due(post_on_loopback, ignore_pauses=True)
        return jsonify(posts=sent) if request.is_json else redirect("/", 303)

    @app.route("/_standin/clock", methods=["GET", "POST"])
    def clock() -> WerkzeugResponse:
        if request.method == "POST":
            given = request.get_json() if request.is_json else request.form
            _ordered(lambda: standin.advance(int(given.get("advance_seconds", 0))))
        return redirect("/", 303) if request.form else jsonify(now=standin.now().isoformat())

    @app.errorhandler(HTTPException)
    def plain(error: HTTPException) -> tuple[str, int]:
        return f"{error.code} {error.name}: {error.description}\n", error.code or 500


def _ordered(act: Any) -> Any:
    try:
        return act()
    except (TypeError, ValueError) as error:
        abort(400, str(error))


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
                self.standin.deliver_due(post_on_loopback)

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

