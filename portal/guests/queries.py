"""What a guest sees: an amount due, and their own payments. Nothing in here holds a name."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal import clock
from portal.db import RecordNotFound
from portal.guests.models import GuestPass, GuestPayment
from portal.money import Money
from portal.payments.queries import PaymentRow, payments_among
from portal.payments.service import payable_lines
from portal.payments.state import PaymentState
from portal.statements.joins import STATEMENT


@dataclass(frozen=True, slots=True)
class Pass:
    """A pass that is good now."""

    id: int
    account_id: int
    statement_id: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Due:
    """What a guest may pay, and what the paper asked for."""

    now: Money
    printed: Money

    @property
    def has_changed(self) -> bool:
        """Whether the paper says another amount."""
        return self.now != self.printed


def pass_of(session: Session, token: str) -> Pass | None:
    """The pass that a browser's token stands for; None when it has ended, is over, or never was.

    A pass ends with its code: whoever revokes it does so since the paper is in wrong hands.
    """
    row = session.execute(
        sa.select(GuestPass.id, GuestPass.account_id, GuestPass.statement_id, GuestPass.expires_at)
        .join(STATEMENT, STATEMENT.c.id == GuestPass.statement_id)
        .where(
            GuestPass.token_hash == hashlib.sha256(token.encode()).hexdigest(),
            GuestPass.ended_at.is_(None),
            GuestPass.expires_at > clock.now(),
            STATEMENT.c.code_revoked_at.is_(None),
        )
    ).first()
    return Pass(*row) if row else None


def due_of(session: Session, guest: Pass) -> Due:
    """What is payable on the pass's account now, and what its statement asked for."""
    asked_for = sa.select(STATEMENT.c.amount_due).where(STATEMENT.c.id == guest.statement_id)
    printed = session.execute(asked_for).scalar_one()
    lines = payable_lines(session, guest.account_id, user_id=None)
    return Due(Money.total(line.amount for line in lines), printed)


def own_payment(session: Session, guest: Pass, public_id: str) -> PaymentRow:
    """A payment that was made with this pass. Raises :class:`RecordNotFound` for any other."""
    found = next((one for one in _made_with(session, guest) if one.public_id == public_id), None)
    if found is None:
        raise RecordNotFound("payment")
    return found


def own_payments(session: Session, guest: Pass) -> list[PaymentRow]:
    """What was paid with this pass and came to something, newest first."""
    came_to_something = (PaymentState.SUCCEEDED, PaymentState.PROCESSING)
    return [one for one in _made_with(session, guest) if one.state in came_to_something]


def _made_with(session: Session, guest: Pass) -> list[PaymentRow]:
    return payments_among(session, sa.select(GuestPayment.payment_id).where(GuestPayment.guest_pass_id == guest.id))
