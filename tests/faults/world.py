"""A small clinic with bills to pay, a Stripe of its own, and a clock that moves when it is told to.

Nothing here opens a port: the portal reaches the stand-in in this process, and the stand-in's webhooks go into the
portal's real webhook view through a test client.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import sqlalchemy as sa
import stripe
import structlog
from sqlalchemy.orm import Session

import portal.app
from portal import clock
from portal.accounts.access import grant
from portal.accounts.kinds import Relationship
from portal.accounts.models import Account
from portal.auth import identity
from portal.auth.models import User
from portal.billing.models import Charge, Visit
from portal.config import Settings
from portal.db import normal_url, writing
from portal.ledger.remittances import import_stream
from portal.migrate import upgrade
from portal.payments.gateway import StripeGateway
from portal.sandbox.stripe import StandIn, StandInHTTPClient
from portal.web.database import db
from portal.worker import Job, timetable
from tests.privacy import JudgedHTTPClient
from tests.unit.ledger.books import claim, payment, remittance

#: When every run begins.
START = datetime(2026, 11, 2, 15, 0, tzinfo=UTC)
#: Patients with an account each, and what is on it: visits of one line, each a payer's decision of its own.
PATIENTS, VISITS = 32, 3
WEBHOOK = "http://127.0.0.1:9/stripe/webhook"
#: Jobs that neither move money nor ask Stripe; there is no mail server here.
NOT_RUN = frozenset({"notifications.send"})

identity.ARGON2.update({"argon2__memory_cost": 64, "argon2__time_cost": 1})


class Time:
    """The only clock of a run, the portal's and Stripe's; every look at it takes a millisecond."""

    def __init__(self, at: datetime = START) -> None:
        self.at = at

    def now(self) -> datetime:
        self.at += timedelta(milliseconds=1)
        return self.at

    def advance(self, **by: float) -> None:
        self.at += timedelta(**by)


@contextlib.contextmanager
def told_by(time: Time) -> Iterator[Time]:
    """Within it, ``portal.clock`` is this clock."""
    with patch.object(clock, "now", time.now):
        yield time


class Points:
    """The places at which a process may die, numbered as they are passed: each side of a commit and of a request."""

    def __init__(self, die_at: int = 0, last_words: Callable[[str], None] = lambda _place: None) -> None:
        self.passed: list[str] = []
        self._die_at, self._last_words = die_at, last_words

    def reach(self, place: str) -> None:
        """Pass a place, or die there: SIGKILL, which runs no handler and flushes nothing."""
        self.passed.append(place)
        if len(self.passed) == self._die_at:
            self._last_words(place)
            os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class Patient:
    """Somebody with bills, who also sees a neighbour's account (a family)."""

    number: int
    user_id: int
    account_id: int
    relative_id: int
    charge_ids: tuple[int, ...]


class _Wire(JudgedHTTPClient):
    """The portal's way to Stripe, which is held to ids and amounts here as everywhere."""

    def __init__(self, world: World) -> None:
        super().__init__(None, [])  # type: ignore[arg-type]  # World.open puts the stand-in here
        self._world = world

    def request(self, *args: Any, **named: Any) -> Any:
        self._world.points.reach("before a request to Stripe")
        answer = super().request(*args, **named)
        self._world.points.reach("after a request to Stripe")
        return answer


class World:
    """One clinic on one database. :meth:`open` comes before anything else, in the process that shall act."""

    def __init__(self, url: str, time: Time, *, store: Path | None = None) -> None:
        self.url, self.time, self._store = url, time, store
        self.points = Points()
        #: What went wrong where nothing may: (job, error).
        self.troubles: list[tuple[str, str]] = []
        self.settings = settings = _settings(url)
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
        )
        self._wire.standin = self.stripe
        #: The patient's browser: it outlives the portal, so nothing dies on its requests.
        self.browser = stripe.StripeClient(self.stripe.secret_key, http_client=StandInHTTPClient(self.stripe))
        self.jobs: Mapping[str, Job] = {
            name: job for name, job in timetable(self.app, self.settings).items() if name not in NOT_RUN
        }
        return self

    def close(self) -> None:
        """Let the database and the stand-in go."""
        self.stripe.close()
        self.forget()

    def forget(self) -> None:
        """Let the database's connections go."""
        with self.app.app_context():
            db.engine.dispose()

    def _watch_commits(self, engine: sa.Engine) -> None:
        commit = engine.dialect.do_commit

        def watched(connection: Any) -> None:
            self.points.reach("before a commit")
            commit(connection)
            self.points.reach("after a commit")

        engine.dialect.do_commit = watched  # type: ignore[method-assign]

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

    def deliver(self, door: Callable[[Callable[[], int]], int] = lambda knock: knock()) -> int:
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


