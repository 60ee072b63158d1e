"""Running the safety checks over accounts: what was found is kept, and the lines are held.

The same facts change nothing, however often they are checked. What somebody has released stays released while the
finding is the same one; what is no longer so lets its hold go by itself. Both are audited.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.queries import due_among, due_for_checks, is_due_for_checks
from portal.accounts.service import account_row, mark_check_due
from portal.audit.service import record
from portal.audit.tags import Tag
from portal.billing.checks.facts import Finding
from portal.billing.checks.gathering import bills_of
from portal.billing.checks.rules import check_bill
from portal.billing.kinds import Check, FindingState, HoldReason, hold_of
from portal.billing.models import Charge, CheckFinding, Hold
from portal.billing.service import end_holds, place_hold
from portal.money import Money

log = structlog.get_logger(__name__)

#: How many accounts are gathered at a time.
_AT_A_TIME = 200


def check_accounts(session: Session, account_ids: Iterable[int]) -> int:
    """Check every bill of the accounts, in the caller's transaction, which holds their locks; how many lines failed
    that had not failed before.
    """
    ids = sorted(set(account_ids))
    opened = 0
    for start in range(0, len(ids), _AT_A_TIME):
        chunk = ids[start : start + _AT_A_TIME]
        session.flush()
        found: dict[tuple[int, str], tuple[int, Finding]] = {
            (finding.line, finding.fingerprint): (account_id, finding)
            for account_id, bill in bills_of(session, chunk)
            for finding in check_bill(bill)
        }
        opened += _keep(session, chunk, found)
        mark_check_due(session, chunk, due=False)
    return opened


def check_if_due(session: Session, account_ids: Iterable[int]) -> None:
    """Check those of the accounts that changed since they were last checked: the last look before anybody is asked.

    In the caller's transaction, which holds the accounts' locks.
    """
    due = due_among(session, account_ids)
    if due:
        check_accounts(session, due)


def check_due(session: Session, *, limit: int = 500) -> int:
    """The worker's job: check the accounts that changed, one transaction each; how many there were.

    What goes wrong with one keeps no other from its turn; it stays due, and nobody is asked for it unchecked.
    """
    due = due_for_checks(session, limit=limit)
    session.commit()
    for account_id in due:
        try:
            account_row(session, account_id, lock=True)
            check_if_due(session, [account_id])
            session.commit()
        except Exception as error:
            session.rollback()
            log.error("checks.failed", account=account_id, error=type(error).__name__)
    return len(due)


def _keep(session: Session, account_ids: list[int], found: dict[tuple[int, str], tuple[int, Finding]]) -> int:
    """Bring findings and holds to what was found now."""
    now, opened = clock.now(), 0
    rows = {
        (row.charge_id, row.fingerprint): row
        for row in session.scalars(sa.select(CheckFinding).where(CheckFinding.account_id.in_(account_ids)))
    }
    wanted: set[tuple[int, int, HoldReason]] = set()
    for key, (account_id, finding) in found.items():
        row = rows.get(key)
        if row is not None and row.state is FindingState.RELEASED:
            continue
        wanted.add((account_id, finding.line, hold_of(finding.check)))
        if row is None:
            row = CheckFinding(
                account_id=account_id,
                charge_id=finding.line,
                check=finding.check,
                fingerprint=finding.fingerprint,
                amount=finding.amount,
                facts=dict(finding.facts),
            )
            session.add(row)
        elif row.state is FindingState.OPEN:
            continue
        row.state, row.found_at, row.closed_at = FindingState.OPEN, now, None
        opened += 1
        _audit(session, Tag.FINDING_OPENED, row)
    let_go: set[tuple[int, int, HoldReason]] = set()
    for key, row in rows.items():
        if row.state is FindingState.OPEN and key not in found:
            row.state, row.closed_at = FindingState.GONE, now
            let_go.add((row.account_id, row.charge_id, hold_of(row.check)))
            _audit(session, Tag.FINDING_GONE, row)
    session.flush()
    _hold(session, account_ids, wanted, let_go - wanted)
    return opened


def _hold(
    session: Session,
    account_ids: list[int],
    wanted: set[tuple[int, int, HoldReason]],
    let_go: set[tuple[int, int, HoldReason]],
) -> None:
    """``wanted`` and ``let_go`` are (account, charge, reason)."""
    if wanted:
        # Fixed in number: which of them are held already is asked once.
        charges = {charge for _account, charge, _reason in wanted}
        held = {
            (charge, reason)
            for charge, reason in session.execute(
                sa.select(Hold.charge_id, Hold.reason).where(Hold.charge_id.in_(charges), Hold.released_at.is_(None))
            )
        }
        for account_id, charge_id, reason in sorted(wanted):
            if (charge_id, reason) not in held:
                place_hold(session, charge_id=charge_id, reason=reason, account_id=account_id)
    for account_id, charge_id, reason in sorted(let_go):
        end_holds(session, charge_ids=[charge_id], reason=reason)
        record(session, Tag.HOLD_RELEASED, account_id=account_id, reason=reason.value, charge=charge_id)


def _audit(session: Session, tag: Tag, row: CheckFinding) -> None:
    record(session, tag, account_id=row.account_id, check=row.check.value, charge=row.charge_id)


@dataclass(frozen=True, slots=True)
class FoundRow:
    """A finding as pages tell it, with what its line is called."""

    charge_id: int
    check: Check
    amount: Money
    facts: dict[str, Any]
    state: FindingState
    found_at: datetime
    description: str

    @property
    def hold(self) -> HoldReason:
        """The reason of the hold it has placed."""
        return hold_of(self.check)


def is_checked(session: Session, account_id: int) -> bool:
    """Whether nothing has changed on an account since its bills were checked."""
    return not is_due_for_checks(session, account_id)


def findings_of_visit(session: Session, visit_id: int) -> list[FoundRow]:
    """What the checks have found on a visit and still stands: open, or looked at and released."""
    return _rows(session, Charge.visit_id == visit_id)


def open_findings(session: Session, charge_ids: Iterable[int]) -> dict[int, list[FoundRow]]:
    """The open findings on lines, by charge id."""
    by_charge: dict[int, list[FoundRow]] = defaultdict(list)
    ids = list(charge_ids)
    if ids:
        for row in _rows(session, sa.and_(Charge.id.in_(ids), CheckFinding.state == FindingState.OPEN)):
            by_charge[row.charge_id].append(row)
    return dict(by_charge)


def _rows(session: Session, condition: sa.ColumnElement[bool]) -> list[FoundRow]:
    rows = session.execute(
        sa.select(
            CheckFinding.charge_id,
            CheckFinding.check,
            CheckFinding.amount,
            CheckFinding.facts,
            CheckFinding.state,
            CheckFinding.found_at,
            Charge.description,
        )
        .join(Charge, Charge.id == CheckFinding.charge_id)
        .where(condition, CheckFinding.state != FindingState.GONE)
        .order_by(Charge.ordinal, CheckFinding.id)
    )
    return [FoundRow(*row) for row in rows]
