"""A few days in which what guards of payment plans are for does happen: nothing is left to luck.

Somebody pays everything at the front desk after the notice of a charge and before it; another one's card is lost for
good; Stripe takes the money and its answer is lost, night after night; and whenever a worker is about to charge an
installment, another worker has charged what is due in that very moment. With its guards the portal comes through;
without one of them it does not.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

from flask import current_app

import portal.plans.collecting.charging
from portal import clock
from portal.plans.collecting.jobs import run_due
from portal.plans.kinds import Frequency
from portal.plans.rules.conditions import conditions_at
from portal.sandbox.simulation import people, weather, year
from portal.sandbox.simulation.insurers import pay_at_the_desk
from portal.sandbox.simulation.office import Office
from portal.sandbox.simulation.people import Running, next_is_told
from portal.sandbox.simulation.weather import Spell
from portal.sandbox.simulation.world import START
from portal.web.database import db
from tests.faults.twins import replaced

DAYS, PLANS = 14, 4
_TIMEZONE = "America/Chicago"


class DirectedOffice(Office):
    """Acts on two of the plans, the first once it was told of its next charge; nothing else happens."""

    def day(self, day: int, plans: list[Running]) -> None:
        for plan in plans:
            number = self._number[plan.account_id]
            if number == 0 and self._is_told(plan):
                while pay_at_the_desk(self._world, plan.account_id, self._dice):
                    pass
            elif number == 1:
                stripe_id, kind = self._method(plan) or ("", "")
                bad = "pm_card_visa_chargeDeclinedLostCard" if kind == "card" else "pm_usBankAccount_accountClosed"
                self._turn(stripe_id, bad)


    def _is_told(self, plan: Running) -> bool:
        with self._world.at_work() as session:
            told = next_is_told(session, plan.id)
            session.commit()
        return told


@contextlib.contextmanager
def overtaken() -> Iterator[list[int]]:
    """Each time a worker has seen that an installment is due, another one's turn comes before it goes on.

    The list has a number for each such turn.
    """
    turns: list[int] = []
    asked = portal.plans.collecting.charging.waits_on

    def asked_in_time(session: Any, user_id: int | None, account_ids: Any) -> Any:
        if not turns or turns[-1] > 0:
            turns.append(-1)  # the other one is not overtaken in its turn
            with current_app.app_context():
                run_due(db.session, current_app.extensions["plainbill_gateway"], conditions=conditions_at(
                    current_app.extensions["plainbill_policy"], "http://localhost",
                    today=clock.today(_TIMEZONE), timezone=_TIMEZONE,
                ))  # fmt: skip
            turns[-1] = 1
        return asked(session, user_id, account_ids)

    with replaced(portal.plans.collecting.charging, "waits_on", asked_in_time):
        yield turns


def no_word_of_intents(*_args: Any, **_facts: Any) -> list[Spell]:
    """Every night when charges fall due."""
    nights = [START + timedelta(days=day, hours=-9) for day in range(1, DAYS)]
    return [Spell("no word of intents", night, night + timedelta(hours=1, minutes=50)) for night in nights]


def live(directory: Path, *, seed: int) -> tuple[year.Year, int]:
    """The days, judged; and how often a worker was overtaken."""
    with (
        overtaken() as turns,
        replaced(weather, "forecast", no_word_of_intents),
        replaced(year, "Office", DirectedOffice),
        patch.object(year, "_TEMPERS", ("gone",)),
        patch.object(people, "FREQUENCIES", (Frequency.WEEKLY,)),
        patch.object(people, "MOST", {Frequency.WEEKLY: 3}),
    ):
        lived = year.simulate(
            f"sqlite:///{directory / 'portal.sqlite'}", directory, seed=seed, days=DAYS, plans=PLANS, unrest=0
        )
    return lived, len(turns)
