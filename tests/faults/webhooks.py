"""Webhooks in bad weather: whatever they meet on their way, the end is that of the quiet run.

The same people do the same things in each run. Without the sweeps, so that the webhooks alone must bring it about;
only where Stripe itself gives up (an endpoint that is down for three days) do the sweeps and the catch-up help.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import sqlalchemy as sa

from portal.billing.kinds import PATIENT_MONEY
from portal.billing.models import Entry, Hold, Posting
from portal.disputes.models import Dispute
from portal.payments.models import Allocation, Booking, Payment
from portal.refunds.models import Refund
from portal.sandbox.simulation.verdict import Figures, judge
from portal.sandbox.stripe import WebhookPlan
from tests.databases import Backend
from tests.faults.acts import BANK, CARD, DECLINED, EMPTY_BANK, ask_refund, confirm, dispute, pay_for, start
from tests.faults.places import a_world
from tests.faults.world import Patient, World, patients


@dataclass(frozen=True, slots=True)
class Weather:
    """What befalls webhooks. ``refused`` of them are answered 5xx, half of these after they were taken in."""

    name: str
    plan: WebhookPlan
    refused: float = 0.0
    #: The endpoint answers nobody for so many days from the start of each act.
    down_days: float = 0.0

    @property
    def sweeps(self) -> bool:
        """Whether the sweeps run: where Stripe gives up, something else has to come."""
        return self.down_days >= 3


QUIET = Weather("quiet", WebhookPlan())
_DAY = 86_400


def weathers(seed: int) -> list[Weather]:
    """Every weather there is."""
    return [
        Weather("each three times", WebhookPlan(duplicates=2, seed=seed)),
        Weather("in any order", WebhookPlan(reorder=True, seed=seed)),
        Weather("two days late", WebhookPlan(delay_seconds=2 * _DAY, seed=seed)),
        Weather("20 % answered 5xx", WebhookPlan(seed=seed), refused=0.2),
        Weather("answers lost", WebhookPlan(lost_share=0.3, seed=seed)),
        Weather("all of it", WebhookPlan(1, True, _DAY, lost_share=0.1, seed=seed), refused=0.2),
        Weather("down for three days", WebhookPlan(seed=seed), down_days=3.2),
    ]


def run(
    backend: Backend,
    *,
    seed: int,
    told: Callable[[str], None] = lambda _weather: None,
    sabotage: Callable[[], contextlib.AbstractContextManager[object]] = contextlib.nullcontext,
    only: Iterable[str] = (),
) -> Figures:
    """Every weather (or those named in ``only``) against the quiet run."""
    began, found = time.monotonic(), Figures()
    quiet: dict[bool, list[str]] = {}
    for weather in weathers(seed):
        if only and weather.name not in only:
            continue
        told(weather.name)
        if weather.sweeps not in quiet:
            figures, quiet[weather.sweeps] = _live_through(backend, seed, QUIET, sweeps=weather.sweeps)
            found += figures
        with sabotage():
            figures, end = _live_through(backend, seed, weather, sweeps=weather.sweeps)
        missing, extra = set(quiet[weather.sweeps]) - set(end), set(end) - set(quiet[weather.sweeps])
        for row in sorted(missing)[:3]:
            figures.notes.append(f"{weather.name}: not as in the quiet run, where there is {row}")
        for row in sorted(extra)[:3]:
            figures.notes.append(f"{weather.name}: not in the quiet run: {row}")
        found += figures
    found.seconds = time.monotonic() - began
    return found


def _live_through(backend: Backend, seed: int, weather: Weather, *, sweeps: bool) -> tuple[Figures, list[str]]:
    dice, disturbed = random.Random(seed), 0
    with a_world(backend) as world:
        if not sweeps:
            world.jobs = {name: job for name, job in world.jobs.items() if not _makes_up(name)}
        world.stripe.webhook_plan = replace(weather.plan)
        storm = random.Random(seed + 1)

        def door(knock: Callable[[], int]) -> int:
            nonlocal disturbed
            if storm.random() >= weather.refused:
                return knock()
            disturbed += 1
            if storm.random() < 0.5:
                knock()
            return storm.choice([500, 502, 503])

        with world.at_work() as session:
            everybody = patients(session)
        posts = 0
        for act in (_pay, _give_back, _decide):
            act(world, everybody, dice)
            posts += _days_pass(world, weather, door)
        figures = judge(world, at_rest=sweeps)
        events = len(world.stripe.every("event", 100_000))
        figures.faults = disturbed + max(0, posts - events - disturbed)
        return figures, end_state(world)


def _makes_up(job: str) -> bool:
    """Whether a job makes up for lost webhooks."""
    return "sweep" in job or "catch_up" in job


def _days_pass(world: World, weather: Weather, door: Callable[[Callable[[], int]], int]) -> int:
    """Ten days, in steps that give Stripe its tries again; returns how many posts were made."""
    began, posts = world.time.at, 0
    for step in ({"minutes": 7}, {"hours": 1}, *[{"hours": 9}] * 10, *[{"days": 2}] * 3, {"minutes": 20}):
        world.time.advance(**step)
        plan = world.stripe.webhook_plan
        plan.down = (world.time.at - began).total_seconds() < weather.down_days * _DAY
        posts += world.deliver(door)
        world.tick()
    return posts


def _pay(world: World, everybody: list[Patient], dice: random.Random) -> None:
    """Nobody's browser comes back to tell us anything."""
    for who, methods in zip(
        everybody,
        [
            [CARD], [BANK], [DECLINED], [DECLINED, CARD], [EMPTY_BANK], [CARD], [CARD], [CARD], [BANK], [CARD],
            [CARD], [CARD],
        ],
        strict=False,
    ):  # fmt: skip
        if who.number % 2 == 0 and dice.random() < 0.3:
            intent = start(world, who, charge_ids=who.charge_ids[:2])
        else:
            intent = start(world, who)
        for method in methods:
            confirm(world, intent, method)
    pay_for(world, everybody[12], "refund, on its way for days")
    pay_for(world, everybody[13], "refund, sent back by the bank")
    confirm(world, start(world, everybody[14], guest=True))
    confirm(world, start(world, everybody[16], family=True))


