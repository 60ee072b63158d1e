"""Days: one calendar of the banks, found by how the code reads."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.architecture.test_imports import MODULES

BANKING_DAYS = "portal.banking_days"


def compared_weekdays(tree: ast.AST) -> Iterator[int]:
    """Lines that ask whether a day is a Saturday or Sunday: ``weekday()`` beside ``<``, ``>=`` and their like."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            for side in (node.left, *node.comparators):
                if (
                    isinstance(side, ast.Call)
                    and isinstance(side.func, ast.Attribute)
                    and side.func.attr in ("weekday", "isoweekday")
                ):
                    yield node.lineno


def test_only_one_module_knows_when_banks_rest() -> None:
    """A weekend found elsewhere is a calendar that knows no holidays."""
    found = [
        f"{name}:{line}"
        for name, path in MODULES.items()
        for line in compared_weekdays(ast.parse(path.read_text(encoding="utf-8")))
        if name != BANKING_DAYS
    ]
    assert not found


def test_the_finder_of_weekends() -> None:
    code = "a = day.weekday() < 5\nb = 5 <= day.weekday()\nc = (day.weekday() + 1) % 7\nd = day.isoweekday() in (6, 7)"
    assert list(compared_weekdays(ast.parse(code))) == [1, 2, 4]
