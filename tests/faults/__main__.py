"""``python -m tests.faults``: every fault there is, and the proof that each would be noticed. See docs/faults.md."""

from __future__ import annotations

import argparse
import multiprocessing
import secrets
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

from rich.table import Table

from portal.sandbox.simulation.verdict import Figures
from tests.faults.places import KINDS
from tests.faults.runs import RUNS, Row, console, on
from tests.postgres import NoPostgres

#: Processes killed on each database, so that there are more than 300 in all.
KILLS = 160


def main(words: Sequence[str] | None = None) -> int:
    """Run what was asked for; 0 when not a cent is off and every twin was caught."""
    asked = _parser().parse_args(words)
    only = tuple(asked.only.split(",")) if asked.only else RUNS
    unknown = sorted(set(only) - set(RUNS))
    if unknown:
        console.print(f"There is no run {', '.join(unknown)}; there are: {', '.join(RUNS)}.")
        return 2
    kinds = KINDS if asked.database == "both" else (asked.database,)
    console.print(f"Seed {asked.seed}. The same again: python -m tests.faults --seed {asked.seed}")
    rows: list[Row] = []
    began = time.monotonic()
    # Side by side, each database in a process of its own: fresh ones, since each forks what it kills.
    with ProcessPoolExecutor(len(kinds), mp_context=multiprocessing.get_context("spawn")) as processes:
        for running in [processes.submit(on, kind, only, asked.seed, asked.kills) for kind in kinds]:
            try:
                rows += running.result()
            except NoPostgres as reason:
                console.print(f"[red]Not run on PostgreSQL: {reason}[/red]")
                if asked.database == "postgres":
                    return 2
    return _close(rows, asked.seed, time.monotonic() - began)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000), help="the same seed, the same run")
    parser.add_argument("--kills", type=int, default=KILLS, help="processes to kill on each database")
    parser.add_argument("--only", default="", help=f"some of {', '.join(RUNS)}, with commas")
    parser.add_argument("--database", choices=(*KINDS, "both"), default="both")
    return parser


def _close(rows: list[Row], seed: int, seconds: float) -> int:
    table = Table(title=f"Seed {seed}, {seconds:,.0f} seconds")
    for column in ("Database", "What"):
        table.add_column(column)
    names = ("runs", "kills", "faults", "payments", "refunds", "taken", "lost", "doubled", "unexplained", "difference")
    heads = {"taken": "¢ taken", "lost": "¢ lost", "doubled": "¢ doubled", "unexplained": "¢ unexplained",
             "difference": "reconcile ¢"}  # fmt: skip
    for name in names:
        table.add_column(heads.get(name, name.capitalize()), justify="right")
    table.add_column("Seconds", justify="right")
    everything = sum((figures for _kind, _what, figures in rows), Figures())
    for kind, what, figures in [*rows, ("", "all", everything)]:
        cells = [f"{getattr(figures, name):,}" for name in names]
        style = "red" if figures.wrong else ""
        table.add_row(kind, what, *cells, f"{figures.seconds:,.0f}", style=style, end_section=what == RUNS[-1])
    console.print(table)
    for kind, what, figures in rows:
        for note in figures.notes[:10]:
            console.print(f"{kind} {what}: {note}", style="red", markup=False)
    twins = ", and every twin was caught" if any(what == "twins" for _kind, what, _figures in rows) else ""
    console.print("Something is off." if everything.wrong else f"Not a cent is off{twins}.")
    return int(everything.wrong)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        console.print("Interrupted; nothing is left behind.")
        sys.exit(130)
