"""Counters live where all processes see them, and hold at the exact number."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from limits.storage import MemoryStorage
from sqlalchemy.orm import Session

from portal import clock
from portal.app import create_app
from portal.config import BadSettings, Settings
from portal.web import limits
from portal.web.counters import DatabaseCounters, forget_expired
from portal.web.limits import limiter
from portal.web.models import LimitCounter
from portal.worker import timetable
from tests.conftest import Clinic, Database
from tests.trying import wrong_tries

BOTH_DATABASES = True


@pytest.fixture
def counters(app: Flask) -> Iterator[DatabaseCounters]:
    """The counters of the portal's database."""
    with app.app_context():
        assert isinstance(limiter.storage, DatabaseCounters)
        yield limiter.storage


@pytest.fixture
def move(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """``move(seconds)`` moves the machine's clock on."""

    def act(seconds: float) -> None:
        moved = clock.wall() + timedelta(seconds=seconds)
        monkeypatch.setattr(clock, "wall", lambda: moved)

    return act


def test_a_window_begins_with_its_first_count_and_ends(
    counters: DatabaseCounters, move: Callable[[float], None]
) -> None:
    move(0)
    assert counters.take("a", 60) == (1, 60.0)
    move(59)
    assert counters.take("a", 60) == (2, 1.0)
    assert (counters.get("a"), counters.get("b")) == (2, 0)
    assert counters.get_expiry("a") == pytest.approx(clock.wall().timestamp() + 1)
    move(1)
    assert counters.get("a") == 0
    assert counters.take("a", 60, 3) == (3, 60.0)
    assert counters.incr("a", 60) == 4


def test_what_is_given_back_was_taken(counters: DatabaseCounters, move: Callable[[float], None]) -> None:
    move(0)
    counters.give_back("a")
    counters.take("a", 60)
    counters.take("a", 60)
    counters.give_back("a")
    assert counters.get("a") == 1
    for _time in range(3):
        counters.give_back("a")
    assert counters.take("a", 60) == (1, 60.0)
    move(61)
    counters.give_back("a")
    assert counters.take("a", 60) == (1, 60.0)


def test_forgetting(counters: DatabaseCounters, session: Session, move: Callable[[float], None]) -> None:
    move(0)
    for key, seconds in (("a", 60), ("b", 60), ("c", 3600)):
        counters.take(key, seconds)
    counters.clear("a")
    assert session.scalars(sa.select(LimitCounter.key).order_by(LimitCounter.key)).all() == ["b", "c"]
    session.rollback()
    move(60)
    assert forget_expired(session) == 1
    assert session.scalars(sa.select(LimitCounter.key)).all() == ["c"]
    session.rollback()
    assert counters.reset() == 1
    assert counters.check()


def test_old_rows_are_cleared_by_the_worker(
    app: Flask, settings: Settings, counters: DatabaseCounters, session: Session, move: Callable[[float], None]
) -> None:
    move(0)
    counters.take("a", 60)
    move(60)
    timetable(app, settings)["limits.forget_expired"]()
    assert session.scalars(sa.select(LimitCounter.key)).all() == []
    session.rollback()


@hypothesis_settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=st.lists(st.sampled_from(["take", "back", "clear", "wait", "long"]), max_size=25))
def test_they_count_as_a_counter_in_memory_does(
    counters: DatabaseCounters, monkeypatch: pytest.MonkeyPatch, acts: list[str]
) -> None:
    counters.reset()
    count, left, now = 0, 0, clock.wall()
    with monkeypatch.context() as patch:
        patch.setattr(clock, "wall", lambda: now)
        for act in acts:
            if act == "take":
                count, left = (count + 1, left) if count is not None and left > 0 else (1, 60)
                assert counters.take("k", 60) == (count, float(left))
            elif act == "back":
                counters.give_back("k")
                count = max(0, count - 1) if left > 0 else count
            elif act == "clear":
                counters.clear("k")
                count, left = 0, 0
            else:
                step = 7 if act == "wait" else 61
                now, left = now + timedelta(seconds=step), max(0, left - step)
            assert counters.get("k") == (count if left > 0 else 0)


def test_many_at_once_are_all_counted(app: Flask) -> None:
    def take(_number: int) -> int:
        with app.app_context():
            counters: Any = limiter.storage
            return int(counters.take("k", 3600)[0])

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(take, range(100))) == list(range(1, 101))


def test_of_seventy_tries_in_threads_ten_are_heard(app: Flask, clinic: Clinic) -> None:
    """Counting after the answer would hear as many as run at once."""
    statuses = wrong_tries(app, 70, network="10.3.0.1", threads=12)
    assert sorted(statuses) == [200] * 10 + [429] * 60


def test_of_seventy_tries_in_four_processes_ten_are_heard(database: Database, settings: Settings) -> None:
    env = {
        **os.environ,
        "DATABASE_URL": settings.database_url,
        "QUEUE_PATH": settings.queue_path,
        "SECRET_KEY": settings.secret_key,
        "BASE_URL": settings.base_url,
        "STRIPE_SECRET_KEY": settings.stripe_secret_key,
        "STRIPE_PUBLISHABLE_KEY": settings.stripe_publishable_key,
        "STRIPE_WEBHOOK_SECRET": settings.stripe_webhook_secret,
        "STRIPE_API_BASE": settings.stripe_api_base,
        "STRIPE_JS_ORIGIN": settings.stripe_js_origin,
        "CLINIC_NAME": settings.clinic_name,
        "CLINIC_PHONE": settings.clinic_phone,
        "MAIL_FROM": settings.mail_from,
        "SMTP_URL": settings.smtp_url,
    }
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.trying", str(tries), "10.3.0.1"],
            env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for tries in (18, 18, 17, 17)
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        said = []
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
        said = [worker.communicate(timeout=120)[0] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
    assert sorted(" ".join(said).split()) == ["200"] * 10 + ["429"] * 60


def test_keys_tell_nobody_who_tried_from_where(app: Flask, clinic: Clinic, session: Session) -> None:
    assert wrong_tries(app, 1, network="192.0.2.77") == [200]
    keys = session.scalars(sa.select(LimitCounter.key)).all()
    session.rollback()
    assert len(keys) == 3
    assert {len(key) for key in keys} == {64}
    assert not any(word in key for key in keys for word in ("192", "example", "security", "/"))


@pytest.mark.parametrize("url", ["memory://", "memcached://127.0.0.1", "async+memory://", "file:///tmp/x"])
def test_no_portal_counts_in_memory(settings: Settings, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setattr("portal.app.open_queue", lambda **_where: None)
    with pytest.raises(BadSettings, match="REDIS_URL does not name"):
        create_app(replace(settings, redis_url=url))


@pytest.mark.parametrize("sandbox", [False, True])
def test_only_a_sandbox_may_count_in_memory(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, sandbox: bool
) -> None:
    monkeypatch.setattr("portal.app.open_queue", lambda **_where: None)
    monkeypatch.setattr(limits, "_where", lambda _settings: "memory://")
    if sandbox:
        create_app(replace(settings, sandbox=True))
        assert isinstance(limiter.storage, MemoryStorage)
        return
    with pytest.raises(BadSettings, match="in memory"):
        create_app(settings)
