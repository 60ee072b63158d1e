"""What each requested change does to a plan. Pure: a plan and a request give the plan as it would be, or why not.

The same function makes what a page shows before consent and what is written after it, so the two can't differ.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

from portal.money import Money
from portal.plans.errors import (
    DayNotOffered,
    InstallmentTooLarge,
    InstallmentTooSmall,
    LineCannotJoin,
    LineNotOnPlan,
    NoSkipLeft,
    NothingToChange,
    PauseTooLong,
    PlanTooLong,
)
from portal.plans.kinds import ChangeKind, Frequency
from portal.plans.rules.policy import LawCapsPayments, Limits, Policy, limits, most_payments
from portal.plans.rules.schedule import (
    SMALLEST,
    Due,
    Rhythm,
    change_amount,
    each_for_count,
    most_each,
    move,
    postpone,
    reshape,
    skip_first,
)

#: At least so many days lie between an installment and the next one when the day is moved: half of the rhythm.
_HALF = {Frequency.WEEKLY: 3, Frequency.TWO_WEEKLY: 7, Frequency.MONTHLY: 14}


@dataclass(frozen=True, slots=True)
class ScheduleState:
    """A plan as it stands.

    ``left`` is what is still to be paid by it, by charge; ``unpaid`` the installments to come, which sum to it.
    ``last_due_on`` is the day of the latest installment that is behind it. ``month_cap`` is the most that may be asked
    in a month, where the law caps it for this household (:func:`portal.plans.rules.policy.month_cap`), and
    ``months_paid`` the months in which its charges were paid in installments, by this plan or one before it.
    """

    each: Money
    rhythm: Rhythm
    unpaid: tuple[Due, ...]
    left: Mapping[int, Money]
    last_due_on: date | None = None
    skips_used: int = 0
    month_cap: Money | None = None
    months_paid: int = 0

    @property
    def most(self) -> Money | None:
        """The most an installment may be by law; None where nothing caps it."""
        return most_each(self.month_cap, self.rhythm.frequency)

    @property
    def total(self) -> Money:
        """What is still to be paid by the plan."""
        return Money.total(self.left.values())


@dataclass(frozen=True, slots=True)
class ChangeRequest:
    """What somebody wants changed. Each kind reads its own fields.

    ``charges`` are the lines to add, with what each asks for, or to take out. ``exceed`` is the staff's: the policy's
    limits are not asked, but the law's cap is. ``not_sooner`` is theirs, too: a moved day begins no sooner than the
    payment that is next now, so that it asks for nothing that the patient has to agree to.
    """

    kind: ChangeKind
    charges: Mapping[int, Money] = field(default_factory=dict)
    each: Money | None = None
    rhythm: Rhythm | None = None
    until: date | None = None
    exceed: bool = False
    not_sooner: bool = False


def carry_out(schedule: ScheduleState, wanted: ChangeRequest, *, policy: Policy, today: date) -> ScheduleState:
    """The plan as it would stand after ``wanted``; the policy is kept unless the request may exceed it.

    Raises :class:`InstallmentTooSmall`, :class:`InstallmentTooLarge`, :class:`PlanTooLong`, :class:`DayNotOffered`,
    :class:`LineCannotJoin`, :class:`LineNotOnPlan`, :class:`NoSkipLeft`, :class:`PauseTooLong`,
    :class:`NothingToChange` and :class:`~portal.plans.rules.policy.LawCapsPayments`.
    """
    after = _ACTS[wanted.kind](schedule, wanted, policy, today)
    if Money.total(due.amount for due in after.unpaid) != after.total:
        raise AssertionError("the installments don't sum to what is left")
    if after == schedule and wanted.kind not in _ALSO_WITHOUT_A_NEW_SCHEDULE:
        raise NothingToChange
    return after


def _add(schedule: ScheduleState, wanted: ChangeRequest, policy: Policy, today: date) -> ScheduleState:
    if not wanted.charges or set(wanted.charges) & set(schedule.left):
        raise LineCannotJoin
    left = {**schedule.left, **wanted.charges}
    total = Money.total(left.values())
    each = wanted.each or schedule.each
    if not wanted.exceed and wanted.each is None:
        # As long as the policy lets it be, the amount stays and the plan gets longer.
        allowed = _limits(replace(schedule, left=left), policy)
        each = max(each, allowed.least_each)
    dues = _fitted(schedule, total, today)
    if each != schedule.each:
        dues = change_amount(dues, each, schedule.rhythm, fixed=0, most=schedule.most)
    return _within(schedule, replace(schedule, each=each, left=left, unpaid=tuple(dues)), wanted, policy)


def _remove(schedule: ScheduleState, wanted: ChangeRequest, policy: Policy, today: date) -> ScheduleState:
    gone = set(wanted.charges)
    left = {charge: amount for charge, amount in schedule.left.items() if charge not in gone}
    if not gone or not gone <= set(schedule.left) or not Money.total(left.values()):
        raise LineNotOnPlan
    return replace(schedule, left=left, unpaid=tuple(_fitted(schedule, Money.total(left.values()), today)))


def _move_day(schedule: ScheduleState, wanted: ChangeRequest, policy: Policy, today: date) -> ScheduleState:
    rhythm = wanted.rhythm
    if rhythm is None or not (wanted.exceed or offers(policy, rhythm)):
        raise DayNotOffered
    earliest = earliest_next(schedule.last_due_on, rhythm.frequency, schedule.month_cap, today)
    if schedule.unpaid and (wanted.not_sooner or rhythm == schedule.rhythm):
        # Also not for the day that it has: a plan made within its notice of that day begins on the one after.
        earliest = max(earliest, schedule.unpaid[0].on)
    dues = move(schedule.unpaid, rhythm, fixed=0, earliest=earliest)
    after = replace(schedule, rhythm=rhythm, unpaid=tuple(dues))
    if after.most is not None and any(due.amount > after.most for due in dues):
        # More often, so less each time: a month may not ask for more than the law lets it.
        after = _of(after, min(after.each, after.most))
    elif after.most is not None and after.total and rhythm.frequency is not schedule.rhythm.frequency:
        # Less often, so enough each time: the law counts the payments as well.
        with suppress(LawCapsPayments):  # said below, unless it was so before
            after = _of(after, min(max(after.each, _limits(after, policy).least_each), after.most))
    return _within(schedule, after, wanted, policy)


def _of(schedule: ScheduleState, each: Money) -> ScheduleState:
    dues = change_amount(schedule.unpaid, each, schedule.rhythm, fixed=0, most=schedule.most)
    return replace(schedule, each=each, unpaid=tuple(dues))


def _change_amount(schedule: ScheduleState, wanted: ChangeRequest, policy: Policy, today: date) -> ScheduleState:
    each = wanted.each or schedule.each
    if each < SMALLEST:
        raise InstallmentTooSmall(policy.minimum_installment)
    return _within(schedule, _of(schedule, each), wanted, policy)


def _skip(schedule: ScheduleState, wanted: ChangeRequest, policy: Policy, today: date) -> ScheduleState:
    if not wanted.exceed and schedule.skips_used >= policy.skips_a_year:
        raise NoSkipLeft
    if not schedule.unpaid:
        raise NothingToChange
    dues = skip_first(schedule.unpaid, schedule.rhythm, fixed=0)
    return replace(schedule, unpaid=tuple(dues), skips_used=schedule.skips_used + 1)


def _pause(schedule: ScheduleState, wanted: ChangeRequest, policy: Policy, today: date) -> ScheduleState:
    if wanted.until is None or wanted.until <= today:
        raise PauseTooLong
    if wanted.until > today + timedelta(days=policy.pause_longest_days) and not wanted.exceed:
        raise PauseTooLong
    return replace(schedule, unpaid=tuple(postpone(schedule.unpaid, schedule.rhythm, earliest=wanted.until)))


def _resume(schedule: ScheduleState, wanted: ChangeRequest, policy: Policy, today: date) -> ScheduleState:
    earliest = today + timedelta(days=max(1, policy.notice_days))
    return replace(schedule, unpaid=tuple(postpone(schedule.unpaid, schedule.rhythm, earliest=earliest)))


#: A plan is paused and goes on also where no installment falls in between.
_ALSO_WITHOUT_A_NEW_SCHEDULE = (ChangeKind.PAUSED, ChangeKind.RESUMED)

_Act = Callable[[ScheduleState, ChangeRequest, Policy, date], ScheduleState]
_ACTS: dict[ChangeKind, _Act] = {
    ChangeKind.LINES_ADDED: _add,
    ChangeKind.LINES_REMOVED: _remove,
    ChangeKind.DAY_MOVED: _move_day,
    ChangeKind.AMOUNT_CHANGED: _change_amount,
    ChangeKind.SKIPPED: _skip,
    ChangeKind.PAUSED: _pause,
    ChangeKind.RESUMED: _resume,
}


def _fitted(schedule: ScheduleState, total: Money, today: date) -> list[Due]:
    return reshape(
        schedule.unpaid,
        total,
        schedule.each,
        schedule.rhythm,
        earliest=earliest_next(schedule.last_due_on, schedule.rhythm.frequency, schedule.month_cap, today),
        most=schedule.most,
    )


def earliest_next(last_due_on: date | None, frequency: Frequency, month_cap: Money | None, today: date) -> date:
    """The first day for the next installment of another rhythm, or where none is left to come.

    It is after today, half of the rhythm after the last one, and in another month than that where the law caps what a
    month may ask for.
    """
    after = today + timedelta(days=1)
    if last_due_on is None:
        return after
    after = max(after, last_due_on + timedelta(days=_HALF[frequency]))
    next_month = (last_due_on.replace(day=1) + timedelta(days=32)).replace(day=1)
    return after if month_cap is None else max(after, next_month)


def _as_it_runs(policy: Policy) -> Policy:
    """The policy for a plan that runs: how much a plan is made for says nothing of how little may be left of one."""
    return replace(policy, smallest_balance=Money.zero())


def _limits(schedule: ScheduleState, policy: Policy) -> Limits:
    return limits(
        _as_it_runs(policy),
        schedule.total,
        schedule.rhythm.frequency,
        month_cap=schedule.month_cap,
        months_paid=schedule.months_paid,
    )


def _within_the_law(before: ScheduleState, after: ScheduleState, policy: Policy) -> None:
    """The law's cap holds for everybody, whatever a policy or a supervisor says.

    What insurance made too much already may still be moved about, but not get longer. Raises
    :class:`InstallmentTooLarge`, :class:`InstallmentTooSmall`, :class:`PlanTooLong` and
    :class:`~portal.plans.rules.policy.LawCapsPayments`.
    """
    if after.most is None or not after.total:
        return
    if after.each > after.most:
        raise InstallmentTooLarge(after.most)
    if after.each < min(SMALLEST, after.total):
        raise InstallmentTooSmall(SMALLEST)
    as_often = before.rhythm.frequency is after.rhythm.frequency
    if as_often and after.total <= before.total and len(after.unpaid) <= len(before.unpaid):
        return
    _limits(after, policy)
    most = most_payments(
        policy, after.total, after.rhythm.frequency, month_cap=after.month_cap, months_paid=after.months_paid
    )
    if policy.rule is not None and len(after.unpaid) > most:
        raise PlanTooLong(most, each_for_count(after.total, most))


def _within(before: ScheduleState, after: ScheduleState, wanted: ChangeRequest, policy: Policy) -> ScheduleState:
    """The plan ``after`` a change, where it keeps to the policy, or strays no further than the plan does already.

    The staff may have agreed to more than the policy allows, and what a balance allows gets less as it is paid: neither
    may keep the patient from moving the day. The law's cap holds for everybody. Raises :class:`InstallmentTooSmall`,
    :class:`InstallmentTooLarge`, :class:`PlanTooLong` and :class:`~portal.plans.rules.policy.LawCapsPayments`.
    """
    _within_the_law(before, after, policy)
    if wanted.exceed or not after.total:
        return after
    try:
        allowed = _limits(after, policy)
    except LawCapsPayments:
        return after  # more than the law lets be asked as it was, and no longer than that
    if after.each < min(policy.minimum_installment, after.total, before.each, allowed.most_each):
        raise InstallmentTooSmall(policy.minimum_installment)
    as_often = before.rhythm.frequency is after.rhythm.frequency
    if len(after.unpaid) > max(allowed.most, len(before.unpaid) if as_often else 0):
        raise PlanTooLong(allowed.most, allowed.least_each)
    return after


def offers(policy: Policy, rhythm: Rhythm) -> bool:
    """Whether the policy offers this frequency and day."""
    if rhythm.frequency not in policy.frequencies:
        return False
    if rhythm.frequency is Frequency.MONTHLY:
        return rhythm.day in policy.days_of_month
    return 0 <= rhythm.day <= 6
