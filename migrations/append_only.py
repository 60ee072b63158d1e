"""Tables whose rows are written once: the database itself refuses to edit or delete them."""

import sqlalchemy as sa
from alembic import op

_ON_POSTGRESQL = (("append_only", "UPDATE OR DELETE", "ROW"), ("no_truncate", "TRUNCATE", "STATEMENT"))
_ON_SQLITE = ("UPDATE", "DELETE")


def protect(table: str) -> None:
    """Refuse changes of ``table``'s rows; PostgreSQL has the function ``refuse_change`` from the first migration."""
    if op.get_bind().dialect.name == "postgresql":
        for suffix, event, each in _ON_POSTGRESQL:
            op.execute(
                f"CREATE TRIGGER {table}_{suffix} BEFORE {event} ON {table} "
                f"FOR EACH {each} EXECUTE FUNCTION refuse_change()"
            )
        return
    for act in _ON_SQLITE:
        op.execute(
            f"CREATE TRIGGER {table}_no_{act.lower()} BEFORE {act} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )


def release(table: str) -> None:
    """Let ``table``'s rows be changed again."""
    if op.get_bind().dialect.name == "postgresql":
        for suffix, _event, _each in _ON_POSTGRESQL:
            op.execute(f"DROP TRIGGER {table}_{suffix} ON {table}")
        return
    for act in _ON_SQLITE:
        op.execute(f"DROP TRIGGER {table}_no_{act.lower()}")


def loses_protection(table: str) -> bool:
    """Whether ``table`` is protected by triggers that go when it is rebuilt, as SQLite has to for most changes."""
    bind = op.get_bind()
    if bind.dialect.name != "sqlite":
        return False
    found = "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND name = :name"
    return bool(bind.execute(sa.text(found), {"name": f"{table}_no_update"}).scalar())
