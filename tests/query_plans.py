"""What PostgreSQL does for a statement: the whole reads of a table in its plan."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

#: INSERT ... VALUES reads nothing; what it returns is its own.
_READS = re.compile(r"\s*(SELECT|UPDATE|DELETE|WITH|INSERT\b.*\bSELECT\b)", re.IGNORECASE | re.DOTALL)
#: Between who asks and the statement.
_DRIVERS = ("/sqlalchemy/", "/tests/query_plans.py", "<string>")
_TESTS = Path(__file__).parent
#: A walk through a whole partial index is right while it holds no more of its table than this.
FEW = 0.05


@dataclass(frozen=True)
class Statement:
    """A statement, the parameters it had last, and what was being done."""

    text: str
    parameters: Any
    doing: str

    @property
    def one_line(self) -> str:
        """The statement without its line breaks."""
        return " ".join(self.text.split())


@dataclass
class Sent:
    """Collects the statements that any engine sends to one database, each with the parameters it had last."""

    database: str
    statements: dict[str, Statement] = field(default_factory=dict)
    doing: str = ""

    def __enter__(self) -> Sent:
        sa.event.listen(Engine, "before_cursor_execute", self._note)
        return self

    def __exit__(self, *_error: object) -> None:
        sa.event.remove(Engine, "before_cursor_execute", self._note)

    def _note(
        self, connection: Connection, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool
    ) -> None:
        if connection.engine.url.database != self.database or not _READS.match(statement) or _is_a_tests():
            return
        if "imp_sen(" in statement:  # SQLAlchemy's way to insert several rows of values
            return
        first = parameters[0] if many and isinstance(parameters, list) else parameters
        # With a list of another length it is the same statement.
        self.statements[_unlisted(statement)] = Statement(statement, first, self.doing)


def _is_a_tests() -> bool:
    """Whether a test sends the statement now under way, not what it tests."""
    frame = sys._getframe(2)
    while frame.f_back is not None and any(part in frame.f_code.co_filename for part in _DRIVERS):
        frame = frame.f_back
    return Path(frame.f_code.co_filename).is_relative_to(_TESTS)


def _unlisted(statement: str) -> str:
    return re.sub(r"(%\(\w+\)s(::\w+)?(, )?)+", "%s", statement)


@dataclass(frozen=True)
class WholeRead:
    """A step of a plan that looks at every row of a table, or at every entry of one of its indexes."""

    table: str
    how: str


def whole_reads(connection: Connection, statement: Statement, growing: set[str]) -> list[WholeRead]:
    """The steps of the statement's plan that read the whole of a table in ``growing``."""
    (plans,) = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement.text}", statement.parameters).scalars()
    return [
        found
        for node, limited in _nodes(plans[0]["Plan"], limited=False)
        for found in _judge(connection, node, limited=limited)
        if found.table in growing
    ]


def _nodes(node: dict[str, Any], *, limited: bool) -> Iterator[tuple[dict[str, Any], bool]]:
    """Every step; ``limited`` is whether a LIMIT stops it before its end."""
    yield node, limited
    # A sort or a sum under the limit reads everything first.
    passes = node["Node Type"] in {"Limit", "LockRows", "Nested Loop", "Subquery Scan", "Result"}
    for below in node.get("Plans", []):
        yield from _nodes(below, limited=passes and (limited or node["Node Type"] == "Limit"))


def _judge(connection: Connection, node: dict[str, Any], *, limited: bool) -> Iterator[WholeRead]:
    kind = node["Node Type"]
    if kind == "Seq Scan":
        yield WholeRead(node["Relation Name"], f"Seq Scan, filter {node.get('Filter', 'none')}")
    elif kind in {"Index Scan", "Index Only Scan", "Bitmap Index Scan"}:
        first, few, table = _index(connection, node["Index Name"])
        condition = node.get("Index Cond", "")
        # ``lower(email::text)`` is written ``lower((email)::text)`` in a condition.
        if all(re.search(rf"\b{word}\b", condition) for word in re.findall(r"\w+", first)) or few:
            return
        # The first rows in the index's order are few only where each is taken.
        if limited and not condition and "Filter" not in node:
            return
        yield WholeRead(table, f"{kind} of all {node['Index Name']}, whose {first} is not named: {condition or 'none'}")


def _index(connection: Connection, name: str) -> tuple[str, bool, str]:
    """An index's first column, whether it holds only few of its table's rows (a partial one may), and its table."""
    row = connection.execute(
        sa.text(
            "SELECT pg_get_indexdef(i.indexrelid, 1, true), i.indpred IS NOT NULL, c.reltuples, t.reltuples, t.relname "
            "FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid "
            "WHERE c.relname = :name"
        ),
        {"name": name},
    ).one()
    first, partial, entries, rows, table = row
    return first, partial and entries <= rows * FEW, table
