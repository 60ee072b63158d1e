"""Bank debits that came back: noting them, and which lines are out of every automatic charge because of them.

A return counts against a line until later payments have collected as much of it as the debit was for, or all that was
left of it by then. Debits that were under way at the same time were for different cents: what is collected later clears
none of their returns before it is as much as all of them. What counts against which account, and for how long, is
``presenting.py``; who is told, the callers know.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal import clock
from portal.billing.account_queries import patient_entries
from portal.billing.kinds import EntryKind
from portal.money import Money
from portal.payments.kinds import UNATTENDED, PaymentSource
from portal.payments.locked import LockedPayment
from portal.payments.models import Allocation, Booking, BookingPart, DebitReturn, Payment, PaymentShare, SavedMethod
from portal.payments.presenting import AGAIN, BANK, Return, Stop, counted, why_stopped
from portal.payments.state import RESERVING


def note_return(session: Session, payment: Payment | LockedPayment, *, code: str) -> None:
    """Write down, once, that a payment's bank debit came back; the caller holds its account and commits."""
    if session.get(DebitReturn, payment.id) is not None:
        return
    saved: Any = session.execute(
        sa.select(SavedMethod.fingerprint, SavedMethod.last4).where(SavedMethod.stripe_method_id == payment.method_id)
    ).first()
    last = payment.method[-4:]
    session.add(
        DebitReturn(
            payment_id=payment.id,
            code=(code or "unknown")[:60],
            fingerprint=saved.fingerprint if saved else "",
            last4=saved.last4 if saved else last if last.isdigit() else "",
            presented_at=payment.confirmed_at or payment.created_at,
            returned_at=clock.now(),
        )
    )
    session.flush()


@dataclass(frozen=True, slots=True)
class ReturnedDebit:
    """A debit for a line that came back and was not collected since."""

    payment_id: int
    reference_id: str
    charge_id: int
    code: str
    fingerprint: str
    last4: str
    presented_at: datetime
    returned_at: datetime
    source: PaymentSource


@dataclass(frozen=True, slots=True)
class StoppedDebt:
    """A line that may not be charged by itself: why, and the latest return."""

    why: Stop
    last: ReturnedDebit


@dataclass(frozen=True, slots=True)
class SavedAccount:
    """A saved card or bank account, as far as it can be told from another."""

    kind: str
    fingerprint: str
    last4: str

    def is_of(self, one: ReturnedDebit) -> bool:
        """Whether a debit that came back was of this account; what is not known is taken for the same."""
        if self.kind != BANK:
            return False
        if self.fingerprint and one.fingerprint:
            return self.fingerprint == one.fingerprint
        return not (self.last4 and one.last4) or self.last4 == one.last4


def saved_accounts(session: Session, method_ids: Iterable[int]) -> dict[int, SavedAccount]:
    """The accounts behind saved methods, by the methods' ids."""
    rows: Any = session.execute(
        sa.select(SavedMethod.id, SavedMethod.kind, SavedMethod.fingerprint, SavedMethod.last4).where(
            SavedMethod.id.in_(list(method_ids))
        )
    )
    return {row[0]: SavedAccount(*row[1:]) for row in rows}


def standing_returns(session: Session, account_ids: Iterable[int]) -> dict[int, list[ReturnedDebit]]:
    """The debits of the accounts that came back and that nothing collected since, by charge, the oldest first."""
    rows: Any = session.execute(
        sa.select(
            DebitReturn.payment_id,
            Payment.public_id,
            Allocation.charge_id,
            DebitReturn.code,
            DebitReturn.fingerprint,
            DebitReturn.last4,
            DebitReturn.presented_at,
            DebitReturn.returned_at,
            Payment.source,
            Payment.created_at,
            Allocation.amount,
        )
        .join(PaymentShare, PaymentShare.payment_id == DebitReturn.payment_id)
        .join(Payment, Payment.id == DebitReturn.payment_id)
        .join(Allocation, Allocation.payment_id == DebitReturn.payment_id)
        .where(PaymentShare.account_id.in_(list(account_ids)))
        .order_by(DebitReturn.returned_at, DebitReturn.payment_id)
        .distinct()
    ).all()
    if not rows:
        return {}
    # A payment that was begun before the return was for other cents of the line.
    collected: Any = session.execute(
        sa.select(BookingPart.charge_id, Payment.public_id, Payment.created_at, BookingPart.amount)
        .join(Booking, Booking.id == BookingPart.booking_id)
        .join(Payment, Payment.id == Booking.payment_id)
        .where(BookingPart.charge_id.in_({row.charge_id for row in rows}))
    ).all()
    finished = _finished_by(session, {part.charge_id for part in collected}) if collected else {}
    found: dict[int, list[ReturnedDebit]] = {}
    for row in rows:
        kept: dict[str, Money] = {}
        for part in collected:
            if part.charge_id == row.charge_id and part.created_at >= row.returned_at:
                kept[part.public_id] = kept.get(part.public_id, Money.zero()) + part.amount
        paid_off = any(kept[one] > Money.zero() for one in kept.keys() & finished.get(row.charge_id, frozenset()))
        beside = [one for one in rows if one.charge_id == row.charge_id and _were_under_way_together(one, row)]
        if Money.total(kept.values()) < Money.total(one.amount for one in beside) and not paid_off:
            found.setdefault(row.charge_id, []).append(ReturnedDebit(*row[:-2]))
    return found


