"""What each wish does to a plan. Pure: a plan as it stands and a wish give the plan as it would be, or why not.

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
class Standing:
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
class Wish:
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


def carry_out(standing: Standing, wish: Wish, *, policy: Policy, today: date) -> Standing:
    """The plan as it would stand after ``wish``; the policy is kept unless the wish may exceed it.

    Raises :class:`InstallmentTooSmall`, :class:`InstallmentTooLarge`, :class:`PlanTooLong`, :class:`DayNotOffered`,
    :class:`LineCannotJoin`, :class:`LineNotOnPlan`, :class:`NoSkipLeft`, :class:`PauseTooLong`,
    :class:`NothingToChange` and :class:`~portal.plans.rules.policy.LawCapsPayments`.
    """
    after = _ACTS[wish.kind](standing, wish, policy, today)
    if Money.total(due.amount for due in after.unpaid) != after.total:
        raise AssertionError("the installments don't sum to what is left")
    if after == standing and wish.kind not in _ALSO_WITHOUT_A_NEW_SCHEDULE:
        raise NothingToChange
    return after


def _add(standing: Standing, wish: Wish, policy: Policy, today: date) -> Standing:
    if not wish.charges or set(wish.charges) & set(standing.left):
        raise LineCannotJoin
    left = {**standing.left, **wish.charges}
    total = Money.total(left.values())
    each = wish.each or standing.each
    if not wish.exceed and wish.each is None:
        # As long as the policy lets it be, the amount stays and the plan gets longer.
        allowed = _limits(replace(standing, left=left), policy)
        each = max(each, allowed.least_each)
    dues = _fitted(standing, total, today)
    if each != standing.each:
        dues = change_amount(dues, each, standing.rhythm, fixed=0, most=standing.most)
    return _within(standing, replace(standing, each=each, left=left, unpaid=tuple(dues)), wish, policy)


def _remove(standing: Standing, wish: Wish, policy: Policy, today: date) -> Standing:
    gone = set(wish.charges)
    left = {charge: amount for charge, amount in standing.left.items() if charge not in gone}
    if not gone or not gone <= set(standing.left) or not Money.total(left.values()):
        raise LineNotOnPlan
    return replace(standing, left=left, unpaid=tuple(_fitted(standing, Money.total(left.values()), today)))


def _move_day(standing: Standing, wish: Wish, policy: Policy, today: date) -> Standing:
    rhythm = wish.rhythm
    if rhythm is None or not (wish.exceed or offers(policy, rhythm)):
        raise DayNotOffered
    earliest = earliest_next(standing.last_due_on, rhythm.frequency, standing.month_cap, today)
    if standing.unpaid and (wish.not_sooner or rhythm == standing.rhythm):
        # Also not for the day that it has: a plan made within its notice of that day begins on the one after.
        earliest = max(earliest, standing.unpaid[0].on)
    dues = move(standing.unpaid, rhythm, fixed=0, earliest=earliest)
    after = replace(standing, rhythm=rhythm, unpaid=tuple(dues))
    if after.most is not None and any(due.amount > after.most for due in dues):
        # More often, so less each time: a month may not ask for more than the law lets it.
        after = _of(after, min(after.each, after.most))
    elif after.most is not None and after.total and rhythm.frequency is not standing.rhythm.frequency:
        # Less often, so enough each time: the law counts the payments as well.
        with suppress(LawCapsPayments):  # said below, unless it was so before
            after = _of(after, min(max(after.each, _limits(after, policy).least_each), after.most))
    return _within(standing, after, wish, policy)


def _of(standing: Standing, each: Money) -> Standing:
    dues = change_amount(standing.unpaid, each, standing.rhythm, fixed=0, most=standing.most)
    return replace(standing, each=each, unpaid=tuple(dues))


def _change_amount(standing: Standing, wish: Wish, policy: Policy, today: date) -> Standing:
    each = wish.each or standing.each
    if each < SMALLEST:
        raise InstallmentTooSmall(policy.minimum_installment)
    return _within(standing, _of(standing, each), wish, policy)


def _skip(standing: Standing, wish: Wish, policy: Policy, today: date) -> Standing:
    if not wish.exceed and standing.skips_used >= policy.skips_a_year:
        raise NoSkipLeft
    if not standing.unpaid:
        raise NothingToChange
    dues = skip_first(standing.unpaid, standing.rhythm, fixed=0)
    return replace(standing, unpaid=tuple(dues), skips_used=standing.skips_used + 1)


def _pause(standing: Standing, wish: Wish, policy: Policy, today: date) -> Standing:
    if wish.until is None or wish.until <= today:
        raise PauseTooLong
    if wish.until > today + timedelta(days=policy.pause_longest_days) and not wish.exceed:
        raise PauseTooLong
    return replace(standing, unpaid=tuple(postpone(standing.unpaid, standing.rhythm, earliest=wish.until)))


def _resume(standing: Standing, wish: Wish, policy: Policy, today: date) -> Standing:
    earliest = today + timedelta(days=max(1, policy.notice_days))
    return replace(standing, unpaid=tuple(postpone(standing.unpaid, standing.rhythm, earliest=earliest)))


#: A plan is paused and goes on also where no installment falls in between.
_ALSO_WITHOUT_A_NEW_SCHEDULE = (ChangeKind.PAUSED, ChangeKind.RESUMED)

_Act = Callable[[Standing, Wish, Policy, date], Standing]
_ACTS: dict[ChangeKind, _Act] = {
    ChangeKind.LINES_ADDED: _add,
    ChangeKind.LINES_REMOVED: _remove,
    ChangeKind.DAY_MOVED: _move_day,
    ChangeKind.AMOUNT_CHANGED: _change_amount,
    ChangeKind.SKIPPED: _skip,
    ChangeKind.PAUSED: _pause,
    ChangeKind.RESUMED: _resume,
}


def _fitted(standing: Standing, total: Money, today: date) -> list[Due]:
    return reshape(
        standing.unpaid,
        total,
        standing.each,
        standing.rhythm,
        earliest=earliest_next(standing.last_due_on, standing.rhythm.frequency, standing.month_cap, today),
        most=standing.most,
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


def _limits(standing: Standing, policy: Policy) -> Limits:
    return limits(
        _as_it_runs(policy),
        standing.total,
        standing.rhythm.frequency,
        month_cap=standing.month_cap,
        months_paid=standing.months_paid,
    )


def _within_the_law(before: Standing, after: Standing, policy: Policy) -> None:
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


def _within(before: Standing, after: Standing, wish: Wish, policy: Policy) -> Standing:
    """The plan ``after`` a wish, where it keeps to the policy, or strays from it no further than the plan does already.

    The staff may have agreed to more than the policy allows, and what a balance allows gets less as it is paid: neither
    may keep the patient from moving the day. The law's cap holds for everybody. Raises :class:`InstallmentTooSmall`,
    :class:`InstallmentTooLarge`, :class:`PlanTooLong` and :class:`~portal.plans.rules.policy.LawCapsPayments`.
    """
    _within_the_law(before, after, policy)
    if wish.exceed or not after.total:
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
