"""What pages show before anybody agrees: the terms of a plan to come or changed, and what a payment would leave.

Reads; writes nothing.
"""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from portal.money import Money
from portal.payments.methods.queries import MethodRow, method_by_id
from portal.payments.queries import PaymentRow, payment_by_id
from portal.payments.state import OPEN
from portal.plans.amending import may_be_added
from portal.plans.changes import Standing
from portal.plans.conditions import Conditions
from portal.plans.enrolment import Draft, terms_of
from portal.plans.errors import MethodNotUsable, PlanIsOver
from portal.plans.kinds import RUNNING, ChangeKind
from portal.plans.models import Plan
from portal.plans.queries import payments_of
from portal.plans.schedule import Due, reshape
from portal.plans.standing import look
from portal.plans.terms import Terms


def terms_of_draft(
    session: Session,
    found: Draft,
    *,
    account_id: int,
    method: MethodRow,
    conditions: Conditions,
    replaces: bool,
) -> Terms:
    """The terms of a plan that could be made, for its text: it has no public id yet."""
    return terms_of(
        session,
        Plan(account_id=account_id, public_id=""),
        standing=found.standing,
        lines=found.lines,
        method=method,
        change=ChangeKind.ENROLLED,
        conditions=conditions,
        replaces=replaces,
    )


def terms_after(
    session: Session,
    *,
    plan_id: int,
    after: Standing | None,
    kind: ChangeKind,
    conditions: Conditions,
    method: MethodRow | None = None,
) -> Terms:
    """The terms of a plan as it would stand (None: as it stands), charged to its own or another method.

    Raises :class:`MethodNotUsable` for a plan without one.
    """
    now = look(session, plan_id, today=conditions.today)
    standing = now.standing if after is None else after
    known = {one.line.charge_id: one.line for one in now.covered}
    known |= {line.charge_id: line for line, _amount in may_be_added(session, now.plan, conditions=conditions)}
    if method is None and now.plan.method_id is None:
        raise MethodNotUsable
    return terms_of(
        session,
        now.plan,
        standing=standing,
        lines=[(known[charge_id], amount) for charge_id, amount in standing.left.items()],
        method=method or method_by_id(session, now.plan.method_id or 0),
        change=kind,
        conditions=conditions,
    )


@dataclass(frozen=True, slots=True)
class Effect:
    """What a payment of the patient's does to a plan: the instalments before it, and once it is taken."""

    amount: Money
    before: tuple[Due, ...]
    after: tuple[Due, ...]
    left_before: Money

    @property
    def left_after(self) -> Money:
        """What is still to be paid then."""
        return Money.total(due.amount for due in self.after)


def effect_of_next(session: Session, *, plan_id: int, conditions: Conditions) -> Effect | None:
    """What paying the next instalment now would do; None where none is to come. Raises :class:`PlanIsOver`."""
    now = look(session, plan_id, today=conditions.today)
    if now.plan.state not in RUNNING:
        raise PlanIsOver
    dues = now.standing.unpaid
    return Effect(dues[0].amount, dues, dues[1:], now.standing.total) if dues else None


def effect_of_more(session: Session, *, plan_id: int, amount: Money | None, conditions: Conditions) -> Effect:
    """What paying ``amount`` (None: all that is left) besides the instalments would do. Raises :class:`PlanIsOver`.

    An amount that can't be paid (see :func:`portal.plans.paying.check_more`) shows nothing left.
    """
    now = look(session, plan_id, today=conditions.today)
    if now.plan.state not in RUNNING:
        raise PlanIsOver
    total, unpaid = now.standing.total, now.standing.unpaid
    paid = total if amount is None else min(amount, total)
    after = reshape(
        unpaid,
        total - paid,
        now.standing.each,
        now.standing.rhythm,
        fixed=now.told,
        earliest=unpaid[0].on if unpaid else conditions.today,
        most=now.standing.most,
    )
    return Effect(paid, unpaid, tuple(after), total)


def begun_payment(session: Session, plan_id: int) -> PaymentRow | None:
    """The payment of an instalment that is neither confirmed nor closed yet; None where there is none."""
    latest = [ids[-1] for ids in payments_of(session, plan_id).values()]
    rows = (payment_by_id(session, one) for one in sorted(latest, reverse=True))
    return next((row for row in rows if row.state in OPEN), None)