def _were_under_way_together(one: Any, other: Any) -> bool:
    """Whether each of two debits, as rows, was begun before the other came back. One is under way with itself."""
    return bool(one.created_at < other.returned_at and other.created_at < one.returned_at)


def _finished_by(session: Session, charge_ids: Iterable[int]) -> dict[int, set[str]]:
    """The payments (public ids) after which nothing was due on a line, by charge: insurance may have lowered it."""
    due: dict[int, Money] = {}
    found: dict[int, set[str]] = {}
    for charge_id, kind, patient, source_id in patient_entries(session, charge_ids):
        due[charge_id] = due.get(charge_id, Money.zero()) + patient
        if kind is EntryKind.PATIENT_PAYMENT and due[charge_id] <= Money.zero():
            found.setdefault(charge_id, set()).add(source_id.partition("/")[0])  # as booking.py writes it
    return found


def stopped_debts(
    session: Session, account_id: int, *, method_id: int, agreed_at: Callable[[int], datetime]
) -> dict[int, StoppedDebt]:
    """The lines of an account that may not be charged to a saved method without the patient, by charge.

    ``agreed_at`` says when the patient agreed that this line is charged to it (UTC), by charge. Reads with the
    caller's locks.
    """
    returns = standing_returns(session, [account_id])
    if not returns:
        return {}
    account = saved_accounts(session, [method_id])[method_id]
    return {
        charge_id: stop
        for charge_id, those in returns.items()
        if (stop := stop_of(those, account, agreed_at=agreed_at(charge_id))) is not None
    }


def stop_of(returns: Collection[ReturnedDebit], account: SavedAccount, *, agreed_at: datetime) -> StoppedDebt | None:
    """Why a line with these returns may not be charged to an account agreed to at ``agreed_at``; None where it may."""
    plain = {
        one.payment_id: Return(
            one.code, one.presented_at, one.returned_at, account.is_of(one), one.source in UNATTENDED
        )
        for one in returns
    }
    why = why_stopped(plain.values(), agreed_at=agreed_at, now=clock.now())
    if why is None:
        return None
    against = counted(plain.values(), agreed_at=agreed_at)
    return StoppedDebt(why, max((one for one in returns if plain[one.payment_id] in against), key=_by_time))


def _by_time(one: ReturnedDebit) -> tuple[datetime, int]:
    return one.returned_at, one.payment_id


def awaited_debts(session: Session, account_id: int) -> set[int]:
    """The lines that are not charged by themselves until a debit that is on its way has ended.

    What has bounced is presented one at a time, and never more often in all than it may be: with three debits of a line
    on their way, any of which may bounce, a fourth waits.
    """
    on_their_way: Any = session.execute(
        sa.select(Allocation.charge_id, sa.func.count())
        .join(Payment, Payment.id == Allocation.payment_id)
        .join(PaymentShare, PaymentShare.payment_id == Payment.id)
        .where(
            PaymentShare.account_id == account_id,
            Payment.state.in_(sorted(RESERVING)),
            Payment.method_kind == BANK,
        )
        .group_by(Allocation.charge_id)
    ).all()
    if not on_their_way:
        return set()
    returns = standing_returns(session, [account_id])
    return {charge_id for charge_id, count in on_their_way if charge_id in returns or count > AGAIN}


def stopped_everywhere(session: Session, *, limit: int) -> dict[int, tuple[list[ReturnedDebit], StoppedDebt]]:
    """The debts that a bank sent back for good on the accounts of the latest ``limit`` returns, by charge.

    As of the account they were last charged to, whatever was agreed since; with the returns, so that the caller can
    look at that, and at what is still owed.
    """
    latest = session.scalars(
        sa.select(DebitReturn.payment_id).order_by(DebitReturn.returned_at.desc()).limit(limit)
    ).all()
    if not latest:
        return {}
    accounts = session.scalars(
        sa.select(PaymentShare.account_id).where(PaymentShare.payment_id.in_(latest)).distinct()
    ).all()
    found: dict[int, tuple[list[ReturnedDebit], StoppedDebt]] = {}
    for charge_id, returns in standing_returns(session, accounts).items():
        last = max(returns, key=_by_time)
        stop = stop_of(returns, SavedAccount(BANK, last.fingerprint, last.last4), agreed_at=clock.now())
        if stop is not None:
            found[charge_id] = returns, stop
    return found