def patients(session: Session) -> list[Patient]:
    """Everybody, by number."""
    charges: dict[int, list[int]] = {}
    for charge_id, account_id in session.execute(
        sa.select(Charge.id, Visit.account_id).join(Visit, Visit.id == Charge.visit_id).order_by(Charge.id)
    ):
        charges.setdefault(account_id, []).append(charge_id)
    accounts = session.scalars(sa.select(Account.id).order_by(Account.id)).all()
    users = session.scalars(sa.select(User.id).where(User.email.startswith("p-")).order_by(User.id)).all()
    session.commit()
    return [
        Patient(number, user_id, account_id, accounts[number ^ 1], tuple(charges[account_id]))
        for number, (user_id, account_id) in enumerate(zip(users, accounts, strict=True))
    ]


def fill(url: str) -> None:
    """Make the clinic in an empty database: the same one every time. Leaves no connection open."""
    upgrade(url)
    engine = sa.create_engine(normal_url(url))
    with Session(engine) as session:
        import_stream(session, BytesIO(_bills()), "bills.835")
        accounts = session.scalars(sa.select(Account.id).order_by(Account.id)).all()
        for number, account_id in enumerate(accounts):
            user = User(email=f"p-{number:02}@example.test", created_at=clock.now(), confirmed_at=clock.now())
            session.add(user)
            session.flush()
            for seen in (account_id, accounts[number ^ 1]):
                grant(session, user_id=user.id, account_id=seen, relationship=Relationship.GUARANTOR)
        for name in ("clerk", "supervisor"):
            session.add(User(email=f"{name}@example.test", created_at=clock.now(), confirmed_at=clock.now()))
        session.commit()
    engine.dispose()


@dataclass(frozen=True, slots=True)
class Decided:
    """A payer's decision on a visit, in whole dollars; ``stands`` is False when it was taken back."""

    billed: int
    paid: int
    contractual: int
    share: int
    stands: bool = True

    def amounts(self) -> dict[str, int]:
        """As the remittance has them."""
        return {"billed": self.billed, "paid": self.paid, "contractual": self.contractual, "share": self.share}

    def shared(self, share: int) -> Decided:
        """The same bill with another share of the patient's; the payer writes more or less off."""
        share = min(share, self.billed - self.paid)
        return replace(self, share=share, contractual=self.billed - self.paid - share)

    def written_off(self) -> Decided:
        """Nobody owes anything."""
        return replace(self, paid=0, share=0, contractual=self.billed)

    def undone(self) -> Decided:
        return replace(self, stands=False)

    def again(self) -> Decided:
        return replace(self, stands=True)


def first_decision(number: int, visit: int) -> Decided:
    """What was decided on a patient's visit when the clinic was made."""
    share = random.Random(f"{number}/{visit}").randrange(12, 240)
    return Decided(billed=100 + share, paid=70, contractual=30, share=share)


def _bills() -> bytes:
    decisions = [
        claim(
            f"V-{number:02}-{visit}",
            **first_decision(number, visit).amounts(),
            member=f"MEM-{number:02}",
            family=f"SAMPLE{number:02}",
        )
        for number in range(PATIENTS)
        for visit in range(VISITS)
    ]
    return remittance(payment(*decisions, paid=70 * len(decisions)))


def _settings(url: str) -> Settings:
    return Settings.from_env(
        {
            "DATABASE_URL": url,
            "QUEUE_PATH": os.devnull,
            "SECRET_KEY": "a secret that only the fault runs know",
            "BASE_URL": "http://localhost",
            "STRIPE_SECRET_KEY": "sk_test_plainbill_standin",
            "STRIPE_PUBLISHABLE_KEY": "pk_test_plainbill_standin",
            "STRIPE_WEBHOOK_SECRET": "whsec_plainbill_standin",
            "STRIPE_API_BASE": "http://127.0.0.1:9",
            "STRIPE_JS_ORIGIN": "http://127.0.0.1:9",
            "CLINIC_NAME": "Fault Run Clinic",
            "CLINIC_PHONE": "(555) 010-0199",
            "MAIL_FROM": "billing@example.test",
            "SMTP_URL": "smtp://127.0.0.1:9",
        }
    )
