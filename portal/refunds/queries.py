"""Reading refunds: for the desk, and for the patient whose money it is."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.access import visible
from portal.accounts.joins import ACCOUNT
from portal.auth.joins import USER
from portal.billing.joins import CHARGE, VISIT
from portal.billing.queries import line_names
from portal.db import RecordNotFound
from portal.money import Money
from portal.payments.joins import PAYMENT
from portal.payments.queries import AllocatedLine, may_see, payment_for, reference
from portal.refunds.calendar import there_by
from portal.refunds.models import Refund, RefundPart
from portal.refunds.parts import money_sum, parts_of_refund
from portal.refunds.settle import ASKED_AGAIN, is_made_at_stripe
from portal.refunds.state import RefundReason, RefundState


@dataclass(frozen=True, slots=True)
class RefundRow:
    """A refund as staff see it."""

    id: int
    public_id: str
    payment_id: int
    payment_public_id: str
    account_public_id: str
    account_ref: str
    guarantor_name: str
    amount: Money
    payment_amount: Money
    method: str
    reason: RefundReason
    note: str
    state: RefundState
    needs_approval: bool
    requested_by: int | None
    requested_by_name: str | None
    approved_by: int | None
    approved_by_name: str | None
    decided_at: datetime | None
    send_on: date
    created_at: datetime
    requested_at: datetime | None
    booked_at: datetime | None
    ended_at: datetime | None
    stripe_refund_id: str | None
    failure_code: str
    handled_at: datetime | None
    handled_by_name: str | None
    handled_note: str

    @property
    def reference(self) -> str:
        """What people quote of the refund on the telephone."""
        return reference(self.public_id)

    @property
    def payment_reference(self) -> str:
        """What people quote of the payment."""
        return reference(self.payment_public_id)

    @property
    def may_withdraw(self) -> bool:
        """Stripe has not heard of it."""
        return self.state in (RefundState.PROPOSED, RefundState.APPROVED) and self.requested_at is None

    @property
    def made_at_stripe(self) -> bool:
        """It was sent on ``send_on``, whenever it was booked."""
        return is_made_at_stripe(self.requested_by, self.note)

    @property
    def never_went(self) -> bool:
        """It ended at Stripe before anything moved: its payment did not arrive, or somebody canceled it there."""
        return self.state in _FAILED and self.handled_at is not None and self.handled_by_name is None

    @property
    def is_failed(self) -> bool:
        """The money did not reach the payer."""
        return self.state in _FAILED and not self.never_went


_FAILED = (RefundState.FAILED, RefundState.CANCELED)
_asker, _decider, _handler = USER.alias(), USER.alias(), USER.alias()


def _rows() -> sa.Select[*tuple[Any, ...]]:
    return (
        sa.select(
            Refund.id,
            Refund.public_id,
            PAYMENT.c.id,
            PAYMENT.c.public_id,
            ACCOUNT.c.public_id,
            ACCOUNT.c.ref,
            ACCOUNT.c.guarantor_name,
            Refund.amount,
            PAYMENT.c.amount,
            PAYMENT.c.method,
            Refund.reason,
            Refund.note,
            Refund.state,
            Refund.needs_approval,
            Refund.requested_by,
            _asker.c.display_name,
            Refund.approved_by,
            _decider.c.display_name,
            Refund.decided_at,
            Refund.send_on,
            Refund.created_at,
            Refund.requested_at,
            Refund.booked_at,
            Refund.ended_at,
            Refund.stripe_refund_id,
            Refund.failure_code,
            Refund.handled_at,
            _handler.c.display_name,
            Refund.handled_note,
        )
        .join(PAYMENT, PAYMENT.c.id == Refund.payment_id)
        .join(ACCOUNT, ACCOUNT.c.id == PAYMENT.c.account_id)
        .join(_asker, _asker.c.id == Refund.requested_by, isouter=True)
        .join(_decider, _decider.c.id == Refund.approved_by, isouter=True)
        .join(_handler, _handler.c.id == Refund.handled_by, isouter=True)
    )


def refund_by_public_id(session: Session, public_id: str) -> RefundRow:
    """Any refund, for staff. Raises :class:`RecordNotFound`."""
    row = session.execute(_rows().where(Refund.public_id == public_id)).first()
    if row is None:
        raise RecordNotFound("refund")
    return RefundRow(*row)


#: The desk's lists: which states, whether still open, and the order in which they are worked on.
LISTS: dict[str, tuple[sa.ColumnElement[bool], Any]] = {
    "failed": (sa.and_(Refund.state.in_(_FAILED), Refund.handled_at.is_(None)), Refund.ended_at),
    "approval": (Refund.state == RefundState.PROPOSED, Refund.created_at),
    "scheduled": (Refund.state.in_([RefundState.APPROVED, RefundState.WAITING]), Refund.send_on),
    "recent": (
        sa.or_(
            Refund.state.in_([RefundState.PENDING, RefundState.SUCCEEDED, RefundState.REFUSED, RefundState.WITHDRAWN]),
            sa.and_(Refund.state.in_(_FAILED), Refund.handled_at.is_not(None)),
        ),
        Refund.id.desc(),
    ),
}


def refunds_listed(session: Session, name: str, *, limit: int, offset: int = 0) -> tuple[list[RefundRow], int]:
    """One of the desk's :data:`LISTS`, what waits the longest first (``recent``: the newest), and how many in all."""
    condition, order = LISTS[name]
    total = session.scalar(sa.select(sa.func.count(Refund.id)).where(condition)) or 0
    rows = session.execute(_rows().where(condition).order_by(order, Refund.id).limit(limit).offset(offset))
    return [RefundRow(*row) for row in rows], int(total)


