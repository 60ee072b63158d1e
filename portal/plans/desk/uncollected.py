"""Debts that nothing collects by itself any more, since a bank sent them back for good: for the desk.

Such a debt leaves the list when it is paid, held or taken off the bill, or when the patient agreed to another card or
bank account for it. A fixed number of queries.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy.orm import Session

from portal.accounts.queries import AccountRow, accounts_by_id
from portal.autopay.queries import active_of_accounts
from portal.billing.queries import accounts_of_charges, lines_of_charges
from portal.money import Money
from portal.payments.kinds import UNATTENDED
from portal.payments.presenting import Stop
from portal.payments.returns import saved_accounts, stop_of, stopped_everywhere
from portal.plans.returned import agreed_for

#: How many of the latest returns are looked at.
_RETURNS = 2_000


class LeftBy(StrEnum):
    """What leaves the debt out."""

    AUTOPAY = "autopay"  # autopay goes on without it
    PLAN = "plan"  # the plan waits for another way to pay
    NOBODY = "nobody"  # what collected it has ended


@dataclass(frozen=True, slots=True)
class Uncollected:
    """What an account owes of what a bank sent back for good: how much, why, since when, and how often in all."""

    account: AccountRow
    owed: Money
    why: Stop
    code: str
    since: datetime
    left_by: LeftBy


def uncollected(session: Session) -> list[Uncollected]:
    """The debts by account, the latest first."""
    stopped = stopped_everywhere(session, limit=_RETURNS)
    if not stopped:
        return []
    lines = {line.charge_id: line for line in lines_of_charges(session, stopped) if line.collectable > Money.zero()}
    homes = accounts_of_charges(session, lines)
    plans, autopays = agreed_for(session, lines), active_of_accounts(session, homes.values())
    methods = saved_accounts(
        session, {one.method_id for one in plans.values()} | {one.method_id for one in autopays.values()}
    )
    found: dict[tuple[int, LeftBy], Uncollected] = {}
    accounts = accounts_by_id(session, homes.values())
    for charge_id, line in lines.items():
        returns, stop = stopped[charge_id]
        account_id = homes[charge_id]
        if (its := plans.get(charge_id)) is not None:
            left_by = LeftBy.PLAN
            now = stop_of(returns, methods[its.method_id], agreed_at=its.agreed_at)
        elif (autopay := autopays.get(account_id)) is not None:
            left_by = LeftBy.AUTOPAY
            now = stop_of(returns, methods[autopay.method_id], agreed_at=autopay.started_at)
        else:
            left_by = LeftBy.NOBODY
            # What only the patient paid by hand, nothing has collected.
            now = stop if any(one.source in UNATTENDED for one in returns) else None
        if now is None:
            continue
        before = found.get((account_id, left_by))
        latest = before is None or now.last.returned_at > before.since
        found[account_id, left_by] = Uncollected(
            account=accounts[account_id],
            owed=line.collectable if before is None else before.owed + line.collectable,
            why=now.why if latest or before is None else before.why,
            code=now.last.code if latest or before is None else before.code,
            since=now.last.returned_at if latest or before is None else before.since,
            left_by=left_by,
        )
    return sorted(found.values(), key=lambda one: one.since, reverse=True)


def uncollected_count(session: Session) -> int:
    """How many there are."""
    return len(uncollected(session))
