"""Where a run's databases live, and how they go away again."""

from __future__ import annotations

import contextlib
import functools
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

from portal.sandbox.stripe import spec
from tests.databases import Backend, PostgresServer, SqliteFiles
from tests.faults.world import Time, World, fill, told_by
from tests.postgres import start_cluster

KINDS = ("sqlite", "postgres")


@contextlib.contextmanager
def read_spec_once() -> Iterator[None]:
    """Reading Stripe's description takes longer than most runs."""
    with patch.object(spec, "Spec", functools.cache(spec.Spec)):
        yield


@contextlib.contextmanager
def databases(kind: str) -> Iterator[tuple[Backend, Path]]:
    """A place of ``kind`` (:data:`KINDS`) with a directory beside it; both are gone afterwards.

    Raises :class:`tests.postgres.NoPostgres`.
    """
    with tempfile.TemporaryDirectory(prefix="plainbill-faults-") as name:
        directory = Path(name)
        if kind == "sqlite":
            yield SqliteFiles(directory), directory
            return
        cluster = start_cluster()
        try:
            server = PostgresServer(cluster.url("postgres"), f"faults_{os.getpid()}")
            yield server, directory
        finally:
            cluster.stop()


@contextlib.contextmanager
def a_copy(backend: Backend) -> Iterator[str]:
    """The URL of a fresh clinic's database."""
    with told_by(Time()):
        template = backend.template("faults", fill)
    url = backend.copy(template)
    try:
        yield url
    finally:
        backend.drop(url)


@contextlib.contextmanager
def a_world(backend: Backend, *, store: Path | None = None) -> Iterator[World]:
    """A fresh clinic, open, with its clock in force."""
    with a_copy(backend) as url, told_by(Time()) as time:
        world = World(url, time, store=store).open()
        try:
            yield world
        finally:
            world.close()


MakeWorld = Callable[[], contextlib.AbstractContextManager[World]]
