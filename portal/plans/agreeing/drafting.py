"""A plan that could be made: what may go on it, and how it would look. Reads; writes nothing."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import date, timedelta

from sqlalchemy.orm import Session

from portal.billing.queries import Line, lines_of_account
from portal.money import Money
from portal.payments.methods.queries import MethodRow
from portal.payments.queries import reserved
from portal.plans.agreeing.agreed_terms import terms_of
from portal.plans.agreeing.offers import to_be_replaced
from portal.plans.coverage import joinable
from portal.plans.errors import (
    DayNotOffered,
    InstallmentTooLarge,
    InstallmentTooSmall,
    LineCannotJoin,
    NoPlanPossible,
    PlanTooLong,
)
from portal.plans.kinds import ChangeKind
from portal.plans.models import Plan
from portal.plans.queries import last_paid_on, months_paid, plan_charges
from portal.plans.rows import fingerprint
from portal.plans.rules.changes import ScheduleState, earliest_next, offers
from portal.plans.rules.conditions import Conditions
from portal.plans.rules.policy import BalanceTooSmall, down_payment, limits, most_payments
from portal.plans.rules.schedule import SMALLEST, Rhythm, each_for_count, lay_out, most_each
from portal.plans.rules.terms import Terms


@dataclass(frozen=True, slots=True)
class Draft:
    """A plan that could be made: the lines with what each asks for, and how it would stand."""

    lines: tuple[tuple[Line, Money], ...]
    schedule: ScheduleState

    @property
    def total(self) -> Money:
        """What would be paid by it."""
        return self.schedule.total

    @property
    def seen(self) -> str:
        """What a page that shows this says it has shown."""
        return fingerprint(self.schedule)


def candidates(
    session: Session, account_id: int, *, user_id: int | None, conditions: Conditions, replaces: int | None = None
) -> list[tuple[Line, Money]]:
    """The lines of an account that may go on a plan, oldest first, with what each asks for.

    ``replaces`` is a plan whose lines are free again then, since it ends by the new one.
    """
    policy = conditions.policy
    freed = set() if replaces is None else set(plan_charges(session, replaces))
    lines = joinable(
        [
            replace(line, on_plan=False) if line.charge_id in freed else line
            for line in lines_of_account(session, account_id, user_id=user_id)
        ],
        reserved(session, account_id),
        least=policy.smallest_line,
    )
    return [(line, amount) for line, amount in lines if policy.may_join(line.service_on, today=conditions.today)]


def still_offered(session: Session, proposal_id: int, *, conditions: Conditions) -> list[int]:
    """The charges of an offer that may be on a plan now: without those that were paid or held since."""
    proposal = session.get_one(Plan, proposal_id)
    replaces = to_be_replaced(session, proposal.account_id)
    lines = candidates(
        session, proposal.account_id, user_id=proposal.user_id, conditions=conditions, replaces=replaces
    )
    on_offer = set(plan_charges(session, proposal_id))
    return [line.charge_id for line, _amount in lines if line.charge_id in on_offer]


def earliest_first_day(conditions: Conditions) -> date:
    """The first day on which a new plan may charge: the patient is told as long before as of any other charge."""
    return conditions.today + timedelta(days=max(1, conditions.policy.notice_days))


def draft(
    session: Session,
    account_id: int,
    *,
    user_id: int | None,
    each: Money,
    rhythm: Rhythm,
    conditions: Conditions,
    charge_ids: Collection[int] | None = None,
    exceed: bool = False,
    replaces: int | None = None,
    month_cap: Money | None = None,
) -> Draft:
    """How a plan over these lines (None: all that may) would look. Writes nothing.

    ``replaces`` is a plan that would end by it; without it that is the one in whose place an open offer stands.
    ``month_cap`` is the most that the law lets be asked of this household in a month (:func:`.policy.month_cap`).

    Raises :class:`NoPlanPossible`, :class:`LineCannotJoin`, :class:`DayNotOffered`, :class:`InstallmentTooSmall`,
    :class:`InstallmentTooLarge`, :class:`PlanTooLong` and :class:`~portal.plans.rules.policy.LawCapsPayments`;
    ``exceed`` leaves the policy's limits aside, but neither the law's nor what a card can pay.
    """
    if replaces is None:
        replaces = to_be_replaced(session, account_id)
    lines = candidates(session, account_id, user_id=user_id, conditions=conditions, replaces=replaces)
    if charge_ids is not None:
        wanted = set(charge_ids)
        lines = [(line, amount) for line, amount in lines if line.charge_id in wanted]
        if len(lines) != len(wanted):
            raise LineCannotJoin
    total = Money.total(amount for _line, amount in lines)
    policy = conditions.policy
    try:
        asked = replace(policy, smallest_balance=SMALLEST) if exceed else policy
        paid = months_paid(session, [line.charge_id for line, _amount in lines]) if month_cap is not None else 0
        allowed = limits(asked, total, rhythm.frequency, month_cap=month_cap, months_paid=paid)
    except BalanceTooSmall:
        raise NoPlanPossible from None
    if each < SMALLEST:
        raise InstallmentTooSmall(policy.minimum_installment)
    if allowed.most_each < min(each, total):
        raise InstallmentTooLarge(allowed.most_each)
    down = down_payment(policy, total, month_cap=month_cap)
    first = earliest_first_day(conditions)
    if month_cap is not None:
        # A month in which another plan of this household took its share has no room for more.
        paid_on = last_paid_on(session, account_id)
        first = max(first, earliest_next(paid_on, rhythm.frequency, month_cap, conditions.today))
    dues = tuple(
        lay_out(
            total,
            each,
            rhythm,
            first,
            down=down,
            today=conditions.today,
            most=most_each(month_cap, rhythm.frequency),
        )
    )
    longest = most_payments(policy, total, rhythm.frequency, month_cap=month_cap, months_paid=paid)
    if month_cap is not None and policy.rule is not None and len(dues) > longest:
        raise PlanTooLong(longest, each_for_count(total, longest))
    if not exceed:
        if not offers(policy, rhythm):
            raise DayNotOffered
        if each < min(policy.minimum_installment, allowed.most_each):
            raise InstallmentTooSmall(policy.minimum_installment)
        if len(dues) > allowed.most + bool(down):
            raise PlanTooLong(allowed.most, allowed.least_each)
    left = {line.charge_id: amount for line, amount in lines}
    schedule = ScheduleState(
        each=min(each, total), rhythm=rhythm, unpaid=dues, left=left, month_cap=month_cap, months_paid=paid
    )
    return Draft(tuple(lines), schedule)


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
        schedule=found.schedule,
        lines=found.lines,
        method=method,
        change=ChangeKind.ENROLLED,
        conditions=conditions,
        replaces=replaces,
    )
