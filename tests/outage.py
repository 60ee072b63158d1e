"""Taking a test's database away for real, and bringing it back."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from tests.conftest import Database


@dataclass(frozen=True)
class Outage:
    """SQLite: a directory stands where the file was. PostgreSQL: it ends every connection and takes no new one."""

    database: Database

    def begin(self) -> None:
        """From here on nobody reaches the database. On SQLite a connection that is open is not ended by it."""
        if self.database.kind == "sqlite":
            self._file.rename(self._away)
            self._file.mkdir()
        else:
            self._allow(False)

    def end(self) -> None:
        """It is back with all that was in it; nothing happens where it was not away."""
        if self.database.kind == "postgres":
            self._allow(True)
        elif self._away.exists():
            self._file.rmdir()
            self._away.rename(self._file)

    @property
    def _file(self) -> Path:
        return Path(self.database.url.removeprefix("sqlite:///"))

    @property
    def _away(self) -> Path:
        return self._file.with_suffix(".away")

    def _allow(self, allowed: bool) -> None:
        parts = urlsplit(self.database.url)
        name = parts.path.lstrip("/")
        with psycopg.connect(urlunsplit(parts._replace(path="/postgres")), autocommit=True) as connection:
            connection.execute(
                sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(sql.Identifier(name), sql.Literal(allowed))
            )
            if not allowed:
                connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
