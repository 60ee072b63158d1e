"""The clinic's day dates what happens to money: what a patient, the mirror and the back office say of it is one day.

Chicago is five or six hours behind UTC, so that an evening's payment is made on the next day in UTC.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask
from sqlalchemy.orm import Session

from portal import clock
from portal.billing.kinds import EntryKind
from portal.billing.models import Charge, Entry, Posting, Visit
from portal.config import Settings
from portal.db import writing
from portal.disputes.service import settle_dispute
from portal.ledger.adapters.embedded.models import LedgerTransaction
from portal.notifications.models import Notification
from portal.payments.gateway import StripeGateway
from portal.payments.models import Booking
from portal.plans.back_office import notify_back_office
from portal.plans.kinds import ChangeKind
from portal.refunds.models import Refund
from portal.refunds.settle import project
from portal.sandbox.stripe import StandIn
from portal.why.command import trace_of
from tests.conftest import Clinic, _make_app
from tests.pages import JudgingClient, Page
from tests.web.money_moves import ACCOUNT, Pay, agrees, gateway, pay
from tests.web.paying import TESTA, client_of
from tests.web.test_statements import STAFF, statements_of, words

BOTH_DATABASES = True

__all__ = ["gateway", "pay"]

SignIn = Callable[..., Page]

#: Moments in UTC on both sides of the clinic's midnight, in winter, in summer, and on the days when its clocks change.
#: Later than the demo clinic's own entries, which are written when its database is made.
DAYS = {
    "2036-12-10T02:30:00": date(2036, 12, 9),  # half past eight in the evening
    "2036-12-10T05:59:59": date(2036, 12, 9),
    "2036-12-10T06:00:00": date(2036, 12, 10),
    "2036-12-10T18:00:00": date(2036, 12, 10),
    "2037-01-01T03:00:00": date(2036, 12, 31),
    "2036-03-01T03:00:00": date(2036, 2, 29),
    "2037-07-01T04:59:59": date(2037, 6, 30),
    "2037-07-01T05:00:00": date(2037, 7, 1),
    "2037-03-08T05:59:59": date(2037, 3, 7),  # the last second before the day on which the clocks go forward
    "2037-03-08T07:59:59": date(2037, 3, 8),
    "2037-03-09T04:59:59": date(2037, 3, 8),  # ... which ends an hour earlier in UTC than it began
    "2037-03-09T05:00:00": date(2037, 3, 9),
    "2037-11-01T04:59:59": date(2037, 10, 31),  # the same when they go back
    "2037-11-01T06:30:00": date(2037, 11, 1),  # half past one, the first time
    "2037-11-01T07:30:00": date(2037, 11, 1),  # and the second time
    "2037-11-02T05:59:59": date(2037, 11, 1),
    "2037-11-02T06:00:00": date(2037, 11, 2),
}
#: Those at which something is booked: a night in winter, and the ends of both days when the clocks change.
BOOKED = {one: DAYS[one] for one in DAYS if one[:10] in ("2036-12-10", "2037-03-09", "2037-11-02") and "T18" not in one}
EVENING, TOMORROW = datetime(2036, 12, 10, 2, 30, tzinfo=UTC), "Dec 10, 2036"


def at(words: str) -> datetime:
    return datetime.fromisoformat(words).replace(tzinfo=UTC)


def entry_days(session: Session, kind: EntryKind) -> set[date | None]:
    session.rollback()
    found = set(session.scalars(sa.select(Entry.effective_on).where(Entry.kind == kind)))
    session.rollback()
    return found


def posting_days(session: Session, kind: str) -> set[date]:
    session.rollback()
    found = set(session.scalars(sa.select(Posting.effective_on).where(Posting.kind == kind)))
    session.rollback()
    return found


def ledger_days(session: Session, kind: str) -> set[date]:
    found = set(session.scalars(sa.select(LedgerTransaction.effective_on).where(LedgerTransaction.kind == kind)))
    session.rollback()
    return found


@pytest.mark.parametrize(("moment", "day"), DAYS.items())
def test_the_day_at_a_moment(moment: str, day: date) -> None:
    assert clock.clinic_day(at(moment)) == day
    assert clock.day_at(at(moment), "America/Chicago") == day
    with time_machine.travel(at(moment), tick=False):
        assert clock.today("America/Chicago") == day


@pytest.mark.parametrize(("moment", "day"), BOOKED.items())
def test_entry_posting_and_books_are_of_the_day_on_which_it_was_paid(
    session: Session, gateway: StripeGateway, pay: Pay, moment: str, day: date
) -> None:
    with time_machine.travel(at(moment), tick=False):
        payment = pay("60")
        assert payment.settled_at == at(moment)
        assert clock.clinic_day(payment.settled_at) == day
        assert entry_days(session, EntryKind.PATIENT_PAYMENT) == {day}
        assert posting_days(session, "patient_payment") == {day}
        result = agrees(session, gateway)
        assert result["total"]["difference_cents"] == 0
        assert ledger_days(session, "patient_payment") == {day}


def test_paid_in_the_evening_every_page_and_paper_says_one_day(
    client: JudgingClient,
    clinic: Clinic,
    sign_in: SignIn,
    session: Session,
    gateway: StripeGateway,
    standin: StandIn,
    pay: Pay,
    app: Flask,
) -> None:
    """Half past eight on December 9: no page, no paper and no mail says the 10th."""
    with time_machine.travel(EVENING, tick=False):
        payment = pay("60")
        sign_in(client, TESTA)
        account = clinic.account(ACCOUNT)
        receipt = client.page(f"/payments/{payment.public_id}/receipt").text("main")
        paper = words(client.get(f"/payments/{payment.public_id}/receipt.pdf").data)
        year = words(client.get("/payments/year/2036.pdf").data)
        history = client.page("/payments").text("main")
        visits = sa.select(Visit.public_id).join(Charge, Charge.visit_id == Visit.id)
        paid = visits.join(Entry, Entry.charge_id == Charge.id).where(Entry.kind == EntryKind.PATIENT_PAYMENT)
        visit = session.scalars(paid).first()
        session.rollback()
        why = client.page(f"/visits/{visit}/why").text("main")
        for said in (receipt, paper, year, history, why):
            assert "Dec 9, 2036" in said
            assert TOMORROW not in said
        with app.app_context():
            told = trace_of(session, ACCOUNT)
            session.rollback()
        steps = [step for visit in told["visits"] for line in visit["lines"] for step in line["steps"]]
        ours = [step["source"] for step in steps if step["source"] and step["source"]["reference"]]
        assert {source["on"] for source in ours} == {"2036-12-09"}

        mails = session.scalars(sa.select(Notification).where(Notification.key == f"receipt/{payment.public_id}")).all()
        assert len(mails) == 1
        assert not re.search(r"Dec(ember)? 10|12/10|2036-12-10", f"{mails[0].subject} {mails[0].body}")
        session.rollback()

        desk = app.test_client()
        assert isinstance(desk, JudgingClient)
        sign_in(desk, STAFF)
        desk.submit(desk.page(f"/desk/accounts/{account}/new-statement"), action="new-statement")
        statement = statements_of(session, ACCOUNT)[-1]
        assert statement.issued_on == date(2036, 12, 9)
        address = desk.page(f"/desk/accounts/{account}").links()[f"Statement {statement.number} (PDF)"]
        printed = words(desk.get(address).data)
        assert "Dec 9, 2036" in printed
        assert TOMORROW not in printed
        session.rollback()
        agrees(session, gateway)


def test_a_refund_is_of_the_day_on_which_it_was_sent(
    session: Session, gateway: StripeGateway, standin: StandIn, pay: Pay, client: JudgingClient, sign_in: SignIn
) -> None:
    """One made in Stripe's dashboard: the promise, the entry, the posting, and the page say the clinic's day."""
    with time_machine.travel(EVENING - timedelta(days=3), tick=False):
        payment = pay("60")
    with time_machine.travel(EVENING, tick=False):
        made = client_of(standin).v1.refunds.create({"payment_intent": payment.stripe_intent_id or "", "amount": 2000})
        with writing():
            assert project(session, gateway.refunds.retrieve(made.id))
        session.rollback()
        refund = session.scalars(sa.select(Refund)).one()
        assert refund.send_on == date(2036, 12, 9)
        booking = session.scalars(sa.select(Booking).where(Booking.kind == "refund")).one()
        assert booking.booked_at == refund.booked_at
        session.rollback()
        assert entry_days(session, EntryKind.PATIENT_REFUND) == {date(2036, 12, 9)}
        assert posting_days(session, "patient_refund") == {date(2036, 12, 9)}
        sign_in(client, TESTA)
        for said in (
            client.page(f"/payments/{payment.public_id}/receipt").text("main"),
            words(client.get(f"/payments/{payment.public_id}/receipt.pdf").data),
        ):
            assert "Dec 9, 2036" in said
            assert TOMORROW not in said
        session.rollback()
        agrees(session, gateway)


def test_what_a_bank_takes_back_is_of_the_day_on_which_we_book_it(
    session: Session, gateway: StripeGateway, standin: StandIn, pay: Pay
) -> None:
    with time_machine.travel(EVENING, tick=False):
        payment = pay("60")
        made = standin.open_dispute(payment.stripe_charge_id or "")
        with writing():
            settle_dispute(session, gateway, gateway.disputes.retrieve(made["id"]))
        assert entry_days(session, EntryKind.CHARGEBACK) == {date(2036, 12, 9)}
        assert posting_days(session, "patient_dispute") == {date(2036, 12, 9)}


def test_the_back_office_is_told_of_a_plan_on_the_clinics_day(session: Session, clinic: Clinic, pay: Pay) -> None:
    with time_machine.travel(EVENING, tick=False):
        payment = pay("60")
        notify_back_office(
            session,
            plan="p" * 32,
            version=1,
            account_id=payment.account_id,
            kind=ChangeKind.ENROLLED,
            ended=False,
            left={},
        )
        session.commit()
        assert posting_days(session, "plan_enrolled") == {date(2036, 12, 9)}


@pytest.mark.parametrize(
    ("timezone", "day"),
    [
        ("America/Chicago", date(2036, 12, 9)),
        ("Pacific/Honolulu", date(2036, 12, 9)),
        ("America/St_Johns", date(2036, 12, 9)),
        ("Pacific/Guam", date(2036, 12, 10)),
    ],
)
def test_the_portal_says_whose_day_it_is(settings: Settings, standin: StandIn, timezone: str, day: date) -> None:
    _make_app(replace(settings, clinic_timezone=timezone), standin)
    assert clock.clinic_day(EVENING) == day


def test_a_process_that_was_not_told_names_no_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "_clinic", None)
    with pytest.raises(RuntimeError, match="whose day"):
        clock.clinic_day(EVENING)
