"""Telling what is away from what is broken: the first is worth another try in a minute, the second is not."""

from __future__ import annotations

import errno
import sqlite3

from sqlalchemy import exc

try:
    from redis.exceptions import RedisError
except ImportError:  # installed only where REDIS_URL is used

    class RedisError(Exception):  # type: ignore[no-redef]
        """Stands for what nothing here can raise."""

__all__ = ["RETRY_SECONDS", "Away", "RedisError", "is_away"]

#: When to ask again, told to browsers, monitors and Stripe in Retry-After.
RETRY_SECONDS = 60


class Away(Exception):
    """Something the portal needs does not answer: nothing is wrong with what was asked. The web answers 503.

    Raise it from whatever stands for a store, a queue or another system; its text names which ("rate limits"), never
    an address or a person.
    """


#: The machine has no room, no handles, or may no longer write.
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE})
#: The server runs, but only for reading, as while another takes its place:
#: https://www.postgresql.org/docs/current/errcodes-appendix.html
_READ_ONLY = "25006"
#: SQLAlchemy's mark of a session whose connection broke earlier in the same unit of work: https://sqlalche.me/e/8s2b
_BROKE_EARLIER = "8s2b"


def is_away(error: BaseException | None) -> bool:
    """Whether ``error`` says that the database, its disk, Redis or another system is away, not that we are wrong.

    What SQLite calls an operational error may be a statement that it does not understand; that one is ours.
    """
    if isinstance(error, Away | exc.TimeoutError | RedisError):  # the second: no connection came free in time
        return True
    if isinstance(error, exc.PendingRollbackError):
        return error.code == _BROKE_EARLIER
    if isinstance(error, exc.DBAPIError):
        return error.connection_invalidated or _database_is_away(error)
    return isinstance(error, OSError) and error.errno in _NO_ROOM


def _database_is_away(error: exc.DBAPIError) -> bool:
    if isinstance(error.orig, sqlite3.Error):
        # The primary code is in the low byte: https://www.sqlite.org/rescode.html
        code = getattr(error.orig, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        return isinstance(error, exc.OperationalError) and code != sqlite3.SQLITE_ERROR
    return isinstance(error, exc.OperationalError | exc.InterfaceError) or (
        getattr(error.orig, "sqlstate", None) == _READ_ONLY
    )
