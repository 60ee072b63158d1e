"""Accounts and patients as feeds bring them."""

from collections.abc import Iterable
from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.models import Account, Patient
from portal.accounts.names import in_any_case
from portal.accounts.states import STATES
from portal.audit.service import record
from portal.audit.tags import Tag


def open_account(session: Session, *, ref: str, guarantor_name: str) -> Account:
    """The account with the back office's number ``ref``, made when it is new."""
    account = session.scalar(sa.select(Account).where(Account.ref == ref))
    if account is None:
        now = clock.now()
        account = Account(ref=ref, guarantor_name=guarantor_name, mirrored_at=now, created_at=now)
        session.add(account)
        session.flush()
    return account


def add_patient(
    session: Session,
    *,
    account_id: int,
    given_name: str,
    family_name: str,
    member_id: str = "",
    born_on: date | None = None,
) -> Patient:
    """Put a patient on an account."""
    patient = Patient(
        account_id=account_id,
        given_name=given_name,
        family_name=family_name,
        member_id=member_id,
        born_on=born_on,
    )
    session.add(patient)
    session.flush()
    return patient


def find_patient(session: Session, *, member_id: str, family_name: str, given_name: str) -> Patient | None:
    """The patient a remittance names: by member id and name together, since a family shares a member id.

    Letter case differs between payers and is ignored.
    """
    candidates = session.scalars(sa.select(Patient).where(Patient.member_id == member_id).order_by(Patient.id))
    wanted = in_any_case(family_name, given_name)
    return next((one for one in candidates if in_any_case(one.family_name, one.given_name) == wanted), None)


def account_row(session: Session, account_id: int, *, lock: bool = False) -> Account:
    """The account itself; with ``lock`` its row is held to the end of the transaction.

    Everything that decides what is payable holds this lock (SQLite: the write lock of ``BEGIN IMMEDIATE``).
    """
    query = sa.select(Account).where(Account.id == account_id)
    if lock:
        # FOR NO KEY UPDATE: rows that merely refer to the account (audit, messages) need not wait.
        query = query.with_for_update(key_share=True).execution_options(populate_existing=True)
    return session.scalars(query).one()


def mark_mirrored(session: Session, account_id: int, at: datetime) -> None:
    """Note how fresh the mirror of an account is: what pages show as "as of"."""
    session.execute(
        sa.update(Account).where(Account.id == account_id, Account.mirrored_at < at).values(mirrored_at=at)
    )


def mark_check_due(session: Session, account_ids: Iterable[int], *, due: bool = True) -> None:
    """Say of accounts whether their bills have changed since they were last checked."""
    ids = sorted(set(account_ids))
    if ids:
        session.execute(
            sa.update(Account).where(Account.id.in_(ids), Account.check_due != due).values(check_due=due)
        )


def set_home_state(session: Session, account_id: int, state: str | None, *, actor_user_id: int | None = None) -> bool:
    """Write down in which state whoever pays an account lives (None: nobody knows); whether it is another one.

    In the caller's transaction, with the account's lock. ``state`` is one of :data:`STATES`; ``ValueError`` otherwise.
    """
    if state is not None and state not in STATES:
        raise ValueError(f"not a state: {state!r}")
    account = account_row(session, account_id, lock=True)
    if account.home_state == state:
        return False
    record(
        session,
        Tag.ACCOUNT_STATE_CHANGED,
        actor_user_id=actor_user_id,
        account_id=account_id,
        subject=account.public_id,
        before=account.home_state or "",
        after=state or "",
    )
    account.home_state = state
    session.flush()
    return True
