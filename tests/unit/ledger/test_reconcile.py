"""Every kind of disagreement is found, and only a disagreement is one."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from io import StringIO
from typing import Any

import pytest
import sqlalchemy as sa
from rich.console import Console
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.models import Account
from portal.auth.models import User
from portal.billing import postings
from portal.billing.kinds import EntryKind
from portal.billing.models import Charge, Entry, Posting, Visit
from portal.billing.service import NewEntry, write_entries
from portal.ledger import reconcile as reconciling
from portal.ledger.adapters.embedded.ledger import EmbeddedLedger, post
from portal.ledger.adapters.embedded.models import Book
from portal.ledger.push import deliver_due
from portal.ledger.reconcile_report import tell
from portal.money import Money
from portal.payments.allocate import Part
from portal.payments.booking import book
from portal.payments.gateway import StripeCharge, StripeDispute
from portal.payments.kinds import BookingKind
from portal.payments.models import Payment, StripeCustomer
from portal.payments.state import PaymentState
from tests.unit.remittances.books import StripeWith, claim, compared, load, payment, remittance

CUSTOMER = "cus_sample"
DAY = date(2026, 11, 2)


def captured(cents: int, *, intent: str, charge: str, ours: str = "", customer: str = "") -> StripeCharge:
    """What Stripe took for an intent; ``ours`` is the attempt's id in its metadata."""
    return StripeCharge(intent, charge, Money(cents), ours, customer, clock.now())


def dispute(payment: Payment, withdrawn: int, returned: int = 0) -> StripeDispute:
    """A dispute of a payment as Stripe has it."""
    return StripeDispute(
        id="du_1",
        status="needs_response",
        amount=Money(withdrawn),
        reason="general",
        charge_id=payment.stripe_charge_id or "",
        intent_id=payment.stripe_intent_id or "",
        answer_by=None,
        withdrawn=Money(withdrawn),
        returned=Money(returned),
        fee=Money(1500),
        created_at=clock.now(),
    )


@dataclass
class Clinic:
    """One account that owes 15.00 for one line, and what Stripe says it took."""

    session: Session
    account_id: int
    account_ref: str
    charge_id: int
    visit_ref: str
    user_id: int
    stripe: list[StripeCharge] = field(default_factory=list)
    disputes: list[StripeDispute] = field(default_factory=list)
    later: dict[str, StripeCharge] = field(default_factory=dict)

    def pay(self, cents: int, *, mirror: bool = True, stripe: int | None = None, queued: bool = True) -> str:
        """A payment that went through; returns its public id. ``stripe`` is what Stripe took, if another amount.

        Without ``mirror`` or ``queued`` its entry, or its posting, is missing: books that were damaged.
        """
        session, now = self.session, clock.now()
        row = Payment(
            account_id=self.account_id,
            user_id=self.user_id,
            amount=Money(cents),
            state=PaymentState.SUCCEEDED,
            created_at=now,
            checked_at=now,
            settled_at=now,
        )
        session.add(row)
        session.flush()
        row.stripe_intent_id, row.stripe_charge_id = f"pi_{row.id}", f"ch_{row.id}"
        self.move(BookingKind.PAYMENT, row, cents)
        if not mirror:
            self.enter(cents, source_id=f"{row.public_id}/undone")
        if not queued:
            session.execute(sa.delete(Posting).where(Posting.key == row.public_id))
        if stripe != 0:
            self.take(row, cents if stripe is None else stripe)
        key = row.public_id
        session.commit()
        return key

    def move(self, kind: BookingKind, payment: Payment, cents: int, subject: str = "") -> None:
        """Book money of a payment."""
        book(
            self.session,
            kind=kind,
            payment_id=payment.id,
            home_account_id=self.account_id,
            subject=subject or payment.public_id,
            parts=[Part(self.charge_id, Money(cents))],
            at=clock.now(),
        )

    def take(self, payment: Payment, cents: int) -> None:
        """What Stripe says of a payment's charge."""
        name = payment.stripe_charge_id or ""
        self.stripe = [one for one in self.stripe if one.charge_id != name]
        self.stripe.append(captured(cents, intent=payment.stripe_intent_id or "", charge=name, ours=payment.public_id))

    def payment(self, key: str) -> Payment:
        """The payment with a public id."""
        return self.session.scalars(sa.select(Payment).where(Payment.public_id == key)).one()

    def enter(self, cents: int, *, source_id: str) -> None:
        """An entry in the patient's bucket of the mirror."""
        write_entries(
            self.session,
            [
                NewEntry(
                    account_id=self.account_id,
                    charge_id=self.charge_id,
                    kind=EntryKind.PATIENT_PAYMENT,
                    insurer=Money(0),
                    patient=Money(cents),
                    source="payment",
                    source_id=source_id,
                    effective_on=DAY,
                )
            ],
        )
        self.session.commit()

    def post(self, key: str, cents: int, *, kind: str = "patient_payment") -> None:
        """A transaction in the back office's own books."""
        lines = [(Book.CARD_CLEARING, "", Money(cents)), (Book.PATIENT_RECEIVABLE, self.visit_ref, Money(-cents))]
        post(
            self.session, key=key, kind=kind, effective_on=DAY, account_ref=self.account_ref, lines=lines
        )
        self.session.commit()

    def deliver(self) -> None:
        """Everything that waits goes to the back office."""
        deliver_due(self.session, EmbeddedLedger(self.session))

    def result(self) -> dict[str, Any]:
        """What reconcile says."""
        return compared(self.session, StripeWith(self.stripe, self.disputes, self.later))

    def found(self) -> list[tuple[str, str, int]]:
        """The disagreements: (kind, key, cents)."""
        result = self.result()
        assert result["agrees"] == (not result["exceptions"])
        sizes = sum(abs(one["difference_cents"]) for one in result["exceptions"])
        assert result["total"]["difference_cents"] == sizes
        return [(one["kind"], one["key"], one["difference_cents"]) for one in result["exceptions"]]


