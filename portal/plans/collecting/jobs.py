"""What the worker does for plans each minute."""

from datetime import timedelta

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from portal.config import Settings
from portal.payments.errors import StripeAway
from portal.payments.gateway import StripeGateway
from portal.payments.queries import in_processing
from portal.payments.unattended import on_its_own
from portal.plans.collecting.charging import VARYING_NOTICE_DAYS, charge, follow, miss, notice
from portal.plans.collecting.fitting import keep_up, to_look_at
from portal.plans.kinds import InstallmentState, Need, PlanState
from portal.plans.models import Attempt, Installment, Plan
from portal.plans.rules.conditions import Conditions, conditions_at
from portal.plans.rules.policy import Policy
from portal.web.context import the_day

log = structlog.get_logger(__name__)


def run_plans(session: Session, gateway: StripeGateway, settings: Settings, policy: Policy) -> None:
    """Do whatever is due at the clinic's day."""
    run_due(
        session,
        gateway,
        conditions=conditions_at(
            policy,
            settings.base_url,
            today=the_day(),
            timezone=settings.clinic_timezone,
        ),
    )


def run_due(session: Session, gateway: StripeGateway, *, conditions: Conditions) -> None:
    """Follow what is under way, make plans fit, end the waiting, tell, and charge what is due.

    What Stripe keeps from being done waits; the rest goes on. Any number of workers may do it at once.
    """
    today = conditions.today
    try:
        for attempt_id in _to_follow(session):
            with on_its_own(session, "plans", "follow", attempt_id):
                follow(session, gateway, attempt_id=attempt_id, conditions=conditions)
    except StripeAway as error:
        log.warning("plans.stopped", act="follow", error=str(error))
    for plan_id in to_look_at(session, today=today):
        with on_its_own(session, "plans", "keep_up", plan_id):
            keep_up(session, plan_id=plan_id, conditions=conditions)
    grace = today - timedelta(days=conditions.policy.grace_days)
    for installment_id in _ids(session, _planned(Installment.due_on < grace)):
        with on_its_own(session, "plans", "miss", installment_id):
            miss(session, installment_id=installment_id, conditions=conditions)
    for installment_id in _ids(session, _planned(Plan.need == Need.NOTHING, _to_be_told(conditions))):
        with on_its_own(session, "plans", "notice", installment_id):
            notice(session, installment_id=installment_id, conditions=conditions)
    try:
        _charge_due(session, gateway, conditions)
    except StripeAway as error:
        # The others would only wait for the same: in a minute.
        log.warning("plans.stopped", act="charge", error=str(error))


def _charge_due(session: Session, gateway: StripeGateway, conditions: Conditions) -> None:
    due = sa.and_(Installment.charge_on <= conditions.today, Installment.noticed_at.is_not(None))
    for installment_id in _ids(session, _planned(due, Plan.need == Need.NOTHING)):
        with on_its_own(session, "plans", "charge", installment_id):
            plan_id = session.execute(
                sa.select(Installment.plan_id).where(Installment.id == installment_id)
            ).scalar_one()
            keep_up(session, plan_id=plan_id, conditions=conditions)  # never more than is due at this moment
            charge(session, gateway, installment_id=installment_id, conditions=conditions)
    for attempt_id in _to_follow(session):
        with on_its_own(session, "plans", "follow", attempt_id):
            follow(session, gateway, attempt_id=attempt_id, conditions=conditions)


def _to_follow(session: Session) -> list[int]:
    """The attempts that something can have come of, or may have to be done about: not those a bank thinks about."""
    rows = session.execute(
        sa.select(Attempt.id, Attempt.payment_id).where(Attempt.ended_at.is_(None)).order_by(Attempt.id)
    ).all()
    waiting = in_processing(session, [payment_id for _id, payment_id in rows]) if rows else set()
    session.commit()
    return [attempt_id for attempt_id, payment_id in rows if payment_id not in waiting]


def _to_be_told(conditions: Conditions) -> sa.ColumnElement[bool]:
    """What may have to be told of now. Whether one that varies is a bank debit is looked at under the lock."""
    days = conditions.policy.notice_days
    soon, sooner = (conditions.today + timedelta(days=one) for one in (days, max(days, VARYING_NOTICE_DAYS)))
    return sa.and_(
        Installment.noticed_at.is_(None),
        sa.or_(
            Installment.charge_on <= soon, sa.and_(Installment.charge_on <= sooner, Installment.amount != Plan.each)
        ),
    )


def _planned(*where: sa.ColumnElement[bool]) -> sa.Select[int]:
    return (
        sa.select(Installment.id)
        .join(Plan, Plan.id == Installment.plan_id)
        .where(Installment.state == InstallmentState.PLANNED, Plan.state == PlanState.ACTIVE, *where)
    )


def _ids(session: Session, query: sa.Select[int]) -> list[int]:
    ids = [int(one) for (one,) in session.execute(query.order_by(sa.text("1")))]
    session.commit()
    return ids


