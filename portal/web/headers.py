"""Security headers: a strict content policy with a nonce, widened to Stripe on the pages that take money."""

import secrets

from flask import Flask, Response, g, request

from portal.config import Settings


def csp_nonce() -> str:
    """This response's nonce; made on first use, so that error pages raised before any hook have one too."""
    if "csp_nonce" not in g:
        g.csp_nonce = secrets.token_urlsafe(18)
    nonce: str = g.csp_nonce
    return nonce


def allow_stripe() -> None:
    """Let this response load Stripe.js and its frames; only the pages that pay or save a method ask."""
    g.allow_stripe = True


def _policy(settings: Settings) -> str:
    script, frame, connect = ["'self'", f"'nonce-{csp_nonce()}'"], ["'none'"], ["'self'"]
    if g.get("allow_stripe"):
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


def init_app(app: Flask, settings: Settings) -> None:
    """Add the headers to every answer."""

    @app.after_request
    def add(response: Response) -> Response:
        headers = response.headers
        headers["Content-Security-Policy"] = _policy(settings)
        headers["X-Content-Type-Options"] = "nosniff"
        headers["X-Frame-Options"] = "DENY"
        # Addresses carry opaque ids only, but nobody else needs even those.
        headers["Referrer-Policy"] = "no-referrer"
        # Stripe's frame asks the wallets (Apple Pay, Google Pay), and its bank sign-in and some 3-D Secure pages are
        # windows that it opens and hears from: https://developer.mozilla.org/docs/Web/HTTP/Headers/Permissions-Policy
        asked = g.get("allow_stripe")
        who_pays = f'(self "{settings.stripe_js_origin}")' if asked else "()"
        headers["Permissions-Policy"] = f"camera=(), microphone=(), geolocation=(), payment={who_pays}"
        headers["Cross-Origin-Opener-Policy"] = "same-origin-allow-popups" if asked else "same-origin"
        if settings.https:
            headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
        if request.endpoint not in ("static", "bootstrap.static"):
            # A bill must not come back with the back button after signing out on a shared computer.
            headers["Cache-Control"] = "no-store"
        return response

    app.jinja_env.globals["csp_nonce"] = csp_nonce
