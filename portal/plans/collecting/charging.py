"""Installments: tell before, charge once, note what came of it.

1. :func:`notice` tells the patient of an installment to come.
2. :func:`charge` turns it into a payment: the payment's row and the installment's link to it are one commit, made under
   the account's lock, so that any number of workers make one payment of it.
3. :func:`follow` notes what became of the payment: paid, tried again on a day, or waiting for the patient.
4. :func:`miss` ends the waiting when the days of grace are over.
"""

from collections.abc import Sequence
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.access import has_access
from portal.audit.service import record
from portal.audit.tags import Tag
from portal.money import Money
from portal.payments.errors import AnotherPaymentRuns
from portal.payments.gateway import StripeGateway
from portal.payments.kinds import PaymentSource
from portal.payments.methods.queries import method_by_id
from portal.payments.presenting import BANK
from portal.payments.progress import waits_on
from portal.payments.queries import PaymentRow, payment_by_id
from portal.payments.returns import awaited_debts
from portal.payments.service import Payer
from portal.payments.state import OPEN, PaymentState
from portal.payments.unattended import collect_once, follow_up
from portal.plans import emails, unsent
from portal.plans.coverage import coverage, left_by_charge
from portal.plans.kinds import RUNNING, ChangeKind, InstallmentState, Need, PlanState
from portal.plans.models import Attempt, Installment, Plan
from portal.plans.returned import RETURNED, is_stopped, last_day_of, stopped_on, waits_for_another_try
from portal.plans.rows import end, locked, read, take_back, write
from portal.plans.rules.conditions import Conditions
from portal.plans.rules.declines import Decision, decide, last_day, retry_day

#: A bank debit of another amount than the regular one is announced so long before: 12 CFR 1005.10(d)(1).
VARYING_NOTICE_DAYS = 10
#: A patient's own open payment of an installment is left alone for so long once the installment is due.
_THEIR_TURN = timedelta(hours=1)
#: Longer than any payment takes, a bank debit's too: what waits for its end is let go by that, and not by the time.
_UNTIL_IT_ENDS = timedelta(days=14)


def notice(session: Session, *, installment_id: int, conditions: Conditions) -> bool:
    """Tell the patient of an installment to come, once; commits. True when somebody was told.

    Told too late for its day, it is charged later: nobody is charged without having been told in time.
    """
    plan, row = installment_with_plan(session, installment_id)
    now = read(session, plan, today=conditions.today)
    if (
        plan.state is not PlanState.ACTIVE
        or plan.need is not Need.NOTHING
        or row.state is not InstallmentState.PLANNED
        or row.noticed_at is not None
        or now.has_moved  # it is made to fit first
        or now.settling
        or not has_access(session, plan.user_id, plan.account_id)  # nothing is charged, and it is not their business
    ):
        session.commit()
        return False
    varies, days = _ahead(session, plan, row, conditions)
    if row.charge_on > conditions.today + timedelta(days=days):
        session.commit()
        return False
    row.noticed_at = clock.now()
    row.charge_on = max(row.charge_on, conditions.today + timedelta(days=days))
    emails.queue_notice(
        session,
        user_id=plan.user_id,
        installment=row.public_id,
        amount=row.amount,
        on=row.charge_on,
        plan_url=conditions.plan_url(plan.public_id),
        stop_url=conditions.stop_url(row.public_id),
        varies=varies,
    )
    record(
        session,
        Tag.INSTALLMENT_NOTICED,
        account_id=plan.account_id,
        subject=row.public_id,
        cents=row.amount.cents,
    )
    session.commit()
    return True


def _ahead(session: Session, plan: Plan, row: Installment, conditions: Conditions) -> tuple[bool, int]:
    """Whether an installment is a bank debit of another amount than usual, and how many days before it is told of."""
    varies = row.amount != plan.each and plan.method_id is not None and method_by_id(session, plan.method_id).is_bank
    days = conditions.policy.notice_days
    return varies, max(days, VARYING_NOTICE_DAYS) if varies else days


