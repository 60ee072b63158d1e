"""Where rate limits count, so that all processes of a portal count together: its database, or Redis.

The library ``limits`` has no storage for SQL, so the one for the database is ours. Both know one act beyond what the
library asks for: giving back what was taken, for limits that count refusals only. Keys come hashed.
"""

from __future__ import annotations

from abc import abstractmethod
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from limits.storage import RedisStorage, Storage
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from portal import clock
from portal.db import writing
from portal.web.database import db
from portal.web.models import LimitCounter

#: The name of the engine that counts. It is not the requests' own: a count is kept whatever becomes of the request.
ENGINE = "counters"

#: A Redis that does not answer within this many seconds is away.
REDIS_SECONDS = 2

_counter: sa.Table = LimitCounter.__table__  # type: ignore[assignment]


class Counters(Storage):
    """What limits need of a place to count in. Windows are fixed: each begins with the first count after the last."""

    @abstractmethod
    def take(self, key: str, seconds: int, amount: int = 1) -> tuple[int, float]:
        """Count ``amount`` in a window of ``seconds``, in one act whoever else counts at the same time.

        Returns the count so far, this one in it, and how many seconds of the window are left.
        """

    @abstractmethod
    def give_back(self, key: str, amount: int = 1) -> None:
        """Take ``amount`` out of the window that runs, if one does; never below nothing."""

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count, as the library asks for it."""
        return self.take(key, expiry, amount)[0]


class DatabaseCounters(Counters):
    """Counts in the portal's database: one short transaction of its own for each count."""

    STORAGE_SCHEME = ["counters+database"]  # noqa: RUF012

    @property
    def base_exceptions(self) -> type[Exception]:
        """What the database raises when it is away."""
        return SQLAlchemyError

    def take(self, key: str, seconds: int, amount: int = 1) -> tuple[int, float]:
        """One upsert: an expired row begins anew."""
        engine, now = db.get_engine(ENGINE), clock.wall()
        insert = (postgresql if engine.dialect.name == "postgresql" else sqlite).insert(_counter)
        over = _counter.c.expires_at <= now
        new = insert.excluded
        query = (
            insert.values(key=key, count=amount, expires_at=now + timedelta(seconds=seconds))
            .on_conflict_do_update(
                index_elements=["key"],
                set_={
                    "count": sa.case((over, new.count), else_=_counter.c.count + new.count),
                    "expires_at": sa.case((over, new.expires_at), else_=_counter.c.expires_at),
                },
            )
            .returning(_counter.c.count, _counter.c.expires_at)
        )
        with writing(), engine.begin() as connection:
            count, expires_at = connection.execute(query).one()
        return count, (expires_at - now).total_seconds()

    def give_back(self, key: str, amount: int = 1) -> None:
        """A row that expired stays as it is."""
        row = sa.and_(_counter.c.key == key, _counter.c.count >= amount, _counter.c.expires_at > clock.wall())
        self._write(sa.update(_counter).where(row).values(count=_counter.c.count - amount))

    def get(self, key: str) -> int:
        """The count of the window that runs; 0 for none."""
        row = sa.and_(_counter.c.key == key, _counter.c.expires_at > clock.wall())
        return self._read(sa.select(_counter.c.count).where(row)) or 0

    def get_expiry(self, key: str) -> float:
        """When the window ends, in seconds since 1970."""
        found = self._read(sa.select(_counter.c.expires_at).where(_counter.c.key == key))
        return (found or clock.wall()).timestamp()

    def clear(self, key: str) -> None:
        """Forget one counter."""
        self._write(sa.delete(_counter).where(_counter.c.key == key))

    def reset(self) -> int | None:
        """Forget every counter."""
        return self._write(sa.delete(_counter))

    def check(self) -> bool:
        """Whether counting works."""
        try:
            self.get("")
        except self.base_exceptions:
            return False
        return True

    def _read(self, query: sa.Select[Any]) -> Any:
        with db.get_engine(ENGINE).connect() as connection:
            found = connection.execute(query).scalar()
            connection.commit()
        return found

    def _write(self, query: sa.Update | sa.Delete) -> int:
        with writing(), db.get_engine(ENGINE).begin() as connection:
            return connection.execute(query).rowcount


class RedisCounters(RedisStorage, Counters):
    """Counts in Redis, for an operator who has one."""

    STORAGE_SCHEME = ["counters+redis", "counters+rediss", "counters+unix"]  # noqa: RUF012

    _TAKE = b"""
        local count = redis.call('INCRBY', KEYS[1], ARGV[2])
        if redis.call('PTTL', KEYS[1]) < 0 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
        return {count, redis.call('PTTL', KEYS[1])}
    """
    _GIVE_BACK = b"""
        if tonumber(redis.call('GET', KEYS[1]) or 0) >= tonumber(ARGV[1]) then
            redis.call('DECRBY', KEYS[1], ARGV[1])
        end
    """

    def __init__(self, uri: str, **options: Any) -> None:
        super().__init__(uri.removeprefix("counters+"), **options)
        self._take = self.get_connection().register_script(self._TAKE)
        self._give_back = self.get_connection().register_script(self._GIVE_BACK)

    def take(self, key: str, seconds: int, amount: int = 1) -> tuple[int, float]:
        """One script; Redis runs nothing else meanwhile."""
        count, milliseconds = self._take([self.prefixed_key(key)], [seconds, amount])
        return int(count), int(milliseconds) / 1000

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count, as the library asks for it."""
        return self.take(key, expiry, amount)[0]

    def give_back(self, key: str, amount: int = 1) -> None:
        """One script."""
        self._give_back([self.prefixed_key(key)], [amount])


def redis_options() -> dict[str, Any]:
    """How Redis is asked: once more at once where a connection broke, and then it is away."""
    from redis.backoff import NoBackoff  # installed only where REDIS_URL is used
    from redis.retry import Retry

    return {
        "socket_timeout": REDIS_SECONDS,
        "socket_connect_timeout": REDIS_SECONDS,
        "retry": Retry(NoBackoff(), 1),
    }


def engine_for(options: dict[str, Any]) -> dict[str, Any]:
    """The engine that counts, from the one of the requests: on PostgreSQL few connections, each statement by itself."""
    if sa.make_url(options["url"]).get_backend_name() != "postgresql":
        return options
    return {**options, "pool_size": 2, "max_overflow": 6, "isolation_level": "AUTOCOMMIT"}


def lose_no_time(engine: sa.Engine) -> None:
    """A count need not outlive a power cut: on SQLite no commit of it waits for the disk."""

    @sa.event.listens_for(engine, "connect")
    def hurry(dbapi_connection: Any, _record: Any) -> None:
        # Not so on PostgreSQL: what a session sets there stays with its server's connection, and a pooler may hand
        # that one to whoever books money.
        if engine.dialect.name == "sqlite":
            cursor = dbapi_connection.cursor()
            cursor.execute("PRAGMA synchronous=NORMAL")
            cursor.close()
            dbapi_connection.commit()


def forget_expired(session: Session) -> int:
    """Delete the rows whose window is over; returns how many. A job."""
    found: Any = session.execute(sa.delete(LimitCounter).where(LimitCounter.expires_at <= clock.wall()))
    session.commit()
    return int(found.rowcount)
