"""What became of payments, step by step: paid, settled, posted, given back."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal.accounts.joins import ACCOUNT
from portal.billing.joins import POSTING
from portal.billing.queries import accounts_of_charges, line_names
from portal.money import Money
from portal.payments.kinds import BookingKind, PaymentSource, SetupState
from portal.payments.models import Allocation, Booking, MethodSetup, Payment, PaymentShare
from portal.payments.queries import PaymentRow, reference
from portal.payments.state import DEPOSITS, PaymentState


@dataclass(frozen=True, slots=True)
class Posted:
    """A payment's arrival in the clinic's books, account by account; ``at`` is None while it is on its way."""

    account_name: str
    amount: Money
    reference: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class MovedBack:
    """Money of a payment that moved later: a refund (``kind``), one that came back, a dispute and its return."""

    kind: BookingKind
    amount: Money
    at: datetime
    reference: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a payment has come."""

    confirmed_at: datetime | None
    settled_at: datetime | None
    posted: list[Posted]
    moved_back: list[MovedBack]

    @property
    def refunds(self) -> list[MovedBack]:
        """The refunds that reached the patient: those the bank did not send back."""
        returned = {one.reference for one in self.moved_back if one.kind is BookingKind.REFUND_RETURNED}
        return [
            one for one in self.moved_back if one.kind is BookingKind.REFUND and one.reference not in returned
        ]

    @property
    def taken_back(self) -> list[MovedBack]:
        """What the payer's bank took back and did not return, dispute by dispute."""
        returned: dict[str, Money] = {}
        for one in self.moved_back:
            if one.kind is BookingKind.DISPUTE_WON:
                returned[one.reference] = returned.get(one.reference, Money.zero()) + one.amount
        found = []
        for one in self.moved_back:
            if one.kind is BookingKind.DISPUTE:
                back = min(one.amount, returned.get(one.reference, Money.zero()))
                returned[one.reference] = returned.get(one.reference, Money.zero()) - back
                if one.amount > back:
                    found.append(replace(one, amount=one.amount - back))
        return found

    @property
    def posted_at(self) -> datetime | None:
        """When the last of its accounts had it; None while one has not."""
        times = [one.at for one in self.posted]
        return None if not times or None in times else max(time for time in times if time is not None)


def progress_of(session: Session, public_id: str) -> Progress:
    """How far a payment has come; who may see it, the caller has asked."""
    payment = session.execute(
        sa.select(Payment.id, Payment.confirmed_at, Payment.settled_at).where(Payment.public_id == public_id)
    ).one()
    rows: Any = session.execute(
        sa.select(
            Booking.kind, Booking.amount, Booking.booked_at, Booking.subject, Booking.key, ACCOUNT.c.guarantor_name,
            POSTING.c.posted_at,
        )
        .join(ACCOUNT, ACCOUNT.c.id == Booking.account_id)
        .join(POSTING, POSTING.c.key == Booking.key, isouter=True)
        .where(Booking.payment_id == payment.id)
        .order_by(Booking.id)
    ).all()
    back: dict[tuple[BookingKind, str], MovedBack] = {}
    for row in rows:
        if row.kind is BookingKind.PAYMENT:
            continue
        before = back.get((row.kind, row.subject))
        # One refund may be booked on several accounts; to the patient it is one.
        total = abs(row.amount) + (before.amount if before else Money.zero())
        back[(row.kind, row.subject)] = MovedBack(row.kind, total, row.booked_at, reference(row.subject))
    return Progress(
        confirmed_at=payment.confirmed_at,
        settled_at=payment.settled_at,
        posted=[
            Posted(row.guarantor_name, row.amount, reference(row.key), row.posted_at)
            for row in rows
            if row.kind is BookingKind.PAYMENT
        ],
        moved_back=list(back.values()),
    )


def given_back(session: Session, payment_ids: Iterable[int]) -> dict[int, Money]:
    """What of each payment went back to the payer's method (refunds, less those that the bank returned)."""
    rows: Any = session.execute(
        sa.select(Booking.payment_id, sa.func.sum(sa.type_coerce(Booking.amount, sa.BigInteger)))
        .where(
            Booking.payment_id.in_(list(payment_ids)),
            Booking.kind.in_([BookingKind.REFUND, BookingKind.REFUND_RETURNED]),
        )
        .group_by(Booking.payment_id)
    )
    return {payment_id: Money(-int(cents)) for payment_id, cents in rows if cents}


@dataclass(frozen=True, slots=True)
class SpreadLine:
    """A part of a payment: the line, whose and when, on which account, and what part of what was left it gets."""

    description: str
    service_on: Any
    patient_name: str
    account_name: str
    amount: Money


def spread_of(session: Session, payment_id: int) -> list[tuple[str, list[SpreadLine]]]:
    """How a payment is spread: each account's name with its lines, oldest first."""
    parts: Any = session.execute(
        sa.select(Allocation.charge_id, Allocation.amount).where(Allocation.payment_id == payment_id)
    ).all()
    charges = [part.charge_id for part in parts]
    names, accounts = line_names(session, charges), accounts_of_charges(session, charges)
    called: dict[int, str] = dict(
        session.execute(
            sa.select(ACCOUNT.c.id, ACCOUNT.c.guarantor_name).where(ACCOUNT.c.id.in_(set(accounts.values())))
        ).all()
    )
    groups: dict[int, list[SpreadLine]] = {}
    for part in sorted(parts, key=lambda one: (str(names[one.charge_id][1] or ""), one.charge_id)):
        account_id = accounts[part.charge_id]
        line = SpreadLine(*names[part.charge_id], called[account_id], part.amount)
        groups.setdefault(account_id, []).append(line)
    return [(called[account_id], lines) for account_id, lines in sorted(groups.items())]


@dataclass(frozen=True, slots=True)
class Waiting:
    """Something that waits for the two small deposits to be confirmed: a payment (``amount``), or saving a method."""

    public_id: str
    amount: Money | None
    since: datetime


def waiting_for(session: Session, user_id: int) -> list[Waiting]:
    """What waits for this person to confirm small deposits, oldest first."""
    payments: Any = session.execute(
        sa.select(Payment.public_id, Payment.amount, Payment.created_at).where(
            Payment.user_id == user_id,
            Payment.source == PaymentSource.PATIENT,
            Payment.state == PaymentState.ACTION,
            Payment.action == DEPOSITS,
        )
    ).all()
    setups: Any = session.execute(
        sa.select(MethodSetup.public_id, MethodSetup.created_at).where(
            MethodSetup.user_id == user_id, MethodSetup.state == SetupState.ACTION, MethodSetup.action == DEPOSITS
        )
    ).all()
    found = [Waiting(*row) for row in payments] + [Waiting(row[0], None, row[1]) for row in setups]
    return sorted(found, key=lambda one: one.since)


def waits_on(session: Session, user_id: int | None, account_ids: Iterable[int]) -> bool:
    """Whether a payment of this person (None: of anybody) on one of the accounts waits for small deposits."""
    whose = sa.true() if user_id is None else Payment.user_id == user_id
    return bool(
        session.scalar(
            sa.select(Payment.id)
            .join(PaymentShare, PaymentShare.payment_id == Payment.id)
            .where(
                whose,
                PaymentShare.account_id.in_(list(account_ids)),
                Payment.state == PaymentState.ACTION,
                Payment.action == DEPOSITS,
            )
            .limit(1)
        )
    )


def is_failed_debit(payment: PaymentRow) -> bool:
    """Whether the patient had confirmed the payment and the bank sent it back days later."""
    return payment.state is PaymentState.CANCELED and payment.confirmed_at is not None
