"""Reconciling asks Stripe about what moved in a window, exactly, and knows a payment that is being settled."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal import clock
from portal.db import writing
from portal.ledger import reconcile as reconciling
from portal.ledger.adapters.embedded.ledger import EmbeddedLedger
from portal.ledger.push import deliver_due
from portal.ledger.reconcile import SETTLED_WITHIN, reconcile, window_begins
from portal.money import Money
from portal.payments import service
from portal.payments.allocate import Part
from portal.payments.booking import book
from portal.payments.gateway import StripeGateway
from portal.payments.kinds import BookingKind
from portal.payments.models import Allocation, Payment
from portal.sandbox.stripe import StandIn
from tests.web.money_moves import Pay, gateway, pay
from tests.web.paying import client_of

BOTH_DATABASES = True

__all__ = ["gateway", "pay"]

DAY = 86_400


@pytest.fixture
def days(standin: StandIn, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """``days(3)``: so many days pass, for us and for Stripe."""
    real = clock.now

    def go(count: float) -> None:
        standin.advance(int(count * DAY))
        monkeypatch.setattr(clock, "now", lambda: real() + (standin.now() - standin._clock()))

    return go


@pytest.fixture
def found(session: Session, gateway: StripeGateway) -> Callable[..., dict[str, Any]]:
    """``found(days=35)``: what reconcile says of the last so many days; without, of all there ever was."""

    def act(days: float | None = None) -> dict[str, Any]:
        since = None if days is None else clock.now() - timedelta(days=days)
        session.rollback()
        with writing():
            deliver_due(session, EmbeddedLedger(session))
            result = reconcile(session, EmbeddedLedger(session), gateway, since=since)
        session.rollback()
        return result

    return act


def kinds(result: dict[str, Any]) -> list[tuple[str, int]]:
    return [(one["kind"], one["difference_cents"]) for one in result["exceptions"]]


def test_old_charges_are_not_read(
    pay: Pay, days: Callable[[float], None], found: Callable[..., Any], standin: StandIn
) -> None:
    pay("10"), pay("20")
    days(40)
    pay("30")
    standin.requests.clear()
    result = found(35)
    assert (result["agrees"], result["total"]["stripe_cents"]) == (True, 6000)
    asked = [one["path"] for one in standin.requests]
    assert not [path for path in asked if path.startswith("/v1/charges/")], asked
    assert found()["total"] == result["total"]


@pytest.mark.parametrize("what", ["refund", "dispute"])
def test_what_moved_in_the_window_counts_however_old_its_payment_is(
    pay: Pay, days: Callable[[float], None], found: Callable[..., Any], standin: StandIn, what: str
) -> None:
    """In Stripe's dashboard, or at a bank: unknown here, seen by the window, and by nothing before it."""
    old = pay("60")
    days(60)
    assert kinds(found(35)) == []
    if what == "refund":
        client_of(standin).v1.refunds.create({"payment_intent": str(old.stripe_intent_id), "amount": 1500})
        size = 1500
    else:
        standin.open_dispute(str(old.stripe_charge_id))
        size = 6000
    assert kinds(found(35)) == [("booked here, not so at Stripe", size)]
    assert kinds(found()) == kinds(found(35))
    days(40)
    assert kinds(found(35)) == []  # before the window; a monthly run has told of it
    assert kinds(found()) == [("booked here, not so at Stripe", size)]


def test_what_was_booked_in_the_window_is_compared_with_an_old_payment(
    pay: Pay, days: Callable[[float], None], found: Callable[..., Any], session: Session
) -> None:
    """Booked here and not at Stripe, for a payment from before the window."""
    old = pay("60")
    days(60)
    charge_id = session.scalars(sa.select(Allocation.charge_id).where(Allocation.payment_id == old.id).limit(1)).one()
    with writing():
        book(
            session,
            kind=BookingKind.REFUND,
            payment_id=old.id,
            home_account_id=old.account_id,
            subject="a" * 32,
            parts=[Part(charge_id, Money(100))],
            at=clock.now(),
        )
        session.commit()
    assert kinds(found(35)) == [("booked here, not so at Stripe", -100)]


