"""Error pages that say what happened and what to do, and never show anything of the request."""

import structlog
from flask import Flask, Response, render_template, request
from flask_babel import gettext as _
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import OperationalError
from werkzeug.exceptions import HTTPException

from portal.db import RecordNotFound

log = structlog.get_logger(__name__)


def _page(status: int, title: str, what_to_do: str) -> tuple[str, int]:
    return render_template("errors/page.html", title=title, what_to_do=what_to_do), status


def init_app(app: Flask) -> None:
    """Register a page for every kind of failure."""

    @app.errorhandler(CSRFError)
    def form_expired(_error: CSRFError) -> tuple[str, int]:
        return _page(
            400,
            _("This form has expired"),
            _("Nothing was changed. Go back, reload the page and send the form again."),
        )

    @app.errorhandler(RecordNotFound)
    @app.errorhandler(404)
    def not_found(_error: Exception) -> tuple[str, int]:
        return _page(
            404,
            _("We can’t find that page"),
            _("The link may be old, or it may belong to another account. Check the address, or start again at home."),
        )

    @app.errorhandler(413)
    def too_large(_error: HTTPException) -> tuple[str, int]:
        return _page(413, _("That file is too large"), _("Nothing was stored. Choose a file of up to 20 MB."))

    @app.errorhandler(429)
    def too_many(_error: HTTPException) -> tuple[str, int]:
        return _page(
            429,
            _("Too many tries"),
            _("For your safety we have paused this for a few minutes. Nothing was charged. Please try again later."),
        )

    @app.errorhandler(OperationalError)
    def database_away(error: OperationalError) -> tuple[str, int]:
        log.error("database.unavailable", endpoint=request.endpoint, error=type(error.orig).__name__)
        return _page(503, _("We’re having trouble"), _("Your information is safe. Please try again in a minute."))

    @app.errorhandler(500)
    def broken(error: HTTPException) -> tuple[str, int]:
        cause = getattr(error, "original_exception", None) or error
        log.error("request.failed", endpoint=request.endpoint, error=type(cause).__name__)
        return _page(
            500,
            _("Something went wrong on our side"),
            _("We have been told. If you were paying, look at your payments before you try again."),
        )

    @app.errorhandler(HTTPException)
    def other(error: HTTPException) -> tuple[str, int] | Response:
        if error.code is None or error.code < 400:
            return error.get_response()  # type: ignore[return-value]
        return _page(error.code, _("That did not work"), _("Nothing was changed. Go back and try again."))
