"""Who may see which account: the one place that decides.

A grant opens a whole account, or one patient's visits on it. A record that is not granted does not exist for the
one who asks: :class:`portal.db.RecordNotFound`, which the web answers with 404.
"""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.kinds import Relationship
from portal.accounts.models import AccessGrant, Account
from portal.auth.joins import USER
from portal.db import RecordNotFound


@dataclass(frozen=True, slots=True)
class VisibleAccount:
    """An account as its reader knows it."""

    id: int
    public_id: str
    guarantor_name: str
    mirrored_at: Any


def visible(user_id: Any, account_id: Any, patient_id: Any = None) -> sa.ColumnElement[bool]:
    """The SQL condition that ``user_id`` may see rows of ``account_id`` (and ``patient_id``, where rows have one).

    Without ``patient_id`` any grant on the account suffices.
    """
    condition = sa.and_(
        AccessGrant.user_id == user_id,
        AccessGrant.account_id == account_id,
        AccessGrant.revoked_at.is_(None),
    )
    if patient_id is not None:
        condition = sa.and_(
            condition, sa.or_(AccessGrant.patient_id.is_(None), AccessGrant.patient_id == patient_id)
        )
    return sa.exists().where(condition)


def granted(user_id: Any) -> sa.Select[int]:
    """The ids of the accounts of which ``user_id`` may see anything: where a list that :func:`visible` narrows begins.

    A condition that is asked of each row reads all rows there are; a list of a reader's own begins at these.
    """
    return sa.select(AccessGrant.account_id).where(AccessGrant.user_id == user_id, AccessGrant.revoked_at.is_(None))


_COLUMNS = (Account.id, Account.public_id, Account.guarantor_name, Account.mirrored_at)


def accounts_of(session: Session, user_id: int) -> list[VisibleAccount]:
    """The accounts a user may see, by guarantor's name."""
    rows = session.execute(
        sa.select(*_COLUMNS).where(visible(user_id, Account.id)).order_by(Account.guarantor_name, Account.id)
    )
    return [VisibleAccount(*row) for row in rows]


def account_for(session: Session, user_id: int, public_id: str) -> VisibleAccount:
    """One account by its public id. Raises :class:`RecordNotFound` for unknown and foreign alike."""
    row = session.execute(
        sa.select(*_COLUMNS).where(Account.public_id == public_id, visible(user_id, Account.id))
    ).first()
    if row is None:
        raise RecordNotFound("account")
    return VisibleAccount(*row)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who may see an account; ``whole`` says whether all of it."""

    user_id: int
    name: str
    relationship: Relationship
    whole: bool


def people_of(session: Session, account_id: int) -> list[Person]:
    """Who may see an account now, by name, for staff. Who has several grants is named once, with the widest."""
    rows = session.execute(
        sa.select(AccessGrant.user_id, USER.c.display_name, AccessGrant.relationship, AccessGrant.patient_id.is_(None))
        .join(USER, USER.c.id == AccessGrant.user_id)
        .where(AccessGrant.account_id == account_id, AccessGrant.revoked_at.is_(None), USER.c.active)
        .order_by(USER.c.display_name, AccessGrant.user_id, AccessGrant.patient_id.is_not(None))
    )
    found: dict[int, Person] = {}
    for row in rows:
        found.setdefault(row[0], Person(*row))
    return list(found.values())


def has_access(session: Session, user_id: int, account_id: int) -> bool:
    """Whether somebody may see an account, or a patient on it."""
    return bool(session.scalar(sa.select(visible(user_id, account_id))))


def grant(
    session: Session,
    *,
    user_id: int,
    account_id: int,
    relationship: Relationship,
    patient_id: int | None = None,
) -> None:
    """Open an account (or one patient on it) to a user; granting twice is granting once."""
    open_already = session.scalar(
        sa.select(AccessGrant.id).where(
            AccessGrant.user_id == user_id,
            AccessGrant.account_id == account_id,
            AccessGrant.patient_id == patient_id
            if patient_id is not None
            else AccessGrant.patient_id.is_(None),
            AccessGrant.revoked_at.is_(None),
        )
    )
    if open_already is None:
        session.add(
            AccessGrant(
                user_id=user_id,
                account_id=account_id,
                patient_id=patient_id,
                relationship=relationship,
                granted_at=clock.now(),
            )
        )