def refunds_of(session: Session, payment_public_id: str) -> list[RefundRow]:
    """The refunds of a payment, newest first, for staff."""
    rows = session.execute(_rows().where(PAYMENT.c.public_id == payment_public_id).order_by(Refund.id.desc()))
    return [RefundRow(*row) for row in rows]


def lines_of_refund(session: Session, refund_id: int) -> list[AllocatedLine]:
    """What a refund is taken from."""
    parts = parts_of_refund(session, refund_id)
    names = line_names(session, [part.charge_id for part in parts])
    return [AllocatedLine(*names[part.charge_id], part.amount) for part in parts]


@dataclass(frozen=True, slots=True)
class RefundablePayment:
    """A payment that went through, as the desk's form needs it."""

    id: int
    public_id: str
    account_id: int
    account_public_id: str
    account_ref: str
    guarantor_name: str
    amount: Money
    method: str
    settled_at: datetime

    @property
    def reference(self) -> str:
        """What people quote on the telephone."""
        return reference(self.public_id)


def refundable_payment(session: Session, public_id: str) -> RefundablePayment:
    """A payment that went through, for staff. Raises :class:`RecordNotFound`, also for one that did not."""
    row: Any = session.execute(
        sa.select(
            PAYMENT.c.id,
            PAYMENT.c.public_id,
            PAYMENT.c.account_id,
            ACCOUNT.c.public_id,
            ACCOUNT.c.ref,
            ACCOUNT.c.guarantor_name,
            PAYMENT.c.amount,
            PAYMENT.c.method,
            PAYMENT.c.settled_at,
        )
        .join(ACCOUNT, ACCOUNT.c.id == PAYMENT.c.account_id)
        .where(PAYMENT.c.public_id == public_id, PAYMENT.c.settled_at.is_not(None))
    ).first()
    if row is None:
        raise RecordNotFound("payment")
    return RefundablePayment(*row)


@dataclass(frozen=True, slots=True)
class PatientRefund:
    """A refund as the one whose money it is sees it.

    ``method`` is empty for a reader who may not see the payment. ``send_on`` is None until it was approved: no day is
    promised before. ``sent_on`` and ``there_by`` are days at the clinic, None until it was sent.
    """

    public_id: str
    payment_public_id: str
    amount: Money
    method: str
    state: RefundState
    send_on: date | None
    sent_on: date | None
    there_by: date | None
    handled: bool
    told: bool
    #: It was paid above what is owed: ours to give back, and no favor.
    is_credit: bool

    @property
    def reference(self) -> str:
        """What people quote on the telephone."""
        return reference(self.public_id)

    @property
    def planned(self) -> bool:
        """It was not sent yet."""
        return self.sent_on is None

    @property
    def returned(self) -> bool:
        """The bank did not take it: the money is with us again."""
        return self.state in (RefundState.FAILED, RefundState.CANCELED)


#: What a patient is told of: not what staff only thought of.
_TOLD = (
    RefundState.APPROVED,
    RefundState.PENDING,
    RefundState.SUCCEEDED,
    RefundState.FAILED,
    RefundState.CANCELED,
)


def _patients(row: Any, timezone: str) -> PatientRefund:
    public_id, payment_public_id, amount, method, state, send_on, booked_at, handled_at, reason, asker, note, seen = row
    sent_on = booked_at and (send_on if is_made_at_stripe(asker, note) else clock.day_at(booked_at, timezone))
    return PatientRefund(
        public_id=public_id,
        payment_public_id=payment_public_id,
        amount=amount,
        method=method if seen else "",
        state=state,
        send_on=None if state is RefundState.PROPOSED else send_on,
        sent_on=sent_on,
        there_by=there_by(sent_on) if sent_on else None,
        handled=handled_at is not None,
        told=bool(seen),
        is_credit=reason in ASKED_AGAIN,
    )


