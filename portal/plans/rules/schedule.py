"""The days and amounts of a plan's installments. Pure; docs/plans.md says the rules in prose.

Everything here takes the installments to come and gives them back changed; their sum is the balance to the cent.
"""

from calendar import monthrange
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import islice

from portal.money import Money
from portal.plans.kinds import Frequency

#: Less than this no card can pay: https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts
SMALLEST = Money(50)
#: How many installments can fall into one month.
_IN_A_MONTH = {Frequency.MONTHLY: 1, Frequency.TWO_WEEKLY: 3, Frequency.WEEKLY: 5}


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How often, and on which day: 1 to 31 of a month (clamped to its last day), or a weekday, 0 being Monday."""

    frequency: Frequency
    day: int


@dataclass(frozen=True, slots=True)
class Due:
    """One installment to come."""

    on: date
    amount: Money


def _in_month(year: int, month: int, day: int) -> date:
    return date(year, month, min(day, monthrange(year, month)[1]))


def days_from(rhythm: Rhythm, earliest: date) -> Iterator[date]:
    """The rhythm's days on or after ``earliest``, for ever. Two-weekly ones count from the first of them."""
    if rhythm.frequency is Frequency.MONTHLY:
        day = _in_month(earliest.year, earliest.month, rhythm.day)
        if day < earliest:
            day = day_after(rhythm, day)
    else:
        day = earliest + timedelta(days=(rhythm.day - earliest.weekday()) % 7)
    while True:
        yield day
        day = day_after(rhythm, day)


def day_after(rhythm: Rhythm, last: date) -> date:
    """The rhythm's next day after an installment on ``last``.

    A month's installment is followed by the next month's, wherever in its month it was.
    """
    if rhythm.frequency is Frequency.MONTHLY:
        this = _in_month(last.year, last.month, rhythm.day)
        if this > last:
            return this
        year, month = divmod(last.year * 12 + last.month, 12)
        return _in_month(year, month + 1, rhythm.day)
    weeks = 1 if rhythm.frequency is Frequency.WEEKLY else 2
    to_weekday = (rhythm.day - last.weekday()) % 7
    return last + timedelta(days=to_weekday or weeks * 7)


