"""Telling the back office of plans, through the outbox and in the transaction that changes them."""

from collections.abc import Mapping
from hashlib import sha256

from sqlalchemy.orm import Session

from portal import clock
from portal.billing.queries import visit_refs
from portal.billing.service import queue_posting
from portal.money import Money
from portal.plans.kinds import ChangeKind


def notify_back_office(
    session: Session,
    *,
    plan: str,
    version: int,
    account_id: int,
    kind: ChangeKind,
    ended: bool,
    left: Mapping[int, Money],
) -> None:
    """Queue what is on a plan from now on, by visit: nothing once it has ended.

    It moves no money: the back office learns which of its balances are paid in installments, so that it sends no bill
    and no reminder for them. Its key is made of the plan and the version, so that it is told once.
    """
    refs = visit_refs(session, list(left))
    by_visit: dict[str, Money] = {}
    for charge_id, amount in ({} if ended else left).items():
        ref = refs[charge_id]
        by_visit[ref] = by_visit.get(ref, Money.zero()) + amount
    act = "plan_enrolled" if kind is ChangeKind.ENROLLED else "plan_ended" if ended else "plan_changed"
    queue_posting(
        session,
        key=sha256(f"{act}/{plan}/{version}".encode()).hexdigest()[:32],
        account_id=account_id,
        kind=act,
        amount=Money.total(by_visit.values()),
        effective_on=clock.clinic_day(clock.now()),
        lines=sorted(by_visit.items()),
    )
