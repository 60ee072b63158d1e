"""Credit balances: lines on which more was paid than is owed, found and given back to the payments that paid them.

A credit is looked at only when insurance is finished with the line and nobody holds it. It goes back to the newest of
the portal's payments on that line first; what no payment can take back is the desk's.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.joins import ACCOUNT, PATIENT
from portal.billing.joins import (
    CHARGE,
    ENTRY,
    VISIT,
    accounts_with_entries_since,
    accounts_with_holds_since,
    is_held,
)
from portal.disputes.joins import DISPUTE, is_disputed
from portal.money import Money
from portal.payments.allocate import Part
from portal.payments.joins import BOOKING, BOOKING_PART, PAYMENT, PAYMENT_SHARE
from portal.payments.settle import lock_accounts
from portal.payments.state import PaymentState
from portal.payments.stripe_events.cursors import note_read, take_turn
from portal.refunds.errors import TooLate
from portal.refunds.models import Refund, RefundPart
from portal.refunds.parts import money_sum, parts_of_refund, promised_parts
from portal.refunds.service import withdraw_row, write_refund
from portal.refunds.settle import ASKED_AGAIN, locked_refund
from portal.refunds.state import RefundReason, RefundState

#: The accounts to look at, or (None) all.
Accounts = Collection[int] | None
#: What the jobs' cursors are called (payments/cursors.py): the last look, and the last one at everything.
_LAST_LOOK, _DAILY = "credits", "credits_daily"
_ALL_EVERY = timedelta(days=1)
#: What a long transaction wrote is seen only when it is committed.
_OVERLAP = timedelta(hours=1)
#: More changed accounts than this are not looked at one by one.
_MOST_ACCOUNTS = 1_000


@dataclass(frozen=True, slots=True)
class Credit:
    """A line's credit that no refund is for yet: what each payment can take back, and what none can."""

    charge_id: int
    account_id: int
    takes: tuple[tuple[int, Money], ...]
    rest: Money


def credits_of(
    session: Session,
    *,
    accounts: Accounts = None,
    charge_ids: Collection[int] | None = None,
    paid_here: bool = True,
) -> dict[int, tuple[int, Money]]:
    """Lines in credit, as charge id -> (account, the credit as a positive amount). ``paid_here`` leaves out those on
    which the portal never booked anything.
    """
    patient, insurer = money_sum(ENTRY.c.patient), money_sum(ENTRY.c.insurer)
    query = (
        sa.select(ENTRY.c.charge_id, sa.func.min(ENTRY.c.account_id), patient)
        .where(~is_held(ENTRY.c.charge_id))
        .group_by(ENTRY.c.charge_id)
        .having(
            sa.type_coerce(patient, sa.BigInteger) < 0,
            sa.type_coerce(insurer, sa.BigInteger) == 0,
        )
    )
    if accounts is not None:
        query = query.where(ENTRY.c.account_id.in_(accounts))
    if charge_ids is not None:
        query = query.where(ENTRY.c.charge_id.in_(list(charge_ids)))
    if paid_here:
        query = query.where(ENTRY.c.charge_id.in_(sa.select(BOOKING_PART.c.charge_id)))
    return {charge: (account, -due) for charge, account, due in session.execute(query)}


def open_credits(session: Session, *, accounts: Accounts = None, paid_here: bool = True) -> list[Credit]:
    """Credits that no refund is for yet, by account and line: how they can be given back, newest payment first."""
    found = credits_of(session, accounts=accounts, paid_here=paid_here)
    promised = promised_parts(session, charge_ids=found)
    ended = _ended_parts(session, found)
    returned: dict[int, Money] = {}
    for (_payment, charge, returns_a_credit), amount in ended.items():
        if returns_a_credit:
            returned[charge] = returned.get(charge, Money.zero()) + amount
    blocked = {(payment, charge) for payment, charge, _credit in ended}
    zero, result = Money.zero(), []
    payments = _payments_on(session, found)
    for charge_id, (account, credit) in sorted(found.items(), key=lambda one: (one[1][0], one[0])):
        rest = credit - Money.total(amount for (_payment, charge), amount in promised.items() if charge == charge_id)
        # A refund of this credit that came back is on the desk's list of failed refunds, or was dealt with there.
        rest = max(zero, rest - returned.get(charge_id, zero))
        takes = []
        for payment_id, left in payments.get(charge_id, []):
            free = left - promised.get((payment_id, charge_id), zero)
            take = min(rest, free)
            if take > zero and (payment_id, charge_id) not in blocked:
                takes.append((payment_id, take))
                rest = rest - take
        if takes or rest:
            result.append(Credit(charge_id, account, tuple(takes), rest))
    return result