@pytest.fixture
def books(session: Session) -> Clinic:
    load(session, remittance(payment(claim("V-1"), paid=60)))
    now = clock.now()
    user = User(email="payer@example.test", created_at=now)
    session.add(user)
    session.flush()
    account = session.scalars(sa.select(Account)).one()
    session.add(StripeCustomer(account_id=account.id, customer_id=CUSTOMER, created_at=now))
    lines = sa.select(Charge.id, Visit.ref).join(Visit, Visit.id == Charge.visit_id)
    charge_id, visit_ref = session.execute(lines).one()
    books = Clinic(session, account.id, account.ref, charge_id, visit_ref, user.id)
    session.commit()
    return books


def test_books_that_agree(books: Clinic) -> None:
    books.pay(300)
    books.pay(500)
    books.deliver()
    assert books.found() == []
    assert books.result()["total"] == {
        "mirror_cents": 700,
        "ledger_cents": 700,
        "captures_cents": 800,
        "posted_cents": 800,
        "stripe_cents": 800,
        "in_transit_cents": 0,
        "settling_cents": 0,
        "difference_cents": 0,
    }


def test_an_entry_that_is_missing_in_the_mirror(books: Clinic) -> None:
    books.pay(300, mirror=False)
    books.deliver()
    assert books.found() == [("patient's balance", books.account_ref, 300)]


def test_an_entry_that_the_back_office_does_not_have(books: Clinic) -> None:
    books.enter(-300, source_id="stray")
    assert books.found() == [("patient's balance", books.account_ref, -300)]


def test_an_insurers_balance_that_differs(books: Clinic) -> None:
    session = books.session
    charge = session.scalars(sa.select(Entry).where(Entry.kind == EntryKind.CHARGE)).one()
    write_entries(
        session,
        [
            NewEntry(
                account_id=charge.account_id,
                charge_id=charge.charge_id,
                kind=EntryKind.ADJUSTMENT,
                insurer=Money(-250),
                patient=Money(0),
                source="test",
                source_id="stray",
            )
        ],
    )
    session.commit()
    assert books.found() == [("insurer's balance", books.account_ref, -250)]


