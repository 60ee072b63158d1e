"""Columns that hold words of a closed list, which grows from version to version."""

import re
from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from migrations.append_only import loses_protection, protect


def as_it_is(table: str) -> sa.Table:
    """A table as the database has it, with its checks: Alembic forgets them when SQLite's tables are rebuilt.

    The tables it refers to are not looked at: some have indexes that SQLAlchemy warns it can't reflect.
    """
    bind = op.get_bind()
    found = sa.Table(table, sa.MetaData(), autoload_with=bind, resolve_fks=False)
    for check in sa.inspect(bind).get_check_constraints(table):
        found.append_constraint(sa.CheckConstraint(sa.text(check["sqltext"]), name=check["name"]))
    return found


def members(table: str, check: str) -> list[str]:
    """The words that the list behind ``table``'s ``check`` holds now."""
    checks = sa.inspect(op.get_bind()).get_check_constraints(table)
    text = next(str(one["sqltext"]) for one in checks if one["name"] == f"ck_{table}_{check}")
    return re.findall(r"'([^']+)'", text)


def hold_to(table: str, column: str, check: str, words: Sequence[str]) -> None:
    """Hold a column to ``words`` in place of the list it was held to."""
    listed, again = ", ".join(f"'{word}'" for word in words), loses_protection(table)
    with op.batch_alter_table(table, copy_from=as_it_is(table)) as batch:
        batch.drop_constraint(op.f(f"ck_{table}_{check}"), type_="check")
        batch.create_check_constraint(op.f(f"ck_{table}_{check}"), f"{column} IN ({listed})")
    if again:
        protect(table)


def grow(table: str, column: str, check: str, more: Sequence[str]) -> None:
    """Let a column hold ``more`` words; those that a newer version left there stay."""
    known = members(table, check)
    new = [word for word in more if word not in known]
    if new:
        hold_to(table, column, check, [*known, *new])


def grow_tags(more: Sequence[str]) -> None:
    """Let the audit trail hold ``more`` tags."""
    grow("audit_event", "tag", "tag", more)