def test_a_charge_that_is_unknown_here_is_told_within_the_window(
    days: Callable[[float], None], found: Callable[..., Any], standin: StandIn
) -> None:
    lost = client_of(standin).v1.payment_intents.create(
        {
            "amount": 2500,
            "currency": "usd",
            "payment_method": "pm_card_visa",
            "confirm": True,
            "return_url": "http://localhost/back",
            "metadata": {"attempt_id": "c" * 32},
        }
    )
    result = found(35)
    assert kinds(result) == [("taken by Stripe, unknown here", 2500)]
    assert result["exceptions"][0]["key"] == lost.id
    days(36)
    assert (kinds(found(35)), len(kinds(found()))) == ([], 1)


def test_a_payment_that_is_being_settled_is_not_unknown(
    pay: Pay, found: Callable[..., Any], days: Callable[[float], None], session: Session, gateway: StripeGateway
) -> None:
    payment = pay("12.34", settled=False)
    for window in (35, None):
        result = found(window)
        assert (result["agrees"], kinds(result)) == (True, [])
        assert (result["total"]["settling_cents"], result["total"]["captures_cents"]) == (1234, 0)
    days((SETTLED_WITHIN + timedelta(minutes=1)) / timedelta(days=1))
    result = found(35)
    assert kinds(result) == [("taken by Stripe, not settled here", 1234)]
    assert "worker" in result["exceptions"][0]["suggestion"]
    with writing():
        service.refresh(session, gateway, payment_id=payment.id)
    result = found(35)
    assert (kinds(result), result["total"]["settling_cents"], result["total"]["stripe_cents"]) == ([], 0, 1234)


def test_a_payment_that_never_settles_does_not_leave_the_window(
    pay: Pay, found: Callable[..., Any], days: Callable[[float], None]
) -> None:
    """Stripe took it, and the sweep fails on it for longer than the window is."""
    pay("12.34", settled=False)
    days(40)
    assert kinds(found(35)) == [("taken by Stripe, not settled here", 1234)] == kinds(found())


def test_a_payment_whose_answer_was_lost_is_known_by_its_attempt(
    pay: Pay, found: Callable[..., Any], session: Session
) -> None:
    """Charged off-session in the call that was lost: Stripe names the attempt, the row has no intent yet."""
    payment = pay("12.34", settled=False)
    with writing():
        session.execute(sa.update(Payment).where(Payment.id == payment.id).values(stripe_intent_id=None))
        session.commit()
    assert (kinds(found(35)), found(35)["total"]["settling_cents"]) == ([], 1234)


def test_a_bank_debit_is_being_settled_when_its_money_comes(
    pay: Pay, found: Callable[..., Any], days: Callable[[float], None], session: Session, standin: StandIn
) -> None:
    """It was begun days ago; Stripe was asked a moment ago, and the money has come since."""
    payment = pay("12.34", card="pm_usBankAccount_success")
    session.rollback()
    days(5)
    with writing():
        session.execute(sa.update(Payment).where(Payment.id == payment.id).values(checked_at=clock.now()))
        session.commit()
    assert (kinds(found(35)), found(35)["total"]["settling_cents"]) == ([], 1234)
    days(1)
    assert kinds(found(35)) == [("taken by Stripe, not settled here", 1234)]


def test_the_window_begins_at_the_clinics_midnight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: datetime(2026, 12, 1, 3, tzinfo=UTC))  # the evening before, in Chicago
    assert window_begins("2026-03-08", "America/Chicago") == datetime(2026, 3, 8, 6, tzinfo=UTC)
    assert window_begins("", "America/Chicago") == datetime(2026, 10, 26, 5, tzinfo=UTC)
    assert window_begins("all", "America/Chicago") is None
    for wrong in ("yesterday", "2026-13-01", "11/30/2026", "20261130", "2026-W40"):
        with pytest.raises(ValueError, match="2026-11-30"):
            window_begins(wrong, "America/Chicago")
    with pytest.raises(ValueError, match="yet to come"):
        window_begins("2026-12-01", "America/Chicago")  # at the clinic it is November 30
    assert set(reconciling.SUGGESTIONS) >= {"taken by Stripe, not settled here"}
