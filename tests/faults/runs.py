"""Every run by its name, on one database: what a process of its own does for ``make faults``."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from portal.sandbox.simulation.verdict import Figures
from tests.databases import Backend
from tests.faults import crowd, dashboard, debts, kill, machine, outage, twins, webhooks
from tests.faults.places import databases, read_spec_once

RUNS = ("kill", "webhooks", "crowd", "outage", "dashboard", "debts", "stories", "twins")

#: The database, the run, and what it came to.
Row = tuple[str, str, Figures]

#: The closing table is wide; in a log it must not be cut.
WIDTH = 150

console = Console(highlight=False)
if not console.is_terminal:
    console = Console(highlight=False, width=WIDTH)


def on(kind: str, only: Sequence[str], seed: int, kills: int) -> list[Row]:
    """What was asked for on one database. Raises :class:`NoPostgres`."""
    with read_spec_once(), databases(kind) as (backend, directory):
        return [(kind, name, _run(name, backend, directory, seed=seed, kills=kills)) for name in only]


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
    if name == "dashboard":
        return dashboard.run(backend, directory, seed=seed, told=told)
    if name == "debts":
        return debts.run(backend, directory, seed=seed, told=told)
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
