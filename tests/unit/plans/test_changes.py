"""Whole lives of plans over 10,000 random balances, policies and changes: what is always true. The seed is printed.

As :mod:`portal.plans.rows` does it: days pass and installments are paid, insurance moves, some are announced, and
patient and staff ask for changes. A state may cap what a month may ask for.
"""

from __future__ import annotations

import os
import random
from calendar import monthrange
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from itertools import pairwise

import pytest

from portal.money import Money
from portal.plans.errors import (
    DayNotOffered,
    InstallmentTooLarge,
    InstallmentTooSmall,
    LineCannotJoin,
    LineNotOnPlan,
    NoSkipLeft,
    NothingToChange,
    PlanTooLong,
)
from portal.plans.kinds import ChangeKind, Frequency
from portal.plans.rules.changes import ChangeRequest, ScheduleState, carry_out, earliest_next
from portal.plans.rules.policy import LawCapsPayments, Policy, down_payment, limits, load, month_cap, states
from portal.plans.rules.schedule import SMALLEST, Due, Rhythm, lay_out, most_each, reshape

SEED = int(os.environ.get("PLAINBILL_CHANGES_SEED", "20261128"))
CASES = 10_000
REFUSED = (
    DayNotOffered, InstallmentTooLarge, InstallmentTooSmall, LawCapsPayments, LineCannotJoin, LineNotOnPlan, NoSkipLeft,
    NothingToChange, PlanTooLong,
)  # fmt: skip


@dataclass
class Life:
    """A plan in its time; ``told`` of its first installments are announced, and ``behind`` are those charged."""

    policy: Policy
    schedule: ScheduleState
    today: date
    told: int = 0
    behind: list[Due] = field(default_factory=list)
    #: Days of announced installments that were the small last one when they were announced, or got smaller after that.
    small: set[date] = field(default_factory=set)

    def check(self) -> None:
        """What docs/plans.md promises."""
        schedule, dues = self.schedule, self.schedule.unpaid
        assert Money.total(due.amount for due in dues) == schedule.total
        assert all(one.on < other.on for one, other in pairwise(dues)), dues
        assert not dues or not self.behind or dues[0].on > self.behind[-1].on
        assert all(self._on_its_day(due) for due in dues[self.told :]), (dues, schedule.rhythm)
        floor = min(self.policy.minimum_installment, schedule.each)
        if schedule.most is not None:
            floor = floor - (SMALLEST - Money(1))  # what a rest that no card can pay is filled up with
        for place, due in enumerate(dues):
            last = place == len(dues) - 1
            assert last or due.amount >= floor or due.on in self.small, (floor, dues, self.small)
            assert due.amount < schedule.each + SMALLEST, (schedule.each, dues)
            assert schedule.most is None or due.amount <= schedule.most, (schedule.most, dues)
        if schedule.month_cap is not None:
            months: Counter[tuple[int, int]] = Counter()
            for due in [*self.behind[-5:], *dues]:
                months[due.on.year, due.on.month] += due.amount.cents
            assert max(months.values(), default=0) <= schedule.month_cap.cents, (schedule.month_cap, dues)

    def _on_its_day(self, due: Due) -> bool:
        rhythm = self.schedule.rhythm
        if rhythm.frequency is not Frequency.MONTHLY:
            return due.on.weekday() == rhythm.day
        return due.on.day == min(rhythm.day, monthrange(due.on.year, due.on.month)[1])

    def fit(self, left: dict[int, Money]) -> None:
        """What is due has moved: as :func:`portal.plans.rows.read` makes the plan fit."""
        schedule = self.schedule
        dues = reshape(
            schedule.unpaid,
            Money.total(left.values()),
            schedule.each,
            schedule.rhythm,
            fixed=self.told,
            earliest=earliest_next(
                schedule.last_due_on, schedule.rhythm.frequency, schedule.month_cap, self.today
            ),
            most=schedule.most,
        )
        self.told = min(self.told, len(dues))
        for announced, now in zip(schedule.unpaid[: self.told], dues, strict=False):
            assert (announced.on, max(announced.amount, now.amount)) == (now.on, announced.amount)
            if now.amount < announced.amount:
                self.small.add(now.on)  # and is never raised again
        self.schedule = replace(schedule, left=left, unpaid=tuple(dues))

    def wanted(self, wanted: ChangeRequest) -> bool:
        """Whether it was granted. Whoever agrees has been shown every installment: none needs to stay as announced."""
        before = self.schedule
        try:
            self.schedule = carry_out(self.schedule, wanted, policy=self.policy, today=self.today)
        except REFUSED:
            return False
        self.told = 0
        after = self.schedule
        if wanted.kind is ChangeKind.DAY_MOVED and self.behind and after.unpaid:
            gap = {Frequency.WEEKLY: 3, Frequency.TWO_WEEKLY: 7, Frequency.MONTHLY: 14}[after.rhythm.frequency]
            assert after.unpaid[0].on >= self.behind[-1].on + timedelta(days=gap)
        if not wanted.exceed and after.unpaid:
            small = [self.policy.minimum_installment, before.each, after.total, after.most or after.total]
            assert after.each >= min(small), "below the minimum, and nobody of the staff agreed"
        return True


