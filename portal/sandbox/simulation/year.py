"""A year of payment plans, day by day: patients, insurers and banks act, and the worker's processes are killed at it.

A worker's turn runs the whole timetable of ``portal/worker.py``; one that shall die or be held has a forked process
of its own. Some die by SIGKILL at a
numbered place, before or after a commit or a request to Stripe; the next one finds what they left. Some are held at
such a place while another worker has its turn, or a patient acts. The hours between the moments at which something can
be due are jumped over; the worker's jobs find their due rows themselves, so fewer turns only make them later.
"""

from __future__ import annotations

import gc
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.access import grant
from portal.accounts.kinds import Relationship
from portal.accounts.models import Account
from portal.auth.models import User
from portal.migrate import upgrade
from portal.plans.models import Plan
from portal.sandbox.simulation import weather
from portal.sandbox.simulation.dying import HarnessFailed, Points, in_child_that_waits
from portal.sandbox.simulation.journal import Journal
from portal.sandbox.simulation.judging import Judgment, anything_moves, days_until_something, judge_year
from portal.sandbox.simulation.office import Office
from portal.sandbox.simulation.people import Patients, Person, Running, running
from portal.sandbox.simulation.world import START, Time, told_by
from portal.sandbox.simulation.year_world import YearWorld
from portal.sandbox.stripe import WebhookPlan

#: How often a worker's turn ends by SIGKILL, and how often somebody else acts in the middle of one.
_DIES, _IS_HELD = 0.14, 0.12
_DOWN_FOR = ({"seconds": 2}, {"minutes": 2}, {"minutes": 7}, {"minutes": 20}, {"hours": 3}, {"hours": 13})
_TEMPERS = ("good", "good", "good", "lively", "lively", "careless", "careless", "gone")
#: So long after the year everything must have come to its end: the longest plans are made near its middle.
_LONGEST_AFTER = 900
#: Longer than the longest pause: where nothing happened for so long, nothing will.
_STANDS_STILL = timedelta(days=130)

Told = Callable[[int, int, str], None]


@dataclass(slots=True)
class Year:
    """What came of it."""

    seed: int
    days: int
    judgment: Judgment
    kills: Counter[str] = field(default_factory=Counter)
    held: int = 0
    turns: int = 0
    days_after: int = 0
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0


def simulate(
    url: str,
    directory: Path,
    *,
    seed: int,
    days: int,
    plans: int,
    unrest: float = 1.0,
    told: Told = lambda _day, _days, _what: None,
) -> Year:
    """Live through a year on an empty database and judge it. ``told`` hears of each day.

    ``unrest`` is how much more often than usual workers are killed and held, and insurers, banks and the office act: a
    short year needs more of it.

    Raises :class:`HarnessFailed` when one of the worker's processes raised or ended otherwise than it should.
    """
    began, cpu = time.monotonic(), sum(os.times()[:4])
    with told_by(Time()) as clockwork:
        upgrade(url)
        run = _Run(url, clockwork, directory, seed=seed, days=days, plans=plans, unrest=unrest)
        run.prepare()
        for day in range(days):
            run.live(day)
            told(day + 1, days, f"{run.kills.total()} killed")
        after = run.come_to_rest(lambda extra: told(days, days, f"{extra} days after"))
        found = run.judge()
    return Year(
        seed, days, found, run.kills, run.held, run.turns, after, time.monotonic() - began,
        sum(os.times()[:4]) - cpu,
    )  # fmt: skip


