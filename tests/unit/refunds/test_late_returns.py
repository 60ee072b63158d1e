"""A refund that a bank sends back long after it was asked for gets into the books, whatever it waited for before."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from portal import clock
from portal.ledger.adapters.embedded.ledger import EmbeddedLedger
from portal.ledger.push import deliver_due
from portal.ledger.reconcile import reconcile
from portal.money import Money
from portal.refunds import service
from portal.refunds.learning import RETURNS_WITHIN, sweep_refunds
from portal.refunds.state import RefundState
from tests.unit.refunds.conftest import ZONE, Desk
from tests.unit.refunds.test_learning import days

__all__ = ["days"]


@pytest.mark.parametrize("waited", [0, RETURNS_WITHIN.days - 1, 3 * RETURNS_WITHIN.days])
def test_its_days_count_from_when_it_was_sent(desk: Desk, days: Callable[[int], None], waited: int) -> None:
    payment = desk.pay(amount=Money(5000))
    refund = desk.ask(payment, amount=Money(1500), limit=Money(0))
    days(waited)
    sweep_refunds(desk.session, desk.gateway)
    service.approve(desk.session, public_id=refund.public_id, actor=desk.supervisor, today=clock.today(ZONE))
    desk.session.commit()
    desk.send()
    for day in range(1, 6):
        days(waited + day)
        sweep_refunds(desk.session, desk.gateway)
    assert desk.state(refund) is RefundState.SUCCEEDED
    desk.standin.fail_refund(desk.at_stripe()[0].id)  # its event is lost
    for day in (6, 7, 8):
        days(waited + day)
        sweep_refunds(desk.session, desk.gateway)
    assert desk.state(refund) is RefundState.FAILED
    ledger = EmbeddedLedger(desk.session)
    deliver_due(desk.session, ledger)
    assert reconcile(desk.session, ledger, desk.gateway)["exceptions"] == []
