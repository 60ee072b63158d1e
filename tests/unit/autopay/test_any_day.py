"""Autopay that is turned on on any day of a month, also late in the evening and while the clocks change."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from portal import clock
from portal.autopay.calendar import NOTICE_DAYS
from portal.autopay.kinds import ChargeState
from portal.banking_days import is_banking_day
from portal.money import Money
from tests import days
from tests.unit.autopay.conftest import World


@pytest.mark.parametrize("start", days.NASTY)
def test_it_is_announced_ten_days_ahead_and_charged_on_its_day(world: World, start: str) -> None:
    began = days.moment(start)
    world.travel.move_to(began)
    world.standin.advance(0)
    due = world.due
    world.turn_on()
    world.work()
    (charge,) = world.charges()
    day = charge.charge_on
    assert day - began.date() >= timedelta(days=NOTICE_DAYS)
    assert is_banking_day(day)
    for on, made in ((day - timedelta(days=1), 0), (day, 1)):
        world.travel.move_to(datetime.combine(on, began.time(), tzinfo=days.CLINIC))
        world.standin.advance(0)
        assert world.today == on
        world.work()
        assert len(world.payments()) == made
    (charge,), (payment,) = world.charges(), world.payments()
    assert (charge.state, clock.clinic_day(payment.created_at)) == (ChargeState.PAID, day)
    assert (world.taken(), world.due) == (due.cents, Money.zero())
