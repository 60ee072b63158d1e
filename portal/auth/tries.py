"""How often what takes a password, an address or a link of the library's may be tried, by whom.

Where a secret is asked for, only refusals count: a family or a clinic behind one network may sign in as often as it
likes. What sends mail counts always.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response, g
from flask_babel import gettext as _
from flask_limiter import RequestLimit
from flask_login import current_user
from flask_security.forms import ChangePasswordForm
from flask_security.utils import get_message

from portal.auth import devices
from portal.auth.mailbox import key_of_user, mailbox_key, named_mailbox
from portal.web.context import the_settings
from portal.web.errors import error_page
from portal.web.limits import forget, limiter, network, refusals_only


def was_refused(response: Response) -> bool:
    """A sign-in that succeeds leads elsewhere or is a 200 in JSON; one that is refused shows the form or is a 400."""
    return response.status_code != 302 and not (response.status_code == 200 and response.is_json)


def _current_password_was_wrong(_response: Response) -> bool:
    return bool(g.get("current_password_was_wrong", False))


def per_user() -> str:
    """The key of limits that count by who is signed in."""
    return f"user {current_user.get_id()}"


def per_device() -> str:
    """The key of limits that count by a browser that the one who is named signed in with; "nobody's" in any other."""
    return f"device {devices.device_of(named_mailbox().uniquifier) or 'of nobody'}"


def _is_their_device() -> bool:
    return bool(devices.device_of(named_mailbox().uniquifier))


def _is_a_strangers_device() -> bool:
    return not _is_their_device()


def _choose_a_new_password(_limit: RequestLimit) -> Response:
    """The words of a lock on signing in. It may be a stranger's doing, so they tell the owner the way back."""
    return error_page(
        429,
        _("Too many tries"),
        _(
            "For your safety we have paused this sign-in for up to an hour. You don’t have to wait: choose a new "
            "password with a link that we email you, and you can sign in right away."
        ),
        act=("security.forgot_password", _("Reset your password")),
    )


def _look_for_our_mail(_limit: RequestLimit) -> Response:
    """The words of a lock on asking for links: the ones that were sent still open the way."""
    settings = the_settings()
    return error_page(
        429,
        _("Too many tries"),
        _(
            "Too many links were asked for, so we have paused this for up to an hour. If you asked for one before, "
            "look for our email in your mailbox and in its spam folder: the link in it still works. Or call us at "
            "%(phone)s.",
            phone=settings.clinic_phone,
        ),
        act=("security.login", _("Sign in")),
    )


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
    #: Instead of all of ``limits``, in a browser that the one who is named signed in with before (``devices``).
    per_device: str = ""
    #: What is told instead of the usual words, where there is a way on.
    told: Callable[[RequestLimit], Response] | None = None


#: The mailbox's limits of signing in; whoever finishes a reset begins anew.
SIGN_IN_PER_MAILBOX = "20 per hour"

_BY_MAIL = Tries(
    (("5 per minute; 20 per hour", network), ("5 per hour", mailbox_key)),
    per_device="5 per hour",
    told=_look_for_our_mail,
)
_BY_PASSWORD = (("10 per minute; 60 per hour", network), ("10 per minute; 20 per hour", per_user))

TRIES: dict[str, Tries] = {
    "security.login": Tries(
        (("10 per minute; 60 per hour", network), (SIGN_IN_PER_MAILBOX, mailbox_key)),
        was_refused,
        per_device="20 per hour",
        told=_choose_a_new_password,
    ),
    "security.forgot_password": _BY_MAIL,
    "security.reset_password": Tries((("20 per minute; 60 per hour", network),)),
    "security.change_password": Tries(_BY_PASSWORD, _current_password_was_wrong),
    # What the portal does not offer now, so that it has its limits on the day it does.
    "security.verify": Tries(_BY_PASSWORD, was_refused),
    "security.send_confirmation": _BY_MAIL,
}


def begin_anew(user_id: int) -> None:
    """Forget what strangers' refusals counted on a user's mailbox: whoever has a new password is its owner.

    The caller has no transaction open; on SQLite it would wait for itself.
    """
    forget(SIGN_IN_PER_MAILBOX, key_of_user(user_id), "security.login")


def init_app(app: Flask) -> None:
    """Put the limits on the library's views.

    Their functions are this module's: the limiter knows by them that a second portal in this process has the same.
    """
    for endpoint, tries in TRIES.items():
        view: Any = app.view_functions.get(endpoint)
        if view is None:
            continue
        if tries.refused is not None:
            view = refusals_only(tries.refused)(view)
        for limit, key in tries.limits:
            strangers = _is_their_device if tries.per_device else None
            view = limiter.limit(
                limit, methods=["POST"], key_func=key, exempt_when=strangers, on_breach=tries.told
            )(view)
        if tries.per_device:
            view = limiter.limit(
                tries.per_device,
                methods=["POST"],
                key_func=per_device,
                exempt_when=_is_a_strangers_device,
                on_breach=tries.told,
            )(view)
        app.view_functions[endpoint] = view
