"""``python -m tests.attack``: does the time of an answer tell a stranger who is known here? See docs/attack.md."""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from tests.attack.server import KINDS, DidNotStart, databases, running
from tests.attack.timing import MOST_APART, ROUNDS, TRIES, Medians, NotMeasured, measure, people, ways
from tests.postgres import NoPostgres

console = Console()
#: The whole of it ends by then, however slow the machine is.
_MOST_SECONDS = 15 * 60


def main(words: Sequence[str] | None = None) -> int:
    """Attack a portal on each database; 0 when no way tells, 1 when one does, 2 when it could not be measured."""
    asked = _parser().parse_args(words)
    kinds = KINDS if asked.database == "both" else (asked.database,)
    until = time.monotonic() + _MOST_SECONDS
    rows: list[tuple[str, Medians]] = []
    for kind in kinds:
        try:
            rows += [(kind, one) for one in _attack(kind, asked.seed, until)]
        except NoPostgres as reason:
            console.print(f"Not run on PostgreSQL: {reason}", style="red")
            if asked.database == "postgres":
                return 2
        except (NotMeasured, DidNotStart) as reason:
            console.print(f"{kind}: {reason}", style="red", markup=False)
            return 2
    _tell(rows)
    return int(_is_told(rows))


def _attack(kind: str, seed: int, until: float) -> list[Medians]:
    found = []
    with databases(kind) as (backend, directory), running(backend, directory, people()) as portal:
        for number, way in enumerate(ways()):
            for turn in range(ROUNDS):
                with console.status(f"{kind}: {way.name}, {TRIES} tries of each kind ..."):
                    found.append(measure(portal, way, turn=turn, seed=seed + number * ROUNDS + turn, until=until))
                if not found[-1].tells:
                    break
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.attack", description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000), help="the same seed, the same order")
    parser.add_argument("--database", choices=(*KINDS, "both"), default="both")
    return parser


def _is_told(rows: list[tuple[str, Medians]]) -> bool:
    """Whether there is a way that told each time it was measured."""
    every = {(kind, one.way) for kind, one in rows}
    return bool(every - {(kind, one.way) for kind, one in rows if not one.tells})


def _tell(rows: list[tuple[str, Medians]]) -> None:
    table = Table(title=f"Medians of {TRIES} tries each; at most {MOST_APART:.0%} apart")
    for column in ("Database", "What was sent"):
        table.add_column(column)
    for column in ("Known, ms", "Unknown, ms", "Apart"):
        table.add_column(column, justify="right")
    for kind, one in rows:
        style = "red" if one.tells else ""
        table.add_row(kind, one.way, f"{one.known:.2f}", f"{one.unknown:.2f}", f"{one.apart:.1%}", style=style)
    console.print(table)
    console.print("A stranger can tell who is known." if _is_told(rows) else "No answer's time tells who is known.")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        console.print("Interrupted; nothing is left behind.")
        sys.exit(130)