def _rhythm(chance: random.Random, policy: Policy) -> Rhythm:
    frequency = chance.choice(policy.frequencies)
    return Rhythm(frequency, chance.choice(policy.days_of_month if frequency is Frequency.MONTHLY else range(7)))


def _policy(chance: random.Random, shipped: Policy) -> Policy:
    return replace(
        shipped,
        minimum_installment=Money(chance.choice([500, 1_000, 2_500, 5_000])),
        down_payment_percent=chance.choice([0, 0, 10, 25]),
        longest=((Money(chance.choice([20_000, 50_000])), chance.randint(3, 9)), (None, chance.randint(12, 60))),
        rule=states()["CO"] if chance.random() < 0.4 else None,
    )


def _begin(chance: random.Random, shipped: Policy) -> Life | None:
    """A plan that the policy allows, as :func:`portal.plans.agreeing.drafting.draft` lays it out; None for none."""
    policy = _policy(chance, shipped)
    rhythm, today = _rhythm(chance, policy), date(2026, 1, 1) + timedelta(days=chance.randint(0, 1_500))
    left = {charge: Money(chance.randint(5_000, 300_000)) for charge in range(chance.randint(1, 4))}
    total = Money.total(left.values())
    cap = month_cap(policy, Money(chance.randint(20_000, 900_000)))
    try:
        allowed = limits(policy, total, rhythm.frequency, month_cap=cap)
    except LawCapsPayments:
        return None
    each = Money(chance.randint(allowed.least_each.cents, max(allowed.least_each.cents, allowed.most_each.cents)))
    down = down_payment(policy, total) if cap is None else Money(0)
    dues = lay_out(
        total, each, rhythm, today + timedelta(days=3), down=down, today=today, most=most_each(cap, rhythm.frequency)
    )
    behind, unpaid = (dues[:1], dues[1:]) if down else ([], dues)
    assert not down or (dues[0] == Due(today, dues[0].amount) and dues[0].amount >= down)
    schedule = ScheduleState(each=each, rhythm=rhythm, unpaid=tuple(unpaid), left=left, month_cap=cap)
    life = Life(policy, schedule, today, behind=list(behind))
    if down:  # charged on the day of the agreement
        life.schedule = replace(schedule, left=_paid(left, dues[0].amount), last_due_on=today)
    return life


def _paid(left: dict[int, Money], amount: Money) -> dict[int, Money]:
    """What is left once ``amount`` went to the first charges."""
    found = {}
    for charge, owed in left.items():
        taken = min(owed, amount)
        amount = amount - taken
        if owed > taken:
            found[charge] = owed - taken
    return found


def _live(life: Life, chance: random.Random) -> tuple[str, bool]:
    """Something happens; what, and whether it was possible."""
    schedule, act = life.schedule, chance.choice(ACTS)
    match act:
        case "paid" | "put off":
            if not schedule.unpaid:
                return act, False
            due = schedule.unpaid[0]
            taken_on = due.on
            if act == "put off":  # declined, and taken before the next one is due: often in another month
                between = [one.on - due.on for one in schedule.unpaid[1:2]] or [timedelta(days=25)]
                taken_on += timedelta(days=chance.randint(0, max(0, between[0].days - 1)))
            life.today, life.told = max(life.today, taken_on), max(0, life.told - 1)
            life.behind.append(due)
            life.schedule = replace(
                schedule,
                unpaid=schedule.unpaid[1:],
                left=_paid(dict(schedule.left), due.amount),
                last_due_on=due.on,
                months_paid=len({(one.on.year, one.on.month) for one in life.behind}),
            )
            return act, True
        case "announced":
            if life.told < min(2, len(schedule.unpaid)):
                life.told += 1
                due = schedule.unpaid[life.told - 1]
                if due.amount < schedule.each:
                    life.small.add(due.on)
            return act, True
        case "insurance":
            life.fit({charge: Money(chance.randint(0, owed.cents * 2)) for charge, owed in schedule.left.items()})
            return act, True
        case "add":
            new = {100 + len(life.behind) * 10 + chance.randint(0, 9): Money(chance.randint(100, 200_000))}
            return act, life.wanted(ChangeRequest(ChangeKind.LINES_ADDED, charges=new))
        case "remove":
            gone = chance.choice(list(schedule.left) or [0])
            return act, life.wanted(ChangeRequest(ChangeKind.LINES_REMOVED, charges={gone: Money(0)}))
        case "day":
            return act, life.wanted(ChangeRequest(ChangeKind.DAY_MOVED, rhythm=_rhythm(chance, life.policy)))
        case "amount":
            each = Money(chance.randint(500, max(501, schedule.total.cents)))
            return act, life.wanted(ChangeRequest(ChangeKind.AMOUNT_CHANGED, each=each, exceed=chance.random() < 0.2))
        case "skip":
            return act, life.wanted(ChangeRequest(ChangeKind.SKIPPED))
        case "pause":
            until = life.today + timedelta(days=chance.randint(1, life.policy.pause_longest_days))
            return act, life.wanted(ChangeRequest(ChangeKind.PAUSED, until=until))
        case _:
            return act, life.wanted(ChangeRequest(ChangeKind.RESUMED))


