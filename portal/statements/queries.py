"""Reading statements."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.access import VisibleAccount, account_for, visible
from portal.accounts.joins import ACCOUNT
from portal.db import RecordNotFound
from portal.money import Money
from portal.statements.models import Statement


@dataclass(frozen=True, slots=True)
class StatementRow:
    """A statement in a list."""

    id: int
    public_id: str
    account_id: int
    account_public_id: str
    number: str
    issued_on: date
    due_on: date
    amount_due: Money
    code_expires_at: datetime
    code_revoked_at: datetime | None
    document_id: int

    @property
    def code_is_open(self) -> bool:
        """Whether the code still opens the guest page."""
        return self.code_revoked_at is None and self.code_expires_at > clock.now()


_ROW = (
    Statement.id,
    Statement.public_id,
    Statement.account_id,
    ACCOUNT.c.public_id,
    Statement.number,
    Statement.issued_on,
    Statement.due_on,
    Statement.amount_due,
    Statement.code_expires_at,
    Statement.code_revoked_at,
    Statement.document_id,
)


def _may_see(user_id: int) -> sa.ColumnElement[bool]:
    """Who sees a statement: whoever has the whole account. It names every patient on it."""
    return visible(user_id, Statement.account_id, sa.null())


def _rows() -> sa.Select[*tuple[Any, ...]]:
    return sa.select(*_ROW).join(ACCOUNT, ACCOUNT.c.id == Statement.account_id)


def statement_for(session: Session, public_id: str, *, user_id: int | None) -> StatementRow:
    """One statement by its public id; ``user_id`` None is staff.

    Raises :class:`RecordNotFound` for unknown and foreign alike.
    """
    query = _rows().where(Statement.public_id == public_id)
    if user_id is not None:
        query = query.where(_may_see(user_id))
    row = session.execute(query).first()
    if row is None:
        raise RecordNotFound("statement")
    return StatementRow(*row)


def statements_of_account(session: Session, account_id: int) -> list[StatementRow]:
    """All statements of an account, newest first, for whoever may see the whole of it."""
    rows = session.execute(_rows().where(Statement.account_id == account_id).order_by(Statement.id.desc()).limit(200))
    return [StatementRow(*row) for row in rows]


def whole_account_for(session: Session, user_id: int, public_id: str) -> VisibleAccount:
    """An account of which a user may see everything. Raises :class:`RecordNotFound` for any other."""
    account = account_for(session, user_id, public_id)
    if not session.scalar(sa.select(visible(user_id, account.id, sa.null()))):
        raise RecordNotFound("account")
    return account


def accounts_with_statements(session: Session, user_id: int) -> set[int]:
    """The ids of the accounts that have a statement which a user may see."""
    return set(session.scalars(sa.select(Statement.account_id).where(_may_see(user_id)).distinct()))


@dataclass(frozen=True, slots=True)
class PrintedLine:
    """A line as a statement listed it; ``charge`` is its public id, empty on statements that do not name it."""

    charge: str
    visit: str
    description: str
    service_on: date | None
    amount: Money


@dataclass(frozen=True, slots=True)
class Printed:
    """What a statement listed, and the moment up to which it knew the books (UTC)."""

    at: datetime
    lines: list[PrintedLine]


def printed_on(session: Session, statement_id: int) -> Printed:
    """What a statement listed when it was printed, in its order."""
    at, lines = session.execute(
        sa.select(Statement.created_at, Statement.lines).where(Statement.id == statement_id)
    ).one()
    return Printed(
        at,
        [
            PrintedLine(
                charge=line.get("charge", ""),
                visit=line["visit"],
                description=line["description"],
                service_on=date.fromisoformat(line["service_on"]) if line["service_on"] else None,
                amount=Money(line["cents"]),
            )
            for line in lines
        ],
    )


def statement_by_number(session: Session, account_id: int, number: str) -> StatementRow:
    """A statement of an account by its number or public id, for staff. Raises :class:`RecordNotFound`."""
    which = sa.or_(Statement.number == number, Statement.public_id == number)
    row = session.execute(_rows().where(Statement.account_id == account_id, which)).first()
    if row is None:
        raise RecordNotFound("statement")
    return StatementRow(*row)
