"""Reading payments."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal.accounts.access import granted, visible
from portal.accounts.joins import ACCOUNT
from portal.billing.joins import CHARGE, POSTING
from portal.billing.queries import line_names
from portal.db import RecordNotFound
from portal.money import Money
from portal.payments.kinds import BookingKind, PaymentSource
from portal.payments.models import Allocation, Booking, Payment, PaymentShare, StripeCustomer, StripeEvent
from portal.payments.state import DEPOSITS, FINAL, OPEN, RESERVING, PaymentState


@dataclass(frozen=True, slots=True)
class PaymentRow:
    """A payment in a list."""

    id: int
    public_id: str
    account_id: int
    amount: Money
    state: PaymentState
    created_at: datetime
    settled_at: datetime | None
    method: str
    account_public_id: str
    known_to_stripe: bool
    source: PaymentSource
    method_id: str | None
    method_kind: str
    action: str
    confirmed_at: datetime | None
    keep_method: bool
    user_id: int | None
    failure_code: str
    receipt_email: str

    @property
    def waits_for_deposits(self) -> bool:
        """Whether the bank account has to be confirmed by two small deposits, days from now."""
        return self.state is PaymentState.ACTION and self.action == DEPOSITS

    @property
    def reference(self) -> str:
        """What people quote on the telephone: the first eight digits of the id, in two groups."""
        return reference(self.public_id)


@dataclass(frozen=True, slots=True)
class AllocatedLine:
    """A part of a payment with the line's name."""

    description: str
    service_on: date | None
    patient_name: str
    amount: Money


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof of a payment that succeeded."""

    public_id: str
    reference: str
    amount: Money
    paid_at: datetime
    method: str
    guarantor_name: str
    account_public_id: str
    lines: list[AllocatedLine]
    posted_at: datetime | None
    stripe_charge_id: str


def reference(public_id: str) -> str:
    """``1A2B-3C4D`` for a payment's public id."""
    return f"{public_id[:4]}-{public_id[4:8]}".upper()


_ROW: tuple[Any, ...] = (
    Payment.id,
    Payment.public_id,
    Payment.account_id,
    Payment.amount,
    Payment.state,
    Payment.created_at,
    Payment.settled_at,
    Payment.method,
    sa.select(ACCOUNT.c.public_id).where(ACCOUNT.c.id == Payment.account_id).scalar_subquery(),
    Payment.stripe_intent_id.is_not(None),
    Payment.source,
    Payment.method_id,
    Payment.method_kind,
    Payment.action,
    Payment.confirmed_at,
    Payment.keep_method,
    Payment.user_id,
    Payment.failure_code,
    Payment.receipt_email,
)


def may_see(user_id: int, payment: Any = Payment) -> sa.ColumnElement[bool]:
    """Who sees a payment: whoever made it and still has access, and whoever has the whole of every account it is for.

    A payment names every patient it was for, so access to one patient on the account does not open it. Other features
    ask of the ``payment`` that they join: ``PAYMENT.c``.
    """
    share = sa.select(PaymentShare.account_id).where(PaymentShare.payment_id == payment.id)

    def every_account(*narrow: Any) -> sa.ColumnElement[bool]:
        return sa.and_(
            visible(user_id, payment.account_id, *narrow),
            ~share.where(~visible(user_id, PaymentShare.account_id, *narrow)).exists(),
        )

    return sa.and_(
        payment.account_id.in_(granted(user_id)),
        sa.or_(sa.and_(payment.user_id == user_id, every_account()), every_account(sa.null())),
    )


def payment_for(session: Session, user_id: int, public_id: str) -> PaymentRow:
    """One payment by its public id. Raises :class:`RecordNotFound` for unknown and foreign alike."""
    row = session.execute(sa.select(*_ROW).where(Payment.public_id == public_id, may_see(user_id))).first()
    if row is None:
        raise RecordNotFound("payment")
    return PaymentRow(*row)


def payment_by_id(session: Session, payment_id: int) -> PaymentRow:
    """One payment by its row's id, for jobs."""
    return PaymentRow(*session.execute(sa.select(*_ROW).where(Payment.id == payment_id)).one())


def payments_among(session: Session, ids: sa.Select[int]) -> list[PaymentRow]:
    """The payments whose rows' ids a query gives, newest first. Who may see them, the caller has asked."""
    rows = session.execute(sa.select(*_ROW).where(Payment.id.in_(ids)).order_by(Payment.id.desc()))
    return [PaymentRow(*row) for row in rows]


def payments_of(session: Session, user_id: int) -> list[PaymentRow]:
    """What a user may see of payments that came to something, newest first.

    Also those that a bank sent back after the payer had confirmed them, and the user's own that wait for deposits.
    """
    came_to_something = sa.or_(
        Payment.state.in_([PaymentState.SUCCEEDED, PaymentState.PROCESSING]),
        sa.and_(Payment.state == PaymentState.CANCELED, Payment.confirmed_at.is_not(None)),
        sa.and_(Payment.user_id == user_id, Payment.state == PaymentState.ACTION, Payment.action == DEPOSITS),
    )
    return [
        PaymentRow(*row)
        for row in session.execute(
            sa.select(*_ROW)
            .where(may_see(user_id), came_to_something)
            .order_by(Payment.created_at.desc())
            .limit(200)
        )
    ]


