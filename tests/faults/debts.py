"""Debts that bounce: in bad weather, with processes that die around a return, and in lives that are drawn.

However often it is looked at, told of, or died over: a bank is asked at most three times for one debt, never again
after a return that is not for lack of funds, and not a cent is off.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path

from portal.sandbox.simulation.dying import HarnessFailed, in_child
from portal.sandbox.simulation.verdict import Figures, judge
from portal.sandbox.stripe import WebhookPlan
from tests.databases import Backend
from tests.faults.lives import CARD, CLOSED, EMPTY, GOOD, Lives, judge_debts
from tests.faults.places import a_copy, a_world
from tests.faults.world import Points, Time, World, told_by

Sabotage = Callable[[], contextlib.AbstractContextManager[object]]

#: One step of a life: what, whose, and which of some.
Step = tuple[str, int, int]
STEPS = ("days", "autopay", "plan", "end plan", "stop", "by hand", "insurance", "bank")
_BANKS = (EMPTY, EMPTY, EMPTY, CLOSED, GOOD)
_KINDS = ("A", "A", "B", CARD)


def live(lives: Lives, steps: Iterable[Step]) -> None:
    """Take the steps one after the other."""
    for what, who, which in steps:
        account = _KINDS[which % len(_KINDS)]
        if what == "days":
            lives.days(1 + which % 12)
        elif what == "autopay":
            lives.autopay(who, account)
        elif what == "plan":
            lives.plan(who, account)
        elif what == "end plan":
            lives.end_plan(who)
        elif what == "stop":
            lives.stop(who)
        elif what == "by hand":
            lives.by_hand(who, account)
        elif what == "insurance":
            lives.insurance(who, which % 3, 12 + 7 * which)
        else:
            lives.bank_is(who, "AB"[which % 2], _BANKS[which % len(_BANKS)])


def judged(lives: Lives) -> Figures:
    """The cents, and how often each debt was presented."""
    figures = judge(lives.world, at_rest=False, shares_move=True)
    notes, _most = judge_debts(lives)
    figures.notes += notes
    return figures


#: Everything that the rule is about, for one person each: autopay alone, a return that is final, a plan, autopay and
#: then a plan, a plan and then autopay, the same account agreed to again, another amount.
STORY: tuple[Step, ...] = (
    *[("bank", who, 0) for who in range(7)],
    ("bank", 1, 8),  # A of the second is closed
    *[("autopay", who, 0) for who in (0, 1, 3, 5, 6)],
    *[("plan", who, 0) for who in (2, 4)],
    ("days", 0, 11),
    ("days", 0, 11),
    ("insurance", 6, 1),
    ("days", 0, 11),
    ("plan", 3, 0),
    ("end plan", 4, 0),
    ("autopay", 4, 0),
    ("autopay", 5, 0),
    ("days", 0, 11),
    ("autopay", 1, 0),
    ("autopay", 5, 0),
    ("days", 0, 11),
    ("days", 0, 11),
)


#: Where its first debts have been presented as often as they may.
FIRST_PART = [number for number, step in enumerate(STORY) if step[0] == "days"][2] + 1


def tell(
    backend: Backend, *, sabotage: Sabotage = contextlib.nullcontext, steps: Iterable[Step] = STORY
) -> Figures:
    """The story of everything that the rule is about, or the beginning of it."""
    with a_world(backend) as world, sabotage():
        lives = Lives.of(world, people=7)
        live(lives, steps)
        figures = judged(lives)
        if judge_debts(lives)[1] != 3:
            figures.notes.append("no debt was presented three times, so nothing was shown")
        return figures


def draw(dice: random.Random, *, people: int, steps: int) -> list[Step]:
    """Steps of lives: half of them let days pass."""
    return [
        (dice.choice(STEPS) if dice.random() < 0.6 else "days", dice.randrange(people), dice.randrange(12))
        for _step in range(steps)
    ]


_DAY = 86_400


def _weathers(seed: int) -> dict[str, WebhookPlan]:
    return {
        "each three times, in any order": WebhookPlan(2, True, seed=seed),
        "a day late, answers lost": WebhookPlan(1, True, _DAY, lost_share=0.3, seed=seed),
        "none come": WebhookPlan(down=True, seed=seed),
    }


def run(
    backend: Backend,
    directory: Path,
    *,
    seed: int,
    kills: int = 24,
    told: Callable[[str], None] = lambda _what: None,
) -> Figures:
    """The story in quiet, drawn lives in each weather, and processes that die around returns."""
    began, dice = time.monotonic(), random.Random(seed)
    told("a story")
    found = tell(backend)
    for name, plan in _weathers(seed).items():
        told(name)
        with a_world(backend) as world:
            world.stripe.webhook_plan = plan
            lives = Lives.of(world, people=5)
            for who in range(5):
                lives.bank_is(who, "A", dice.choice([EMPTY, EMPTY, CLOSED]))
                (lives.autopay if who % 2 else lives.plan)(who, "A")
            live(lives, draw(dice, people=5, steps=16))
            figures = judged(lives)
            figures.notes = [f"{name}: {note}" for note in figures.notes]
            figures.faults += 1
            found += figures
    told("deaths around a return")
    found += deaths(backend, directory, dice, kills=kills)
    found.seconds = time.monotonic() - began
    return found


#: Days after the start on which debits go out or come back: on these the worker dies.
_BUSY = (10, 11, 14, 15, 16, 18, 19, 20, 21, 22, 23, 24, 25, 29, 30, 33, 34)


def deaths(backend: Backend, directory: Path, dice: random.Random, *, kills: int) -> Figures:
    """The worker dies at a place of its turn, again and again, on each day on which a debit goes out or comes back."""
    store = directory / f"stripe-{backend.name}-{os.getpid()}-debts.sqlite"
    killed = 0
    with a_copy(backend) as url, told_by(Time()) as clock:
        world = World(url, clock, store=store)
        _died, kept = in_child(lambda say: _begin(world, say))
        for day in range(1, 61):
            clock.advance(days=1)
            tries = -(-kills // len(_BUSY)) if day in _BUSY and killed < kills else 0
            for _try in range(tries):
                place = dice.randint(1, 30)
                died, _said = in_child(lambda _say, place=place: _a_turn(world, place))  # type: ignore[misc]
                killed += died
            in_child(lambda _say: _a_turn(world, 0))
        died, said = in_child(lambda say: _end(world, kept, say))
    for end in ("", "-wal", "-shm"):
        Path(f"{store}{end}").unlink(missing_ok=True)
    if died:
        raise HarnessFailed("killed where nobody kills")
    figures = Figures(**json.loads(said))
    figures.kills = killed
    return figures


def _begin(world: World, say: Callable[[str], None]) -> None:
    world.open()
    lives = Lives.of(world, people=6)
    for who in range(6):
        lives.bank_is(who, "A", CLOSED if who == 5 else EMPTY)
        (lives.plan if who in (2, 3) else lives.autopay)(who, "A")
    say(json.dumps([[one.at.isoformat(), one.account_id, one.source.value] for one in lives.agreed]))


def _a_turn(world: World, die_at: int) -> None:
    world.open()
    Lives.of(world, people=0)
    world.points = Points(die_at)
    world.deliver()
    world.tick()
    world.tick()
    if world.troubles or world.leaks:
        raise HarnessFailed(f"{world.troubles + world.leaks}")


def _end(world: World, kept: str, say: Callable[[str], None]) -> None:
    world.open()
    lives = Lives.of(world, people=6)
    lives.remember(json.loads(kept))
    world.come_to_rest()
    figures = judged(lives)
    if judge_debts(lives)[1] != 3:
        figures.notes.append("no debt was presented three times, so nothing was shown")
    say(json.dumps(asdict(figures)))