def give_its_days(session: Session, plan: Plan, row: Installment, conditions: Conditions) -> None:
    """Put off an installment that is a bank debit of another amount now, and was told of too late for that, or never.

    It is told of anew: what a card's notice says three days ahead is no notice for a bank account.
    """
    varies, days = _ahead(session, plan, row, conditions)
    told_on = conditions.today if row.noticed_at is None else conditions.day_of(row.noticed_at)
    if varies and told_on + timedelta(days=days) > row.charge_on:
        take_back(session, row)
        row.noticed_at, row.charge_on = None, conditions.today + timedelta(days=days)


def charge(session: Session, gateway: StripeGateway, *, installment_id: int, conditions: Conditions) -> None:
    """Make the payment of an installment that is due, once; commits. What Stripe's answer means is for :func:`follow`.

    Raises :class:`StripeUnreachable` and :class:`AnotherPaymentRuns`: then it is tried again later.
    """
    plan, row = installment_with_plan(session, installment_id)
    if plan.method_id is None or _is_not_due(plan, row, conditions):
        session.commit()
        return
    method = method_by_id(session, plan.method_id)
    _varies, days = _ahead(session, plan, row, conditions)
    if unsent.notice_is_late(
        session,
        installment=row.public_id,
        on=row.charge_on,
        amount=row.amount,
        days=days,
        day_of=conditions.day_of,
    ):
        # A notice that no mail server took in time is none: told anew, for a later day.
        unsent.withdraw(session, installment=row.public_id, on=row.charge_on, amount=row.amount)
        row.noticed_at = None
        session.commit()
        return
    if method.removed_at is not None:
        _wait_for_patient(session, plan, row, Need.METHOD, "method_removed", conditions)
        session.commit()
        return
    account_id, user_id = plan.account_id, plan.user_id
    left = left_by_charge(coverage(session, plan.id, account_id))
    if returned := next((stop for one, stop in stopped_on(session, plan).items() if one in left), None):
        _wait_for_patient(session, plan, row, Need.METHOD, returned.last.code, conditions, returned=True)
        session.commit()
        return
    amount = min(row.amount, Money.total(left.values()))
    session.commit()
    if waits_on(session, user_id, [account_id]):
        session.commit()
        raise AnotherPaymentRuns  # the patient's own, which their bank has to confirm: it goes first

    def gone() -> bool:
        the_plan, the_row = installment_with_plan(session, installment_id)
        return (
            _is_not_due(the_plan, the_row, conditions)
            or the_plan.method_id != method.id
            or bool((stopped_on(session, the_plan).keys() | awaited_debts(session, account_id)) & left.keys())
            or (not the_row.tries and waits_for_another_try(session, the_plan, installment_id, left))
        )

    # What can't be charged since what is due has moved, waits until the plan is made to fit.
    collect_once(
        session,
        gateway,
        account_id=account_id,
        payer=Payer(user_id, PaymentSource.PLAN, method.stripe_method_id),
        amount=amount,
        only=left,
        unless=gone,
        along=lambda payment_id: link(session, installment_id, payment_id),
    )


def installment_with_plan(session: Session, installment_id: int) -> tuple[Plan, Installment]:
    """The installment and its plan, under the account's lock."""
    plan_id = session.execute(sa.select(Installment.plan_id).where(Installment.id == installment_id)).scalar_one()
    plan = locked(session, plan_id)
    return plan, session.get_one(Installment, installment_id, populate_existing=True)


def _is_not_due(plan: Plan, row: Installment, conditions: Conditions) -> bool:
    return (
        plan.state is not PlanState.ACTIVE
        or plan.need is not Need.NOTHING
        or row.state is not InstallmentState.PLANNED
        or row.noticed_at is None
        or row.charge_on > conditions.today
    )


def link(session: Session, installment_id: int, payment_id: int) -> None:
    """The payment is this installment's; written with the payment's own row.

    A notice that was not sent by now would come after the payment: it is taken back, and where the payment comes to
    nothing, the installment is told of anew. Nor does anybody want to read after it that an earlier one was declined:
    that waits until this one has ended.
    """
    row = session.get_one(Installment, installment_id)
    earlier = _payments_for(session, installment_id)
    unsent.put_off(session, installment=row.public_id, attempts=earlier, until=clock.now() + _UNTIL_IT_ENDS)
    session.add(Attempt(installment_id=installment_id, payment_id=payment_id, made_at=clock.now()))
    row.state = InstallmentState.CHARGING
    if unsent.withdraw(session, installment=row.public_id, on=row.charge_on, amount=row.amount):
        row.noticed_at = None
    session.flush()


