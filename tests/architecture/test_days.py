"""Days: one place where a moment becomes a day, and one calendar of the banks, found by how the code reads."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator

from tests.architecture.test_imports import MODULES, PORTAL

CLOCK = "portal.clock"
BANKING_DAYS = "portal.banking_days"

#: Modules that make a day of a moment or ask for the time themselves, how often, and why that is no day of the clinic.
OTHER_DAYS = {
    # Stripe writes the days of a payout as midnight UTC of that day: https://docs.stripe.com/api/payouts/object
    "portal.payments.gateway.payouts": 2,
    # Services of their own that the demo runs beside the portal: their time is the machine's.
    "portal.sandbox.mail": 1,
    "portal.sandbox.stripe.core": 1,
}


def made_days(tree: ast.AST) -> Iterator[int]:
    """Lines that make a day of a moment, or ask the machine for the time or the day.

    ``strptime(…).date()`` is no such line: what was read is a day.
    """
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        of, what = node.func.value, node.func.attr
        named = of.id if isinstance(of, ast.Name) else of.attr if isinstance(of, ast.Attribute) else ""
        read = isinstance(of, ast.Call) and isinstance(of.func, ast.Attribute) and of.func.attr == "strptime"
        if (
            (what == "date" and not read and (not node.args or named == "func"))  # moment.date(), func.date(column)
            or (what in ("today", "fromtimestamp") and named == "date")
            or (what in ("today", "utcnow", "utcfromtimestamp") and named in ("datetime", "dt"))
            or (what == "now" and named == "datetime")
            or (what == "cast" and any(isinstance(one, ast.Attribute) and one.attr == "Date" for one in node.args))
        ):
            yield node.lineno


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


def lines(finder: Callable[[ast.AST], Iterator[int]], code: str) -> list[int]:
    return sorted(finder(ast.parse(code)))


def found(finder: Callable[[ast.AST], Iterator[int]], *, but: str) -> dict[str, list[int]]:
    all_of_them = {name: lines(finder, path.read_text(encoding="utf-8")) for name, path in MODULES.items()}
    return {name: numbers for name, numbers in all_of_them.items() if numbers and name != but}


def test_only_the_clock_makes_a_day_of_a_moment() -> None:
    """A bare ``.date()`` on a time is the day in UTC: in Chicago, from early evening on, tomorrow."""
    days = found(made_days, but=CLOCK)
    assert {name: len(numbers) for name, numbers in days.items()} == OTHER_DAYS, days


def test_pages_and_papers_make_no_day_of_a_moment() -> None:
    """They show a moment with the filter ``moment``, and a day that the code has made."""
    places = [*(PORTAL / "templates").rglob("*.*"), *PORTAL.rglob("*.typ")]
    bare = re.compile(r"\.date\(\)|(_at|\bat|now\(\))\.(strftime|isoformat)\(")
    assert [str(path) for path in places if bare.search(path.read_text(encoding="utf-8"))] == []


def test_the_finder_of_days() -> None:
    wrong = (
        "now.date()",
        "clock.now().date()",
        "datetime.now().date()",
        "row.paid_at.astimezone(zone).date()",
        "date.today()",
        "datetime.utcnow()",
        "datetime.now(UTC)",
        "datetime.utcfromtimestamp(1)",
        "date.fromtimestamp(1)",
        "datetime.date.today()",
        "sa.func.date(Payment.settled_at)",
        "sa.cast(Payment.settled_at, sa.Date)",
    )
    right = (
        "clock.today(timezone)",
        "clock.now()",
        "day_at(moment, timezone)",
        "datetime.strptime(text, form).date()",
        "datetime.fromtimestamp(1, UTC)",
        "date(2026, 12, 9)",
        "sa.cast(Entry.amount, sa.Integer)",
    )
    assert [one for one in wrong if not lines(made_days, one)] == []
    assert [one for one in right if lines(made_days, one)] == []


def test_only_one_module_knows_when_banks_rest() -> None:
    """A weekend found elsewhere is a calendar that knows no holidays."""
    assert found(compared_weekdays, but=BANKING_DAYS) == {}


def test_the_finder_of_weekends() -> None:
    code = "a = day.weekday() < 5\nb = 5 <= day.weekday()\nc = (day.weekday() + 1) % 7\nd = day.isoweekday() in (6, 7)"
    assert lines(compared_weekdays, code) == [1, 2, 4]
