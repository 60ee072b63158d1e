"""Browsers that somebody signed in with before, told from strangers'.

Strangers who guess at a mailbox use up the tries that strangers have. A browser that signed in before has tries of its
own, so that they can't lock the owner out of it. It shows so by a cookie that opens nothing: a random name and a
signature that only holds for one user. Whose it is can't be read from it, only checked once somebody types an address.

The signature is made with what is new after every change of the password, so a new password makes strangers of all
browsers but the one it was chosen in. A browser keeps the marks of the last few users: a family shares a computer.
"""

import hashlib
import secrets
from datetime import timedelta

from flask import Response, after_this_request, request
from itsdangerous import BadSignature, TimestampSigner

from portal.auth.models import User
from portal.web.context import the_settings

LASTS = timedelta(days=365)
#: Of so many users a browser keeps the mark; the one that signed in longest ago is forgotten first.
MOST = 5
#: In neither the random names nor the signatures.
_BETWEEN = "~"
_LONGEST = 200


def cookie_name() -> str:
    """``__Host-`` keeps other hosts of the same domain from setting it; browsers take that over TLS only."""
    return "__Host-plainbill-device" if the_settings().https else "plainbill-device"


def device_of(uniquifier: str) -> str:
    """The random name of this browser, if the user of that ``fs_uniquifier`` signed in with it; else "".

    For nobody ("") the same work is done, for nothing.
    """
    signer = _signer(uniquifier)
    found = [_read(signer, mark) for mark in _marks()]
    return next((name for name in found if name), "") if uniquifier else ""


def remember(user: User) -> None:
    """Let this request's answer mark the browser as one of ``user``'s, who has just proved to be them."""
    signer = _signer(user.fs_uniquifier)
    mark = signer.sign(secrets.token_urlsafe(16)).decode()
    others = [one for one in _marks() if not _read(signer, one)]

    @after_this_request
    def keep(response: Response) -> Response:
        response.set_cookie(
            cookie_name(),
            _BETWEEN.join([mark, *others][:MOST]),
            max_age=LASTS,
            secure=the_settings().https,
            httponly=True,
            samesite="Lax",
            path="/",
        )
        return response


def _marks() -> list[str]:
    kept = request.cookies.get(cookie_name(), "").split(_BETWEEN)[:MOST]
    return [mark for mark in kept if 0 < len(mark) <= _LONGEST]


def _signer(uniquifier: str) -> TimestampSigner:
    return TimestampSigner(
        the_settings().secret_key, salt=f"device {uniquifier}", key_derivation="hmac", digest_method=hashlib.sha256
    )


def _read(signer: TimestampSigner, mark: str) -> str:
    """The random name that ``signer`` signed within :data:`LASTS`; "" for none."""
    try:
        return signer.unsign(mark, max_age=int(LASTS.total_seconds())).decode()
    except BadSignature:
        return ""
