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
from portal.documents.kinds import DocumentKind
from portal.documents.store import store
from portal.guests import alarm
from portal.guests.breaker import SHUT_FOR, WINDOW, Tries
from portal.guests.models import CardTestingAlarm, GuestPass, GuestPayment
from portal.money import Money
from portal.payments.kinds import PaymentSource
from portal.payments.models import Payment, StripeEvent
from portal.payments.state import PaymentState
from portal.statements.models import Statement

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
        self,
        *,
        source: PaymentSource = PaymentSource.GUEST,
        kind: str = "card",
        user: int | None = None,
        statement: int = 0,
        network: str = "",
    ) -> str:
        """A payment; with ``statement`` (a number) a guest's who came by that paper, from ``network``."""
        now = clock.now()
        self._count += 1
        intent = f"pi_{self._count}"
        payment = Payment(
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
        self._session.add(payment)
        if statement:
            self._session.flush()
            let_in = self._pass(statement)
            self._session.add(GuestPayment(payment_id=payment.id, guest_pass_id=let_in, network=network))
        self._session.commit()
        return intent

    def _pass(self, number: int) -> int:
        now = clock.now()
        paper = self._session.query(Statement).filter_by(number=f"{number}").one_or_none()
        if paper is None:
            content = f"%PDF {number}".encode()
            document = store(
                self._session, kind=DocumentKind.STATEMENT, content=content, account_id=self._account_id
            )
            paper = Statement(
                account_id=self._account_id, number=f"{number}", issued_on=now.date(), due_on=now.date(),
                amount_due=Money(500), lines=[], code_hash=f"{number:064}", code_expires_at=now,
                document_id=document, created_at=now,
            )  # fmt: skip
            self._session.add(paper)
            self._session.flush()
        self._count += 1
        let_in = GuestPass(
            token_hash=f"{self._count:064}", statement_id=paper.id, account_id=self._account_id, admitted_at=now,
            expires_at=now,
        )  # fmt: skip
        self._session.add(let_in)
        self._session.flush()
        return let_in.id

    def everywhere(self) -> list[str]:
        """A payment on each of three statements, from three networks."""
        return [self.payment(statement=number, network=f"network {number}") for number in (1, 2, 3)]

    def try_on_each(self, intents: list[str], *, times: int) -> None:
        """So many declines in all, spread over payments."""
        for number in range(times):
            self.try_on(intents[number % len(intents)])

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


@pytest.mark.parametrize(
    ("papers", "networks"), [((1, 1, 1), "abc"), ((1, 2, 3), "aaa"), ((1, 2, 2), "abc"), ((1, 2, 3), "abb")]
)
def test_one_paper_or_one_network_shuts_nobody_else_out(
    session: Session, cards: Cards, papers: tuple[int, ...], networks: str
) -> None:
    intents = [
        cards.payment(statement=paper, network=network) for paper, network in zip(papers, networks, strict=True)
    ]
    cards.try_on_each(intents, times=90)
    assert not alarm.watch(session)
    assert alarm.shut_until(session) is None


def test_what_came_from_no_known_network_is_not_several(session: Session, cards: Cards) -> None:
    cards.try_on_each([cards.payment(statement=number) for number in (1, 2, 3)], times=90)
    assert alarm.tries_now(session) == Tries(90, 0, statements=3, networks=0)
    assert not alarm.watch(session)


def test_a_network_whose_cards_are_nearly_all_declined_waits_alone(
    session: Session, cards: Cards, hours: time_machine.Traveller
) -> None:
    theirs = [cards.payment(statement=number, network="theirs") for number in (1, 2, 3)]
    cards.try_on(cards.payment(statement=4, network="ours"), times=2)
    cards.try_on_each(theirs, times=11)
    assert not alarm.takes_no_card_from(session, "theirs")
    cards.try_on(theirs[0])
    assert alarm.takes_no_card_from(session, "theirs")
    assert not alarm.takes_no_card_from(session, "ours")
    assert not alarm.watch(session)
    hours.shift(WINDOW + timedelta(seconds=1))
    assert not alarm.takes_no_card_from(session, "theirs")


def test_it_shuts_once_and_opens_by_itself(session: Session, cards: Cards, hours: time_machine.Traveller) -> None:
    intents = cards.everywhere()
    cards.try_on_each(intents, times=11)
    assert not alarm.watch(session)
    cards.try_on(intents[0])
    assert alarm.watch(session)
    assert alarm.shut_until(session) == clock.now() + SHUT_FOR
    # More declines, more workers: the alarm that is on stays the only one.
    cards.try_on_each(intents, times=9)
    assert not alarm.watch(session)
    assert (met(session), session.query(CardTestingAlarm).count()) == (1, 1)
    (event,) = session.query(AuditEvent).filter_by(tag=Tag.CARD_TESTING_MET).all()
    assert event.facts == {"declines": 12, "tries": 12, "statements": 3, "networks": 3}

    hours.shift(SHUT_FOR - timedelta(seconds=1))
    assert alarm.shut_until(session) is not None
    hours.shift(timedelta(seconds=1))
    assert alarm.shut_until(session) is None
    assert not alarm.watch(session)
    (row,) = alarm.alarms(session)
    assert (row.is_on, row.lifted_at, row.declines, row.tries) == (False, None, 12, 12)
    assert (row.statements, row.networks) == (3, 3)

    # What came in while it was shut is over; what comes now counts.
    cards.try_on_each(intents, times=12)
    assert alarm.watch(session)
    assert met(session) == 2
    assert [row.is_on for row in alarm.alarms(session)] == [True, False]


def test_opened_by_a_supervisor_it_is_not_shut_again_by_what_shut_it(
    session: Session, cards: Cards, hours: time_machine.Traveller, staff_id: int
) -> None:
    intents = cards.everywhere()
    cards.try_on_each(intents, times=15)
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
    cards.try_on_each(intents, times=12)
    assert alarm.watch(session)


def test_two_workers_that_count_at_once_raise_one_alarm(
    session: Session, cards: Cards, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second had looked before the first committed: the database tells it that it was not the first."""
    cards.try_on_each(cards.everywhere(), times=12)
    assert alarm.watch(session)
    monkeypatch.setattr(alarm, "shut_until", lambda _session: None)
    monkeypatch.setattr(alarm, "tries_now", lambda _session: Tries(12, 0, statements=3, networks=3))
    assert not alarm.watch(session)
    assert (met(session), session.query(CardTestingAlarm).count()) == (1, 1)
