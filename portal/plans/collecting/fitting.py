"""When what is due moves: the insurer pays or takes back, the front desk takes money, a line is held.

The installments to come are made to fit in one transaction, and the patient is told why. They never sum to more than
what is still due. See docs/plans.md.
"""

from datetime import date, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal import clock
from portal.billing.kinds import PATIENT_MONEY, EntryKind
from portal.billing.queries import accounts_moved_since, holds_since, kinds_of_entries_since
from portal.money import Money
from portal.payments.queries import accounts_with_news_since
from portal.plans import emails
from portal.plans.kinds import RUNNING, ChangeKind, InstallmentState, Need, PlanState
from portal.plans.models import Installment, Plan
from portal.plans.returned import may_go_on
from portal.plans.rows import PlanNow, end, locked, note_change, read, take_back, write
from portal.plans.rules.conditions import Conditions
from portal.plans.rules.schedule import SMALLEST

#: How often a plan is compared with what is due where something happened, how often in any case, and how many at a
#: time. Besides, each is compared right before it is charged, and at the next run after a payment.
LOOK_EVERY = timedelta(hours=1)
LOOK_AT_ALL_EVERY = timedelta(days=7)
_AT_A_TIME = 500
#: What a long transaction wrote is seen only when it is committed.
_OVERLAP = timedelta(hours=1)


def keep_up(session: Session, *, plan_id: int, conditions: Conditions) -> bool:
    """Make a plan fit what is due now, end it when nothing is left, go on when its pause is over; commits.

    True when something changed. A charge whose outcome is unknown is waited for.
    """
    plan = locked(session, plan_id)
    if plan.state not in RUNNING:
        session.commit()
        return False
    since, plan.checked_at = plan.checked_at, clock.now()
    changed = _go_on(session, plan, conditions.today)
    now = read(session, plan, today=conditions.today)
    if now.settling:
        plan.checked_at = since
        session.commit()
        return changed
    if may_go_on(session, plan, today=conditions.today):
        _ask_as_usual(session, now)
        changed = True
    if _is_done(session, now):
        _finish(session, now)
        session.commit()
        return True
    if now.has_moved:
        _fit(session, now, kind=why_moved(session, now, since=since), conditions=conditions)
        changed = True
    session.commit()
    return changed


def _go_on(session: Session, plan: Plan, today: date) -> bool:
    """End a pause whose day has come. The installments were put off when it began."""
    if plan.state is not PlanState.PAUSED or plan.paused_until is None or plan.paused_until > today:
        return False
    plan.state, plan.paused_until = PlanState.ACTIVE, None
    session.flush()
    note_change(session, plan, kind=ChangeKind.RESUMED, after=read(session, plan, today=today).schedule)
    return True


def _ask_as_usual(session: Session, now: PlanNow) -> None:
    """The patient paid what the bank had sent back: the plan's own method is asked for the rest, after a new notice."""
    now.plan.need = Need.NOTHING
    for row in now.rows:
        if row.failure_code:
            take_back(session, row)
            row.noticed_at, row.failure_code = None, ""
    session.flush()


def _is_done(session: Session, now: PlanNow) -> bool:
    """Nothing is left to pay by the plan, nothing is on its way, and no line may come back to it."""
    if now.schedule.total >= SMALLEST or any(one.waits or one.on_its_way for one in now.covered):
        return False
    under_way = sa.select(sa.func.count()).where(
        Installment.plan_id == now.plan.id, Installment.state == InstallmentState.CHARGING
    )
    return not session.scalar(under_way)


def _finish(session: Session, now: PlanNow) -> None:
    plan = now.plan
    end(session, now, state=PlanState.PAID, kind=ChangeKind.PAID_OFF, reason="paid")
    emails.queue_paid_off(session, user_id=plan.user_id, plan=plan.public_id)


def _fit(session: Session, now: PlanNow, *, kind: ChangeKind, conditions: Conditions) -> None:
    plan = now.plan
    write(session, now, now.schedule, kind=kind)
    emails.queue_reshaped(
        session,
        user_id=plan.user_id,
        plan=plan.public_id,
        version=plan.version,
        kind=kind,
        before=list(now.written),
        after=list(now.schedule.unpaid),
        plan_url=conditions.plan_url(plan.public_id),
    )


def why_moved(session: Session, now: PlanNow, *, since: datetime) -> ChangeKind:
    """What moved the balance: the latest thing that happened to the plan's lines since then (UTC)."""
    charges = [one.line.charge_id for one in now.covered]
    rose = now.schedule.total > Money.total(due.amount for due in now.written)
    placed, released = holds_since(session, charges, since=since)
    if placed and not rose:
        return ChangeKind.HELD
    if released and rose:
        return ChangeKind.HOLD_ENDED
    kinds = kinds_of_entries_since(session, charges, since=since)
    if not kinds and not rose and any(one.on_its_way for one in now.covered):
        return ChangeKind.PAID_OUTSIDE  # by a bank debit, of which nothing is booked before it has arrived
    if kinds & set(PATIENT_MONEY) and not kinds - set(PATIENT_MONEY) - {EntryKind.CHARGE}:
        return ChangeKind.PAID_OUTSIDE
    return ChangeKind.INSURANCE_MOVED


def to_look_at(session: Session, *, today: date) -> list[int]:
    """The running plans to compare with what is due: those on whose accounts something happened since they were
    compared (a payment at once, all else within the hour), those whose pause is over, and each one once a week
    whatever happened. ``today`` is the clinic's.
    """
    now = clock.now()
    running = session.execute(
        sa.select(Plan.id, Plan.account_id, Plan.checked_at, Plan.paused_until)
        .where(Plan.state.in_(RUNNING))
        .order_by(Plan.checked_at)
    ).all()
    stale = [row for row in running if row.checked_at <= now - LOOK_EVERY]
    # From the oldest look on where a plan has not been looked at for an hour; else who has paid within the hour.
    since = max(stale[0].checked_at, now - LOOK_AT_ALL_EVERY) - _OVERLAP if stale else now - LOOK_EVERY
    news = accounts_with_news_since(session, since) if running else {}
    moved = accounts_moved_since(session, since) if stale else {}
    session.commit()
    found = [row.id for row in running if row.account_id in news and row.checked_at <= news[row.account_id]]
    found += [
        row.id
        for row in stale
        if any(row.account_id in one and one[row.account_id] >= row.checked_at - _OVERLAP for one in (moved, news))
        or row.checked_at <= now - LOOK_AT_ALL_EVERY
        or (row.paused_until is not None and row.paused_until <= today)
    ]
    return list(dict.fromkeys(found))[:_AT_A_TIME]
