"""Shutting guest payment, opening it again, and what is cancelled meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
import time_machine
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.service import open_account
from portal.audit.models import AuditEvent
from portal.audit.tags import Tag
from portal.auth.models import User
from portal.guests import alarm
from portal.guests.breaker import SHUT_FOR, WINDOW, Tries
from portal.guests.models import CardTestingAlarm
from portal.money import Money
from portal.payments.kinds import PaymentSource
from portal.payments.models import Payment, StripeEvent
from portal.payments.state import PaymentState

FAILED, SUCCEEDED = "payment_intent.payment_failed", "payment_intent.succeeded"


@pytest.fixture
def hours() -> Iterator[time_machine.Traveller]:
    """A clock that stands still until it is moved."""
    with time_machine.travel(datetime.fromisoformat("2026-11-24T12:00:00+00:00"), tick=False) as traveller:
        yield traveller


@pytest.fixture
def staff_id(session: Session) -> int:
    user = User(
        email="staff@example.com", password="x", display_name="Staff", active=True, fs_uniquifier="staff",
        created_at=clock.now(),
    )  # fmt: skip
    session.add(user)
    session.commit()
    return int(user.id)


class Cards:
    """Payments with events, as Stripe would have sent them."""

    def __init__(self, session: Session) -> None:
        self._session, self._count = session, 0
        self._account_id = open_account(session, ref="T-1", guarantor_name="Gail Sample").id

    def payment(
        self, *, source: PaymentSource = PaymentSource.GUEST, kind: str = "card", user: int | None = None
    ) -> str:
        now = clock.now()
        self._count += 1
        intent = f"pi_{self._count}"
        self._session.add(
            Payment(
                account_id=self._account_id,
                user_id=user,
                source=source,
                amount=Money(500),
                state=PaymentState.CANCELED,
                stripe_intent_id=intent,
                method_kind=kind,
                created_at=now,
                checked_at=now,
            )
        )
        self._session.commit()
        return intent

    def try_on(self, intent: str, kind: str = FAILED, *, times: int = 1, ago: timedelta = timedelta(0)) -> None:
        now = clock.now()
        for _ in range(times):
            self._count += 1
            self._session.add(
                StripeEvent(
                    id=f"evt_{self._count}",
                    type=kind,
                    intent_id=intent,
                    created_at=now - ago,
                    received_at=now,
                    next_try_at=now,
                )
            )
        self._session.commit()


@pytest.fixture
def cards(session: Session, hours: time_machine.Traveller) -> Cards:
    return Cards(session)


def met(session: Session) -> int:
    return session.query(AuditEvent).filter_by(tag=Tag.CARD_TESTING_MET).count()


def test_only_what_guests_did_with_cards_in_the_window_is_counted(
    session: Session, cards: Cards, staff_id: int
) -> None:
    guest = cards.payment()
    cards.try_on(guest, times=3)
    cards.try_on(guest, SUCCEEDED)
    cards.try_on(guest, "payment_intent.canceled")
    cards.try_on(guest, ago=WINDOW + timedelta(seconds=1))
    cards.try_on(cards.payment(source=PaymentSource.PATIENT, user=staff_id), times=20)
    cards.try_on(cards.payment(kind="us_bank_account"), times=20)  # returned debits come in heaps
    cards.try_on("pi_of_somebody_else", times=20)
    assert alarm.tries_now(session) == Tries(declined=3, succeeded=1)
    assert not alarm.watch(session)
    assert alarm.shut_until(session) is None


def test_it_shuts_once_and_opens_by_itself(session: Session, cards: Cards, hours: time_machine.Traveller) -> None:
    intent = cards.payment()
    cards.try_on(intent, times=11)
    assert not alarm.watch(session)
    cards.try_on(intent)
    assert alarm.watch(session)
    assert alarm.shut_until(session) == clock.now() + SHUT_FOR
    # More declines, more workers: the alarm that is on stays the only one.
    cards.try_on(intent, times=9)
    assert not alarm.watch(session)
    assert (met(session), session.query(CardTestingAlarm).count()) == (1, 1)
    (event,) = session.query(AuditEvent).filter_by(tag=Tag.CARD_TESTING_MET).all()
    assert event.facts == {"declines": 12, "tries": 12}

    hours.shift(SHUT_FOR - timedelta(seconds=1))
    assert alarm.shut_until(session) is not None
    hours.shift(timedelta(seconds=1))
    assert alarm.shut_until(session) is None
    assert not alarm.watch(session)
    (row,) = alarm.alarms(session)
    assert (row.is_on, row.lifted_at, row.declines, row.tries) == (False, None, 12, 12)

    # What came in while it was shut is over; what comes now counts.
    cards.try_on(intent, times=12)
    assert alarm.watch(session)
    assert met(session) == 2
    assert [row.is_on for row in alarm.alarms(session)] == [True, False]


def test_opened_by_a_supervisor_it_is_not_shut_again_by_what_shut_it(
    session: Session, cards: Cards, hours: time_machine.Traveller, staff_id: int
) -> None:
    intent = cards.payment()
    cards.try_on(intent, times=15)
    assert alarm.watch(session)
    hours.shift(timedelta(minutes=2))
    assert alarm.lift(session, staff_user_id=staff_id)
    session.commit()
    assert alarm.shut_until(session) is None
    assert not alarm.watch(session)
    assert not alarm.lift(session, staff_user_id=staff_id)
    session.commit()
    lifted = session.query(AuditEvent).filter_by(tag=Tag.CARD_TESTING_LIFTED).one()
    assert lifted.actor_user_id == staff_id
    hours.shift(timedelta(seconds=1))
    cards.try_on(intent, times=12)
    assert alarm.watch(session)


def test_two_workers_that_count_at_once_raise_one_alarm(
    session: Session, cards: Cards, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second had looked before the first committed: the database tells it that it was not the first."""
    cards.try_on(cards.payment(), times=12)
    assert alarm.watch(session)
    monkeypatch.setattr(alarm, "shut_until", lambda _session: None)
    monkeypatch.setattr(alarm, "tries_now", lambda _session: Tries(12, 0))
    assert not alarm.watch(session)
    assert (met(session), session.query(CardTestingAlarm).count()) == (1, 1)
