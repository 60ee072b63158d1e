"""Issuing statements, revoking their codes, and letting a guest in by one. In the caller's transaction."""

import hmac
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.queries import born_count
from portal.accounts.service import account_row
from portal.audit.service import record
from portal.audit.tags import Tag
from portal.billing.checks.run import check_if_due
from portal.billing.queries import Line, VisitRow, lines_of_account, visits_of_account
from portal.db import RecordNotFound
from portal.documents.kinds import DocumentKind
from portal.documents.store import store
from portal.money import Money
from portal.statements.codes import code_hash, new_code, normal
from portal.statements.errors import NothingToAskFor
from portal.statements.models import Statement

#: How long somebody has to pay, and how long the code opens the guest page.
DUE_AFTER = timedelta(days=21)
CODE_LIVES = timedelta(days=180)

#: What payments on their way hold of each line, by charge id. Payments are above this package, so it is handed in.
OnItsWay = Callable[[Session, int], Mapping[int, Money]]


@dataclass(frozen=True, slots=True)
class Ask:
    """One line that a statement asks for, as it is kept and printed.

    ``visit`` and ``charge`` are public ids: they tell the visits apart, and lead from the statement back to the books.
    """

    visit: str
    charge: str
    visit_from: date | None
    visit_to: date | None
    provider: str
    description: str
    service_on: date | None
    patient: str
    amount: Money


@dataclass(frozen=True, slots=True)
class Draft:
    """A statement before it is printed. This is the only time the clear ``code`` is at hand."""

    number: str
    guarantor_name: str
    account_ref: str
    issued_on: date
    due_on: date
    amount_due: Money
    asks: list[Ask]
    code: str
    code_good_until: date


@dataclass(frozen=True, slots=True)
class StatementPass:
    """What a code and a date of birth open: one account, through the statement they belong to."""

    statement_id: int
    public_id: str
    account_id: int
    number: str


def due_lines(session: Session, account_id: int, on_its_way: OnItsWay) -> list[tuple[Line, Money]]:
    """The lines of an account that may be asked for now and how much of each, oldest first."""
    held = on_its_way(session, account_id)
    left = (
        (line, line.payable - held.get(line.charge_id, Money.zero()))
        for line in lines_of_account(session, account_id)
    )
    return [(line, amount) for line, amount in left if amount > Money.zero()]


def issue_statement(
    session: Session,
    *,
    account_id: int,
    issued_by: int | None,
    secret: str,
    timezone: str,
    on_its_way: OnItsWay,
    to_pdf: Callable[[Draft], bytes],
    code: str = "",
) -> Statement:
    """Ask for what is payable on an account now: number it, give it a code, print it, and keep all of it.

    ``timezone`` is the clinic's, whose calendar the dates are of; ``to_pdf`` prints the draft. ``code`` is given by the
    demo only, otherwise a new one is drawn. ``issued_by`` None is the portal itself. Raises
    :class:`NothingToAskFor`.
    """
    account = account_row(session, account_id, lock=True)
    check_if_due(session, [account_id])
    lines = due_lines(session, account_id, on_its_way)
    if not lines:
        raise NothingToAskFor
    now, today = clock.now(), clock.today(timezone)
    visits = {
        summary.visit.id: summary.visit
        for summary in visits_of_account(session, account_id, lines_at_hand=[line for line, _amount in lines])
    }
    draft = Draft(
        number=_free_number(session, today.year),
        guarantor_name=account.guarantor_name,
        account_ref=account.ref,
        issued_on=today,
        due_on=today + DUE_AFTER,
        amount_due=Money.total(amount for _line, amount in lines),
        asks=[_ask(line, visits[line.visit_id], amount) for line, amount in lines],
        code=code or new_code(),
        code_good_until=today + CODE_LIVES,
    )
    document_id = store(session, kind=DocumentKind.STATEMENT, content=to_pdf(draft), account_id=account_id)
    statement = Statement(
        account_id=account_id,
        number=draft.number,
        issued_on=draft.issued_on,
        due_on=draft.due_on,
        amount_due=draft.amount_due,
        lines=[_kept(ask) for ask in draft.asks],
        code_hash=code_hash(draft.code, secret=secret),
        code_expires_at=now + CODE_LIVES,
        issued_by=issued_by,
        document_id=document_id,
        created_at=now,
    )
    session.add(statement)
    session.flush()
    record(
        session, Tag.STATEMENT_ISSUED, actor_user_id=issued_by, account_id=account_id, subject=statement.public_id
    )
    return statement


