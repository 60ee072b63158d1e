"""How often what takes a password, an address or a link of the library's may be tried, by whom.

Where a secret is asked for, only refusals count: a family or a clinic behind one network may sign in as often as it
likes. What sends mail counts always.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response, g
from flask_login import current_user
from flask_security.forms import ChangePasswordForm
from flask_security.utils import get_message

from portal.auth.mailbox import mailbox_key
from portal.web.limits import limiter, network, refusals_only


def was_refused(response: Response) -> bool:
    """A sign-in that succeeds leads elsewhere or is a 200 in JSON; one that is refused shows the form or is a 400."""
    return response.status_code != 302 and not (response.status_code == 200 and response.is_json)


def _current_password_was_wrong(_response: Response) -> bool:
    return bool(g.get("current_password_was_wrong", False))


def per_user() -> str:
    """The key of limits that count by who is signed in."""
    return f"user {current_user.get_id()}"


class ChangeForm(ChangePasswordForm):
    """Notes that the password in use was wrong, which counts; a new one that is too short or misspelled does not."""

    def validate(self, **kwargs: Any) -> bool:
        if super().validate(**kwargs):
            return True
        told = [str(error) for error in self.password.errors]
        g.current_password_was_wrong = told not in ([], [get_message("PASSWORD_IS_THE_SAME")[0]])
        return False


@dataclass(frozen=True, slots=True)
class Tries:
    """What one endpoint takes: limits with their keys, and which answers count (None: every one)."""

    limits: tuple[tuple[str, Callable[[], str]], ...]
    refused: Callable[[Response], bool] | None = None


#: The mailbox's limits of signing in; whoever finishes a reset begins anew.
SIGN_IN_PER_MAILBOX = "20 per hour"

_BY_MAIL = Tries((("5 per minute; 20 per hour", network), ("5 per hour", mailbox_key)))
_BY_PASSWORD = (("10 per minute; 60 per hour", network), ("10 per minute; 20 per hour", per_user))

TRIES: dict[str, Tries] = {
    "security.login": Tries((("10 per minute; 60 per hour", network), (SIGN_IN_PER_MAILBOX, mailbox_key)), was_refused),
    "security.forgot_password": _BY_MAIL,
    "security.reset_password": Tries((("20 per minute; 60 per hour", network),)),
    "security.change_password": Tries(_BY_PASSWORD, _current_password_was_wrong),
    # What the portal does not offer now, so that it has its limits on the day it does.
    "security.verify": Tries(_BY_PASSWORD, was_refused),
    "security.send_confirmation": _BY_MAIL,
}


def init_app(app: Flask) -> None:
    """Put the limits on the library's views."""
    for endpoint, tries in TRIES.items():
        view: Any = app.view_functions.get(endpoint)
        if view is None:
            continue
        if tries.refused is not None:
            view = refusals_only(tries.refused)(view)
        for limit, key in tries.limits:
            view = limiter.limit(limit, methods=["POST"], key_func=key)(view)
        app.view_functions[endpoint] = view
