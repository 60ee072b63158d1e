"""The days and amounts of installments, over 10,000 random balances, policies and changes. The seed is printed."""

from __future__ import annotations

import os
import random
from calendar import monthrange
from datetime import date, timedelta
from itertools import islice, pairwise

import pytest

from portal.money import Money
from portal.plans.kinds import Frequency
from portal.plans.rules.policy import Policy, counts, limits, load
from portal.plans.rules.schedule import (
    SMALLEST,
    Due,
    Rhythm,
    amounts,
    change_amount,
    day_after,
    days_from,
    each_for_count,
    lay_out,
    move,
    postpone,
    reshape,
    skip_first,
)

SEED = int(os.environ.get("PLAINBILL_SCHEDULE_SEED", "20261124"))
CASES = 10_000
MONTHLY_31 = Rhythm(Frequency.MONTHLY, 31)


def dues(*pairs: tuple[str, int]) -> list[Due]:
    return [Due(date.fromisoformat(day), Money(cents)) for day, cents in pairs]


def total(found: list[Due]) -> int:
    return sum(due.amount.cents for due in found)


def test_the_last_day_of_the_month_is_found_in_every_month() -> None:
    days = list(islice(days_from(MONTHLY_31, date(2027, 12, 5)), 4))
    assert days == [date(2027, 12, 31), date(2028, 1, 31), date(2028, 2, 29), date(2028, 3, 31)]


@pytest.mark.parametrize(
    ("rhythm", "last", "expected"),
    [
        (MONTHLY_31, date(2027, 2, 28), date(2027, 3, 31)),
        (Rhythm(Frequency.MONTHLY, 15), date(2027, 2, 15), date(2027, 3, 15)),
        (Rhythm(Frequency.MONTHLY, 15), date(2027, 12, 20), date(2028, 1, 15)),
        (Rhythm(Frequency.WEEKLY, 4), date(2027, 1, 1), date(2027, 1, 8)),
        (Rhythm(Frequency.TWO_WEEKLY, 4), date(2027, 1, 1), date(2027, 1, 15)),
        (Rhythm(Frequency.TWO_WEEKLY, 0), date(2027, 1, 1), date(2027, 1, 4)),
    ],
)
def test_the_day_after(rhythm: Rhythm, last: date, expected: date) -> None:
    assert day_after(rhythm, last) == expected


@pytest.mark.parametrize(
    ("balance", "each", "expected"),
    [
        (10_000, 3_000, [3_000, 3_000, 3_000, 1_000]),
        (9_000, 3_000, [3_000, 3_000, 3_000]),
        (9_049, 3_000, [3_000, 3_000, 3_049]),  # 49 cents no card can pay
        (9_050, 3_000, [3_000, 3_000, 3_000, 50]),
        (2_000, 3_000, [2_000]),
        (0, 3_000, []),
    ],
)
def test_amounts(balance: int, each: int, expected: list[int]) -> None:
    assert [one.cents for one in amounts(Money(balance), Money(each))] == expected


def test_three_months_of_a_hundred_dollars() -> None:
    each = each_for_count(Money(10_000), 3)
    assert [one.cents for one in amounts(Money(10_000), each)] == [3_334, 3_334, 3_332]


def test_less_owed_shortens_the_plan_from_its_end() -> None:
    before = dues(("2027-01-15", 5_000), ("2027-02-15", 5_000), ("2027-03-15", 2_000))
    rhythm = Rhythm(Frequency.MONTHLY, 15)
    after = reshape(before, Money(8_000), Money(5_000), rhythm, earliest=date(2027, 1, 2))
    assert after == dues(("2027-01-15", 5_000), ("2027-02-15", 3_000))
    assert reshape(before, Money.zero(), Money(5_000), rhythm, earliest=date(2027, 1, 2)) == []


def test_more_owed_fills_the_last_one_and_adds_others() -> None:
    before = dues(("2027-01-15", 5_000), ("2027-02-15", 2_000))
    after = reshape(before, Money(16_000), Money(5_000), Rhythm(Frequency.MONTHLY, 15), earliest=date(2027, 1, 2))
    assert after == dues(("2027-01-15", 5_000), ("2027-02-15", 5_000), ("2027-03-15", 5_000), ("2027-04-15", 1_000))


def test_what_was_announced_is_never_raised() -> None:
    before = dues(("2027-01-15", 2_000))
    after = reshape(
        before, Money(7_020), Money(5_000), Rhythm(Frequency.MONTHLY, 15), fixed=1, earliest=date(2027, 1, 2)
    )
    assert after == dues(("2027-01-15", 2_000), ("2027-02-15", 5_020))


