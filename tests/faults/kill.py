"""Kill: the paying process dies by SIGKILL at a numbered place, and the next one finds what it left.

A process is forked for every act, so that each dies for itself while the interpreter stays warm. It begins with what
a restart brings (webhooks that waited, one turn of the worker, the last patient looking again or paying again), does
its act, and dies at the n-th commit or request to Stripe, before or after it. The database and the stand-in's store
are files or a server, and outlive it. After a round of patients a last process lets days pass and judges.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import sqlalchemy as sa

from portal.sandbox.simulation.dying import HarnessFailed, in_child
from portal.sandbox.simulation.verdict import Figures
from portal.sandbox.simulation.verdict import judge as judge_world
from tests.databases import Backend
from tests.faults.acts import DASHBOARD, PAYING, REFUNDING, Act, come_back, confirm, pay_for, start
from tests.faults.places import a_copy, a_world
from tests.faults.world import PATIENTS, Patient, Points, Time, World, patients, told_by

#: How long the portal stays down after a death.
_DOWN_FOR = ({"seconds": 2}, {"minutes": 2}, {"minutes": 7}, {"minutes": 20}, {"hours": 3}, {"hours": 26}, {"days": 3})
#: How often the process dies soon after its start, in the middle of picking up what the last one left.
_DIES_EARLY = 0.2
_EARLY = 25

ACTS: dict[str, Act] = PAYING | REFUNDING
#: What is died in place by place only.
_EACH: dict[str, Act] = ACTS | DASHBOARD


@dataclass(frozen=True, slots=True)
class Death:
    """One forked process: who does what, and when it dies. ``again`` is what the last patient does meanwhile."""

    act: str
    patient: int
    seed: int
    die_at: int
    early: bool = False
    last_patient: int | None = None
    again: str = ""


#: What a patient does whose payment died under their hands.
_REACTIONS: dict[str, Callable[[World, Patient], None]] = {
    "goes away": lambda _world, _who: None,
    "reloads the page": come_back,
    "pays again": lambda world, who: _pay_again(world, who),
}


def _pay_again(world: World, who: Patient) -> None:
    confirm(world, start(world, who))
    come_back(world, who)


def run(
    backend: Backend,
    directory: Path,
    *,
    seed: int,
    kills: int,
    told: Callable[[int], None] = lambda _killed: None,
) -> tuple[Figures, Counter[str]]:
    """Kill as many processes and judge what they left; also where they died, by place.

    ``told`` hears how many died so far.
    """
    began, dice, found, places = time.monotonic(), random.Random(seed), Figures(), Counter[str]()
    routes = _places(backend, ACTS)
    gc.freeze()  # so that forked processes share what is warm
    number = 0
    while found.kills < kills:
        number += 1
        store = directory / f"stripe-{backend.name}-{os.getpid()}-{seed}-{number}.sqlite"
        found += _round(backend, store, dice, routes, places, left=kills - found.kills, told=told,
                        so_far=found.kills)  # fmt: skip
    found.seconds = time.monotonic() - began
    return found, places


def undisturbed(
    backend: Backend,
    acts: dict[str, Act],
    *,
    sabotage: Callable[[], contextlib.AbstractContextManager[object]] = contextlib.nullcontext,
) -> Figures:
    """Each act once, and nobody dies. Raises :class:`HarnessFailed` when even that ends or leaves something wrong."""
    with sabotage():
        try:
            _places(backend, acts)
        except sa.exc.SQLAlchemyError as error:  # the database itself has refused
            raise HarnessFailed(str(error)) from error
    return Figures(runs=1)


def at_each_place(
    backend: Backend,
    directory: Path,
    *,
    act: str,
    then: str,
    sabotage: Callable[[], contextlib.AbstractContextManager[object]] = contextlib.nullcontext,
) -> Figures:
    """Nothing is drawn: one patient after another dies at one place of ``act``, until there is none left.

    Each of them does ``then`` (one of :data:`_REACTIONS`) before a webhook or a job has said anything.
    """
    began, killed = time.monotonic(), 0
    store = directory / f"stripe-{backend.name}-{os.getpid()}-each.sqlite"
    with sabotage():
        _places(backend, {act: _EACH[act]})
        with a_copy(backend) as url, told_by(Time()) as clock:
            world = World(url, clock, store=store)
            _died, passed = in_child(lambda say: _die_at(world, act, 0, say))
            places = range(1, int(passed) + 1)
            if not 2 < len(places) <= PATIENTS:
                raise HarnessFailed(f"{act}: {passed} places, and {PATIENTS} patients to die there")
            # The last place of all may be left without a patient: it is after the last commit.
            places = places[: PATIENTS - 1]
            for place in places:
                died, _ = in_child(lambda say, place=place: _die_at(world, act, place, say))  # type: ignore[misc]
                killed += died
            _died, said = in_child(lambda say: _react(world, then, places, say))
    _forget(store)
    figures = Figures(**json.loads(said))
    figures.kills, figures.seconds = killed, time.monotonic() - began
    return figures


def _die_at(world: World, act: str, place: int, say: Callable[[str], None]) -> None:
    """The patient of that number does ``act`` and dies at the place of that number; 0 lives, and says how many."""
    world.open()
    with world.at_work() as session:
        who = patients(session)[place]
    world.points = Points(place)
    _EACH[act](world, who, random.Random(place))
    say(str(len(world.points.passed)))


def _react(world: World, then: str, numbers: Iterable[int], say: Callable[[str], None]) -> None:
    world.open()
    with world.at_work() as session:
        everybody = patients(session)
    for number in numbers:
        _REACTIONS[then](world, everybody[number])
    world.come_to_rest()
    say(json.dumps(asdict(judge_world(world))))


def _places(backend: Backend, acts: dict[str, Act]) -> dict[str, list[str]]:
    """The places each act passes when nothing goes wrong, in order.

    Done in this process, which all others are forked from: what is compiled or read here is there for them.
    """
    routes = {}
    with a_world(backend) as world:
        with world.at_work() as session:
            everybody = patients(session)
        # Every second one, so that no two families meet.
        for who, name in zip(everybody[::2], sorted(acts), strict=False):
            dice = random.Random(name)
            _before(world, who, name)
            world.points = points = Points()
            _do(world, who, acts[name], dice)
            routes[name] = points.passed
        world.come_to_rest()
        found = judge_world(world)
        if found.wrong:
            raise HarnessFailed(f"wrong before anybody died: {found.notes}")
    return routes


def _somewhere(route: list[str], dice: random.Random) -> int:
    """The number of a place: its kind first, since there are many more commits than requests."""
    kind = dice.choice(sorted(set(route)))
    return dice.choice([number for number, place in enumerate(route, 1) if place == kind])


def _round(
    backend: Backend,
    store: Path,
    dice: random.Random,
    routes: dict[str, list[str]],
    places: Counter[str],
    *,
    left: int,
    told: Callable[[int], None],
    so_far: int,
) -> Figures:
    killed_here, last = 0, None
    with a_copy(backend) as url, told_by(Time()) as clock:
        world = World(url, clock, store=store)
        for number in range(PATIENTS):
            if killed_here == left:
                break
            act = dice.choice(sorted(ACTS))
            early = dice.random() < _DIES_EARLY
            death = Death(
                act=act,
                patient=number,
                seed=dice.getrandbits(32),
                die_at=dice.randint(1, _EARLY) if early else _somewhere(routes[act], dice),
                early=early,
                last_patient=last,
                again=dice.choice(sorted(_REACTIONS)),
            )
            last = number
            died, said = in_child(lambda say, death=death: _live(world, death, say))  # type: ignore[misc]
            if died:
                killed_here += 1
                places[said] += 1
                told(so_far + killed_here)
            clock.advance(**dice.choice(_DOWN_FOR))
        died, said = in_child(lambda say: _judge_in_child(world, say))
        if died:
            raise HarnessFailed("killed where nobody kills")
        figures = Figures(**json.loads(said))
        figures.kills = killed_here
    _forget(store)
    return figures


def _forget(store: Path) -> None:
    for end in ("", "-wal", "-shm"):
        Path(f"{store}{end}").unlink(missing_ok=True)


def _live(world: World, death: Death, say: Callable[[str], None]) -> None:
    world.open()
    with world.at_work() as session:
        everybody = patients(session)
    who, dice = everybody[death.patient], random.Random(death.seed)
    if death.early:
        world.points = Points(death.die_at, say)
    if dice.random() < 0.5:
        world.deliver()
        world.tick()
    if death.last_patient is not None:
        _REACTIONS[death.again](world, everybody[death.last_patient])
    if dice.random() < 0.5:
        world.tick()
    if not death.early:
        _before(world, who, death.act)
        world.points = Points(death.die_at, say)
    _do(world, who, ACTS[death.act], dice)
    if world.troubles or world.leaks:
        raise HarnessFailed(f"{death}: {world.troubles + world.leaks}")


def _before(world: World, who: Patient, act: str) -> None:
    """What has to be there for the act: a refund needs a payment."""
    if act in REFUNDING:
        pay_for(world, who, act)


def _do(world: World, who: Patient, act: Act, dice: random.Random) -> None:
    act(world, who, dice)
    world.deliver()
    world.tick()


def _judge_in_child(world: World, say: Callable[[str], None]) -> None:
    world.open()
    world.come_to_rest()
    say(json.dumps(asdict(judge_world(world))))
