"""The address that the portal is asked under, and the one that it writes into pages, mail and redirects.

They are two: whoever asks chooses the ``Host`` header, so nothing that leaves the portal is built from it. Every
request is handed on as if it had come to ``BASE_URL``; one that came under a name we do not answer to is refused.
"""

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, request
from flask_babel import gettext as _
from werkzeug.exceptions import BadRequest

from portal.config import Settings
from portal.hostnames import BadHost, browser_host
from portal.web.errors import error_page

#: Where the middleware leaves what the request was refused for: "" for a name that we answer to.
_VERDICT = "plainbill.host"
_STRANGER, _MALFORMED = "stranger", "malformed"

#: What the machine asks itself, by an address of its own: these pages build no address and say nothing of anybody.
ANY_HOST = frozenset({"health.alive", "health.ready"})


class WrongHost(BadRequest):
    """The request came under a name that the portal does not answer to, or under no name at all."""


def hosts_of(settings: Settings) -> frozenset[str]:
    """The hosts that the portal answers to, as browsers send them: ``BASE_URL``'s and those of ``EXTRA_HOSTS``."""
    base = urlsplit(settings.base_url)
    return frozenset(browser_host(host, base.scheme) for host in (base.netloc, *settings.extra_hosts))


class OneAddress:
    """WSGI middleware: judges the request's host, and hands the request on as if it had come to ``base_url``."""

    def __init__(self, app: Callable[..., Iterable[bytes]], *, base_url: str, hosts: frozenset[str]) -> None:
        self._app, self._hosts = app, hosts
        base = urlsplit(base_url)
        self._scheme = base.scheme
        self._host = browser_host(base.netloc, base.scheme)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ[_VERDICT] = self._judge(environ)
        environ["wsgi.url_scheme"] = self._scheme
        environ["HTTP_HOST"] = self._host
        return self._app(environ, start_response)

    def _judge(self, environ: dict[str, Any]) -> str:
        sent = environ.get("HTTP_HOST")
        if sent is None:  # HTTP/1.0, as some load balancers ask for health
            return _STRANGER
        if not str(sent).isascii():
            return _MALFORMED
        try:
            return "" if browser_host(sent, self._scheme) in self._hosts else _STRANGER
        except BadHost:
            return _MALFORMED


def init_app(app: Flask, settings: Settings) -> None:
    """Answer to our own names only; everybody else gets 400. Must come before what else looks at a request."""
    app.wsgi_app = OneAddress(  # type: ignore[method-assign]
        app.wsgi_app, base_url=settings.base_url, hosts=hosts_of(settings)
    )

    @app.before_request
    def refuse_other_hosts() -> None:
        verdict = request.environ.get(_VERDICT, _STRANGER)
        if verdict == _MALFORMED or (verdict == _STRANGER and request.endpoint not in ANY_HOST):
            raise WrongHost

    @app.errorhandler(WrongHost)
    def say_where_we_are(_error: WrongHost) -> Response:
        where = _("Nothing was changed. You can find us at %(address)s.", address=settings.base_url)
        return error_page(400, _("This address is not ours"), where)