def test_a_skipped_one_comes_at_the_end() -> None:
    before = dues(("2027-01-15", 5_000), ("2027-02-15", 5_000), ("2027-03-15", 2_000))
    after = skip_first(before, Rhythm(Frequency.MONTHLY, 15), fixed=0)
    assert after == dues(("2027-02-15", 5_000), ("2027-03-15", 5_000), ("2027-04-15", 2_000))


def _rhythm(chance: random.Random) -> Rhythm:
    frequency = chance.choice(list(Frequency))
    return Rhythm(frequency, chance.randint(1, 31) if frequency is Frequency.MONTHLY else chance.randint(0, 6))


def _policy(chance: random.Random, shipped: Policy) -> Policy:
    from dataclasses import replace

    return replace(
        shipped,
        minimum_installment=Money(chance.choice([500, 1_000, 2_500, 5_000])),
        longest=((Money(chance.choice([20_000, 50_000])), chance.randint(3, 9)), (None, chance.randint(12, 60))),
    )


def _on_its_day(due: Due, rhythm: Rhythm) -> bool:
    if rhythm.frequency is not Frequency.MONTHLY:
        return due.on.weekday() == rhythm.day
    return due.on.day == min(rhythm.day, monthrange(due.on.year, due.on.month)[1])


def _holds(found: list[Due], balance: int, least: int, rhythm: Rhythm, *, moved: bool = False, fixed: int = 0) -> None:
    """What is always true. ``moved``: the days are of more than one rhythm; the first ``fixed`` were announced."""
    assert total(found) == balance
    assert all(one.on < other.on for one, other in pairwise(found)), found
    assert moved or all(_on_its_day(due, rhythm) for due in found), (found, rhythm)
    assert all(due.amount.cents >= least for due in found[fixed:-1]), (found, least)
    if len(found) > max(1, fixed + 1):
        assert found[-1].amount >= SMALLEST, found


def test_whatever_happens_to_a_plan_it_sums_to_what_is_owed() -> None:
    chance, shipped = random.Random(SEED), load()
    print(f"seed {SEED}")
    changes = dict.fromkeys(("reshape", "announced", "move", "amount", "skip", "postpone"), 0)
    for _case in range(CASES):
        policy, rhythm = _policy(chance, shipped), _rhythm(chance)
        balance = chance.randint(5_000, 2_000_000)
        allowed = limits(policy, Money(balance), rhythm.frequency)
        each = Money(chance.randint(allowed.least_each.cents, max(allowed.least_each.cents, balance // 2)))
        least = min(policy.minimum_installment.cents, balance)
        today = date(2026, 1, 1) + timedelta(days=chance.randint(0, 1_500))
        found = lay_out(Money(balance), each, rhythm, today + timedelta(days=3))
        _holds(found, balance, least, rhythm)
        assert found[0].on >= today + timedelta(days=3)
        assert len(found) <= allowed.most <= max(counts(60, rhythm.frequency), allowed.most)
        moved = False
        for _change in range(chance.randint(1, 5)):
            act = chance.choice(list(changes))
            earliest = today + timedelta(days=1)
            if act == "reshape":
                balance = chance.randint(0, balance * 2)
                found = reshape(found, Money(balance), each, rhythm, earliest=earliest)
            elif act == "announced":
                fixed = chance.randint(0, min(2, len(found)))
                before, balance = found[:fixed], chance.randint(0, balance * 2)
                found = reshape(found, Money(balance), each, rhythm, fixed=fixed, earliest=earliest)
                for one, other in zip(before, found, strict=False):
                    assert (one.on, one.amount) >= (other.on, other.amount)
                    assert one.on == other.on
                # An announced last one that is small stays so, and no later change may find it in the middle.
                _holds(found, balance, 0, rhythm, moved=True, fixed=fixed)
                changes[act] += 1
                break
            elif act == "move":
                rhythm, moved = _rhythm(chance), False
                found = move(found, rhythm, fixed=0, earliest=earliest)
            elif act == "amount" and found:
                each = Money(chance.randint(least, max(least, balance)))
                found = change_amount(found, each, rhythm, fixed=0)
            elif act == "skip":
                found = skip_first(found, rhythm, fixed=0)
            elif act == "postpone":
                found = postpone(found, rhythm, earliest=today + timedelta(days=chance.randint(1, 90)))
            changes[act] += 1
            _holds(found, balance, least if each.cents >= least else each.cents, rhythm, moved=moved)
    print(changes)
    assert all(count > CASES // 5 for count in changes.values()), changes
