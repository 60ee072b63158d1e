"""Paying besides the instalments: something extra, or all that is left."""

from sqlalchemy.orm import Session

from portal.money import Money
from portal.payments.errors import AmountAboveBalance, AmountBelowMinimum, AmountNotPositive, LeavesTooLittle
from portal.payments.gateway import MINIMUM, StripeGateway
from portal.payments.kinds import PaymentSource
from portal.payments.method_queries import method_by_id
from portal.payments.service import Payer, start_payment
from portal.plans.conditions import Conditions
from portal.plans.errors import ChargeUnderWay
from portal.plans.kinds import Need
from portal.plans.standing import read, running


def check_more(amount: Money, left: Money) -> None:
    """Whether ``amount`` of the ``left`` can be paid besides the instalments, and the rest by them.

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


def pay_more(
    session: Session,
    gateway: StripeGateway,
    *,
    plan_id: int,
    user_id: int,
    amount: Money | None,
    conditions: Conditions,
) -> str:
    """Begin a payment besides the instalments, of ``amount`` or (None) of all that is left; commits.

    Returns the payment's public id. Once it is taken, the plan gets shorter from its end. Raises as
    :func:`~portal.plans.charging.pay_next` and :func:`check_more`.
    """
    plan = running(session, plan_id)
    now = read(session, plan, today=conditions.today)
    if now.settling:
        raise ChargeUnderWay
    account_id, left, need = plan.account_id, now.standing.left, plan.need
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