def _payments_on(session: Session, charge_ids: Iterable[int]) -> dict[int, list[tuple[int, Money]]]:
    """What of each payment is still with us on the lines, by charge id, newest payment first; without disputed ones."""
    left = money_sum(BOOKING_PART.c.amount)
    rows = session.execute(
        sa.select(BOOKING_PART.c.charge_id, BOOKING.c.payment_id, left)
        .join(BOOKING, BOOKING.c.id == BOOKING_PART.c.booking_id)
        .join(PAYMENT, PAYMENT.c.id == BOOKING.c.payment_id)
        .where(
            BOOKING_PART.c.charge_id.in_(list(charge_ids)),
            PAYMENT.c.state == PaymentState.SUCCEEDED,
            ~is_disputed(PAYMENT.c.id),
        )
        .group_by(BOOKING_PART.c.charge_id, BOOKING.c.payment_id, PAYMENT.c.settled_at)
        .having(sa.type_coerce(left, sa.BigInteger) > 0)
        .order_by(PAYMENT.c.settled_at.desc(), BOOKING.c.payment_id.desc())
    )
    found: dict[int, list[tuple[int, Money]]] = {}
    for charge_id, payment_id, amount in rows:
        found.setdefault(charge_id, []).append((payment_id, amount))
    return found


def _ended_parts(session: Session, charge_ids: Iterable[int]) -> dict[tuple[int, int, bool], Money]:
    """What the portal does not propose again, by (payment, charge): its bank did not take it, or somebody decided
    against it. The third of the key says that a credit came back to us with it.
    """
    came_back = Refund.state.in_([RefundState.FAILED, RefundState.CANCELED])
    is_credit = Refund.reason.in_(sorted(ASKED_AGAIN))
    decided = sa.or_(
        Refund.state == RefundState.REFUSED,
        sa.and_(Refund.state == RefundState.WITHDRAWN, Refund.handled_by.is_not(None)),
    )
    a_credit_came_back = sa.case((sa.and_(came_back, is_credit), 1), else_=0)
    rows = session.execute(
        sa.select(Refund.payment_id, RefundPart.charge_id, a_credit_came_back, money_sum(RefundPart.amount))
        .join(Refund, Refund.id == RefundPart.refund_id)
        .where(
            RefundPart.charge_id.in_(list(charge_ids)),
            sa.or_(came_back, sa.and_(decided, Refund.reason == RefundReason.CREDIT_BALANCE)),
        )
        .group_by(Refund.payment_id, RefundPart.charge_id, a_credit_came_back)
    )
    return {(payment, charge, bool(credit)): amount for payment, charge, credit, amount in rows}


def still_stands(session: Session, refund_id: int) -> bool:
    """Whether every line of a credit's refund still has the credit, beside what other refunds will take of it."""
    parts = parts_of_refund(session, refund_id)
    charge_ids = [part.charge_id for part in parts]
    there = credits_of(session, charge_ids=charge_ids)
    others = promised_parts(session, charge_ids=charge_ids, but=refund_id)
    for part in parts:
        spoken_for = Money.total(amount for (_payment, charge), amount in others.items() if charge == part.charge_id)
        if part.charge_id not in there or there[part.charge_id][1] - spoken_for < part.amount:
            return False
    return True


def find_credits(session: Session, *, timezone: str, limit: Money, days: int) -> int:
    """Propose a refund for every credit that has none; returns how many were written. Commits.

    Each is sent ``days`` after it was found, so that a correction can still overtake it; above ``limit`` a supervisor
    has to approve. What was proposed for a credit that has changed is withdrawn first. Two workers find one credit
    once: everything is decided again under the account's lock. Accounts of which nothing has changed since the last
    look are looked at once a day.
    """
    now = clock.now()
    everything = take_turn(session, _DAILY, every=_ALL_EVERY, overlap=_OVERLAP) is not None
    since = take_turn(session, _LAST_LOOK, every=timedelta(0), overlap=_OVERLAP)
    if since is None:
        return 0  # nothing was ever paid, or another worker looks
    look_at = None if everything else _changed_accounts(session, since)
    if look_at == []:
        note_read(session, _LAST_LOOK, to=now)
        return 0
    _withdraw_changed(session, look_at)
    accounts = sorted({credit.account_id for credit in open_credits(session, accounts=look_at) if credit.takes})
    session.commit()
    send_on, written = clock.today(timezone) + timedelta(days=days), 0
    for account_id in accounts:
        lock_accounts(session, [account_id])
        written += _propose(session, account_id, limit=limit, send_on=send_on)
        session.commit()
    note_read(session, _LAST_LOOK, to=now)
    return written


