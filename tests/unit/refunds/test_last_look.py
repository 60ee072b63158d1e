"""Credits are looked for where something has changed, and everywhere once a day."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine

from portal import clock
from portal.billing.kinds import HoldReason
from portal.billing.service import end_holds, place_hold
from portal.money import Money
from portal.payments.models import Payment
from portal.refunds import credits
from tests.unit.refunds.conftest import Desk


@pytest.fixture
def charge_id(desk: Desk, payment: Payment) -> int:
    return next(iter(desk.parts(payment)))


def test_what_lies_unchanged_is_looked_at_once_a_day(desk: Desk, payment: Payment, charge_id: int) -> None:
    start = clock.now()
    assert desk.find() == 0
    with time_machine.travel(start + timedelta(hours=2), tick=False):
        desk.insurer_takes_over(charge_id, Money(900))
    with time_machine.travel(start + timedelta(hours=4), tick=False):
        credits.note_read(desk.session, "credits", to=clock.now())  # as if it had been overlooked
        assert desk.find() == 0
    with time_machine.travel(start + timedelta(hours=25), tick=False):
        assert desk.find() == 1


def test_what_has_changed_is_looked_at_at_once(desk: Desk, payment: Payment, charge_id: int) -> None:
    start = clock.now()
    assert desk.find() == 0
    with time_machine.travel(start + timedelta(hours=3), tick=False):
        desk.insurer_takes_over(charge_id, Money(900))
        assert desk.find() == 1


def test_a_hold_that_ends_is_a_change(desk: Desk, payment: Payment, charge_id: int) -> None:
    place_hold(desk.session, charge_id=charge_id, reason=HoldReason.STAFF, account_id=payment.account_id)
    desk.session.commit()
    desk.insurer_takes_over(charge_id, Money(900))
    start = clock.now()
    assert desk.find() == 0
    with time_machine.travel(start + timedelta(hours=3), tick=False):
        assert desk.find() == 0
    with time_machine.travel(start + timedelta(hours=5), tick=False):
        end_holds(desk.session, charge_ids=[charge_id], reason=HoldReason.STAFF)
        desk.session.commit()
        assert desk.find() == 1
