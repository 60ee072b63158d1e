"""Reading saved methods."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal.db import RecordNotFound
from portal.payments.models import SavedMethod


@dataclass(frozen=True, slots=True)
class MethodRow:
    """A card or bank account that somebody keeps for next time."""

    id: int
    public_id: str
    user_id: int
    stripe_method_id: str
    kind: str
    issuer: str
    last4: str
    expires_on: date | None
    label: str
    is_default: bool
    saved_at: datetime
    removed_at: datetime | None

    @property
    def name(self) -> str:
        """What its owner calls it: the label, or ``Visa ending 4242``."""
        return self.label or f"{self.issuer} ending {self.last4}".strip()

    @property
    def is_bank(self) -> bool:
        """Whether paying with it is a bank debit, which takes days."""
        return self.kind == "us_bank_account"

    def has_expired(self, today: date) -> bool:
        """Whether a card's last month is over."""
        return self.expires_on is not None and self.expires_on < today


_ROW: tuple[Any, ...] = (
    SavedMethod.id,
    SavedMethod.public_id,
    SavedMethod.user_id,
    SavedMethod.stripe_method_id,
    SavedMethod.kind,
    SavedMethod.issuer,
    SavedMethod.last4,
    SavedMethod.expires_on,
    SavedMethod.label,
    SavedMethod.is_default,
    SavedMethod.saved_at,
    SavedMethod.removed_at,
)


def methods_of(session: Session, user_id: int) -> list[MethodRow]:
    """What a person keeps, the default first."""
    rows = session.execute(
        sa.select(*_ROW)
        .where(SavedMethod.user_id == user_id, SavedMethod.removed_at.is_(None))
        .order_by(SavedMethod.is_default.desc(), SavedMethod.id)
    )
    return [MethodRow(*row) for row in rows]


def method_for(session: Session, user_id: int, public_id: str) -> MethodRow:
    """One of a person's methods. Raises :class:`RecordNotFound` for unknown, foreign and removed alike."""
    row = session.execute(
        sa.select(*_ROW).where(
            SavedMethod.public_id == public_id, SavedMethod.user_id == user_id, SavedMethod.removed_at.is_(None)
        )
    ).first()
    if row is None:
        raise RecordNotFound("method")
    return MethodRow(*row)


def method_by_id(session: Session, method_id: int) -> MethodRow:
    """A method by its row's id, also when it was removed."""
    return MethodRow(*session.execute(sa.select(*_ROW).where(SavedMethod.id == method_id)).one())
