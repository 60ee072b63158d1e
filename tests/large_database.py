"""A PostgreSQL as large as a clinic's after some years: rows that are made from the tables' columns alone.

Nothing in them makes sense to the portal, nor need it: what a large database decides is the way a statement takes to
its rows. So that the way is the one of a real clinic, what is old is done with (states are at their end, what can be
dated is dated), an account's rows lie scattered, and values that tell rows apart do.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import sqlalchemy as sa

from portal.db import MoneyType
from portal.tables import metadata

#: Rows of a table that is not named in ``MORE``.
ROWS = 5_000
MORE = {
    "entry": 100_000,
    "charge": 25_000,
    "ledger_line": 25_000,
    "audit_event": 25_000,
    "payment": 20_000,
    "payment_share": 20_000,
}
#: Ids of the rows made here begin above those that the portal wrote.
FIRST = 1_000_000
#: States in which a row waits for nobody; of the others most have the last of their list.
FINISHED = {
    "payment.state": "succeeded",
    "posting.state": "posted",
    "remittance_transaction.state": "loaded",
    "method_setup.state": "succeeded",
    "refund.state": "succeeded",
    "dispute.state": "lost",
    "autopay.state": "stopped",
    "plan.state": "paid",
    "plan.need": "nothing",
    "autopay_charge.state": "paid",
    "check_finding.state": "gone",
    "installment.state": "paid",
    "thread.state": "closed",
}


def fill(engine: sa.Engine, *, until: datetime, besides: Iterable[str] = ()) -> dict[str, int]:
    """Make every table large but those in ``besides``, and count all again; returns the rows made by table.

    What is dated was made in the two years to a day before ``until``, which is where the portal's own rows are.
    """
    left_out, made = set(besides), {}
    with engine.begin() as connection:
        for table in metadata.sorted_tables:
            if table.name not in left_out:
                made[table.name] = fill_table(connection, table.name, until=until)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE")
    return made


def fill_table(connection: sa.Connection, name: str, *, until: datetime) -> int:
    """Make one table large, whose constraints fall for it; returns the rows made."""
    inspector = sa.inspect(connection)
    for constraint in (*inspector.get_check_constraints(name), *inspector.get_foreign_keys(name)):
        connection.exec_driver_sql(f'ALTER TABLE "{name}" DROP CONSTRAINT "{constraint["name"]}"')
    return connection.exec_driver_sql(_insert(metadata.tables[name], until)).rowcount


def _insert(table: sa.Table, until: datetime) -> str:
    columns = [column for column in table.columns if column.computed is None]
    names = ", ".join(f'"{column.name}"' for column in columns)
    values = ", ".join(_value(column) for column in columns)
    rows = MORE.get(table.name, ROWS)
    return (
        f'INSERT INTO "{table.name}" ({names}) SELECT {values} FROM generate_series(1, {rows}) AS g, '
        f"(SELECT timestamptz '{until.isoformat()}' - interval '1 day' AS until) AS moment "
        "ON CONFLICT DO NOTHING"
    )


def _value(column: sa.Column[object]) -> str:
    """The SQL of a column's value in the row number ``g``."""
    kind, table = column.type, column.table
    if isinstance(kind, sa.types.TypeDecorator) and not isinstance(kind, MoneyType):
        kind = kind.impl_instance
    if column.foreign_keys:
        (key,) = list(column.foreign_keys)[:1]
        # A prime as the stride scatters them; what is unique by its parent has one in each.
        return f"{FIRST} + 1 + mod(g::bigint * 7919, {MORE.get(key.column.table.name, ROWS)})"
    if isinstance(kind, sa.Enum):
        finished = FINISHED.get(f"{table.name}.{column.name}")
        members = [str(one) for one in kind.enums]
        if finished is None and column.name == "state":
            finished = members[-1]
        if finished is not None:
            return f"'{finished}'"
        return f"(ARRAY[{', '.join(repr(one) for one in members)}])[1 + mod(g, {len(members)})]"
    if isinstance(kind, sa.Boolean):
        return "false"
    if isinstance(kind, (sa.Integer, MoneyType)):
        return f"{FIRST} + g" if column.primary_key else "g"
    if isinstance(kind, sa.DateTime):
        return f"until - g * interval '2 years' / {MORE.get(table.name, ROWS)}"
    if isinstance(kind, sa.Date):
        return "until::date - mod(g, 700)"
    if isinstance(kind, sa.JSON):
        return "'[]'"
    if isinstance(kind, sa.LargeBinary):
        return "''::bytea"
    if isinstance(kind, sa.String):
        if _is_mostly_empty(column):
            return "''"
        own = _tells_rows_apart(column) or (kind.length or 60) >= 32
        return f"left(md5('{column.name}' || {'g' if own else 'mod(g, 50)'}), {kind.length or 60})"
    raise AssertionError(f"{table.name}.{column.name}: rows of {kind!r} are not known here")


def _tells_rows_apart(column: sa.Column[object]) -> bool:
    alone = [one for one in column.table.constraints if isinstance(one, sa.UniqueConstraint) and len(one.columns) == 1]
    return column.primary_key or any(column.name in one.columns for one in alone)


def _is_mostly_empty(column: sa.Column[object]) -> bool:
    """A text that is empty unless somebody says otherwise, and by which nothing is looked for."""
    empty = column.default is not None and column.default.is_scalar and column.default.arg == ""
    return empty and not any(column.name in index.columns for index in column.table.indexes)
