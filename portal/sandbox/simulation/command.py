"""``portal sandbox simulate``: a place for the databases, a line that says how far it is, and the closing table."""

from __future__ import annotations

import contextlib
import gc
import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from portal.sandbox.simulation.dying import HarnessFailed
from portal.sandbox.simulation.telling import tell
from portal.sandbox.simulation.year import simulate

#: Where nobody looks at a terminal, a line every so many days.
_LINE_EVERY = 10


def run(*, days: int, plans: int, seed: int | None, keep: Path | None) -> int:
    """Simulate, print, and return the exit code: 0 when nothing is off, else 1."""
    gc.set_threshold(50_000, 20, 50)  # every statement leaves small rings behind, and there are millions of them
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=120)
    console.print(f"Seed {seed}. The same again: portal sandbox simulate --days {days} --plans {plans} --seed {seed}")
    # Without a thread of its own: processes are forked from this one.
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        auto_refresh=False,
        transient=True,
        disable=not console.is_terminal,
    )
    with _place(keep) as directory, progress:
        task = progress.add_task("Day", total=days)

        def told(day: int, all_days: int, what: str) -> None:
            if console.is_terminal:
                progress.update(task, completed=day, description=f"Day, {what}", refresh=True)
            elif day % _LINE_EVERY == 0 and day < all_days:
                console.print(f"  day {day} of {all_days}: {what}")

        try:
            year = simulate(
                f"sqlite:///{directory / 'portal.sqlite'}", directory, seed=seed, days=days, plans=plans, told=told
            )
        except HarnessFailed as error:
            progress.stop()
            console.print(f"A worker failed (seed {seed}):\n{error}", style="red", markup=False)
            return 1
    tell(year, console)
    return int(year.judgment.wrong)


@contextlib.contextmanager
def _place(keep: Path | None) -> Iterator[Path]:
    """Where the databases are, for this run or for good."""
    if keep is None:
        # In memory where there is such a place: every commit is waited for, and nobody pulls the plug here.
        memory = Path("/dev/shm")
        where = memory if os.access(memory, os.W_OK) else None
        with tempfile.TemporaryDirectory(prefix="plainbill-simulation-", dir=where) as name:
            yield Path(name)
        return
    keep.mkdir(parents=True, exist_ok=True)
    yield keep
