"""The proof that a form is ours, in another spelling in each answer.

Flask-WTF's token is much the same in every answer, and answers are compressed: their size would give it away (BREACH).
So it is XORed with fresh random bytes, which stand before it.
"""

import binascii
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode

from flask import Flask, g
from flask_wtf import CSRFProtect
from flask_wtf.csrf import generate_csrf


def masked(token: str) -> str:
    """A token that nobody has seen before, which stands for ``token``."""
    plain = token.encode()
    pad = secrets.token_bytes(len(plain))
    return urlsafe_b64encode(pad + _xor(pad, plain)).decode()


def unmasked(token: str) -> str:
    """The token that a masked one stands for; empty for what is none."""
    try:
        both = urlsafe_b64decode(token.encode())
        half = len(both) // 2
        return _xor(both[:half], both[half:]).decode()
    except (binascii.Error, ValueError):
        return ""


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def csrf_token() -> str:
    """This answer's token: the same in all of its forms, since what repeats within an answer tells nothing."""
    if "masked_csrf_token" not in g:
        g.masked_csrf_token = masked(generate_csrf())
    token: str = g.masked_csrf_token
    return token


class MaskedCSRFProtect(CSRFProtect):
    """Flask-WTF's protection with :func:`masked` tokens, in templates and in forms."""

    def init_app(self, app: Flask) -> None:
        super().init_app(app)
        app.jinja_env.globals["csrf_token"] = csrf_token
        app.context_processor(lambda: {"csrf_token": csrf_token})

    def _get_csrf_token(self) -> str:
        """What came with the request; a token as the library tells it to programs (it has dots) is taken as it is."""
        token: str = super()._get_csrf_token() or ""
        return token if "." in token else unmasked(token)