def _payments_for(session: Session, installment_id: int) -> Sequence[int]:
    return session.scalars(sa.select(Attempt.payment_id).where(Attempt.installment_id == installment_id)).all()


def follow(session: Session, gateway: StripeGateway, *, attempt_id: int, conditions: Conditions) -> None:
    """Note what became of an installment's payment; commits.

    A request whose answer was lost is made good here, since no browser comes back to ask. Raises
    :class:`StripeAway`.
    """
    attempt = session.get_one(Attempt, attempt_id, populate_existing=True)
    payment_id, installment_id, made_at = attempt.payment_id, attempt.installment_id, attempt.made_at
    row = session.get_one(Installment, installment_id, populate_existing=True)
    plan = session.get_one(Plan, row.plan_id, populate_existing=True)
    is_due, runs = row.charge_on <= conditions.today, plan.state in RUNNING
    before = payment_by_id(session, payment_id)
    session.commit()
    theirs = before.source is PaymentSource.PATIENT
    if before.state in OPEN and theirs and not (is_due and abs(clock.now() - made_at) > _THEIR_TURN):
        return
    payment = follow_up(
        session,
        gateway,
        payment_id=payment_id,
        goes_on=lambda: not theirs and runs and not is_stopped(session, plan, payment_id),
    )
    if payment is None:
        return
    if payment.state is PaymentState.SUCCEEDED:
        _note_paid(session, attempt_id)
    elif payment.state is PaymentState.CANCELED:
        _note_failed(session, attempt_id, payment, conditions)


def _take(session: Session, attempt_id: int) -> tuple[Plan, Installment, Attempt] | None:
    """The attempt with its installment and plan under the lock; None when it was dealt with meanwhile."""
    installment_id = session.execute(sa.select(Attempt.installment_id).where(Attempt.id == attempt_id)).scalar_one()
    plan, row = installment_with_plan(session, installment_id)
    attempt = session.get_one(Attempt, attempt_id, populate_existing=True)
    if attempt.ended_at is not None:
        session.commit()
        return None
    attempt.ended_at = clock.now()
    return plan, row, attempt


def _note_paid(session: Session, attempt_id: int) -> None:
    found = _take(session, attempt_id)
    if found is None:
        return
    plan, row, attempt = found
    row.state, row.ended_at, row.failure_code = InstallmentState.PAID, clock.now(), ""
    if plan.need is Need.CONFIRMATION:
        # Not one that waits for another method: the patient has paid this once, and the plan's own is as bad as before.
        plan.need = Need.NOTHING
    tries = _payments_for(session, row.id)
    unsent.withdraw(session, installment=row.public_id, on=row.charge_on, amount=row.amount, attempts=tries)
    row.amount = payment_by_id(session, attempt.payment_id).amount  # less, where less was due by then
    record(session, Tag.INSTALLMENT_CHARGED, account_id=plan.account_id, subject=row.public_id)
    session.commit()


