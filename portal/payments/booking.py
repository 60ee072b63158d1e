"""Booking money that moved: the mirror's entries, the posting to the back office, and our own record, in one go.

Everything that moves money of a payment ends here: the payment itself, a refund, a refund that came back, a dispute
and its return. One :class:`Booking` an account says what moved; its key is the posting's.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from hashlib import sha256

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal import clock
from portal.billing.kinds import EntryKind
from portal.billing.queries import accounts_of_charges, visit_refs
from portal.billing.service import NewEntry, queue_posting, write_entries
from portal.db import MoneyType
from portal.money import Money
from portal.payments.allocate import Part
from portal.payments.kinds import BookingKind
from portal.payments.models import Booking, BookingPart

#: What each movement is in the mirror: the entry's kind, the source's name, and its effect on what the patient owes.
_IN_THE_MIRROR: dict[BookingKind, tuple[EntryKind, str, int]] = {
    BookingKind.PAYMENT: (EntryKind.PATIENT_PAYMENT, "payment", -1),
    BookingKind.REFUND: (EntryKind.PATIENT_REFUND, "refund", 1),
    BookingKind.REFUND_RETURNED: (EntryKind.PATIENT_REFUND, "refund", -1),
    BookingKind.DISPUTE: (EntryKind.CHARGEBACK, "dispute", 1),
    BookingKind.DISPUTE_WON: (EntryKind.CHARGEBACK, "dispute", -1),
}


def posting_key(kind: BookingKind, subject: str, account_id: int, *, first: bool) -> str:
    """The back office's key of one movement on one account: 32 letters and digits, the same for ever.

    A payment's first account has the payment's own id, so that a receipt's reference finds it there.
    """
    if kind is BookingKind.PAYMENT and first:
        return subject
    return sha256(f"{kind.value}/{subject}/{account_id}".encode()).hexdigest()[:32]


def book(
    session: Session,
    *,
    kind: BookingKind,
    payment_id: int,
    home_account_id: int,
    subject: str,
    parts: Sequence[Part],
    at: datetime,
) -> None:
    """Write down that ``parts`` (positive amounts, by charge) moved, in the caller's transaction.

    The caller holds the locks of the accounts and makes sure that it happens once; the database refuses a second
    booking of the same kind for the same subject and account. ``home_account_id`` is the payment's own account. ``at``
    is the moment that the receipt, the refund or the dispute shows; entries and postings are of the clinic's day then.
    """
    entry_kind, source, effect = _IN_THE_MIRROR[kind]
    day = clock.clinic_day(at)
    charges = [part.charge_id for part in parts]
    accounts, refs = accounts_of_charges(session, charges), visit_refs(session, charges)
    returned = "" if kind in (BookingKind.PAYMENT, BookingKind.REFUND, BookingKind.DISPUTE) else "/returned"
    write_entries(
        session,
        [
            NewEntry(
                account_id=accounts[part.charge_id],
                charge_id=part.charge_id,
                kind=entry_kind,
                insurer=Money.zero(),
                patient=part.amount * effect,
                source=source,
                source_id=f"{subject}/{part.charge_id}{returned}",
                effective_on=day,
            )
            for part in parts
        ],
    )
    for account_id in sorted(set(accounts.values())):
        mine = [part for part in parts if accounts[part.charge_id] == account_id]
        amount = Money.total(part.amount for part in mine) * -effect
        key = posting_key(kind, subject, account_id, first=account_id == home_account_id)
        booking = Booking(
            key=key,
            payment_id=payment_id,
            account_id=account_id,
            kind=kind,
            subject=subject,
            amount=amount,
            booked_at=at,
        )
        session.add(booking)
        session.flush()
        session.add_all(
            BookingPart(booking_id=booking.id, charge_id=part.charge_id, amount=part.amount * -effect)
            for part in mine
        )
        queue_posting(
            session,
            key=key,
            account_id=account_id,
            kind=f"patient_{kind.value}",
            amount=amount,
            effective_on=day,
            lines=_by_visit(mine, refs, -effect),
        )
    session.flush()


def _by_visit(parts: Iterable[Part], refs: dict[int, str], sign: int) -> list[tuple[str, Money]]:
    sums: dict[str, Money] = {}
    for part in parts:
        ref = refs[part.charge_id]
        sums[ref] = sums.get(ref, Money.zero()) + part.amount * sign
    return sorted(sums.items())


def booked_parts(session: Session, payment_id: int, *, kind: BookingKind, subject: str) -> dict[int, Money]:
    """What was booked of a payment as ``kind`` for subjects that begin with ``subject``, by charge, as sizes."""
    rows = session.execute(
        sa.select(BookingPart.charge_id, sa.type_coerce(sa.func.sum(BookingPart.amount), MoneyType))
        .join(Booking, Booking.id == BookingPart.booking_id)
        .where(
            Booking.payment_id == payment_id,
            Booking.kind == kind,
            Booking.subject.startswith(subject, autoescape=True),
        )
        .group_by(BookingPart.charge_id)
        .order_by(sa.func.min(BookingPart.booking_id), BookingPart.charge_id)
    )
    return {charge_id: abs(amount) for charge_id, amount in rows}


def times_booked(session: Session, payment_id: int, *, kind: BookingKind, subject: str) -> int:
    """How many subjects that begin with ``subject`` were booked of a payment as ``kind``."""
    query = sa.select(sa.func.count(sa.distinct(Booking.subject))).where(
        Booking.payment_id == payment_id, Booking.kind == kind, Booking.subject.startswith(subject, autoescape=True)
    )
    return session.scalar(query) or 0


def left_of_parts(session: Session, payment_id: int) -> dict[int, Money]:
    """What of a payment is still with us, by charge: taken, less what was given back or called back."""
    rows = session.execute(
        sa.select(BookingPart.charge_id, sa.type_coerce(sa.func.sum(BookingPart.amount), MoneyType))
        .join(Booking, Booking.id == BookingPart.booking_id)
        .where(Booking.payment_id == payment_id)
        .group_by(BookingPart.charge_id)
    )
    return dict(rows.all())