ACTS = ("paid", "put off", "announced", "insurance", "add", "remove", "day", "amount", "skip", "pause", "resume")


def test_a_plan_keeps_what_it_promises_whatever_happens_to_it() -> None:
    chance, shipped = random.Random(SEED), load()
    print(f"seed {SEED}")
    done: Counter[str] = Counter()
    for _case in range(CASES):
        life = _begin(chance, shipped)
        if life is None:
            done["beyond the law"] += 1
            continue
        life.check()
        done["capped"] += life.schedule.month_cap is not None
        for _step in range(chance.randint(1, 8)):
            act, possible = _live(life, chance)
            done[act] += possible
            life.check()
    print(dict(done))
    assert all(done[act] > CASES // 10 for act in (*ACTS, "capped")), done


def _capped(*, each: int, left: int, cap: int) -> ScheduleState:
    rhythm = Rhythm(Frequency.MONTHLY, 1)
    dues = lay_out(Money(left), Money(each), rhythm, date(2026, 12, 1), most=Money(cap))
    return ScheduleState(
        each=Money(each), rhythm=rhythm, unpaid=tuple(dues), left={1: Money(left)}, month_cap=Money(cap)
    )


@pytest.fixture
def hospital() -> Policy:
    """The shipped policy in a hospital of Colorado."""
    return replace(load(), rule=states()["CO"])


TODAY = date(2026, 11, 20)


def test_a_bill_that_the_law_does_not_let_be_added_is_refused(hospital: Policy) -> None:
    schedule = _capped(each=2_000, left=24_832, cap=2_000)
    longer = carry_out(
        schedule, ChangeRequest(ChangeKind.LINES_ADDED, charges={2: Money(40_000)}), policy=hospital, today=TODAY
    )
    assert longer.each == Money(2_000)
    assert len(longer.unpaid) == 33
    added = ChangeRequest(ChangeKind.LINES_ADDED, charges={2: Money(50_000)})
    with pytest.raises(LawCapsPayments) as caught:
        carry_out(schedule, added, policy=hospital, today=TODAY)
    assert caught.value.most_a_month == Money(2_000)


def test_nobody_can_raise_a_payment_above_the_cap(hospital: Policy) -> None:
    schedule = _capped(each=2_000, left=24_832, cap=2_000)
    for exceed in (False, True):
        wanted = ChangeRequest(ChangeKind.AMOUNT_CHANGED, each=Money(2_001), exceed=exceed)
        with pytest.raises(InstallmentTooLarge) as caught:
            carry_out(schedule, wanted, policy=hospital, today=TODAY)
        assert caught.value.most == Money(2_000)


def test_the_laws_count_of_payments_binds_the_staff_as_well(hospital: Policy) -> None:
    schedule = _capped(each=10_000, left=360_000, cap=10_000)
    for exceed in (False, True):
        wanted = ChangeRequest(ChangeKind.AMOUNT_CHANGED, each=Money(5_000), exceed=exceed)
        with pytest.raises(PlanTooLong) as caught:
            carry_out(schedule, wanted, policy=hospital, today=TODAY)
        assert (caught.value.most, caught.value.least) == (36, Money(10_000))
    # Eighteen months were paid: the law counts them.
    half = replace(_capped(each=10_000, left=180_000, cap=10_000), months_paid=18)
    with pytest.raises(PlanTooLong) as caught:
        carry_out(half, ChangeRequest(ChangeKind.AMOUNT_CHANGED, each=Money(5_000)), policy=hospital, today=TODAY)
    assert caught.value.most == 18


def test_less_often_is_more_each_time_where_the_law_counts_the_payments(hospital: Policy) -> None:
    """150 weekly payments of $20.00 are no 150 monthly ones, whoever asks for it."""
    weekly = Rhythm(Frequency.WEEKLY, 1)
    dues = lay_out(Money(300_000), Money(2_000), weekly, date(2026, 12, 1), most=Money(2_000))
    schedule = ScheduleState(
        each=Money(2_000), rhythm=weekly, unpaid=tuple(dues), left={1: Money(300_000)}, month_cap=Money(10_000)
    )
    for exceed in (False, True):
        wanted = ChangeRequest(ChangeKind.DAY_MOVED, rhythm=Rhythm(Frequency.MONTHLY, 15), exceed=exceed)
        after = carry_out(schedule, wanted, policy=hospital, today=TODAY)
        assert (after.each, len(after.unpaid)) == (Money(8_334), 36)


def test_what_is_beyond_the_law_already_may_be_moved_and_not_be_made_longer(hospital: Policy) -> None:
    schedule = _capped(each=12_000, left=450_000, cap=12_000)
    to_another_day = ChangeRequest(ChangeKind.DAY_MOVED, rhythm=Rhythm(Frequency.MONTHLY, 15))
    moved = carry_out(schedule, to_another_day, policy=hospital, today=TODAY)
    assert len(moved.unpaid) == len(schedule.unpaid) == 38
    wanted = ChangeRequest(ChangeKind.AMOUNT_CHANGED, each=Money(11_000), exceed=True)
    with pytest.raises(LawCapsPayments):
        carry_out(schedule, wanted, policy=hospital, today=TODAY)


def test_no_month_asks_for_more_when_a_small_amount_comes_more_often(hospital: Policy) -> None:
    """The last one of $25.40 is above a fifth of $125.00, though the others are not."""
    schedule = _capped(each=2_500, left=15_040, cap=12_500)
    assert schedule.unpaid[-1].amount == Money(2_540)
    wanted = ChangeRequest(ChangeKind.DAY_MOVED, rhythm=Rhythm(Frequency.WEEKLY, 1))
    after = carry_out(schedule, wanted, policy=hospital, today=date(2026, 10, 31))
    assert max(due.amount for due in after.unpaid) <= Money(2_500)


def test_paying_more_often_asks_for_less_each_time(hospital: Policy) -> None:
    schedule = _capped(each=2_000, left=24_832, cap=2_000)
    wanted = ChangeRequest(ChangeKind.DAY_MOVED, rhythm=Rhythm(Frequency.WEEKLY, 0))
    after = carry_out(schedule, wanted, policy=hospital, today=TODAY)
    assert after.each == Money(400)  # five Mondays can be in a month
    assert Money.total(due.amount for due in after.unpaid) == Money(24_832)


def test_a_moved_day_waits_for_the_next_month_where_a_month_is_capped(hospital: Policy) -> None:
    policy = replace(hospital, days_of_month=(1, 28))
    schedule = replace(_capped(each=2_000, left=24_832, cap=2_000), last_due_on=date(2026, 11, 1))
    wanted = ChangeRequest(ChangeKind.DAY_MOVED, rhythm=Rhythm(Frequency.MONTHLY, 28))
    assert carry_out(schedule, wanted, policy=policy, today=TODAY).unpaid[0].on == date(2026, 12, 28)
    free = carry_out(replace(schedule, month_cap=None), wanted, policy=policy, today=TODAY)
    assert free.unpaid[0].on == date(2026, 11, 28)


def test_a_rest_that_no_card_can_pay_raises_nothing_above_the_cap() -> None:
    free = lay_out(Money(8_030), Money(2_000), Rhythm(Frequency.MONTHLY, 1), date(2026, 12, 1))
    assert [due.amount.cents for due in free] == [2_000, 2_000, 2_000, 2_030]
    capped = lay_out(Money(8_030), Money(2_000), Rhythm(Frequency.MONTHLY, 1), date(2026, 12, 1), most=Money(2_000))
    assert [due.amount.cents for due in capped] == [2_000, 2_000, 2_000, 1_980, 50]
    shorter = reshape(
        capped, Money(6_020), Money(2_000), Rhythm(Frequency.MONTHLY, 1), earliest=TODAY, most=Money(2_000)
    )
    assert [due.amount.cents for due in shorter] == [2_000, 2_000, 1_970, 50]


@pytest.mark.parametrize("today", [date(2027, 3, day) for day in range(12, 16)])
def test_the_day_that_a_plan_has_brings_nothing_forward(today: date) -> None:
    """A plan made on the 12th to 14th begins on the next month's 15th, since it has to be told some days before."""
    dues = lay_out(Money(30_000), Money(10_000), Rhythm(Frequency.MONTHLY, 15), date(2027, 4, 1))
    schedule = ScheduleState(
        each=Money(10_000), rhythm=Rhythm(Frequency.MONTHLY, 15), unpaid=tuple(dues), left={1: Money(30_000)}
    )
    wanted = ChangeRequest(ChangeKind.DAY_MOVED, rhythm=Rhythm(Frequency.MONTHLY, 15))
    with pytest.raises(NothingToChange):
        carry_out(schedule, wanted, policy=load(), today=today)
