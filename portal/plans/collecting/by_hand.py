"""What patients pay by hand: the next installment early or after a decline, something extra, or all that is left."""

from sqlalchemy.orm import Session

from portal.money import Money
from portal.payments.errors import (
    AmountAboveBalance,
    AmountBelowMinimum,
    AmountNotPositive,
    LeavesTooLittle,
    NothingToPay,
)
from portal.payments.gateway import MINIMUM, StripeGateway
from portal.payments.kinds import PaymentSource
from portal.payments.methods.queries import method_by_id
from portal.payments.service import Payer, start_payment
from portal.plans.collecting.charging import installment_with_plan, link
from portal.plans.collecting.fitting import why_moved
from portal.plans.errors import ChargeUnderWay
from portal.plans.kinds import RUNNING, InstallmentState, Need
from portal.plans.rows import read, running, write
from portal.plans.rules.conditions import Conditions


def check_more(amount: Money, left: Money) -> None:
    """Whether ``amount`` of the ``left`` can be paid besides the installments, and the rest by them.

    Raises :class:`AmountNotPositive`, :class:`AmountAboveBalance`, :class:`AmountBelowMinimum` and
    :class:`LeavesTooLittle`.
    """
    if amount <= Money.zero():
        raise AmountNotPositive
    if amount > left:
        raise AmountAboveBalance(left)
    if amount < MINIMUM:
        raise AmountBelowMinimum(MINIMUM)
    if Money.zero() < left - amount < MINIMUM:
        raise LeavesTooLittle(left - amount, least=MINIMUM, less=None, more=left)


def pay_next(session: Session, gateway: StripeGateway, *, plan_id: int, user_id: int, conditions: Conditions) -> str:
    """Begin a payment of the next installment that its payer makes, before its day or after a decline; commits.

    Returns the payment's public id; the patient confirms it on its page. Raises :class:`PlanIsOver`,
    :class:`ChargeUnderWay`, and what :func:`start_payment` raises.
    """
    plan = running(session, plan_id)
    now = read(session, plan, today=conditions.today)
    if now.settling:
        raise ChargeUnderWay
    if now.has_moved:
        write(session, now, now.schedule, kind=why_moved(session, now, since=plan.checked_at))
        session.commit()
        plan = running(session, plan_id)
        now = read(session, plan, today=conditions.today)
    if not now.rows or plan.method_id is None:
        session.commit()
        raise NothingToPay
    method, first = method_by_id(session, plan.method_id), now.rows[0]
    installment_id, amount, left, account_id = first.id, first.amount, now.schedule.left, plan.account_id
    session.commit()

    def gone() -> bool:
        the_plan, the_row = installment_with_plan(session, installment_id)
        return the_plan.state not in RUNNING or the_row.state is not InstallmentState.PLANNED

    usable = method.removed_at is None and not method.has_expired(conditions.today) and plan.need is not Need.METHOD
    payment = start_payment(
        session,
        gateway,
        account_ids=[account_id],
        payer=Payer(user_id, PaymentSource.PATIENT, method.stripe_method_id if usable else ""),
        amount=amount,
        only=left,
        unless=gone,
        along=lambda payment_id: link(session, installment_id, payment_id),
    )
    public_id: str = payment.public_id
    session.commit()
    return public_id


def pay_more(
    session: Session,
    gateway: StripeGateway,
    *,
    plan_id: int,
    user_id: int,
    amount: Money | None,
    conditions: Conditions,
) -> str:
    """Begin a payment besides the installments, of ``amount`` or (None) of all that is left; commits.

    Returns the payment's public id. Once it is taken, the plan gets shorter from its end. Raises as
    :func:`pay_next` and :func:`check_more`.
    """
    plan = running(session, plan_id)
    now = read(session, plan, today=conditions.today)
    if now.settling:
        raise ChargeUnderWay
    account_id, left, need = plan.account_id, now.schedule.left, plan.need
    method = None if plan.method_id is None else method_by_id(session, plan.method_id)
    if amount is not None:
        check_more(amount, Money.total(left.values()))
    session.commit()
    usable = (
        method is not None
        and method.removed_at is None
        and not method.has_expired(conditions.today)
        and need is not Need.METHOD
    )
    payment = start_payment(
        session,
        gateway,
        account_ids=[account_id],
        payer=Payer(user_id, PaymentSource.PATIENT, method.stripe_method_id if method is not None and usable else ""),
        amount=Money.total(left.values()) if amount is None else amount,
        only=left,
    )
    public_id: str = payment.public_id
    session.commit()
    return public_id
