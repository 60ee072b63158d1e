"""The database without the web: the declarative base, column types, and how SQLite is made to behave.

SQLite (at home) and PostgreSQL (in earnest) run the same models and the same tests. On PostgreSQL a service takes
row locks; SQLite has none, so there a unit of work that will write starts with ``BEGIN IMMEDIATE``, which admits
one writer at a time. :func:`writing` says so.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Dialect, Engine
from sqlalchemy.orm import DeclarativeBase

from portal.money import Money

NAMING = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

#: A 64-bit key; SQLite numbers rows by itself only for its own INTEGER.
Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


class Base(DeclarativeBase):
    """Every table of the portal."""

    metadata = sa.MetaData(naming_convention=NAMING)


class MoneyType(sa.types.TypeDecorator[Money]):
    """Whole cents in the database, :class:`Money` in Python."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: Money | None, dialect: Dialect) -> int | None:
        if value is None:
            return None
        if not isinstance(value, Money):
            raise TypeError(f"Money is needed, not {type(value).__name__}")
        return value.cents

    def process_result_value(self, value: Any, dialect: Dialect) -> Money | None:
        # SUM of bigint is numeric on PostgreSQL; it is still whole.
        return None if value is None else Money(int(value))


class UTCDateTime(sa.types.TypeDecorator[datetime]):
    """An aware moment, kept in UTC; SQLite forgets zones, so naive values are refused on the way in."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise TypeError("a moment without a time zone")
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def closed_list(enum: type[StrEnum], length: int = 40, *, name: str = "") -> sa.Enum:
    """A text column that the database itself holds to the members of ``enum``; ``name`` is that of the check."""
    return sa.Enum(
        enum,
        native_enum=False,
        create_constraint=True,
        length=length,
        values_callable=lambda members: [member.value for member in members],
        name=name or enum.__name__.lower(),
    )


_Columns = TypeVar("_Columns", bound=sa.TypedColumns)


def joinable(model: type[Base], columns: type[_Columns]) -> sa.FromClause[_Columns]:
    """A feature's table as other features may join it: the columns that ``columns`` names, to be read only.

    In a statement it stands as the table itself, not as a query in brackets, so that plans are the table's own.
    """
    mapped = model.__mapper__.columns
    return sa.Table(
        model.__tablename__,
        sa.MetaData(),  # one of its own: migrations know the model's
        *(sa.Column(mapped[name].name, mapped[name].type, key=name) for name in columns.__annotations__),
    ).with_cols(columns)


def new_public_id() -> str:
    """An id fit for URLs and for other systems' keys: 32 hex digits, 122 bits of them random."""
    return uuid.uuid4().hex


_write_intent: ContextVar[bool] = ContextVar("write_intent", default=False)


@contextmanager
def writing() -> Iterator[None]:
    """Within it, every transaction that begins intends to write (SQLite takes its one write lock at once)."""
    token = _write_intent.set(True)
    try:
        yield
    finally:
        _write_intent.reset(token)


def intend_to_write(intent: bool) -> None:
    """Say whether the transactions of a request intend to write (:func:`writing`); whoever ends it takes it back."""
    _write_intent.set(intent)


@sa.event.listens_for(Engine, "connect")
def _prepare_sqlite(dbapi_connection: Any, _record: Any) -> None:
    if "sqlite" not in type(dbapi_connection).__module__:
        return
    dbapi_connection.isolation_level = None  # we emit BEGIN ourselves, below
    cursor = dbapi_connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    # FULL keeps the last commit through a power cut; NORMAL may lose it in WAL mode (sqlite.org/pragma).
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA busy_timeout=30000")
    cursor.close()


@sa.event.listens_for(Engine, "begin")
def _begin_sqlite(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE" if _write_intent.get() else "BEGIN")


def normal_url(url: str) -> str:
    """``postgresql://`` as the operator writes it, meaning psycopg 3."""
    return url.replace("postgresql://", "postgresql+psycopg://", 1) if url.startswith("postgresql://") else url


def engine_options(url: str) -> dict[str, Any]:
    """What an engine is made with, by the address as the operator writes it.

    A server that swallows what is sent to it must not hold every thread of the portal: within seconds it is away.
    What is in the address itself (``?connect_timeout=``) wins.
    """
    # Values of statements are people's; they must not get into logs with an error's text.
    options: dict[str, Any] = {"url": sa.make_url(normal_url(url)), "hide_parameters": True}
    if options["url"].get_backend_name() == "postgresql":
        # Seconds, and milliseconds without acknowledgment: https://www.postgresql.org/docs/current/libpq-connect.html
        limits = {"connect_timeout": 5, "tcp_user_timeout": 15_000, "keepalives_idle": 30}
        options["connect_args"] = {name: value for name, value in limits.items() if name not in options["url"].query}
        options["pool_timeout"] = 10
    return options


class RecordNotFound(LookupError):
    """There is no such record, or the one who asks may not know of it. The web answers 404."""
