"""Error pages that say what happened and what to do, and never show anything of the request.

They are rendered by themselves: a page that tells of a missing database may ask neither for the database nor for who
is signed in, nor read what was sent.
"""

from typing import Any

import structlog
from flask import Flask, Response, current_app, request
from flask_babel import get_locale
from flask_babel import gettext as _
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException

from portal.away import RETRY_SECONDS, Away, RedisError, is_away
from portal.db import RecordNotFound
from portal.web.context import the_settings
from portal.web.database import give_up
from portal.web.health import watch

__all__ = ["Away", "error_page", "init_app", "unavailable"]

log = structlog.get_logger(__name__)


def error_page(status: int, title: str, what_to_do: str, *, act: tuple[str, str] | None = None) -> Response:
    """The error page, without the context processors of pages (they load the one who is signed in).

    ``act`` is an endpoint and the words of the button that leads there, where it is not the start.
    """
    settings = the_settings()
    # Not by the request's own: this page may tell that there is something wrong with the request.
    addresses = current_app.url_map.bind("localhost", script_name=request.script_root or "/")

    def url_for(endpoint: str, **values: Any) -> str:
        return addresses.build(endpoint, values)

    html = current_app.jinja_env.get_template("errors/page.html").render(
        title=title,
        what_to_do=what_to_do,
        act=act or ("home.start", _("Go to your bills")),
        clinic_name=settings.clinic_name,
        clinic_phone=settings.clinic_phone,
        sandbox=settings.sandbox,
        language=str(get_locale() or "en"),
        url_for=url_for,
        # What waits to be told belongs to the next page that works.
        get_flashed_messages=lambda **_how: [],
    )
    return Response(html, status, mimetype="text/html")


def unavailable() -> Response:
    """The 503 page, with Retry-After: something that the portal needs does not answer."""
    page = error_page(
        503,
        _("We’re having trouble"),
        _(
            "Your information is safe. Please try again in a minute. "
            "If you were paying, look at your payments before you try again."
        ),
    )
    page.headers["Retry-After"] = str(RETRY_SECONDS)
    return page


def init_app(app: Flask) -> None:
    """Register a page for every kind of failure."""

    @app.errorhandler(CSRFError)
    def form_expired(_error: CSRFError) -> Response:
        return error_page(
            400,
            _("This form has expired"),
            _("Nothing was changed. Go back, reload the page and send the form again."),
        )

    @app.errorhandler(RecordNotFound)
    @app.errorhandler(404)
    def not_found(_error: Exception) -> Response:
        return error_page(
            404,
            _("We can’t find that page"),
            _("The link may be old, or it may belong to another account. Check the address, or start again at home."),
        )

    @app.errorhandler(413)
    def too_large(_error: HTTPException) -> Response:
        return error_page(413, _("That file is too large"), _("Nothing was stored. Choose a file of up to 20 MB."))

    @app.errorhandler(429)
    def too_many(error: HTTPException) -> Response:
        if isinstance(error.response, Response):  # the limit has words of its own
            return error.response
        return error_page(
            429,
            _("Too many tries"),
            _("For your safety we have paused this for a few minutes. Nothing was charged. Please try again later."),
        )

    @app.errorhandler(Away)
    @app.errorhandler(SQLAlchemyError)
    @app.errorhandler(RedisError)
    @app.errorhandler(OSError)
    def away(error: Exception) -> Response:
        if not is_away(error):
            raise error
        return _tell_away(error)

    @app.errorhandler(503)
    def unavailable_page(_error: HTTPException) -> Response:
        return unavailable()

    @app.errorhandler(500)
    def broken(error: HTTPException) -> Response:
        cause = getattr(error, "original_exception", None) or error
        if is_away(cause):  # it went away after the view, as at the end of a transaction
            return _tell_away(cause)
        give_up()
        watch().doubt()
        log.error("request.failed", endpoint=request.endpoint, error=type(cause).__name__)
        return error_page(
            500,
            _("Something went wrong on our side"),
            _("We have been told. If you were paying, look at your payments before you try again."),
        )

    @app.errorhandler(HTTPException)
    def other(error: HTTPException) -> Response:
        if error.code is None or error.code < 400:
            return error.get_response()  # type: ignore[return-value]
        page = error_page(error.code, _("That did not work"), _("Nothing was changed. Go back and try again."))
        if error.code == 405:
            page.headers["Allow"] = error.get_response().headers.get("Allow", "")
        return page


def _tell_away(error: BaseException) -> Response:
    give_up()
    watch().doubt()
    kind = type(getattr(error, "orig", None) or error).__name__
    what = str(error) if isinstance(error, Away) else ""
    log.error("request.unavailable", endpoint=request.endpoint, error=kind, **({"what": what} if what else {}))
    return unavailable()