def _patient_columns(amount: Any, seen: Any) -> tuple[Any, ...]:
    return (
        Refund.public_id,
        PAYMENT.c.public_id,
        amount,
        PAYMENT.c.method,
        Refund.state,
        Refund.send_on,
        Refund.booked_at,
        Refund.handled_at,
        Refund.reason,
        Refund.requested_by,
        Refund.note,
        seen,
    )


#: A credit's refund is told of although a supervisor has yet to look: the patient shall know that we owe it.
_IS_TOLD = sa.or_(
    # What ended at Stripe before anything moved is nothing to the patient.
    sa.and_(
        Refund.state.in_(_TOLD),
        sa.or_(Refund.state.not_in(_FAILED), Refund.booked_at.is_not(None), Refund.handled_by.is_not(None),
               Refund.handled_at.is_(None)),
    ),
    sa.and_(Refund.state == RefundState.PROPOSED, Refund.reason == RefundReason.CREDIT_BALANCE),
)


def refunds_of_payment(session: Session, user_id: int, payment_public_id: str, *, timezone: str) -> list[PatientRefund]:
    """What went back, or will, of a payment, oldest first, for one who may see it. Raises :class:`RecordNotFound`."""
    payment = payment_for(session, user_id, payment_public_id)
    rows = session.execute(
        sa.select(*_patient_columns(Refund.amount, sa.literal(1)))
        .join(PAYMENT, PAYMENT.c.id == Refund.payment_id)
        .where(Refund.payment_id == payment.id, _IS_TOLD)
        .order_by(Refund.id)
    )
    return [_patients(row, timezone) for row in rows]


def payments_with_refunds(session: Session, payment_ids: Collection[int]) -> set[int]:
    """Which of some payments have refunds that their payer is told of: planned, sent, or sent back by the bank."""
    wanted = sa.select(Refund.payment_id).where(Refund.payment_id.in_(list(payment_ids)), _IS_TOLD)
    return set(session.scalars(wanted)) if payment_ids else set()


def refunds_on_account(
    session: Session, account_id: int, user_id: int, *, timezone: str, charge_ids: Collection[int] | None = None
) -> list[PatientRefund]:
    """Refunds that are under way on the lines of an account (or on ``charge_ids``) that a user may see, oldest first.

    Each with the part that is for those lines. Under way is what is planned, what was sent and may not be there yet,
    and what the bank returned and nobody has dealt with.
    """
    condition = sa.and_(VISIT.c.account_id == account_id, visible(user_id, VISIT.c.account_id, VISIT.c.patient_id))
    if charge_ids is not None:
        condition = sa.and_(condition, CHARGE.c.id.in_(list(charge_ids)))
    seen = sa.case((may_see(user_id, PAYMENT.c), 1), else_=0)
    columns = _patient_columns(money_sum(RefundPart.amount), seen)
    rows = session.execute(
        sa.select(*columns)
        .select_from(Refund)
        .join(PAYMENT, PAYMENT.c.id == Refund.payment_id)
        .join(RefundPart, RefundPart.refund_id == Refund.id)
        .join(CHARGE, CHARGE.c.id == RefundPart.charge_id)
        .join(VISIT, VISIT.c.id == CHARGE.c.visit_id)
        .where(
            condition,
            _IS_TOLD,
            # A failure that the payer never heard of as sent is the desk's; the balance says what is owed.
            sa.or_(Refund.booked_at.is_not(None), Refund.ended_at.is_(None)),
        )
        .group_by(Refund.id, PAYMENT.c.id)
        .order_by(Refund.id)
    )
    today = clock.today(timezone)
    found = [_patients(row, timezone) for row in rows]
    return [
        one
        for one in found
        if not one.handled and (one.there_by is None or one.there_by >= today or one.returned)
    ]


def failed_count(session: Session) -> int:
    """How many refunds came back and wait for somebody to deal with them."""
    return int(session.scalar(sa.select(sa.func.count(Refund.id)).where(LISTS["failed"][0])) or 0)


def account_of_refund(session: Session, refund_id: int) -> int:
    """The account under which a refund's payment is kept."""
    return session.execute(
        sa.select(PAYMENT.c.account_id).join(Refund, Refund.payment_id == PAYMENT.c.id).where(Refund.id == refund_id)
    ).scalar_one()


def refund_origins(session: Session, public_ids: Collection[str]) -> dict[str, tuple[str, str]]:
    """What refunds went back to (the payment's method), and Stripe's id, by their public ids."""
    rows = session.execute(
        sa.select(Refund.public_id, PAYMENT.c.method, Refund.stripe_refund_id)
        .join(PAYMENT, PAYMENT.c.id == Refund.payment_id)
        .where(Refund.public_id.in_(list(public_ids)))
    )
    return {row[0]: (row[1], row[2] or "") for row in rows}