def payments_of_account(session: Session, account_id: int) -> list[PaymentRow]:
    """All attempts on an account, newest first, for staff."""
    return [
        PaymentRow(*row)
        for row in session.execute(
            sa.select(*_ROW)
            .join(PaymentShare, PaymentShare.payment_id == Payment.id)
            .where(PaymentShare.account_id == account_id)
            .order_by(Payment.created_at.desc())
            .limit(200)
        )
    ]


def reserved(session: Session, account_id: int) -> dict[int, Money]:
    """What payments on their way hold of each line, by charge id (for a family's, of lines elsewhere, too)."""
    rows = session.execute(
        sa.select(Allocation.charge_id, sa.func.sum(Allocation.amount))
        .join(Payment, Payment.id == Allocation.payment_id)
        .join(PaymentShare, PaymentShare.payment_id == Payment.id)
        .where(PaymentShare.account_id == account_id, Payment.state.in_(sorted(RESERVING)))
        .group_by(Allocation.charge_id)
    )
    return dict(rows.all())


def is_for_plan(session: Session, payment_id: int) -> bool:
    """Whether a payment is for lines of a payment plan alone."""
    outside = sa.select(sa.func.count()).where(
        Allocation.payment_id == payment_id, Allocation.charge_id == CHARGE.c.id, ~CHARGE.c.on_plan
    )
    return not session.scalar(outside)


def allocated_lines(session: Session, payment_id: int) -> list[AllocatedLine]:
    """What a payment is for, in the order of its lines."""
    parts = session.execute(
        sa.select(Allocation.charge_id, Allocation.amount)
        .where(Allocation.payment_id == payment_id)
        .order_by(Allocation.charge_id)
    ).all()
    names = line_names(session, [charge_id for charge_id, _amount in parts])
    return [
        AllocatedLine(*names[charge_id], amount)
        for charge_id, amount in parts
    ]


def receipt_for(session: Session, user_id: int, public_id: str) -> Receipt:
    """The receipt of a payment that succeeded. Raises :class:`RecordNotFound`."""
    row: Any = session.execute(
        sa.select(
            Payment.id,
            Payment.amount,
            Payment.settled_at,
            Payment.method,
            ACCOUNT.c.guarantor_name,
            ACCOUNT.c.public_id,
            POSTING.c.posted_at,
            Payment.stripe_charge_id,
        )
        .join(ACCOUNT, ACCOUNT.c.id == Payment.account_id)
        .join(POSTING, POSTING.c.key == Payment.public_id, isouter=True)
        .where(Payment.public_id == public_id, Payment.state == PaymentState.SUCCEEDED, may_see(user_id))
    ).first()
    if row is None:
        raise RecordNotFound("receipt")
    return Receipt(
        public_id=public_id,
        reference=reference(public_id),
        amount=row[1],
        paid_at=row[2],
        method=row[3],
        guarantor_name=row[4],
        account_public_id=row[5],
        lines=allocated_lines(session, row[0]),
        posted_at=row[6],
        stripe_charge_id=row[7] or "",
    )


@dataclass(frozen=True, slots=True)
class Moved:
    """A booking, as reconciling wants it: money of one intent that moved on one account. A refund is negative."""

    key: str
    account_id: int
    kind: BookingKind
    amount: Money
    intent_id: str
    charge_id: str | None
    booked_at: datetime


