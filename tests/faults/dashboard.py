"""Refunds made past the portal, in Stripe's dashboard: not a cent of them may stay out of the books.

In each bout one way alone has to bring them in, while everything else is away: Stripe's list, the payouts, or events in
any order with the worker away for a while. Some are of bank debits that are still under way, and of these some never
arrive. Last, processes die at each place of the sweep.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from portal.payments.models import Booking, Payment
from portal.sandbox.simulation.verdict import Figures, judge
from portal.sandbox.stripe import WebhookPlan
from tests.databases import Backend
from tests.faults import kill
from tests.faults.acts import BANK, CARD, DASHBOARD, EMPTY_BANK, come_back, confirm, refund_in_dashboard, start
from tests.faults.places import a_world
from tests.faults.world import Patient, World, patients

Sabotage = Callable[[], contextlib.AbstractContextManager[object]]

_POSTED = "ledger.deliver_postings"
#: So many pay in a bout.
_PAYERS = 10


@dataclass(frozen=True, slots=True)
class Bout:
    """What they pay with, and what runs. With ``settled`` the payment is known before anybody refunds it."""

    methods: tuple[str, ...]
    jobs: frozenset[str]
    webhooks: bool = False
    settled: bool = False
    #: The worker is away for so many minutes after the events came.
    away: int = 0


BOUTS: dict[str, Bout] = {
    "the list alone": Bout((CARD,), frozenset({"refunds.sweep", _POSTED}), settled=True),
    "the payouts alone": Bout((CARD,), frozenset({"payouts.pull", _POSTED}), settled=True),
    "events first": Bout((CARD,), frozenset({"payments.process_events", _POSTED}), webhooks=True, away=12),
    "events first, and days late": Bout(
        (CARD,), frozenset({"payments.process_events", _POSTED}), webhooks=True, away=4 * 24 * 60
    ),
    "debits under way, events alone": Bout(
        (BANK, EMPTY_BANK), frozenset({"payments.process_events", _POSTED}), webhooks=True, away=12
    ),
    "debits under way, sweeps alone": Bout(
        (BANK, EMPTY_BANK), frozenset({"payments.sweep_payments", "refunds.sweep", _POSTED})
    ),
}
_KILLED = "killed in the sweep"


def run(
    backend: Backend,
    directory: Path,
    *,
    seed: int,
    told: Callable[[str], None] = lambda _bout: None,
    sabotage: Sabotage = contextlib.nullcontext,
    only: Iterable[str] = (),
) -> Figures:
    """Every bout (or those in ``only``) on a fresh clinic, and the deaths (``killed in the sweep``)."""
    began, found = time.monotonic(), Figures()
    for number, (name, bout) in enumerate(BOUTS.items()):
        if only and name not in only:
            continue
        told(name)
        with a_world(backend) as world, sabotage():
            figures = _sit_through(world, bout, random.Random(seed + number))
            figures.notes = [f"{name}: {note}" for note in figures.notes]
            found += figures
    if not only or _KILLED in only:
        for act in DASHBOARD:
            told(f"{_KILLED}: {act}")
            found += kill.at_each_place(backend, directory, act=act, then="goes away", sabotage=sabotage)
    found.seconds = time.monotonic() - began
    return found


def _sit_through(world: World, bout: Bout, dice: random.Random) -> Figures:
    with world.at_work() as session:
        everybody = patients(session)[:_PAYERS]
    world.jobs = {name: job for name, job in world.jobs.items() if name in bout.jobs}
    world.stripe.webhook_plan = WebhookPlan(reorder=True, duplicates=1, seed=dice.randrange(1_000))
    notes: list[str] = []
    for number, who in enumerate(everybody):
        confirm(world, start(world, who), bout.methods[number % len(bout.methods)])
        if bout.settled:
            come_back(world, who)
    under_way = CARD not in bout.methods
    made = [_refund(world, who, dice, under_way=under_way) for who in everybody]
    if not all(made):
        notes.append(f"only {sum(made)} of {len(made)} were refunded")
    for step in ({"minutes": max(1, bout.away)}, {"minutes": 20}, {"days": 2}, {"days": 2}, *[{"hours": 30}] * 3):
        world.time.advance(**step)
        if bout.webhooks:
            world.deliver()
        if step.get("minutes") == bout.away:
            # The events are there, and nobody to look at them.
            world.time.advance(minutes=bout.away)
        world.tick()
        notes += _given_back_and_never_received(world)
    figures = judge(world)
    figures.notes += notes
    figures.faults = len(made)
    return figures


def _refund(world: World, who: Patient, dice: random.Random, *, under_way: bool) -> bool:
    """All of it, or a part; sometimes the rest as well."""
    share = dice.choice([30, 50, 100])
    first = refund_in_dashboard(world, who, share=share, under_way=under_way)
    if share < 100 and dice.random() < 0.5:
        refund_in_dashboard(world, who, share=40, under_way=under_way)
    return first is not None


def _given_back_and_never_received(world: World) -> list[str]:
    with world.at_work() as session:
        cents = sa.func.sum(sa.type_coerce(Booking.amount, sa.BigInteger))
        rows = session.execute(
            sa.select(Payment.public_id, cents)
            .join(Payment, Payment.id == Booking.payment_id)
            .group_by(Payment.public_id)
            .having(cents < 0)
        ).all()
        session.commit()
    return [f"payment {public_id}: {-cents} cents more went back than came in" for public_id, cents in rows]