def test_a_posting_that_is_missing(books: Clinic) -> None:
    """Neither in the outbox nor in the back office."""
    key = books.pay(300, queued=False)
    assert books.found() == [
        ("booked here, not in the back office", key, 300),
        ("patient's balance", books.account_ref, -300),
    ]


def test_a_posting_that_came_with_another_amount(books: Clinic) -> None:
    key = books.pay(300, queued=False)
    books.post(key, 299)
    assert books.found() == [
        ("posted with another amount", key, 1),
        ("patient's balance", books.account_ref, -1),
    ]


def test_a_posting_under_our_key_that_we_never_made(books: Clinic) -> None:
    books.post("f" * 32, 300)
    assert books.found() == [
        ("in the back office under our key, unknown here", "f" * 32, 300),
        ("patient's balance", books.account_ref, 300),
    ]


def test_an_account_that_only_the_back_office_has(books: Clinic) -> None:
    books.account_ref = "ELSEWHERE"
    books.post("desk-1", 300, kind="desk")
    assert books.found() == [("patient's balance", "ELSEWHERE", 300)]


def test_a_capture_that_is_unknown_here(books: Clinic) -> None:
    books.stripe.append(captured(400, intent="pi_other", charge="ch_other", ours="c" * 32))
    assert books.found() == [("taken by Stripe, unknown here", "pi_other", 400)]


def test_a_capture_without_an_intent_is_unknown_here_too(books: Clinic) -> None:
    books.stripe.append(captured(400, intent="", charge="ch_other", customer=CUSTOMER))
    assert books.found() == [("taken by Stripe, unknown here", "ch_other", 400)]


@pytest.mark.parametrize(("at_stripe", "difference"), [(0, 300), (299, 1), (301, -1)])
def test_a_capture_that_stripe_knows_otherwise(books: Clinic, at_stripe: int, difference: int) -> None:
    key = books.pay(300, stripe=at_stripe)
    books.deliver()
    assert books.found() == [("booked here, not so at Stripe", key, difference)]


def test_two_opposite_errors_do_not_cancel_out(books: Clinic) -> None:
    first, second = books.pay(300, stripe=200), books.pay(300, stripe=400)
    books.deliver()
    assert sorted(books.found()) == sorted(
        [("booked here, not so at Stripe", first, 100), ("booked here, not so at Stripe", second, -100)]
    )
    result = books.result()
    assert (result["total"]["captures_cents"], result["total"]["stripe_cents"]) == (600, 600)
    assert result["total"]["difference_cents"] == 200


def test_two_opposite_errors_in_postings_do_not_cancel_out(books: Clinic) -> None:
    for cents in (200, 400):
        books.post(books.pay(300, queued=False), cents)
    assert sorted(cents for _kind, _key, cents in books.found()) == [-100, 100]


def test_what_is_on_its_way_is_no_difference(books: Clinic) -> None:
    books.pay(300)
    assert books.found() == []
    total = books.result()["total"]
    assert (total["in_transit_cents"], total["mirror_cents"], total["ledger_cents"]) == (300, 1200, 1500)


def test_what_arrived_but_was_not_answered_is_not_counted_twice(books: Clinic) -> None:
    key = books.pay(300)
    assert postings.take_due(books.session) is not None
    books.post(key, 300)
    assert books.found() == []
    assert books.result()["total"]["in_transit_cents"] == 0


def test_what_the_back_office_rejected_is_a_difference(books: Clinic) -> None:
    key = books.pay(300)
    posting_id = books.session.scalars(sa.select(Posting.id)).one()
    postings.mark_rejected(books.session, posting_id, reason="closed period")
    assert books.found() == [
        ("booked here, not in the back office", key, 300),
        ("patient's balance", books.account_ref, -300),
    ]
    assert books.result()["total"]["in_transit_cents"] == 0


