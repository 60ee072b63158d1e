"""Reading payouts. A fixed number of queries whatever their size."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal.accounts.joins import ACCOUNT
from portal.db import MoneyType, RecordNotFound
from portal.money import Money
from portal.payments.joins import PAYMENT
from portal.payments.queries import reference
from portal.payments.state import PaymentState
from portal.payments.stripe_events.cursors import read_to
from portal.payouts.kinds import Match, Oddity
from portal.payouts.models import BalanceMovement, Payout

#: Every charge has its movement at once; one that has none after so long is missing.
MISSING_AFTER = timedelta(days=2)
#: The list of Stripe's balance, by the name of its cursor.
LIST = "payouts"


def _cents(column: Any) -> Any:
    return sa.type_coerce(column, sa.BigInteger)


def _sum(column: Any) -> Any:
    return sa.type_coerce(sa.func.coalesce(sa.func.sum(_cents(column)), 0), MoneyType)


_ODD_MOVEMENT = sa.and_(BalanceMovement.exception != "", BalanceMovement.handled_at.is_(None))
_ODD_PAYOUT = sa.and_(Payout.exception != "", Payout.handled_at.is_(None))


@dataclass(frozen=True, slots=True)
class PayoutRow:
    """A payout in a list, with what its movements come to. ``odd`` counts what does not fit in it."""

    id: int
    public_id: str
    stripe_payout_id: str
    amount: Money
    status: str
    arrives_on: date
    created_at: datetime
    complete_at: datetime | None
    exception: str
    handled_at: datetime | None
    handled_note: str
    gross: Money
    fee: Money
    net: Money
    movements: int
    odd: int

    @property
    def exceptions(self) -> int:
        """How many things of it somebody has to look at."""
        return self.odd + bool(self.exception and self.handled_at is None)


_PAYOUT: tuple[Any, ...] = (
    Payout.id,
    Payout.public_id,
    Payout.stripe_payout_id,
    Payout.amount,
    Payout.status,
    Payout.arrives_on,
    Payout.created_at,
    Payout.complete_at,
    Payout.exception,
    Payout.handled_at,
    Payout.handled_note,
)


def _rows(session: Session, query: sa.Select[Any]) -> list[PayoutRow]:
    payouts = session.execute(query).all()
    sums = {
        row[0]: row[1:]
        for row in session.execute(
            sa.select(
                BalanceMovement.payout_id,
                _sum(BalanceMovement.gross),
                _sum(BalanceMovement.fee),
                _sum(BalanceMovement.net),
                sa.func.count(),
                sa.func.sum(sa.case((_ODD_MOVEMENT, 1), else_=0)),
            )
            .where(BalanceMovement.payout_id.in_([row.id for row in payouts]))
            .group_by(BalanceMovement.payout_id)
        )
    }
    nothing = (Money.zero(), Money.zero(), Money.zero(), 0, 0)
    return [PayoutRow(*row, *sums.get(row.id, nothing)) for row in payouts]


def payouts(session: Session, *, limit: int, offset: int = 0) -> tuple[list[PayoutRow], int]:
    """Payouts, the latest first; and how many in all."""
    total = session.scalar(sa.select(sa.func.count(Payout.id))) or 0
    query = sa.select(*_PAYOUT).order_by(Payout.created_at.desc(), Payout.id.desc()).limit(limit).offset(offset)
    return _rows(session, query), int(total)


def payout_by_public_id(session: Session, public_id: str) -> PayoutRow:
    """One payout. Raises :class:`RecordNotFound`."""
    rows = _rows(session, sa.select(*_PAYOUT).where(Payout.public_id == public_id))
    if not rows:
        raise RecordNotFound("payout")
    return rows[0]


@dataclass(frozen=True, slots=True)
class MovementRow:
    """A movement of Stripe's balance, with the payment it is of."""

    public_id: str
    stripe_id: str
    kind: str
    gross: Money
    fee: Money
    net: Money
    source_id: str
    created_at: datetime
    match: Match
    exception: str
    handled_at: datetime | None
    handled_note: str
    payment_public_id: str | None
    account_public_id: str | None
    account_ref: str | None

    @property
    def payment_reference(self) -> str:
        """What people quote on the telephone; empty without a payment."""
        return reference(self.payment_public_id) if self.payment_public_id else ""

    @property
    def open(self) -> bool:
        """Whether somebody has to look at it."""
        return bool(self.exception) and self.handled_at is None


_MOVEMENT: tuple[Any, ...] = (
    BalanceMovement.public_id,
    BalanceMovement.stripe_id,
    BalanceMovement.kind,
    BalanceMovement.gross,
    BalanceMovement.fee,
    BalanceMovement.net,
    BalanceMovement.source_id,
    BalanceMovement.created_at,
    BalanceMovement.match,
    BalanceMovement.exception,
    BalanceMovement.handled_at,
    BalanceMovement.handled_note,
    PAYMENT.c.public_id,
    ACCOUNT.c.public_id,
    ACCOUNT.c.ref,
)


def _movements(
    session: Session, *conditions: Any, order: Any, limit: int, offset: int
) -> tuple[list[MovementRow], int]:
    total = session.scalar(sa.select(sa.func.count(BalanceMovement.id)).where(*conditions)) or 0
    rows = session.execute(
        sa.select(*_MOVEMENT)
        .join(PAYMENT, PAYMENT.c.id == BalanceMovement.payment_id, isouter=True)
        .join(ACCOUNT, ACCOUNT.c.id == PAYMENT.c.account_id, isouter=True)
        .where(*conditions)
        .order_by(*order)
        .limit(limit)
        .offset(offset)
    )
    return [MovementRow(*row) for row in rows], int(total)


