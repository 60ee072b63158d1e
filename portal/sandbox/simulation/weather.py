"""What goes wrong around the portal in a year, and when: drawn from the seed before the year begins."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from portal.sandbox.simulation.journal import Journal
from portal.sandbox.simulation.world import World
from portal.sandbox.stripe import WebhookPlan

_MANY = 100_000
#: Making an intent or a refund, and nothing else.
_MADE = r"/v1/(payment_intents|refunds)$"
_MIXED = ("drop_before", "drop_after", "error_500", "error_500_after", "rate_limited", "slow")

#: Stripe's bad days: (what, faults as kind, path, method).
KINDS: dict[str, tuple[str, str, str]] = {
    "unreachable": ("drop_before", "/v1/", ""),
    "answers lost": ("drop_after", "/v1/", ""),
    "no word of intents": ("drop_after", _MADE, "POST"),
    "429": ("rate_limited", "/v1/", ""),
    "500, nothing done": ("error_500", "/v1/", ""),
    "500, though it was done": ("error_500_after", _MADE, "POST"),
    "mixed": ("", "/v1/", ""),
}
_LENGTHS = ({"minutes": 25}, {"hours": 2}, {"hours": 9}, {"hours": 26}, {"days": 3})


@dataclass(frozen=True, slots=True)
class Spell:
    """Some time in which something is wrong: ``what`` is one of :data:`KINDS`, ``mail`` or ``endpoint``."""

    what: str
    begins: datetime
    ends: datetime

    def covers(self, at: datetime) -> bool:
        """Whether it is on at a moment."""
        return self.begins <= at < self.ends


def forecast(dice: random.Random, *, start: datetime, days: int) -> list[Spell]:
    """The year's bad spells, about three a month of Stripe's own. Many begin before midnight, when charges fall due."""
    spells = []
    kinds = [*KINDS]
    for number in range(max(3, days // 10)):
        what = kinds[number % len(kinds)] if number < len(kinds) else dice.choice(kinds)
        spells.append(_spell(what, dice, start, days, dice.choice(_LENGTHS)))
    for what, count, lengths in (
        ("mail", max(1, days // 40), ({"hours": 5}, {"hours": 30}, {"days": 2})),
        ("endpoint", max(1, days // 90), ({"hours": 30}, {"days": 4})),
    ):
        spells += [_spell(what, dice, start, days, dice.choice(lengths)) for _ in range(count)]
    return sorted(spells, key=lambda one: one.begins)


def _spell(what: str, dice: random.Random, start: datetime, days: int, length: dict[str, int]) -> Spell:
    # The clinic's midnight is 5 or 6 in the morning in UTC; ``start`` is at 15.
    begins = start + timedelta(days=dice.randrange(2, max(3, days)), hours=dice.choice([-11, -10, 0, 7]))
    return Spell(what, begins, begins + timedelta(**length))


def break_stripe(world: World, spells: list[Spell], dice: random.Random) -> None:
    """Give the stand-in of this process the faults of now, and now and then one of its own."""
    at = world.time.at
    world.stripe.faults.clear()
    for spell in spells:
        if spell.what not in KINDS or not spell.covers(at):
            continue
        kind, path, method = KINDS[spell.what]
        if kind:
            world.stripe.faults.add(kind, times=_MANY, path=path, method=method)
            continue
        for _ in range(60):
            world.stripe.faults.add(dice.choice(_MIXED), skip=dice.randrange(3), seconds=dice.choice([2, 19, 45]))
    if dice.random() < 0.08:
        world.stripe.faults.add(dice.choice(_MIXED), skip=dice.randrange(12), seconds=dice.choice([2, 19, 45]))
    if dice.random() < 0.08:
        kind = dice.choice(["drop_after", "error_500_after", "error_500", "rate_limited"])
        world.stripe.faults.add(kind, method="POST", path=_MADE, skip=dice.randrange(3))


def webhook_plan(spells: list[Spell], at: datetime, dice: random.Random) -> WebhookPlan:
    """How Stripe sends its events at this moment."""
    return WebhookPlan(
        duplicates=int(dice.random() < 0.15),
        reorder=dice.random() < 0.5,
        delay_seconds=dice.choice([0, 0, 0, 0, 3_600, 86_400]),
        down=any(spell.what == "endpoint" and spell.covers(at) for spell in spells),
        lost_share=dice.choice([0.0, 0.0, 0.2]),
        seed=dice.getrandbits(30),
    )


def door(journal: Journal, dice: random.Random, *, quiet: bool = False) -> Callable[[Callable[[], int]], int]:
    """Stands between Stripe and the portal's view: events are lost for good, refused, or taken in and refused."""

    def stand(knock: Callable[[], int]) -> int:
        chance = 1.0 if quiet else dice.random()
        if chance < 0.06:
            journal.note("event", fate="lost")  # somebody on the way answered for us: it never comes again
            return 200
        if chance < 0.12:
            journal.note("event", fate="refused")
            return 503
        status = knock()
        if chance < 0.16:
            journal.note("event", fate="came twice")
            return 500
        journal.note("event", fate="came")
        return status

    return stand


def mail_is_away(spells: list[Spell], at: datetime) -> bool:
    """Whether the mail server takes nothing."""
    return any(spell.what == "mail" and spell.covers(at) for spell in spells)