def moved(session: Session) -> list[Moved]:
    """Everything the portal has booked, oldest first."""
    rows: Any = session.execute(
        sa.select(
            Booking.key,
            Booking.account_id,
            Booking.kind,
            Booking.amount,
            Payment.stripe_intent_id,
            Payment.stripe_charge_id,
            Booking.booked_at,
        )
        .join(Payment, Payment.id == Booking.payment_id)
        .order_by(Booking.id)
    )
    return [Moved(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class Unsettled:
    """A payment that may still become one, or end; ``checked_at`` is when Stripe was last asked about it.

    ``intent_id`` is empty until Stripe has answered.
    """

    account_id: int
    intent_id: str
    created_at: datetime
    state: PaymentState
    checked_at: datetime


def unsettled(session: Session) -> dict[str, Unsettled]:
    """Payments that are not over, by the intent's id and by their public id: Stripe's answer may have been lost."""
    rows = session.execute(
        sa.select(
            Payment.public_id,
            Payment.account_id,
            sa.func.coalesce(Payment.stripe_intent_id, ""),
            Payment.created_at,
            Payment.state,
            Payment.checked_at,
        ).where(Payment.state.not_in(sorted(FINAL)))
    )
    found: dict[str, Unsettled] = {}
    for public_id, account_id, intent_id, created_at, state, checked_at in rows:
        payment = found[public_id] = Unsettled(account_id, intent_id, created_at, state, checked_at)
        if payment.intent_id:
            found[payment.intent_id] = payment
    return found


def unbooked(session: Session) -> list[tuple[str, int]]:
    """Payments whose bookings are not what their state says: (public id, cents missing). Anything here is damage."""
    taken = sa.case((Payment.state == PaymentState.SUCCEEDED, sa.type_coerce(Payment.amount, sa.BigInteger)), else_=0)
    booked = sa.func.coalesce(
        sa.select(sa.func.sum(sa.type_coerce(Booking.amount, sa.BigInteger)))
        .where(Booking.payment_id == Payment.id, Booking.kind == BookingKind.PAYMENT)
        .scalar_subquery(),
        0,
    )
    rows = session.execute(sa.select(Payment.public_id, taken - booked).where(taken != booked))
    return [(public_id, int(missing)) for public_id, missing in rows]


@dataclass(frozen=True, slots=True)
class OfStripe:
    """A payment as it is found by what Stripe calls it."""

    id: int
    public_id: str
    account_id: int
    amount: Money
    state: PaymentState


_OF_STRIPE = (Payment.id, Payment.public_id, Payment.account_id, Payment.amount, Payment.state)


def payment_of_stripe(
    session: Session, *, charge_id: str = "", intent_id: str = "", attempt_id: str = ""
) -> OfStripe | None:
    """The payment with Stripe's charge or intent, or made as attempt ``attempt_id``; None where we have none."""
    names = (
        (Payment.stripe_charge_id, charge_id),
        (Payment.stripe_intent_id, intent_id),
        (Payment.public_id, attempt_id),
    )
    for column, name in names:
        row = session.execute(sa.select(*_OF_STRIPE).where(column == name)).first() if name else None
        if row is not None:
            return OfStripe(*row)
    return None


def is_our_customer(session: Session, customer_id: str) -> bool:
    """Whether a Stripe customer is one that the portal made."""
    found = sa.select(StripeCustomer.id).where(StripeCustomer.customer_id == customer_id)
    return bool(customer_id) and session.scalar(found) is not None


def customer_ids(session: Session) -> set[str]:
    """The Stripe customers that are ours."""
    rows = session.scalars(sa.select(StripeCustomer.customer_id).where(StripeCustomer.customer_id.is_not(None)))
    return {customer_id for customer_id in rows if customer_id}


def webhook_backlog(session: Session) -> tuple[int, datetime | None]:
    """How many events wait to be processed, and since when the oldest."""
    row = session.execute(
        sa.select(sa.func.count(), sa.func.min(StripeEvent.received_at)).where(StripeEvent.processed_at.is_(None))
    ).one()
    return row[0], row[1]



def payment_origins(session: Session, public_ids: Iterable[str]) -> dict[str, tuple[str, str, str]]:
    """What payments were paid with, Stripe's intent, and who made them (PaymentSource), by their public ids."""
    rows = session.execute(
        sa.select(Payment.public_id, Payment.method, Payment.stripe_intent_id, Payment.source).where(
            Payment.public_id.in_(list(public_ids))
        )
    )
    return {row[0]: (row[1], row[2] or "", row[3].value) for row in rows}


def accounts_with_news_since(session: Session, since: datetime) -> dict[int, datetime]:
    """The accounts with a payment that was begun, confirmed, or asked about at Stripe since then: when last (UTC).

    To ask about a debit that is on its way is nothing new: that is done all the time until its bank has decided.
    """
    on_its_way = Payment.state == PaymentState.PROCESSING
    rows = session.execute(
        sa.select(
            PaymentShare.account_id,
            sa.func.max(Payment.created_at),
            sa.func.max(Payment.confirmed_at),
            sa.func.max(sa.case((on_its_way, Payment.created_at), else_=Payment.checked_at)),
        )
        .join(Payment, Payment.id == PaymentShare.payment_id)
        .where(
            sa.or_(
                Payment.created_at >= since,
                Payment.confirmed_at >= since,
                sa.and_(Payment.checked_at >= since, ~on_its_way),
            )
        )
        .group_by(PaymentShare.account_id)
    )
    return {account_id: max(at for at in moments if at is not None) for account_id, *moments in rows}


def in_processing(session: Session, payment_ids: Iterable[int]) -> set[int]:
    """Those of the payments that a bank has yet to decide."""
    return set(
        session.scalars(
            sa.select(Payment.id).where(
                Payment.id.in_(list(payment_ids)), Payment.state == PaymentState.PROCESSING
            )
        )
    )


def open_of(session: Session, source: PaymentSource) -> list[int]:
    """The ids of the payments from one source that may still be confirmed, the oldest first."""
    still_open = sa.select(Payment.id).where(Payment.source == source, Payment.state.in_(sorted(OPEN)))
    return list(session.scalars(still_open.order_by(Payment.id)))