def movements_of(
    session: Session, payout_id: int | None, *, limit: int, offset: int = 0
) -> tuple[list[MovementRow], int]:
    """A payout's movements, what somebody has to look at first; None for those that are not paid out yet."""
    where = BalanceMovement.payout_id.is_(None) if payout_id is None else BalanceMovement.payout_id == payout_id
    order = (sa.case((_ODD_MOVEMENT, 0), else_=1), BalanceMovement.created_at.desc(), BalanceMovement.id.desc())
    return _movements(session, where, order=order, limit=limit, offset=offset)


def odd_movements(session: Session, *, limit: int, offset: int = 0) -> tuple[list[MovementRow], int]:
    """Movements that somebody has to look at, the oldest first; and how many in all."""
    order = (BalanceMovement.created_at, BalanceMovement.id)
    return _movements(session, _ODD_MOVEMENT, order=order, limit=limit, offset=offset)


def odd_payouts(session: Session) -> list[PayoutRow]:
    """Payouts that are odd themselves, the oldest first; there are never many."""
    return _rows(session, sa.select(*_PAYOUT).where(_ODD_PAYOUT).order_by(Payout.created_at).limit(100))


@dataclass(frozen=True, slots=True)
class OddRow:
    """One thing that does not fit, for the page on which somebody deals with it."""

    public_id: str
    kind: Oddity | None
    stripe_id: str
    amount: Money
    created_at: datetime
    handled_at: datetime | None
    handled_note: str


def exception_by_public_id(session: Session, public_id: str) -> OddRow:
    """A movement or a payout that is, or was, an exception. Raises :class:`RecordNotFound`."""
    movement = sa.select(
        BalanceMovement.public_id,
        BalanceMovement.exception,
        BalanceMovement.stripe_id,
        BalanceMovement.gross,
        BalanceMovement.created_at,
        BalanceMovement.handled_at,
        BalanceMovement.handled_note,
    ).where(BalanceMovement.public_id == public_id)
    payout = sa.select(
        Payout.public_id,
        Payout.exception,
        Payout.stripe_payout_id,
        Payout.amount,
        Payout.created_at,
        Payout.handled_at,
        Payout.handled_note,
    ).where(Payout.public_id == public_id)
    row: Any = session.execute(movement).first() or session.execute(payout).first()
    if row is None:
        raise RecordNotFound("exception")
    return OddRow(row[0], Oddity(row[1]) if row[1] else None, *row[2:])


def exceptions_open(session: Session) -> int:
    """How many movements and payouts somebody has to look at."""
    movements = sa.select(sa.func.count(BalanceMovement.id)).where(_ODD_MOVEMENT).scalar_subquery()
    payouts = sa.select(sa.func.count(Payout.id)).where(_ODD_PAYOUT).scalar_subquery()
    return session.scalar(sa.select(movements + payouts)) or 0


@dataclass(frozen=True, slots=True)
class Odd:
    """One thing that does not fit, for reconciling: by how many cents, and Stripe's id or our payment's."""

    kind: Oddity
    key: str
    difference_cents: int


@dataclass(frozen=True, slots=True)
class PayoutTotals:
    """All payouts together, in cents; the figures are those of their movements."""

    count: int
    gross_cents: int
    fee_cents: int
    net_cents: int
    paid_out_cents: int


def totals(session: Session) -> PayoutTotals:
    """What all payouts come to."""
    paid: Any = session.execute(sa.select(sa.func.count(Payout.id), _sum(Payout.amount))).one()
    moved: Any = session.execute(
        sa.select(_sum(BalanceMovement.gross), _sum(BalanceMovement.fee), _sum(BalanceMovement.net)).where(
            BalanceMovement.payout_id.is_not(None)
        )
    ).one()
    return PayoutTotals(paid[0], moved[0].cents, moved[1].cents, moved[2].cents, paid[1].cents)


def odd(session: Session) -> list[Odd]:
    """Everything about payouts that does not fit and that nobody has dealt with, with its size.

    A payment that Stripe's balance never heard of is one: every charge has its movement as soon as it succeeds.
    """
    found = [
        Odd(Oddity(exception), stripe_id, gross.cents)
        for stripe_id, exception, gross in session.execute(
            sa.select(BalanceMovement.stripe_id, BalanceMovement.exception, BalanceMovement.gross)
            .where(_ODD_MOVEMENT)
            .order_by(BalanceMovement.id)
        )
    ]
    for row in odd_payouts(session):
        # One that came back is whole: its money is in Stripe's balance.
        size = (row.amount - row.net).cents if row.exception == Oddity.PAYOUT_INCOMPLETE else 0
        found.append(Odd(Oddity(row.exception), row.stripe_payout_id, size))
    pulled = read_to(session, LIST)
    if pulled is not None:
        missing = sa.select(PAYMENT.c.public_id, PAYMENT.c.amount).where(
            PAYMENT.c.state == PaymentState.SUCCEEDED,
            PAYMENT.c.settled_at < pulled - MISSING_AFTER,
            ~sa.exists().where(BalanceMovement.payment_id == PAYMENT.c.id, BalanceMovement.match == Match.PAYMENT),
        )
        for public_id, amount in session.execute(missing.order_by(PAYMENT.c.id)):
            found.append(Odd(Oddity.NO_MOVEMENT, public_id, amount.cents))
    return found