def _ask(line: Line, visit: VisitRow, amount: Money) -> Ask:
    return Ask(
        visit=line.visit_public_id,
        charge=line.public_id,
        visit_from=visit.started_on,
        visit_to=visit.ended_on,
        provider=visit.provider_name,
        description=line.description,
        service_on=line.service_on,
        patient=line.patient_name,
        amount=amount,
    )


def _kept(ask: Ask) -> dict[str, Any]:
    def iso(value: date | None) -> str | None:
        return value.isoformat() if value else None

    return {
        "visit": ask.visit,
        "charge": ask.charge,
        "visit_from": iso(ask.visit_from),
        "visit_to": iso(ask.visit_to),
        "provider": ask.provider,
        "description": ask.description,
        "service_on": iso(ask.service_on),
        "patient": ask.patient,
        "cents": ask.amount.cents,
    }


def _free_number(session: Session, year: int) -> str:
    """A number nobody has: drawn, not counted, so that it tells neither how many statements there are nor whose."""
    while True:
        digits = f"{secrets.randbelow(10**8):08d}"
        number = f"{year}-{digits[:4]}-{digits[4:]}"
        if session.scalar(sa.select(Statement.id).where(Statement.number == number)) is None:
            return number


def revoke_code(session: Session, *, statement_id: int, revoked_by: int) -> bool:
    """Make a statement's code open nothing any more; False when it was revoked before.

    Raises :class:`RecordNotFound`.
    """
    statement = session.scalars(
        sa.select(Statement)
        .where(Statement.id == statement_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one_or_none()
    if statement is None:
        raise RecordNotFound("statement")
    if statement.code_revoked_at is not None:
        return False
    statement.code_revoked_at = clock.now()
    record(
        session,
        Tag.STATEMENT_CODE_REVOKED,
        actor_user_id=revoked_by,
        account_id=statement.account_id,
        subject=statement.public_id,
    )
    return True


_NOBODY = 0


def hold_by_code(session: Session, code: str, *, secret: str) -> tuple[str, int] | None:
    """The statement with a typed code, by its public id and its account's; its row is held to the end of the
    transaction. None for a code that never was.
    """
    asked = code_hash(normal(code), secret=secret)
    row = session.execute(
        sa.select(Statement.public_id, Statement.account_id).where(Statement.code_hash == asked).with_for_update()
    ).first()
    return None if row is None else (row[0], row[1])


def find_by_code(session: Session, code: str, born_on: date | None, *, secret: str) -> StatementPass | None:
    """The statement that a typed code and the date of birth of any patient on its account open together, or None.

    Unknown, mistyped, expired and revoked codes and wrong dates are one answer, after the same work: two reads, one
    comparison in constant time, and one row in the audit trail, which the caller commits (it is kept for refusals too,
    so call this where the request writes). The trail knows which statement was tried when the code was right.
    A statement's number opens nothing.
    """
    asked = code_hash(normal(code), secret=secret)
    row = session.execute(
        sa.select(
            Statement.id,
            Statement.public_id,
            Statement.account_id,
            Statement.number,
            Statement.code_hash,
            Statement.code_expires_at,
            Statement.code_revoked_at,
        ).where(Statement.code_hash == asked)
    ).first()
    now = clock.now()
    statement_id, public_id, account_id, number, kept, expires_at, revoked_at = row or (
        _NOBODY, "", _NOBODY, "", "0" * 64, now, None
    )
    born = born_count(session, account_id, born_on or date.min)
    admitted = _all(
        (
            hmac.compare_digest(kept, asked),
            statement_id != _NOBODY,
            expires_at > now,
            revoked_at is None,
            born_on is not None,
            bool(born),
        )
    )
    record(
        session,
        Tag.GUEST_ADMITTED if admitted else Tag.GUEST_REFUSED,
        account_id=account_id or None,
        subject=public_id,
    )
    session.flush()
    return StatementPass(statement_id, public_id, account_id, number) if admitted else None


def _all(facts: Iterable[bool]) -> bool:
    """Whether all are true, looking at each of them whatever the others are."""
    return sum(not fact for fact in facts) == 0