def _note_failed(session: Session, attempt_id: int, payment: PaymentRow, conditions: Conditions) -> None:
    found = _take(session, attempt_id)
    if found is None:
        return
    plan, row, _attempt = found
    now, tries = clock.now(), _payments_for(session, row.id)
    if plan.state not in RUNNING:
        row.state, row.ended_at = InstallmentState.DROPPED, now
        unsent.withdraw_failed(session, installment=row.public_id, attempts=tries)
        session.commit()
        return
    row.state = InstallmentState.PLANNED
    if payment.source is PaymentSource.PATIENT or not payment.failure_code:
        # The patient gave it up, or it never reached a bank: its day has not moved.
        unsent.put_off(session, installment=row.public_id, attempts=tries, until=now)
        session.commit()
        return
    unsent.withdraw_failed(session, installment=row.public_id, attempts=tries)
    row.tries, row.failure_code = row.tries + 1, payment.failure_code
    kind = payment.method_kind or (
        BANK if plan.method_id is not None and method_by_id(session, plan.method_id).is_bank else "card"
    )
    days = conditions.policy.retry_days
    stopped = is_stopped(session, plan, payment.id)
    decision = decide(payment.failure_code, kind, tries=row.tries, retry_days=days, stopped=stopped)
    if decision is Decision.RETRY:
        row.charge_on = retry_day(conditions.today, tries=row.tries, retry_days=days)
    else:
        plan.need = Need.CONFIRMATION if decision is Decision.CONFIRM else Need.METHOD
    emails.queue_failed(
        session,
        user_id=plan.user_id,
        installment=row.public_id,
        amount=payment.amount,
        attempt=payment.id,
        decision=decision.value,
        retry_on=row.charge_on if decision is Decision.RETRY else None,
        missed_on=last_day(row.due_on, conditions.today, grace_days=conditions.policy.grace_days),
        plan_url=conditions.plan_url(plan.public_id),
    )
    record(
        session,
        Tag.INSTALLMENT_FAILED,
        account_id=plan.account_id,
        subject=row.public_id,
        code=payment.failure_code,
        decision=decision.value,
    )
    session.commit()


def _wait_for_patient(
    session: Session,
    plan: Plan,
    row: Installment,
    need: Need,
    code: str,
    conditions: Conditions,
    *,
    returned: bool = False,
) -> None:
    plan.need, row.failure_code = need, code
    record(
        session,
        Tag.INSTALLMENT_FAILED,
        account_id=plan.account_id,
        subject=row.public_id,
        code=code,
        decision=RETURNED if returned else "wait",
    )
    session.flush()
    emails.queue_method_needed(
        session,
        user_id=plan.user_id,
        installment=row.public_id,
        amount=row.amount,
        missed_on=last_day_of(session, row.id, row.due_on, conditions),
        plan_url=conditions.plan_url(plan.public_id),
        returned=returned,
    )


def miss(session: Session, *, installment_id: int, conditions: Conditions) -> None:
    """Note that an installment was not paid within its grace; commits. Too many in a row end the plan.

    What never came before a bank (Stripe was away, a payment of the patient ran) is no fault of theirs, and where they
    were told of another try it is made: such a one waits on. Its amount comes at the end; nothing is due sooner than
    before.
    """
    plan, row = installment_with_plan(session, installment_id)
    if (
        plan.state is not PlanState.ACTIVE
        or plan.need is Need.NOTHING
        or row.state is not InstallmentState.PLANNED
        or conditions.today <= last_day_of(session, row.id, row.due_on, conditions)
    ):
        session.commit()
        return
    row.state, row.ended_at = InstallmentState.MISSED, clock.now()
    session.flush()
    record(session, Tag.INSTALLMENT_MISSED, account_id=plan.account_id, subject=row.public_id)
    now = read(session, plan, today=conditions.today)
    in_row = _missed_in_a_row(session, plan.id)
    ends = in_row >= conditions.policy.missed_ends_after
    if ends:
        end(session, now, state=PlanState.STOPPED, kind=ChangeKind.STOPPED, reason="missed")
        emails.queue_stopped(session, user_id=plan.user_id, plan=plan.public_id, left=now.schedule.total)
    else:
        write(session, now, now.schedule, kind=ChangeKind.MISSED)
        emails.queue_missed(
            session,
            user_id=plan.user_id,
            installment=row.public_id,
            amount=row.amount,
            missed_in_row=in_row,
            ends_after=conditions.policy.missed_ends_after,
            need=plan.need,
            plan_url=conditions.plan_url(plan.public_id),
        )
    session.commit()


def _missed_in_a_row(session: Session, plan_id: int) -> int:
    states = session.scalars(
        sa.select(Installment.state)
        .where(
            Installment.plan_id == plan_id, Installment.state.in_([InstallmentState.PAID, InstallmentState.MISSED])
        )
        .order_by(Installment.due_on.desc(), Installment.ordinal.desc())
    ).all()
    return next((place for place, state in enumerate(states) if state is InstallmentState.PAID), len(states))
