"""The code on a printed statement that opens the guest page. Pure.

Thirteen characters of Crockford's base 32 (no I, L, O, U) are 65 random bits: guessing one of a million open codes
takes some 10^13 tries, and every try is limited, audited and needs a date of birth as well. With that many bits a slow
password hash has nothing to protect; what is stored is an HMAC-SHA256 under a key made from the application's secret,
which is fast enough to be looked up by, and worthless to whoever has the table without the secret. Changing the secret
ends every code.
"""

import hashlib
import hmac
import re
import secrets

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH = 13
#: Longer than any way to write a code.
_LONGEST = 64
_READ_AS = str.maketrans("OIL", "011")
_PURPOSE = b"plainbill statement code\x00"


def new_code() -> str:
    """A fresh code of 65 random bits, without groups."""
    return "".join(secrets.choice(ALPHABET) for _place in range(LENGTH))


def grouped(code: str) -> str:
    """A code as it is printed: ``XXXX-XXXXX-XXXX``."""
    return f"{code[:4]}-{code[4:9]}-{code[9:]}"


def normal(typed: str) -> str:
    """What somebody typed, as the code is meant: letter case, spaces and hyphens don't matter, O is 0, I and L are 1.

    What can't be a code stays something that no code is.
    """
    return re.sub(r"[\s\-–—_.]+", "", typed[:_LONGEST]).upper().translate(_READ_AS)


def code_hash(code: str, *, secret: str) -> str:
    """The 64 hex digits that a normal code is stored and found by."""
    key = hmac.digest(secret.encode(), _PURPOSE, hashlib.sha256)
    return hmac.new(key, code.encode("utf-8", "replace"), hashlib.sha256).hexdigest()
