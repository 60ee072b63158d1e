"""Who may call a view. A view without a declared guard does not answer.

A guard is declared by a decorator and kept in the function's ``guard`` attribute, so that ``portal routes --guards``
and the tests can list it. Views of libraries get theirs from :data:`FOREIGN`.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, TypeVar

from flask import Flask, abort, current_app, request
from flask_login import current_user

from portal.web import static_files

View = TypeVar("View", bound=Callable[..., Any])


class Guard(StrEnum):
    """The closed list of guards."""

    PUBLIC = "public"
    #: Authenticated by the signature over its raw body; has no cookie, so no CSRF token either.
    SIGNED_WEBHOOK = "signed-webhook"
    SIGNED_IN = "signed-in"
    #: Signed in, and every object named in the URL is looked up through ``accounts.access``.
    OWN_ACCOUNT = "own-account"
    #: Somebody with a pass from the code of a printed statement; being signed in is neither needed nor enough.
    GUEST = "guest"
    STAFF = "staff"
    SUPERVISOR = "supervisor"
    #: A library's view that the portal does not offer.
    CLOSED = "closed"


#: The roles that open a staff guard.
ROLES: dict[Guard, frozenset[str]] = {
    Guard.STAFF: frozenset({"staff", "supervisor"}),
    Guard.SUPERVISOR: frozenset({"supervisor"}),
}

#: Endpoints that look at nobody: files, what monitors ask, and Stripe's webhook; None is where no page is. They answer
#: also a browser whose person can't be looked up, as while the database is away.
IMPERSONAL = frozenset({None, *static_files.ENDPOINTS, "health.alive", "health.ready", "webhook.receive"})

#: Where the feature that gives out passes leaves what it looks at them with: a function that returns None to let a
#: request in, or the answer to give instead. Without one, nobody is let in.
GUEST_DOOR = "plainbill_guest_door"

#: Guards of endpoints that libraries define.
FOREIGN: dict[str, Guard] = {
    **dict.fromkeys(static_files.ENDPOINTS, Guard.PUBLIC),
    "security.login": Guard.PUBLIC,
    "security.logout": Guard.PUBLIC,
    "security.forgot_password": Guard.PUBLIC,
    "security.reset_password": Guard.PUBLIC,
    "security.change_password": Guard.SIGNED_IN,
    "security.verify": Guard.CLOSED,
    "security.static": Guard.CLOSED,
}


def _declare(guard: Guard) -> Callable[[View], View]:
    def mark(view: View) -> View:
        view.guard = guard  # type: ignore[attr-defined]
        return view

    return mark


public = _declare(Guard.PUBLIC)
signed_webhook = _declare(Guard.SIGNED_WEBHOOK)
signed_in = _declare(Guard.SIGNED_IN)
own_account = _declare(Guard.OWN_ACCOUNT)
guest = _declare(Guard.GUEST)
staff = _declare(Guard.STAFF)
supervisor = _declare(Guard.SUPERVISOR)


def guard_of(app: Flask, endpoint: str) -> Guard | None:
    """The guard declared for an endpoint, or None where nobody declared one."""
    declared: Guard | None = getattr(app.view_functions.get(endpoint), "guard", None)
    return declared or FOREIGN.get(endpoint)


def is_staff() -> bool:
    """Whether the one who is signed in works at the desk."""
    return bool(current_user.is_authenticated and {role.name for role in current_user.roles} & ROLES[Guard.STAFF])


def _enforce() -> Any:
    if request.endpoint is None:
        return None  # no such page: the router answers 404
    guard = guard_of(current_app, request.endpoint)
    if guard is None or guard is Guard.CLOSED:
        abort(404)
    if guard in (Guard.PUBLIC, Guard.SIGNED_WEBHOOK):
        return None
    if guard is Guard.GUEST:
        door: Callable[[], Any] = current_app.extensions.get(GUEST_DOOR, lambda: abort(404))
        return door()
    if not current_user.is_authenticated:
        return current_app.login_manager.unauthorized()  # type: ignore[attr-defined]
    if guard in ROLES:
        # Somebody without the role is not told that the page exists.
        if not {role.name for role in current_user.roles} & ROLES[guard]:
            abort(404)
    elif guard is Guard.OWN_ACCOUNT and is_staff():
        # Staff see accounts at the desk, where it is audited as theirs.
        abort(404)
    return None


def init_app(app: Flask) -> None:
    """Stand in front of every view."""
    app.before_request(_enforce)