def test_what_the_stripe_account_is_used_for_besides_is_no_difference(books: Clinic) -> None:
    books.stripe.append(captured(400, intent="pi_shop", charge="ch_shop", customer="cus_of_the_shop"))
    books.pay(300)
    assert books.found() == []
    assert books.result()["total"]["stripe_cents"] == 300


def test_refunds_and_disputes_are_compared_too(books: Clinic) -> None:
    key = books.pay(500)
    row = books.payment(key)
    books.move(BookingKind.REFUND, row, 100, subject="a" * 32)
    books.move(BookingKind.DISPUTE, row, 250, subject="b" * 32)
    books.session.commit()
    assert ("booked here, not so at Stripe", key, -350) in books.found()
    books.take(row, 400)
    books.disputes = [dispute(row, 250)]
    assert books.found() == []
    books.deliver()
    assert books.found() == []
    total = books.result()["total"]
    assert (total["captures_cents"], total["stripe_cents"], total["posted_cents"]) == (150, 150, 150)
    books.disputes = [dispute(row, 250, 250)]  # won, and we have not heard
    assert books.found() == [("booked here, not so at Stripe", key, -250)]
    books.move(BookingKind.DISPUTE_WON, row, 250, subject="b" * 32)
    books.session.commit()
    assert books.found() == []


def test_a_payment_whose_booking_is_missing(books: Clinic) -> None:
    key = books.pay(500)
    books.session.execute(sa.update(Payment).values(amount=Money(700)))
    books.session.commit()
    assert ("taken, not booked", key, 200) in books.found()


def test_what_is_settled_just_then_is_no_difference(books: Clinic) -> None:
    """The list of charges was read a moment before; asked about the one, Stripe says what we booked."""
    key = books.pay(300, stripe=0)
    assert books.found() == [("booked here, not so at Stripe", key, 300)]
    row = books.payment(key)
    books.later = {
        row.stripe_charge_id or "": captured(
            300, intent=row.stripe_intent_id or "", charge=row.stripe_charge_id or "", ours=key
        )
    }
    assert books.found() == []
    assert books.result()["total"]["stripe_cents"] == 300


def test_what_is_booked_while_reconciling_is_no_difference(
    books: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stripe has it, and our side is read before the settling commits."""
    books.pay(300)
    real, reads = reconciling.moved, []

    def stale(session: Session) -> list[Any]:
        reads.append(1)
        return [] if len(reads) == 1 else real(session)

    monkeypatch.setattr(reconciling, "moved", stale)
    assert books.result()["exceptions"] == []
    assert len(reads) == 2


def test_what_differs_each_time_in_another_place_is_no_difference(
    books: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Payments go on while everything is read: each time another one is on its way."""
    keys = [books.pay(cents) for cents in (100, 200, 300)]
    real, reads = reconciling.moved, []

    def stale(session: Session) -> list[Any]:
        hidden = keys[len(reads) % 3]
        reads.append(1)
        return [one for one in real(session) if one.key != hidden]

    monkeypatch.setattr(reconciling, "moved", stale)
    assert books.result()["exceptions"] == []


def test_every_difference_says_what_to_do(books: Clinic) -> None:
    books.pay(300, stripe=0, queued=False)
    books.post("f" * 32, 300)
    books.stripe.append(captured(400, intent="pi_other", charge="ch_other", ours="c" * 32))
    found = books.result()["exceptions"]
    assert len({one["kind"] for one in found}) >= 4
    assert all(one["suggestion"] == reconciling.SUGGESTIONS[one["kind"]] for one in found)


def test_a_person_can_read_it(books: Clinic) -> None:
    books.pay(300)
    text = StringIO()
    tell(books.result(), Console(file=text, width=100))
    assert "Everything agrees" in text.getvalue()
    books.pay(200, stripe=0)
    text = StringIO()
    tell(books.result(), Console(file=text, width=100))
    for words in ("booked here, not so at Stripe", "$2.00", books.account_ref, "Compare the payment", "books differ"):
        assert words in text.getvalue()
