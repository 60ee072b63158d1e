"""Reading accounts for staff and for other features."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal.accounts.models import Account, Patient
from portal.db import RecordNotFound


@dataclass(frozen=True, slots=True)
class AccountRow:
    """An account as staff see it in a list."""

    id: int
    public_id: str
    ref: str
    guarantor_name: str
    mirrored_at: datetime
    home_state: str | None


_COLUMNS = (
    Account.id,
    Account.public_id,
    Account.ref,
    Account.guarantor_name,
    Account.mirrored_at,
    Account.home_state,
)


def account_by_public_id(session: Session, public_id: str) -> AccountRow:
    """Any account, for staff. Raises :class:`RecordNotFound`."""
    row = session.execute(sa.select(*_COLUMNS).where(Account.public_id == public_id)).first()
    if row is None:
        raise RecordNotFound("account")
    return AccountRow(*row)


def accounts_by_id(session: Session, account_ids: Iterable[int]) -> dict[int, AccountRow]:
    """Accounts by their rows' ids, for staff."""
    rows = session.execute(sa.select(*_COLUMNS).where(Account.id.in_(set(account_ids))))
    return {one.id: one for one in (AccountRow(*row) for row in rows)}


def account_named(session: Session, name: str) -> AccountRow:
    """Any account by its number or public id, for the operator. Raises :class:`RecordNotFound`."""
    row = session.execute(
        sa.select(*_COLUMNS).where(sa.or_(Account.ref == name, Account.public_id == name)).order_by(Account.id)
    ).first()
    if row is None:
        raise RecordNotFound("account")
    return AccountRow(*row)


def home_state(session: Session, account_id: int) -> str | None:
    """The state in which whoever pays an account lives, as it is written now; None while nobody said."""
    return session.scalar(sa.select(Account.home_state).where(Account.id == account_id))


def accounts_living_in(session: Session, state: str) -> int:
    """How many accounts are known to be of somebody in a state."""
    return session.scalar(sa.select(sa.func.count(Account.id)).where(Account.home_state == state)) or 0


def born_count(session: Session, account_id: int, day: date) -> int:
    """How many patients on an account were born on a day.

    One statement, whatever it finds, so that the time it takes tells nothing.
    """
    query = sa.select(sa.func.count()).select_from(Patient)
    return session.scalar(query.where(Patient.account_id == account_id, Patient.born_on == day)) or 0


def account_refs(session: Session) -> dict[int, str]:
    """Every account's back-office number by its id."""
    return dict(session.execute(sa.select(Account.id, Account.ref)).all())


def search_accounts(session: Session, text: str, *, limit: int = 50) -> Sequence[AccountRow]:
    """Accounts whose number, guarantor or a patient's name contains ``text``; all of them for an empty text."""
    query = sa.select(*_COLUMNS).order_by(Account.guarantor_name, Account.id).limit(limit)
    for word in text.lower().split()[:6]:
        like = f"%{word.replace('%', '').replace('_', '')}%"
        query = query.where(
            sa.or_(
                sa.func.lower(Account.guarantor_name).like(like),
                sa.func.lower(Account.ref).like(like),
                sa.exists().where(
                    Patient.account_id == Account.id,
                    sa.func.lower(Patient.given_name + " " + Patient.family_name).like(like),
                ),
            )
        )
    return [AccountRow(*row) for row in session.execute(query)]


def ref_is_free(session: Session, ref: str) -> bool:
    """Whether no account has the number ``ref``."""
    return session.scalar(sa.select(Account.id).where(Account.ref == ref)) is None


def account_ids(session: Session, refs: Iterable[str]) -> list[int]:
    """The ids of the accounts with these numbers of the back office."""
    return list(session.scalars(sa.select(Account.id).where(Account.ref.in_(refs))))


def due_for_checks(session: Session, *, limit: int) -> list[int]:
    """Accounts that have changed since their bills were last checked."""
    return list(session.scalars(sa.select(Account.id).where(Account.check_due).order_by(Account.id).limit(limit)))


def due_among(session: Session, account_ids: Iterable[int]) -> list[int]:
    """Those of the accounts that have changed since their bills were last checked."""
    return list(session.scalars(sa.select(Account.id).where(Account.id.in_(list(account_ids)), Account.check_due)))


def is_due_for_checks(session: Session, account_id: int) -> bool:
    """Whether an account has changed since its bills were last checked."""
    return bool(session.scalar(sa.select(Account.check_due).where(Account.id == account_id)))
