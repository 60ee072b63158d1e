"""The pass in a browser: where its token is kept, and who is let in by it.

The token is in the session's cookie (signed, HttpOnly, SameSite=Lax) under a name of its own, so that being a guest and
being signed in neither help nor hinder each other. The cookie alone is worth nothing once the pass's row has ended.
"""

import hashlib
import hmac
from typing import Any

from flask import flash, g, redirect, request, session, url_for
from flask_babel import gettext as _

from portal.guests.queries import Pass, pass_of
from portal.web.context import the_settings
from portal.web.database import db
from portal.web.limits import network

TOKEN = "guest"


def token() -> str:
    """The token this browser sent; empty for none."""
    return str(session.get(TOKEN, ""))


def admit(new_token: str) -> None:
    """Put a pass's token in the browser."""
    session[TOKEN] = new_token


def leave() -> str:
    """Take the token out of the browser; returns it."""
    return str(session.pop(TOKEN, ""))


def the_pass() -> Pass:
    """The pass of this request, on pages that the guest guard stands before."""
    found: Pass = g.guest_pass
    return found


def per_statement() -> str:
    """The key of limits that count by statement."""
    found: Pass | None = g.get("guest_pass") or pass_of(db.session, token())
    return f"statement {found.statement_id}" if found else f"nobody at {network()}"


def network_key() -> str:
    """Tells the network this request came from (``web.limits.network``) from others, and is no address.

    A hash with a key of ours: IPv4 is so small that a plain hash of it could be looked up.
    """
    key = the_settings().secret_key
    return hmac.new(key.encode(), f"network {network()}".encode(), hashlib.sha256).hexdigest()


def check() -> Any:
    """The guest guard: None for a pass that is good, else the way back to the start."""
    found = pass_of(db.session, token()) if token() else None
    if found is not None:
        g.guest_pass = found
        return None
    if leave():
        flash(
            _(
                "For your safety we closed your bill after a while. If you have just paid, your payment is not lost. "
                "Enter your code again to see what is left to pay."
            ),
            "info",
        )
    elif request.method != "GET":
        flash(_("Enter the code from your statement first. Nothing was charged."), "info")
    return redirect(url_for("guests.start"))
