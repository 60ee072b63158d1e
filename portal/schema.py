"""Whether this code may run on the database's schema.

It may on the schema that it was built for, and on a later one that is declared to serve it. Old code can't know what
later migrations do, so they tell it: a migration that leaves the previous code working says
``previous_code_still_works = True``, and migrating writes the oldest revision whose code still works into the
database, where that code reads it. Without the line no older code is served.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import sqlalchemy as sa
import structlog
from alembic.script import ScriptDirectory
from sqlalchemy.pool import NullPool

from portal.away import Away, is_away
from portal.db import Base, engine_options
from portal.migrate import MIGRATIONS

log = structlog.get_logger(__name__)

#: The attribute of a migration's module that declares it.
DECLARED = "previous_code_still_works"

#: One row: the revision the database is at, and the oldest one whose code works on it.
compatibility = sa.Table(
    "schema_compatibility",
    Base.metadata,
    sa.Column("revision", sa.String(32), primary_key=True),
    sa.Column("oldest_code", sa.String(32), nullable=False),
)


class MayNotRun(Away):
    """The portal may not run on this database; the text says what to type or do. The web answers 503."""


class WrongSchema(MayNotRun):
    """The database's schema is not one that this code works on."""


class DemoData(MayNotRun):
    """The demo's people and bills are in a database in front of which real money would move."""


_DEMO_LOADED = "sandbox.demo.loaded"  # audit/tags.py
#: By name, since this looks at a database before anything else of the portal does.
_user, _audit_event = sa.table("user", sa.column("email")), sa.table("audit_event", sa.column("tag"))
#: The demo's sign-ins; their password stands in the README.
DEMO_SIGN_INS = tuple(
    f"{name}@example.com" for name in ("testa", "sam", "paula", "carla", "gail", "staff", "supervisor")
)


@functools.cache
def history() -> tuple[str, ...]:
    """Every revision this code knows, the newest first: that is the one it was built for."""
    return tuple(script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions())


def oldest_code(script: ScriptDirectory, revision: str) -> str:
    """The oldest revision whose code works on the schema of ``revision``, by what the migrations declare."""
    while getattr(script.get_revision(revision).module, DECLARED, False):
        before = script.get_revision(revision).down_revision
        if not isinstance(before, str):
            break
        revision = before
    return revision


def declare(connection: sa.Connection, script: ScriptDirectory, heads: Sequence[str]) -> None:
    """Write down which code works on the schema that the database has now; the caller commits.

    Called after every migration, up or down. Below the revision that made the table there is nothing to write.
    """
    if not sa.inspect(connection).has_table(compatibility.name):
        return
    connection.execute(sa.delete(compatibility))
    for revision in heads:
        connection.execute(
            sa.insert(compatibility).values(revision=revision, oldest_code=oldest_code(script, revision))
        )


def require_ours(connection: sa.Connection, *, live: bool) -> None:
    """Raise :class:`MayNotRun` unless this code works on the schema and, with ``live`` keys, the data is no demo's.

    A database into which the demo was loaded stays its own: an audit event, which nobody can delete, says so.
    """
    require_served(connection)
    if not live:
        return
    if connection.scalar(sa.select(sa.exists().where(_audit_event.c.tag == _DEMO_LOADED))):
        raise DemoData(
            "The demo was loaded into this database, and Stripe's keys are live. Give the portal a database of its "
            "own: set DATABASE_URL to a new one, and type: portal migrate"
        )
    if connection.scalar(sa.select(sa.exists().where(sa.func.lower(_user.c.email).in_(DEMO_SIGN_INS)))):
        raise DemoData(
            "Somebody here signs in as one of the demo's people (such as staff@example.com), whose password anybody "
            "can read, and Stripe's keys are live. Remove these users, or give them addresses of their own"
        )


def require_served(connection: sa.Connection) -> None:
    """Raise :class:`WrongSchema` unless this code works on the database's schema."""
    found = _revision_of(connection)
    known = history()
    if found == known[0]:
        return
    if found is None or found in known:
        raise WrongSchema(
            f"The database's schema is {found or 'missing'}, and this portal needs {known[0]}. Type: portal migrate"
        )
    served = sa.select(compatibility.c.oldest_code).where(compatibility.c.revision == found)
    if sa.inspect(connection).has_table(compatibility.name) and connection.scalar(served) in known:
        return
    raise WrongSchema(
        f"The database's schema is {found}, and this portal was built for {known[0]}, which does not run on it. "
        "Start the newer portal, or take the database back with the newer portal's: "
        f"portal migrate --down {known[0]}"
    )


def _revision_of(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    return revision


def stop_if_not_ours(url: str, *, live: bool) -> None:
    """Look at the database at the start. Raises :class:`MayNotRun`; one that is away only makes a log line.

    Who goes on without a database looks again, each time it is needed. Nothing stays open, so that a server may fork.
    """
    options = engine_options(url)
    options.pop("pool_timeout", None)
    engine = sa.create_engine(**options, poolclass=NullPool)
    try:
        with engine.connect() as connection:
            require_ours(connection, live=live)
    except MayNotRun:
        raise
    except Exception as error:
        if not is_away(error):
            raise
        log.warning("start.database_away", error=type(error).__name__)
    finally:
        engine.dispose()
