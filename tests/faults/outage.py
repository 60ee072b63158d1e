"""Stripe in bad weather: slow, 429, 500 before and after it acted, unreachable for ten minutes or for two days.

Patients pay and clerks refund through it, reload and try again. Afterwards everything catches up and nobody has paid
twice; and the requests that Stripe recorded tell that a request was never sent again under a key that Stripe may have
forgotten, nor a second one before the first was looked up.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from portal.payments.closing import RESEND_WITHIN
from portal.sandbox.simulation.verdict import Figures, judge
from tests.databases import Backend
from tests.faults.acts import PAYING, REFUNDING, ask_refund, come_back, confirm, pay_for, payable, start
from tests.faults.places import a_world
from tests.faults.world import Patient, World, patients

#: One fault in so many requests of a bout.
_KINDS = ("drop_before", "drop_after", "error_500", "error_500_after", "rate_limited", "slow")
_MANY = 10_000
#: Making an intent or a refund, and nothing else.
_MADE = r"/v1/(payment_intents|refunds)$"


def _mixed(world: World, dice: random.Random) -> None:
    """Half of the requests meet something, for as long as it is not cleared."""
    for _ in range(400):
        kind = dice.choice(_KINDS)
        world.stripe.faults.add(kind, skip=dice.randrange(2), seconds=dice.choice([2, 19, 45]))


def _only(kind: str, path: str = "/v1/", method: str = "") -> Callable[[World, random.Random], None]:
    def order(world: World, dice: random.Random) -> None:
        world.stripe.faults.add(kind, times=_MANY, path=path, method=method, seconds=30)

    return order


#: What Stripe does, and for how long.
BOUTS: dict[str, tuple[Callable[[World, random.Random], None], timedelta]] = {
    "mixed": (_mixed, timedelta(minutes=30)),
    "slow": (_only("slow"), timedelta(minutes=10)),
    "429": (_only("rate_limited"), timedelta(minutes=10)),
    "500, nothing done": (_only("error_500"), timedelta(minutes=10)),
    "500, though it was done": (_only("error_500_after"), timedelta(minutes=10)),
    "unreachable": (_only("drop_before"), timedelta(minutes=10)),
    "answers lost": (_only("drop_after"), timedelta(minutes=10)),
    "no word of intents and refunds": (_only("drop_after", _MADE, "POST"), timedelta(minutes=10)),
    "no word of them for two days": (_only("drop_after", _MADE, "POST"), timedelta(days=2)),
}


def run(
    backend: Backend,
    *,
    seed: int,
    told: Callable[[str], None] = lambda _bout: None,
    sabotage: Callable[[], contextlib.AbstractContextManager[object]] = contextlib.nullcontext,
    only: Iterable[str] = (),
) -> Figures:
    """Every bout (or those in ``only``) on a fresh clinic."""
    began, found = time.monotonic(), Figures()
    for number, (name, (order, lasts)) in enumerate(BOUTS.items()):
        if only and name not in only:
            continue
        told(name)
        with a_world(backend) as world, sabotage():
            figures = _sit_through(world, random.Random(seed + number), order, lasts)
            figures.notes = [f"{name}: {note}" for note in figures.notes]
            found += figures
    found.seconds = time.monotonic() - began
    return found


def _sit_through(
    world: World, dice: random.Random, order: Callable[[World, random.Random], None], lasts: timedelta
) -> Figures:
    with world.at_work() as session:
        everybody = patients(session)
    payers, refunded = everybody[:10], everybody[16:22]
    for who, name in zip(refunded, sorted(REFUNDING), strict=False):
        pay_for(world, who, name)
    world.run_for(minutes=1)
    ends, injected = world.time.at + lasts, world.stripe.faults.injected
    order(world, dice)
    ways = sorted(PAYING)
    for number, who in enumerate(payers):
        PAYING[ways[number % len(ways)]](world, who, dice)
        world.time.advance(seconds=20)
    for who in refunded:
        ask_refund(world, who)
    while world.time.at < ends:
        who = dice.choice(payers)
        dice.choice([lambda who=who: come_back(world, who), lambda who=who: confirm(world, start(world, who))])()
        world.tick()
        world.time.advance(seconds=max(60.0, lasts.total_seconds() / 12))
    world.stripe.faults.clear()
    injected = world.stripe.faults.injected - injected
    world.run_for(minutes=1)
    # Those who were told "try again later" do: once soon, and once more when the first try's key has been given up.
    for minutes in (1, 15, 1):
        world.run_for(minutes=minutes)
        _pay_again(world, payers)
    world.come_to_rest()
    # A debit that got through the weather may have bounced since.
    _pay_again(world, payers)
    world.come_to_rest()
    figures = judge(world)
    figures.faults = injected
    figures.notes += key_complaints(list(world.stripe.requests))
    unpaid = [who.number for who in payers if _owes(world, who.account_id)]
    if unpaid:
        figures.notes.append(f"did not catch up: {unpaid} tried to pay and still owe")
    return figures


def _pay_again(world: World, payers: list[Patient]) -> None:
    for who in payers:
        come_back(world, who)
        confirm(world, start(world, who))
        come_back(world, who)


def _owes(world: World, account_id: int) -> bool:
    return bool(payable(world, [account_id]))


def key_complaints(requests: list[dict[str, object]]) -> list[str]:
    """What Stripe's record of requests says against us.

    A key is asked for again within :data:`RESEND_WITHIN` of its first use (and the client's own retry at once), long
    before Stripe forgets it; and where a second key asks for the same thing, a list was read in between.
    """
    complaints = []
    first: dict[object, datetime] = {}
    asked_for: dict[tuple[object, object], tuple[object, int]] = {}
    lists: dict[object, int] = {}
    slack = timedelta(minutes=3)  # a slow answer and the client's own retry
    for place, one in enumerate(requests):
        at, template, params = datetime.fromisoformat(str(one["at"])), one.get("template"), one.get("params") or {}
        assert isinstance(params, dict)
        if one["method"] == "GET" and template in ("/v1/refunds", "/v1/payment_intents"):
            lists[template] = place
        key = one.get("idempotency_key")
        if one["method"] != "POST" or template not in ("/v1/payment_intents", "/v1/refunds"):
            continue
        if key is None:
            complaints.append(f"{template} was asked without a key")
            continue
        age = at - first.setdefault(key, at)
        if age > RESEND_WITHIN + slack:
            complaints.append(f"{template} was asked again under a key of {age}")
        metadata = params.get("metadata") or {}
        subject = metadata.get("refund_id") or metadata.get("attempt_id")
        before = asked_for.get((template, subject))
        if before is not None and before[0] != key and lists.get(template, -1) < before[1]:
            complaints.append(f"{template} was asked under a second key without looking the first one up")
        asked_for[template, subject] = (key, place)
    return complaints
