"""Security headers: a strict content policy with a nonce, widened to Stripe on the pages that take money."""

import secrets
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NoReturn

import structlog
from flask import Flask, request

from portal.away import RETRY_SECONDS, is_away
from portal.config import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = structlog.get_logger(__name__)

_NONCE, _STRIPE, _KEEP = "plainbill.csp_nonce", "plainbill.allow_stripe", "plainbill.allow_to_keep"
#: What is said when not even an error page can be made: it needs no template, no style and no language.
_LAST_WORDS = (
    b'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
    b"<title>We\xe2\x80\x99re having trouble</title></head>"
    b"<body><main><h1>We\xe2\x80\x99re having trouble</h1>"
    b"<p>Your information is safe. Please try again in a minute.</p></main></body></html>\n"
)


def csp_nonce() -> str:
    """This response's nonce; made on first use, so that error pages raised before any hook have one too."""
    return _nonce_of(request.environ)


def allow_stripe() -> None:
    """Let this response load Stripe.js and its frames; only the pages that pay or save a method ask."""
    request.environ[_STRIPE] = True


def allow_to_keep() -> None:
    """Let browsers keep this response as it says itself; only files of ours ask."""
    request.environ[_KEEP] = True


def is_for_stripe() -> bool:
    """Whether this response is a page that takes money or saves a method."""
    return bool(request.environ.get(_STRIPE))


def _nonce_of(environ: "WSGIEnvironment") -> str:
    nonce: str = environ.setdefault(_NONCE, secrets.token_urlsafe(18))
    return nonce


def _policy(settings: Settings, *, nonce: str, stripe: bool) -> str:
    script, frame, connect = ["'self'", f"'nonce-{nonce}'"], ["'none'"], ["'self'"]
    if stripe:
        js = settings.stripe_js_origin
        script.append(js)
        frame = [js]
        if settings.stripe_js_origin == "https://js.stripe.com":
            # https://docs.stripe.com/security/guide#content-security-policy
            script.append("https://*.js.stripe.com")
            frame += ["https://*.js.stripe.com", "https://hooks.stripe.com"]
        connect.append(settings.stripe_api_base)
    return "; ".join(
        (
            "default-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "img-src 'self' data:",
            "font-src 'self'",
            "style-src 'self'",
            "manifest-src 'self'",
            f"script-src {' '.join(script)}",
            f"frame-src {' '.join(frame)}",
            f"connect-src {' '.join(connect)}",
        )
    )


def security_headers(settings: Settings, *, nonce: str, stripe: bool = False) -> dict[str, str]:
    """What every answer carries; ``stripe`` widens it for the pages that take money."""
    # Stripe's frame asks the wallets (Apple Pay, Google Pay), and its bank sign-in and some 3-D Secure pages are
    # windows that it opens and hears from: https://developer.mozilla.org/docs/Web/HTTP/Headers/Permissions-Policy
    who_pays = f'(self "{settings.stripe_js_origin}")' if stripe else "()"
    headers = {
        "Content-Security-Policy": _policy(settings, nonce=nonce, stripe=stripe),
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        # Addresses carry opaque ids only, but nobody else needs even those.
        "Referrer-Policy": "no-referrer",
        "Permissions-Policy": f"camera=(), microphone=(), geolocation=(), payment={who_pays}",
        "Cross-Origin-Opener-Policy": "same-origin-allow-popups" if stripe else "same-origin",
    }
    if settings.https:
        headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
    return headers


class _Headers:
    """Around the whole application, so that no hook, refused host or failing error page can go without the headers."""

    def __init__(self, app: "WSGIApplication", settings: Settings) -> None:
        self._app, self._settings = app, settings

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        said: tuple[str, list[tuple[str, str]]] = ("", [])

        def hear(status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> Any:
            nonlocal said
            said = status, headers
            return _refuse_to_write

        try:
            body = self._app(environ, hear)
        except Exception as error:
            # An error page could not be made, or what ends a request failed: the server's own answer has no headers.
            log.error("request.fell_over", error=type(error).__name__)
            away = is_away(error)
            said = (
                "503 Service Unavailable" if away else "500 Internal Server Error",
                [
                    ("Content-Type", "text/html; charset=utf-8"),
                    ("Content-Length", str(len(_LAST_WORDS))),
                    *([("Retry-After", str(RETRY_SECONDS))] if away else []),
                ],
            )
            body = [] if environ.get("REQUEST_METHOD") == "HEAD" else [_LAST_WORDS]
        start_response(said[0], self._with_headers(environ, *said))
        return body

    def _with_headers(
        self, environ: "WSGIEnvironment", status: str, headers: list[tuple[str, str]]
    ) -> list[tuple[str, str]]:
        ours = security_headers(self._settings, nonce=_nonce_of(environ), stripe=bool(environ.get(_STRIPE)))
        if not environ.get(_KEEP):
            # A bill must not come back with the back button after signing out on a shared computer.
            ours["Cache-Control"] = "no-store"
        names = {name.lower() for name in ours}
        return [*((name, value) for name, value in headers if name.lower() not in names), *ours.items()]


def _refuse_to_write(_data: bytes) -> NoReturn:
    raise NotImplementedError("answers are returned, not written")


def init_app(app: Flask, settings: Settings) -> None:
    """Add the headers to every answer; call it before whatever shall stand outside of them."""
    app.wsgi_app = _Headers(app.wsgi_app, settings)  # type: ignore[method-assign]
    app.jinja_env.globals["csp_nonce"] = csp_nonce
