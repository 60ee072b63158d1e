"""Databases for tests: a migrated template is made once a run, and every test gets a copy that is its own.

A copy, not a transaction that is rolled back: what is tested commits, and from several threads.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

Fill = Callable[[str], None]


class Backend(Protocol):
    """Where the tests' databases live."""

    name: str

    def template(self, name: str, fill: Fill) -> str:
        """The key of a template; ``fill(url)`` makes it the first time. ``fill`` leaves no connection open."""
        ...

    def copy(self, template: str) -> str:
        """The URL of a new copy."""
        ...

    def copy_in_place(self, template: str) -> str:
        """The URL of a new copy that is always the same, so that what knows its statements by heart can stay.

        What was there before is gone, and nobody has a connection to it any more.
        """
        ...

    def drop(self, url: str) -> None:
        """Delete a copy."""
        ...


class SqliteFiles:
    """SQLite databases in a directory."""

    name = "sqlite"

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._numbers = itertools.count(1)

    def template(self, name: str, fill: Fill) -> str:
        path = self._directory / f"template-{name}.sqlite"
        if not path.exists():
            fill(f"sqlite:///{path}")
        return str(path)

    def copy(self, template: str) -> str:
        path = self._directory / f"test-{next(self._numbers)}.sqlite"
        shutil.copyfile(template, path)
        return f"sqlite:///{path}"

    def copy_in_place(self, template: str) -> str:
        url = f"sqlite:///{self._directory / 'test.sqlite'}"
        self.drop(url)
        shutil.copyfile(template, self._directory / "test.sqlite")
        return url

    def drop(self, url: str) -> None:
        path = url.removeprefix("sqlite:///")
        for suffix in ("", "-wal", "-shm"):
            Path(path + suffix).unlink(missing_ok=True)


class PostgresServer:
    """Databases on a server whose role may create them; ``url`` is any database of it."""

    name = "postgres"

    def __init__(self, url: str, tag: str) -> None:
        self._url = url.replace("postgresql+psycopg://", "postgresql://", 1)
        self._tag = tag
        self._numbers = itertools.count(1)
        self._made: set[str] = set()

    def _named(self, database: str) -> str:
        return urlunsplit(urlsplit(self._url)._replace(path=f"/{database}"))

    def _run(self, statement: sql.Composed) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(statement)

    def template(self, name: str, fill: Fill) -> str:
        database = f"pb_{self._tag}_{name}"
        if database not in self._made:
            self._run(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
            self._made.add(database)
            fill(self._named(database))
        return database

    def copy(self, template: str) -> str:
        return self._copy(template, f"pb_{self._tag}_{next(self._numbers)}")

    def copy_in_place(self, template: str) -> str:
        database = f"pb_{self._tag}_test"
        self.drop(self._named(database))
        return self._copy(template, database)

    def _copy(self, template: str, database: str) -> str:
        self._run(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(database), sql.Identifier(template))
        )
        return self._named(database)

    def drop(self, url: str) -> None:
        database = urlsplit(url).path.lstrip("/")
        self._run(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))

    def close(self) -> None:
        """Delete the templates."""
        for database in sorted(self._made):
            self.drop(self._named(database))