def _changed_accounts(session: Session, since: datetime) -> list[int] | None:
    """The accounts on which anything happened since then (UTC) that may make a credit, end one, or let one go back.

    None when they are so many that looking at all is as quick.
    """
    of_payments = sa.select(PAYMENT_SHARE.c.account_id)
    changed = sa.union(
        accounts_with_entries_since(since),
        accounts_with_holds_since(since),
        of_payments.join(Refund, Refund.payment_id == PAYMENT_SHARE.c.payment_id).where(
            sa.or_(
                Refund.created_at >= since,
                Refund.checked_at >= since,
                Refund.decided_at >= since,
                Refund.ended_at >= since,
                Refund.handled_at >= since,
            )
        ),
        of_payments.join(DISPUTE, DISPUTE.c.payment_id == PAYMENT_SHARE.c.payment_id).where(
            sa.or_(DISPUTE.c.opened_at >= since, DISPUTE.c.checked_at >= since, DISPUTE.c.closed_at >= since)
        ),
    )
    found = list(session.scalars(changed.limit(_MOST_ACCOUNTS + 1)))
    return found if len(found) <= _MOST_ACCOUNTS else None


def _propose(session: Session, account_id: int, *, limit: Money, send_on: date) -> int:
    by_payment: dict[int, list[Part]] = {}
    for credit in open_credits(session, accounts=[account_id]):
        for payment_id, amount in credit.takes:
            by_payment.setdefault(payment_id, []).append(Part(credit.charge_id, amount))
    home = sa.select(PAYMENT.c.account_id)
    for payment_id, parts in by_payment.items():
        write_refund(
            session,
            payment_id=payment_id,
            home_account_id=session.execute(home.where(PAYMENT.c.id == payment_id)).scalar_one(),
            parts=parts,
            reason=RefundReason.CREDIT_BALANCE,
            note="",
            actor=None,
            send_on=send_on,
            limit=limit,
        )
    return len(by_payment)


def _withdraw_changed(session: Session, accounts: Accounts) -> None:
    there: sa.ColumnElement[bool] = sa.true()
    if accounts is not None:
        there = Refund.payment_id.in_(
            sa.select(PAYMENT_SHARE.c.payment_id).where(PAYMENT_SHARE.c.account_id.in_(accounts))
        )
    waiting = session.scalars(
        sa.select(Refund.id)
        .where(
            Refund.reason == RefundReason.CREDIT_BALANCE,
            Refund.state.in_([RefundState.PROPOSED, RefundState.APPROVED]),
            Refund.requested_at.is_(None),
            there,
        )
        .order_by(Refund.id)
    ).all()
    changed = [refund_id for refund_id in waiting if not still_stands(session, refund_id)]
    session.commit()
    for refund_id in changed:
        refund, payment = locked_refund(session, refund_id)
        if refund.requested_at is None and not still_stands(session, refund_id):
            try:
                withdraw_row(session, refund, payment, actor=None, note="The credit is another one now")
            except TooLate:
                session.rollback()
                continue
        session.commit()


@dataclass(frozen=True, slots=True)
class CreditRow:
    """A credit that no payment can take back, for the desk."""

    account_public_id: str
    account_ref: str
    guarantor_name: str
    visit_public_id: str
    description: str
    service_on: date | None
    patient_name: str
    amount: Money


def credits_without_payment(session: Session) -> list[CreditRow]:
    """Credits that the portal can't return by itself, by account."""
    rest = {credit.charge_id: credit.rest for credit in open_credits(session, paid_here=False) if credit.rest}
    rows: Any = session.execute(
        sa.select(
            CHARGE.c.id,
            ACCOUNT.c.public_id,
            ACCOUNT.c.ref,
            ACCOUNT.c.guarantor_name,
            VISIT.c.public_id,
            CHARGE.c.description,
            CHARGE.c.service_on,
            PATIENT.c.given_name + " " + PATIENT.c.family_name,
        )
        .join(VISIT, VISIT.c.id == CHARGE.c.visit_id)
        .join(ACCOUNT, ACCOUNT.c.id == VISIT.c.account_id)
        .join(PATIENT, PATIENT.c.id == VISIT.c.patient_id)
        .where(CHARGE.c.id.in_(list(rest)))
        .order_by(ACCOUNT.c.guarantor_name, ACCOUNT.c.id, CHARGE.c.id)
    )
    return [CreditRow(*[*row[1:], rest[row[0]]]) for row in rows]