def each_for_count(balance: Money, count: int) -> Money:
    """The installment that pays ``balance`` in ``count`` ones: rounded up, so that the last is never the largest."""
    return Money(-(-balance.cents // count), balance.currency)


def most_each(month_cap: Money | None, frequency: Frequency) -> Money | None:
    """The most an installment may be so that no month asks for more than ``month_cap``; None where nothing caps it."""
    return None if month_cap is None else Money(month_cap.cents // _IN_A_MONTH[frequency], month_cap.currency)


def amounts(balance: Money, each: Money, *, most: Money | None = None) -> list[Money]:
    """``each`` as often as it fits and then the rest; a rest no card can pay is added to the one before.

    No installment is above ``most``, where there is one: such a rest is then filled up from the one before.
    """
    if each.cents <= 0:
        raise ValueError("an installment is more than nothing")
    if balance <= Money.zero():
        return []
    count, rest = divmod(balance.cents, each.cents)
    found = [each] * count
    if rest:
        found = [*found[:-1], *_payable(found[-1:], Money(rest), most)]
    return found


def _payable(before: Sequence[Money], rest: Money, most: Money | None) -> list[Money]:
    """The one before (if any) and a rest, so that a card can pay each of them."""
    if rest >= SMALLEST or not before:
        return [*before, rest]
    if most is None or before[0] + rest <= most:
        return [before[0] + rest]
    return [before[0] - (SMALLEST - rest), SMALLEST]


def lay_out(
    balance: Money,
    each: Money,
    rhythm: Rhythm,
    earliest: date,
    *,
    down: Money | None = None,
    today: date | None = None,
    most: Money | None = None,
) -> list[Due]:
    """A new plan's installments: a down payment today where there is one, the others on the rhythm's days.

    None of those others is above ``most``.
    """
    down = min(down or Money.zero(), balance)
    if Money.zero() < balance - down < SMALLEST:
        down = balance
    first = [Due(today or earliest, down)] if down else []
    sums = amounts(balance - down, each, most=most)
    return first + [Due(day, amount) for day, amount in zip(days_from(rhythm, earliest), sums, strict=False)]


def reshape(
    unpaid: Sequence[Due],
    balance: Money,
    each: Money,
    rhythm: Rhythm,
    *,
    fixed: int = 0,
    earliest: date,
    most: Money | None = None,
) -> list[Due]:
    """The installments to come after what is left became ``balance``.

    Less owed shortens the plan from its end; more owed fills the last one up to ``each`` and adds others after it. The
    first ``fixed`` ones keep their day and are never raised. New ones begin at ``earliest`` where none is left. A rest
    that no card can pay raises none above ``most``.
    """
    dues, left = [], balance
    for due in unpaid:
        if not left:
            break
        amount = min(due.amount, left)
        dues.append(Due(due.on, amount))
        left = left - amount
    fixed = min(fixed, len(dues))
    if left and len(dues) > fixed and dues[-1].amount < each:
        more = min(left, each - dues[-1].amount)
        dues[-1] = Due(dues[-1].on, dues[-1].amount + more)
        left = left - more
    days = days_from(rhythm, earliest) if not dues else _days_after(rhythm, dues[-1].on)
    dues += [Due(day, amount) for day, amount in zip(days, amounts(left, each, most=most), strict=False)]
    return _without_a_scrap(dues, fixed=fixed, most=most)


def _without_a_scrap(dues: list[Due], *, fixed: int, most: Money | None) -> list[Due]:
    """A last installment that no card can pay joins the one before, unless that one was announced."""
    if len(dues) - 1 > fixed and len(dues) > 1:
        before, last = dues[-2:]
        sums = _payable([before.amount], last.amount, most)
        return [*dues[:-2], *(Due(due.on, amount) for due, amount in zip((before, last), sums, strict=False))]
    return dues


def _days_after(rhythm: Rhythm, last: date) -> Iterator[date]:
    while True:
        last = day_after(rhythm, last)
        yield last


def move(unpaid: Sequence[Due], rhythm: Rhythm, *, fixed: int, earliest: date) -> list[Due]:
    """The amounts of ``unpaid`` on another rhythm's days from ``earliest`` on; the first ``fixed`` stay."""
    kept, moved = list(unpaid[:fixed]), unpaid[fixed:]
    if kept:
        earliest = max(earliest, kept[-1].on + timedelta(days=1))
    return kept + [Due(day, due.amount) for day, due in zip(days_from(rhythm, earliest), moved, strict=False)]


def change_amount(
    unpaid: Sequence[Due], each: Money, rhythm: Rhythm, *, fixed: int, most: Money | None = None
) -> list[Due]:
    """The total of ``unpaid`` in installments of another amount, from the same day on; the first ``fixed`` stay."""
    kept, changed = list(unpaid[:fixed]), list(unpaid[fixed:])
    sums = amounts(Money.total(due.amount for due in changed), each, most=most)
    if not changed:
        return kept
    days = [due.on for due in changed]
    days += list(islice(_days_after(rhythm, days[-1]), max(0, len(sums) - len(days))))
    return kept + [Due(day, amount) for day, amount in zip(days, sums, strict=False)]


def skip_first(unpaid: Sequence[Due], rhythm: Rhythm, *, fixed: int) -> list[Due]:
    """The first one after the ``fixed`` is left out; its amount comes after the last, on a day of its own."""
    if len(unpaid) <= fixed:
        return list(unpaid)
    kept, skipped, others = list(unpaid[:fixed]), unpaid[fixed], list(unpaid[fixed + 1 :])
    last = (others or [skipped])[-1]
    if others and others[-1].amount < skipped.amount:
        # The rest stays the last one, so that no smaller one stands in the middle.
        end = others.pop()
        return [*kept, *others, Due(end.on, skipped.amount), Due(day_after(rhythm, end.on), end.amount)]
    return [*kept, *others, Due(day_after(rhythm, last.on), skipped.amount)]


def postpone(unpaid: Sequence[Due], rhythm: Rhythm, *, earliest: date) -> list[Due]:
    """Nothing before ``earliest``: the same amounts in the same order, later."""
    if not unpaid or unpaid[0].on >= earliest:
        return list(unpaid)
    return move(unpaid, rhythm, fixed=0, earliest=earliest)
