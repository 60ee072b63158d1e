"""``python -m tests.faults``: every fault there is, and the proof that each would be noticed. See docs/faults.md."""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from portal.sandbox.simulation.verdict import Figures
from tests.databases import Backend
from tests.faults import crowd, kill, machine, outage, twins, webhooks
from tests.faults.places import KINDS, databases, read_spec_once
from tests.postgres import NoPostgres

RUNS = ("kill", "webhooks", "crowd", "outage", "stories", "twins")

#: The closing table is wide; in a log it must not be cut.
WIDTH = 150

console = Console(highlight=False)
if not console.is_terminal:
    console = Console(highlight=False, width=WIDTH)


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
    rows: list[tuple[str, str, Figures]] = []
    began = time.monotonic()
    with read_spec_once():
        for kind in kinds:
            try:
                with databases(kind) as (backend, directory):
                    for name in only:
                        figures = _run(name, backend, directory, seed=asked.seed, kills=asked.kills)
                        rows.append((kind, name, figures))
            except NoPostgres as reason:
                console.print(f"[red]Not run on PostgreSQL: {reason}[/red]")
                if asked.database == "postgres":
                    return 2
    return _close(rows, asked.seed, time.monotonic() - began)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000), help="the same seed, the same run")
    parser.add_argument("--kills", type=int, default=300, help="processes to kill on each database")
    parser.add_argument("--only", default="", help=f"some of {', '.join(RUNS)}, with commas")
    parser.add_argument("--database", choices=(*KINDS, "both"), default="both")
    return parser


def _run(name: str, backend: Backend, directory: Path, *, seed: int, kills: int) -> Figures:
    # Plain lines: a live display would need a thread, and processes are forked from this one.
    def told(what: object) -> None:
        console.print(f"  {backend.name} {name}: {what}", style="dim")

    if name == "kill":
        figures, places = kill.run(
            backend,
            directory,
            seed=seed,
            kills=kills,
            told=lambda done: told(f"{done} killed") if done % 50 == 0 else None,
        )
        told(", ".join(f"{count} {place}" for place, count in sorted(places.items())))
        return _all_places(figures, places)
    if name == "twins":
        began = time.monotonic()
        figures, caught = twins.run(backend, directory, seed=seed, told=told)
        for twin, by in caught.items():
            console.print(f"  caught: {twin}: {by}", style="dim", markup=False)
        figures.seconds = time.monotonic() - began
        return figures
    runs: dict[str, Callable[..., Figures]] = {
        "webhooks": webhooks.run,
        "crowd": crowd.run,
        "outage": outage.run,
        "stories": machine.run,
    }
    return runs[name](backend, seed=seed, told=told)


def _all_places(figures: Figures, places: Counter[str]) -> Figures:
    """Many deaths, and none at some kind of place, would prove less than it says."""
    if figures.kills >= 50 and len(places) < 4:
        figures.notes.append(f"nobody died anywhere but {sorted(places)}")
    return figures


def _close(rows: list[tuple[str, str, Figures]], seed: int, seconds: float) -> int:
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
    console.print("Something is off." if everything.wrong else "Not a cent is off, and every twin was caught.")
    return int(everything.wrong)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        console.print("Interrupted; nothing is left behind.")
        sys.exit(130)
