"""A clinic with a Stripe of its own and a clock that moves when it is told to, in processes that may die.

Nothing here opens a port: the portal reaches the stand-in in this process, and the stand-in's webhooks go into the
portal's real webhook view through a test client. The database and the stand-in's store are files (or a server), and
outlive the processes.
"""

from __future__ import annotations

import contextlib
import logging
import mmap
import os
import struct
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import sqlalchemy as sa
import stripe
import structlog
from sqlalchemy.orm import Session

import portal.app
from portal import clock
from portal.config import Settings
from portal.db import writing
from portal.payments.gateway import StripeGateway
from portal.sandbox.privacy import JudgedHTTPClient
from portal.sandbox.simulation.dying import Points
from portal.sandbox.stripe import StandIn, StandInHTTPClient
from portal.web.database import db
from portal.worker import Job, timetable

#: When every run begins.
START = datetime(2026, 11, 2, 15, 0, tzinfo=UTC)
WEBHOOK = "http://127.0.0.1:9/stripe/webhook"
#: Sends mail: not run, or run with another way to the mail server, which there is none of here.
MAIL_JOB = "notifications.send"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Door = Callable[[Callable[[], int]], int]


class Time:
    """The only clock of a run, the portal's and Stripe's; every look at it takes a millisecond.

    Processes forked from this one share it: it never goes back when one of them dies.
    """

    def __init__(self, at: datetime = START) -> None:
        self._shared = mmap.mmap(-1, 8)
        self._set(at)

    @property
    def at(self) -> datetime:
        return _EPOCH + struct.unpack("q", self._shared[:8])[0] * _MICROSECOND

    def _set(self, at: datetime) -> None:
        self._shared[:8] = struct.pack("q", (at - _EPOCH) // _MICROSECOND)

    def now(self) -> datetime:
        at = self.at + timedelta(milliseconds=1)
        self._set(at)
        return at

    def advance(self, **by: float) -> None:
        self._set(self.at + timedelta(**by))

    def move_to(self, at: datetime) -> None:
        """Later only; an earlier moment has passed already."""
        self._set(max(at, self.at))


@contextlib.contextmanager
def told_by(time: Time) -> Iterator[Time]:
    """Within it, ``portal.clock`` is this clock."""
    with patch.object(clock, "now", time.now):
        yield time


class _Wire(JudgedHTTPClient):
    """The portal's way to Stripe, which is held to ids and amounts here as everywhere."""

    def __init__(self, world: World) -> None:
        super().__init__(None, [])  # type: ignore[arg-type]  # World.open puts the stand-in here
        self._world = world

    def request(self, method: str, url: str, headers: Any, post_data: Any = None, **named: Any) -> Any:
        self._world.points.reach("before a request to Stripe")
        with self._world.watched(method, url, post_data):
            answer = super().request(method, url, headers, post_data, **named)
        self._world.points.reach("after a request to Stripe")
        return answer


class World:
    """One clinic on one database. :meth:`open` comes before anything else, in the process that shall act.

    ``spec_path`` is where Stripe's description is (None: where the stand-in looks for it).
    """

    def __init__(
        self, url: str, time: Time, *, store: Path | None = None, spec_path: Path | None = None, clinic: str = ""
    ) -> None:
        self.url, self.time, self._store, self._spec_path = url, time, store, spec_path
        self.points = Points()
        #: What went wrong where nothing may: (job, error).
        self.troubles: list[tuple[str, str]] = []
        self.settings = settings = _settings(url, clinic or "Fault Run Clinic")
        self._wire = _Wire(self)
        self.gateway = StripeGateway(
            settings.stripe_secret_key, settings.stripe_webhook_secret, http_client=self._wire
        )
        with patch.object(portal.app, "open_queue", lambda **_where: None):
            self.app = portal.app.create_app(settings, gateway=self.gateway)
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
        with self.app.app_context():
            self._watch_commits(db.engine)

    @property
    def leaks(self) -> list[str]:
        """What the portal told Stripe in this process beyond ids and amounts."""
        return self._wire.leaks

    def open(self) -> World:
        """Open the stand-in; with a ``store`` it is the one that earlier processes left."""
        self.stripe = StandIn(
            self._store,
            clock=self.time.now,
            sleep=lambda seconds: self.time.advance(seconds=seconds),
            signature_clock=lambda: self.time.now().timestamp(),
            webhook_url=WEBHOOK,
            spec_path=self._spec_path,
        )
        self._wire.standin = self.stripe
        #: The patient's browser: it outlives the portal, so nothing dies on its requests.
        self.browser = stripe.StripeClient(self.stripe.secret_key, http_client=self._browsers_wire())
        self.jobs: Mapping[str, Job] = self._jobs()
        return self

    def _browsers_wire(self) -> StandInHTTPClient:
        return StandInHTTPClient(self.stripe)

    def _jobs(self) -> Mapping[str, Job]:
        return {name: job for name, job in timetable(self.app, self.settings).items() if name != MAIL_JOB}

    def watched(self, method: str, url: str, form: str | None) -> contextlib.AbstractContextManager[object]:
        """Around every request of the portal to Stripe; somebody who looks on comes here."""
        return contextlib.nullcontext()

    def close(self) -> None:
        """Let the database and the stand-in go."""
        self.stripe.close()
        self.forget()

    def forget(self) -> None:
        """Let the database's connections go."""
        with self.app.app_context():
            for engine in db.engines.values():
                engine.dispose()

    def _watch_commits(self, engine: sa.Engine) -> None:
        commit = engine.dialect.do_commit

        def watched(connection: Any) -> None:
            self.points.reach("before a commit")
            commit(connection)
            self.points.reach("after a commit")

        engine.dialect.do_commit = watched  # type: ignore[method-assign,assignment]

    @contextlib.contextmanager
    def at_work(self) -> Iterator[Session]:
        """A request's unit of work that writes."""
        with self.app.app_context(), writing():
            yield db.session

    # What happens by itself

    def tick(self) -> None:
        """A minute's turn of the worker: every job once. A job that raises is a trouble."""
        for name, job in self.jobs.items():
            with self.at_work() as session:
                try:
                    job()
                except Exception as error:
                    session.rollback()
                    self.troubles.append((name, f"{type(error).__name__}: {error}"))

    def deliver(self, door: Door = lambda knock: knock()) -> int:
        """Stripe sends the webhooks that are due; ``door`` stands between it and the portal's view."""

        def post(_url: str, body: bytes, headers: dict[str, str]) -> int:
            return door(lambda: self.app.test_client().post("/stripe/webhook", data=body, headers=headers).status_code)

        return self.stripe.deliver_due(post)

    def run_for(self, *, webhooks: bool = True, **time: float) -> None:
        """Time passes in one step; then webhooks and the worker."""
        self.time.advance(**time)
        if webhooks:
            self.deliver()
        self.tick()

    def come_to_rest(self, *, webhooks: bool = True) -> None:
        """So much time passes that everything under way has ended: days, in steps the sweeps can use."""
        for step in ({"minutes": 6}, {"minutes": 15}, {"hours": 25}, *[{"days": 2}] * 5, *[{"minutes": 15}] * 3):
            self.run_for(webhooks=webhooks, **step)


def _settings(url: str, clinic: str) -> Settings:
    return Settings.from_env(
        {
            "DATABASE_URL": url,
            "QUEUE_PATH": os.devnull,
            "SECRET_KEY": "a secret that only simulations know",
            "BASE_URL": "http://localhost",
            "STRIPE_SECRET_KEY": "sk_test_plainbill_standin",
            "STRIPE_PUBLISHABLE_KEY": "pk_test_plainbill_standin",
            "STRIPE_WEBHOOK_SECRET": "whsec_plainbill_standin",
            "STRIPE_API_BASE": "http://127.0.0.1:9",
            "STRIPE_JS_ORIGIN": "http://127.0.0.1:9",
            "CLINIC_NAME": clinic,
            "CLINIC_PHONE": "(555) 010-0199",
            "MAIL_FROM": "billing@example.test",
            "SMTP_URL": "smtp://127.0.0.1:9",
        }
    )
