"""Whose mailbox a request names, however its address is spelled: the key that sign-in, reset and confirmation count by.

A limit that counts spellings is none: mail takes ``ann@example.com``, ``ANN@EXAMPLE.COM`` and ``ann@ｅxample.com`` to
one mailbox, and sign-in finds one user by all of them.
"""

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from typing import Any

import idna
from flask import request
from flask_security.utils import lookup_identity
from werkzeug.datastructures import MultiDict

from portal.web.limits import network

#: RFC 5321 section 4.5.3.1: 64 octets, an @ and 255 octets. What is longer names no mailbox and is not worth reading.
LONGEST = 320
#: Where a request keeps whom it names: as long as itself, which ``g`` may outlive.
_KEPT = "plainbill.mailbox"


def canonical(address: object) -> str | None:
    """One spelling for all spellings that mail would treat as one mailbox; None for what is not an address.

    The local part is NFKC-normalized and case-folded (Unicode 3.13, D147), the domain is in its IDNA form (UTS 46).
    """
    if not isinstance(address, str) or len(address) > LONGEST:
        return None
    try:
        address.encode()  # a lone surrogate is no text
        local, at, domain = unicodedata.normalize("NFKC", address).strip().rpartition("@")
        local, domain = _folded(local.strip()), _ascii_domain(domain.strip().rstrip("."))
    except (UnicodeError, idna.IDNAError):
        return None
    if not (at and local and domain) or any(unicodedata.category(sign) == "Cc" for sign in local + domain):
        return None
    return f"{local}@{domain}"


def _folded(local: str) -> str:
    """Case-folded and normalized until nothing changes any more."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", local.casefold()).casefold())
    # Databases take the dotted capital I for an i, Unicode for an i and a dot above it.
    return folded.replace("i̇", "i")


def _ascii_domain(domain: str) -> str:
    """A domain in the form the DNS has it in. Raises :class:`idna.IDNAError`."""
    mapped = idna.uts46_remap(domain, std3_rules=False, transitional=False)
    try:
        return idna.encode(mapped).decode()
    except idna.IDNAError:
        # The rules for international labels refuse some that are plain ASCII and in use.
        if re.fullmatch(r"[a-z0-9._-]+", mapped):
            return mapped
        raise


def key_of_user(user_id: int) -> str:
    """The key of the mailbox of a user whom an address finds."""
    return hashlib.sha256(f"user {user_id}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A mailbox that somebody named, and the ``fs_uniquifier`` of the user whose it is ("" for nobody's)."""

    key: str
    uniquifier: str = ""


def mailbox_of(address: object) -> Mailbox:
    """The mailbox that ``address`` (as it was typed) names, with its hashed key; needs a request.

    The key is the id of the user it finds, by the same look-up as sign-in; else of the user its canonical spelling
    finds, so that spellings share a counter whether or not there is a user; else the canonical spelling. Whatever is
    not an address shares the counter of the network it came from, and never one that all such requests share.
    """
    spelled = canonical(address)
    if spelled is None:
        return Mailbox(hashlib.sha256(f"nobody at {network()}".encode()).hexdigest())
    # Both are always looked up, so that a known address takes no less time than an unknown one.
    for user in [lookup_identity(spelling) for spelling in dict.fromkeys((str(address), spelled))]:
        if user is not None:
            return Mailbox(key_of_user(user.id), user.fs_uniquifier)
    return Mailbox(hashlib.sha256(f"mailbox {spelled}".encode()).hexdigest())


def key_of(address: object) -> str:
    """The key of the mailbox that ``address`` (as it was typed) names; needs a request."""
    return mailbox_of(address).key


def named_mailbox() -> Mailbox:
    """The mailbox that this request names in its field ``email``, sent as a form or as JSON; looked up once."""
    kept: Mailbox | None = request.environ.get(_KEPT)
    if kept is None:
        kept = request.environ[_KEPT] = mailbox_of(_sent("email"))
    return kept


def mailbox_key() -> str:
    """The key of the mailbox that this request names."""
    return named_mailbox().key


def _sent(field: str) -> Any:
    """What a form of Flask-Security reads of this request for ``field``; None for nothing."""
    if not request.is_json:
        return request.form.get(field)
    try:
        body = request.get_json(silent=True)
    except RecursionError:
        return None
    return MultiDict(body).get(field) if isinstance(body, dict) else None