def _give_back(world: World, everybody: list[Patient], dice: random.Random) -> None:
    for number in (0, 1, 5, 12, 13, 16):
        ask_refund(world, everybody[number], charge_ids=everybody[number].charge_ids[: dice.choice([1, 3])])
    for number in (6, 7, 8, 9):
        dispute(world, everybody[number], amount=1500 if number == 7 else None)
    world.tick()


def _decide(world: World, everybody: list[Patient], dice: random.Random) -> None:
    for number, opened in enumerate(sorted(world.stripe.every("dispute"), key=lambda one: str(one["amount"]))):
        with contextlib.suppress(ValueError):
            world.stripe.close_dispute(opened["id"], won=number % 2 == 0)


def end_state(world: World) -> list[str]:
    """All that is in the books, as lines without the ids, days and times in which runs may differ."""
    with world.at_work() as session:
        parts: dict[int, list[tuple[int, int]]] = {}
        for payment_id, charge_id, amount in session.execute(
            sa.select(Allocation.payment_id, Allocation.charge_id, Allocation.amount)
        ):
            parts.setdefault(payment_id, []).append((charge_id, amount.cents))
        lines = [
            f"payment {account} {amount.cents} {state} {sorted(parts[payment_id])} {method}"
            for payment_id, account, amount, state, method in session.execute(
                sa.select(Payment.id, Payment.account_id, Payment.amount, Payment.state, Payment.method_kind)
            )
        ]
        for name, columns in {
            "booking": (Booking.account_id, Booking.kind, Booking.amount),
            "posting": (Posting.account_id, Posting.kind, Posting.amount, Posting.state),
            "refund": (Refund.amount, Refund.state, Refund.reason),
            "dispute": (Dispute.amount, Dispute.state),
            "hold": (Hold.charge_id, Hold.reason, Hold.released_at.is_(None)),
        }.items():
            lines += [f"{name} {' '.join(map(str, row))}" for row in session.execute(sa.select(*columns))]
        lines += [
            f"entry {charge} {kind} {amount.cents}"
            for charge, kind, amount in session.execute(
                sa.select(Entry.charge_id, Entry.kind, Entry.patient).where(Entry.kind.in_(PATIENT_MONEY))
            )
        ]
        session.commit()
    seen: dict[str, int] = {}
    numbered = []
    for line in sorted(lines):
        seen[line] = seen.get(line, 0) + 1
        numbered.append(f"{line} #{seen[line]}")
    return numbered
