"""What a payment of the patient’s own would leave of a plan, for the page that asks. Reads; writes nothing."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from portal.money import Money
from portal.payments.queries import PaymentRow, payment_by_id
from portal.payments.state import OPEN
from portal.plans.errors import PlanIsOver
from portal.plans.kinds import RUNNING
from portal.plans.queries import payments_of
from portal.plans.rows import look
from portal.plans.rules.conditions import Conditions
from portal.plans.rules.schedule import Due, reshape


@dataclass(frozen=True, slots=True)
class Effect:
    """What a payment of the patient's does to a plan: the installments before it, and once it is taken."""

    amount: Money
    before: tuple[Due, ...]
    after: tuple[Due, ...]
    left_before: Money

    @property
    def left_after(self) -> Money:
        """What is still to be paid then."""
        return Money.total(due.amount for due in self.after)


def effect_of_next(session: Session, *, plan_id: int, conditions: Conditions) -> Effect | None:
    """What paying the next installment now would do; None where none is to come. Raises :class:`PlanIsOver`."""
    now = look(session, plan_id, today=conditions.today)
    if now.plan.state not in RUNNING:
        raise PlanIsOver
    dues = now.schedule.unpaid
    return Effect(dues[0].amount, dues, dues[1:], now.schedule.total) if dues else None


def effect_of_more(session: Session, *, plan_id: int, amount: Money | None, conditions: Conditions) -> Effect:
    """What paying ``amount`` (None: all that is left) besides the installments would do. Raises :class:`PlanIsOver`.

    An amount that can't be paid (see :func:`portal.plans.collecting.by_hand.check_more`) shows nothing left.
    """
    now = look(session, plan_id, today=conditions.today)
    if now.plan.state not in RUNNING:
        raise PlanIsOver
    total, unpaid = now.schedule.total, now.schedule.unpaid
    paid = total if amount is None else min(amount, total)
    after = reshape(
        unpaid,
        total - paid,
        now.schedule.each,
        now.schedule.rhythm,
        fixed=now.told,
        earliest=unpaid[0].on if unpaid else conditions.today,
        most=now.schedule.most,
    )
    return Effect(paid, unpaid, tuple(after), total)


def begun_payment(session: Session, plan_id: int) -> PaymentRow | None:
    """The payment of an installment that is neither confirmed nor closed yet; None where there is none."""
    latest = [ids[-1] for ids in payments_of(session, plan_id).values()]
    rows = (payment_by_id(session, one) for one in sorted(latest, reverse=True))
    return next((row for row in rows if row.state in OPEN), None)
