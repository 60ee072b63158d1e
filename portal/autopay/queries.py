"""Reading autopay."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal.accounts.access import visible
from portal.accounts.joins import ACCOUNT
from portal.autopay.kinds import AutopayState, ChargeState
from portal.autopay.models import Autopay, AutopayCharge
from portal.db import RecordNotFound
from portal.money import Money


@dataclass(frozen=True, slots=True)
class AutopayRow:
    """An autopay, running or over."""

    id: int
    public_id: str
    account_id: int
    user_id: int
    method_id: int
    cap: Money
    state: AutopayState
    started_at: datetime
    stopped_at: datetime | None
    stop_reason: str


@dataclass(frozen=True, slots=True)
class ChargeRow:
    """One announced charge."""

    id: int
    public_id: str
    autopay_id: int
    amount: Money
    state: ChargeState
    noticed_at: datetime
    charge_on: date
    tries: int
    #: Stripe's code of the last failure; empty where none was.
    failure_code: str
    #: What it was, or is to be, charged to.
    method_id: int


_AUTOPAY: tuple[Any, ...] = (
    Autopay.id,
    Autopay.public_id,
    Autopay.account_id,
    Autopay.user_id,
    Autopay.method_id,
    Autopay.cap,
    Autopay.state,
    Autopay.started_at,
    Autopay.stopped_at,
    Autopay.stop_reason,
)
_CHARGE: tuple[Any, ...] = (
    AutopayCharge.id,
    AutopayCharge.public_id,
    AutopayCharge.autopay_id,
    AutopayCharge.amount,
    AutopayCharge.state,
    AutopayCharge.noticed_at,
    AutopayCharge.charge_on,
    AutopayCharge.tries,
    AutopayCharge.failure_code,
    Autopay.method_id,
)


def active_of_account(session: Session, account_id: int) -> AutopayRow | None:
    """The autopay that runs on an account; there is one at most."""
    row = session.execute(
        sa.select(*_AUTOPAY).where(Autopay.account_id == account_id, Autopay.state == AutopayState.ACTIVE)
    ).first()
    return None if row is None else AutopayRow(*row)


def active_of_accounts(session: Session, account_ids: Iterable[int]) -> dict[int, AutopayRow]:
    """The autopays that run on these accounts, by account."""
    rows = session.execute(
        sa.select(*_AUTOPAY).where(
            Autopay.account_id.in_(list(account_ids)), Autopay.state == AutopayState.ACTIVE
        )
    )
    return {one.account_id: one for one in (AutopayRow(*row) for row in rows)}


def charges_of_account(session: Session, account_id: int, *, user_id: int) -> list[ChargeRow]:
    """What was announced on an account to one person, newest first."""
    rows = session.execute(
        sa.select(*_CHARGE)
        .join(Autopay, Autopay.id == AutopayCharge.autopay_id)
        .where(Autopay.account_id == account_id, Autopay.user_id == user_id)
        .order_by(AutopayCharge.id.desc())
        .limit(50)
    )
    return [ChargeRow(*row) for row in rows]


def running(session: Session, user_id: int) -> dict[int, ChargeRow | None]:
    """The autopays a person may know of, by account id, each with the charge that is announced or under way."""
    is_open = AutopayCharge.state.in_([ChargeState.NOTICED, ChargeState.CHARGING])
    rows = session.execute(
        sa.select(Autopay.account_id, *_CHARGE)
        .join(AutopayCharge, sa.and_(AutopayCharge.autopay_id == Autopay.id, is_open), isouter=True)
        .where(visible(user_id, Autopay.account_id), Autopay.state == AutopayState.ACTIVE)
    )
    return {row[0]: None if row[1] is None else ChargeRow(*row[1:]) for row in rows}


def of_notice(session: Session, charge_public_id: str) -> tuple[AutopayRow, ChargeRow]:
    """The autopay and charge a notice was about. Raises :class:`RecordNotFound`."""
    row = session.execute(
        sa.select(*_AUTOPAY, *_CHARGE)
        .join(AutopayCharge, AutopayCharge.autopay_id == Autopay.id)
        .where(AutopayCharge.public_id == charge_public_id)
    ).first()
    if row is None:
        raise RecordNotFound("autopay")
    return AutopayRow(*row[: len(_AUTOPAY)]), ChargeRow(*row[len(_AUTOPAY) :])


def uses_method(session: Session, method_id: int) -> list[str]:
    """The guarantors' names of the accounts whose running autopay charges a method."""
    rows = session.scalars(
        sa.select(ACCOUNT.c.guarantor_name)
        .join(Autopay, Autopay.account_id == ACCOUNT.c.id)
        .where(Autopay.method_id == method_id, Autopay.state == AutopayState.ACTIVE)
        .order_by(ACCOUNT.c.guarantor_name)
    )
    return list(rows)