class _Run:
    def __init__(
        self, url: str, clockwork: Time, directory: Path, *, seed: int, days: int, plans: int, unrest: float
    ) -> None:
        self._unrest = unrest
        self._dice = random.Random(seed)
        self._days, self._plans, self._time = days, plans, clockwork
        self.journal = Journal(directory / "journal")
        self._world = YearWorld(url, clockwork, store=directory / "stripe.sqlite", journal=self.journal)
        self.kills: Counter[str] = Counter()
        self.held = self.turns = 0
        self._open_in = 0
        self._passed = {"": 60, "before a r": 4}

    # The clinic

    def prepare(self) -> None:
        """Bills, patients and the year's weather."""
        dice, world = self._dice, self._opened()
        visits = {number: dice.choice([1, 2, 2, 3]) for number in range(self._plans)}
        with world.at_work() as session:
            bills = Office(world, random.Random(dice.getrandbits(32)), [])
            bills.first_bills(session, visits)
            self._people = self._make_people(session)
            self._office = Office(
                world, random.Random(dice.getrandbits(32)), self._people, unrest=self._unrest
            )
            self._office.take_over(bills)
        self._patients = Patients(world, random.Random(dice.getrandbits(32)))
        world.spells = weather.forecast(random.Random(dice.getrandbits(32)), start=START, days=self._days)
        self._spells = len(world.spells)
        self._temper = {one.account_id: one.temper for one in self._people}
        self._waiting = sorted(self._people, key=lambda one: one.begins_on)
        self._let_go()
        gc.freeze()  # so that forked processes share what is warm

    def _make_people(self, session: Session) -> list[Person]:
        dice, now = self._dice, clock.now()
        people = []
        accounts = session.execute(
            sa.text("SELECT v.ref, v.account_id FROM visit v WHERE v.ref LIKE 'V-%-0' ORDER BY v.ref")
        ).all()
        for ref, account_id in accounts:
            user = User(email=f"p-{ref[2:6]}@example.test", created_at=now, confirmed_at=now)
            session.add(user)
            session.flush()
            grant(session, user_id=user.id, account_id=account_id, relationship=Relationship.GUARANTOR)
            begins = dice.randrange(max(1, self._days * 2 // 5))
            people.append(Person(
                int(ref[2:6]), user.id, account_id, dice.choice(_TEMPERS), begins, bank=dice.random() < 0.3
            ))  # fmt: skip
        session.add(User(email="staff@example.test", created_at=now, confirmed_at=now))
        session.commit()
        if len(people) != self._plans or session.scalar(sa.select(sa.func.count(Account.id))) != self._plans:
            raise HarnessFailed(f"{len(people)} patients instead of {self._plans}")
        session.commit()
        return people

    # A day

    def live(self, day: int) -> None:
        """Midnight, when charges fall due; the office's morning; the patients' evening."""
        morning = START + timedelta(days=day)
        dice = self._dice
        self._turn_at(morning - timedelta(hours=8, minutes=dice.randrange(50)))
        self._during_spells(morning)
        self._time.move_to(morning)
        self._act(lambda: self._office.day(day, self._running()))
        if dice.random() < 0.4:  # on other days the patients come before the worker has seen what the office did
            self._turn_at(morning + timedelta(minutes=dice.randrange(1, 200)))
        evening = morning + timedelta(hours=8)
        self._during_spells(evening)
        self._time.move_to(evening)
        self._act(lambda: self._evening(day))
        self._turn_at(evening + timedelta(minutes=dice.randrange(1, 90)))
        self._during_spells(morning + timedelta(hours=15))

    def _during_spells(self, until: datetime) -> None:
        """While Stripe is in trouble, the worker tries all the time: some of its turns are lived through."""
        while any(one.what in weather.KINDS and one.covers(self._time.at) for one in self._world.spells):
            at = self._time.at + timedelta(minutes=self._dice.choice([13, 400, 700]))
            if at >= until:
                return
            self._turn_at(at)

    def _running(self) -> list[Running]:
        with self._world.at_work() as session:
            return running(session)

    def _act(self, acts: Callable[[], None]) -> None:
        """In this process, which nobody kills."""
        world = self._opened()
        world.points = Points()
        world.goes_wrong(random.Random(self._dice.getrandbits(32)))
        acts()

    def _evening(self, day: int) -> None:
        while self._waiting and self._waiting[0].begins_on <= day:
            if not self._patients.begin(self._waiting[0]):
                break  # Stripe is away: they try again tomorrow
            self._waiting.pop(0)
        with self._world.at_work() as session:
            plans = running(session)
        for plan in plans:
            self._patients.live(plan, self._temper[plan.account_id])

    # The worker

    def _turn_at(self, at: datetime) -> None:
        self._time.move_to(at)
        for _restart in range(5):
            if not self._turn():
                return
            self._time.advance(**self._dice.choice(_DOWN_FOR))
        self._turn(may_die=False)

    def _turn(self, *, may_die: bool = True) -> bool:
        """A worker's turn in a process of its own; True when it was killed."""
        dice = self._dice
        seed, die_at, kind, hold_at = dice.getrandbits(32), 0, "", 0
        if may_die and dice.random() < _DIES * self._unrest:
            kind = dice.choice(["", "before a r"])
            die_at = dice.randint(1, max(1, self._passed[kind]))
        if may_die and dice.random() < _IS_HELD * self._unrest:
            hold_at = dice.randint(1, max(1, self._passed[""]))

        self.turns += 1
        if not die_at and not hold_at:
            # The worker that nobody kills: this process, in which everything is warm, and all others are forked from.
            self._work(Points(), random.Random(seed))
            return False

        def work(say: Callable[[str], None], hold: Callable[[], None]) -> None:
            self._work(Points(die_at, say, kind=kind, hold_at=hold_at, hold=hold), random.Random(seed))

        self._let_go()
        died, said = in_child_that_waits(work, meanwhile=self._meanwhile)
        if died:
            self.kills[said] += 1
        return died

    def _work(self, points: Points, own: random.Random) -> None:
        """Stripe delivers, and every job of the timetable runs once; what the jobs did is delivered, too."""
        world = self._opened()
        world.points = points
        world.goes_wrong(own)
        stand = weather.door(self.journal, own)
        before = world.stripe.faults.injected
        world.deliver(stand)
        world.tick()
        world.deliver(stand)
        if world.troubles:
            raise HarnessFailed(str(world.troubles))
        self.journal.note("faults", injected=world.stripe.faults.injected - before)
        passed = Counter(place[:10] for place in points.passed)
        self._passed = {"": max(1, passed.total()), "before a r": passed["before a r"]}

    def _opened(self) -> YearWorld:
        """The world, open in this process."""
        if self._open_in != os.getpid():
            self._world.open()
            self._open_in = os.getpid()
        return self._world

    def _let_go(self) -> None:
        """Close it, so that another process can be forked: no connection may be in two."""
        if self._open_in == os.getpid():
            self._world.close()
            self._open_in = 0

    def _meanwhile(self) -> None:
        """Another worker's whole turn, or a patient who acts, while one stands still."""
        self.held += 1
        if self._dice.random() < 0.6:
            self._turn(may_die=False)
            self._let_go()
            return

        def act() -> None:
            with self._world.at_work() as session:
                plans = running(session)
            if plans:
                plan = self._dice.choice(plans)
                if self._dice.random() < 0.5:
                    self._patients.pay_next(plan)
                else:
                    self._patients.live(plan, "lively")

        self._act(act)
        self._let_go()

    # The end

    def come_to_rest(self, told: Callable[[int], None]) -> int:
        """Nothing more goes wrong, and days pass until no plan moves any more; returns how many."""
        self._world.spells = []
        self._act(self._office.calm)
        began = self._time.at
        for _twice in range(2):  # Stripe gives up sending after three days; credits are given back after a week
            for step in (*[{"minutes": 20}] * 3, {"hours": 25}, *[{"days": 2}] * 5):
                self._quiet_turn(**step)
        seen, since = "", self._time.at
        while (after := (self._time.at - began).days) < _LONGEST_AFTER and self._still_moving():
            told(after)
            if (now := self._marks()) != seen:
                seen, since = now, self._time.at
            elif self._time.at - since > _STANDS_STILL:
                break  # what should move does not: the verdict says which
            self._quiet_turn(days=days_until_something(self._opened()))
        for step in (*[{"days": 2}] * 7, {"hours": 25}, *[{"minutes": 20}] * 3):
            self._quiet_turn(**step)
        return after

    def _quiet_turn(self, **by: float) -> None:
        world = self._opened()
        self._time.advance(**by)

        world.points = Points()
        world.stripe.faults.clear()
        world.stripe.webhook_plan = WebhookPlan()
        door = weather.door(self.journal, random.Random(0), quiet=True)
        world.deliver(door)
        world.tick()
        if world.deliver(door):  # it did something: what Stripe has to say of it is heard at once
            world.tick()
        if world.troubles:
            raise HarnessFailed(str(world.troubles))

    def _marks(self) -> str:
        """Where all installments and plans stand; another text when anything moved."""
        with self._opened().at_work() as session:
            found = [
                session.execute(
                    sa.text(f"SELECT state, count(*) FROM {table} GROUP BY state ORDER BY state")
                ).all()
                for table in ("instalment", "plan")
            ]
            session.commit()
        return str(found)

    def _still_moving(self) -> bool:
        with self._opened().at_work() as session:
            return anything_moves(session, self._world.conditions)

    def judge(self) -> Judgment:
        """The whole verdict."""
        world = self._opened()
        found = judge_year(world)
        found.spells = self._spells
        with world.at_work() as session:
            begun = session.scalar(sa.select(sa.func.count(Plan.id))) or 0
            session.commit()
        if begun < self._plans and self._waiting:
            found.notes.append(f"{len(self._waiting)} patients never could begin their plan")
        self._let_go()
        return found
