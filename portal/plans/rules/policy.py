"""What the operator allows in a plan, and what the law caps. Pure, besides reading the two files."""

import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import ROUND_DOWN, Decimal, InvalidOperation
from functools import cache
from pathlib import Path
from typing import Any

from portal.money import Money
from portal.plans.kinds import Frequency
from portal.plans.rules.clauses import Clause, read_clauses, with_shipped
from portal.plans.rules.schedule import SMALLEST, Due, Rhythm, each_for_count, most_each

SHIPPED = Path(__file__).with_name("policy.toml")
_STATES = Path(__file__).with_name("states.toml")
_A_YEAR = {Frequency.MONTHLY: 12, Frequency.TWO_WEEKLY: 26, Frequency.WEEKLY: 52}
_FACILITIES = ("hospital", "clinic")


class PolicyIsWrong(Exception):
    """The policy can't be used; ``problems`` says each thing that is wrong with it."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__("; ".join(problems))


class BalanceTooSmall(Exception):
    """Less than the policy makes a plan for."""


class LawCapsPayments(Exception):
    """The law caps what may be asked so that the balance can't be paid within it: the staff have to set it right.

    ``monthly_fits`` says that it can with payments by the month: more often, less may be asked each time.
    """

    def __init__(self, rule: "StateRule | None", most_a_month: Money, *, monthly_fits: bool = False) -> None:
        self.rule, self.most_a_month, self.monthly_fits = rule, most_a_month, monthly_fits
        super().__init__(rule.code if rule is not None else "")


@dataclass(frozen=True, slots=True)
class StateRule:
    """What a state asks: at most a share of a household's gross monthly income, for at most so many months."""

    code: str
    name: str
    facilities: tuple[str, ...]
    most_share_of_income: Decimal
    most_payments: int
    source: str
    checked_on: date
    words: str


@dataclass(frozen=True, slots=True)
class Discount:
    """A rule of the operator's that is shown before a plan, where the balance reaches ``from_balance``."""

    from_balance: Money
    words: str


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator allows; policy.toml says what each value means."""

    minimum_installment: Money
    frequencies: tuple[Frequency, ...]
    days_of_month: tuple[int, ...]
    down_payment_percent: int
    longest: tuple[tuple[Money | None, int], ...]
    smallest_balance: Money
    smallest_line: Money
    oldest_service_days: int
    notice_days: int
    retry_days: tuple[int, ...]
    grace_days: int
    missed_ends_after: int
    skips_a_year: int
    pause_longest_days: int
    may_exceed: str
    assistance_url: str
    discounts: tuple[Discount, ...]
    rule: StateRule | None
    #: Words of the law that agreements have to have: the shipped ones, and those that the operator's file adds.
    clauses: tuple[Clause, ...]

    def may_join(self, service_on: date | None, *, today: date) -> bool:
        """Whether a line of that day of service may be on a plan."""
        if not self.oldest_service_days or service_on is None:
            return True
        return service_on >= today - timedelta(days=self.oldest_service_days)


@dataclass(frozen=True, slots=True)
class Limits:
    """The least and most an installment may be, and how many there may be."""

    least_each: Money
    most_each: Money
    fewest: int
    most: int


@cache
def states() -> Mapping[str, StateRule]:
    """The rules of states.toml, by code."""
    with _STATES.open("rb") as file:
        found = tomllib.load(file)
    return {
        code: StateRule(
            code=code,
            name=rule["name"],
            facilities=tuple(rule["facilities"]),
            most_share_of_income=Decimal(rule["most_share_of_income"]),
            most_payments=rule["most_payments"],
            source=rule["source"],
            checked_on=rule["checked_on"],
            words=rule["words"],
        )
        for code, rule in found.items()
    }


def load(path: str | Path = "") -> Policy:
    """The policy in a file (empty: the shipped one). Raises :class:`PolicyIsWrong` with everything that is wrong."""
    try:
        with (Path(path) if path else SHIPPED).open("rb") as file:
            return parse(tomllib.load(file))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise PolicyIsWrong([f"{path}: {error}"]) from None


class _Reader:
    """Takes values out of a parsed file, and collects what is wrong or unknown."""

    def __init__(self, found: Mapping[str, Any]) -> None:
        self.found, self.problems, self.read = found, list[str](), set[tuple[str, str]]()

    def value(self, table: str, name: str, kind: type) -> Any:
        self.read.add((table, name))
        value = self.found.get(table, {}).get(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            self.problems.append(f"[{table}] {name} is missing or not {_NAMES[kind]}")
            return kind()
        return value

    def count(self, table: str, name: str, *, least: int = 0, most: int = 10_000) -> int:
        value: int = self.value(table, name, int)
        if not least <= value <= most:
            self.problems.append(f"[{table}] {name} has to be between {least} and {most}")
        return value

    def money(self, table: str, name: str) -> Money:
        return self.amount(f"[{table}] {name}", self.value(table, name, str))

    def amount(self, where: str, text: Any) -> Money:
        try:
            amount = Money.from_decimal(str(text))
        except (ValueError, InvalidOperation):
            self.problems.append(f"{where} is not an amount like 25.00")
            return Money.zero()
        if amount < Money.zero():
            self.problems.append(f"{where} is less than nothing")
        return amount

    def unknown(self) -> None:
        for table, values in self.found.items():
            if isinstance(values, dict):
                self.problems += [
                    f"[{table}] {name} is not known" for name in values if (table, name) not in self.read
                ]
            elif table not in ("longest", "discount", "clause"):
                self.problems.append(f"{table} is not known")


_NAMES: dict[type, str] = {int: "a whole number", str: "a text in quotes", list: "a list"}


def parse(found: Mapping[str, Any]) -> Policy:
    """The policy that a parsed file says. Raises :class:`PolicyIsWrong`."""
    reader = _Reader(found)
    minimum = reader.money("installments", "minimum")
    if minimum < SMALLEST * 2:
        reader.problems.append(f"[installments] minimum has to be at least {SMALLEST * 2}")
    frequencies = reader.value("installments", "frequencies", list)
    known = {one.value: one for one in Frequency}
    if not frequencies or not set(frequencies) <= set(known):
        reader.problems.append(f"[installments] frequencies has to name some of {', '.join(known)}")
    days = reader.value("installments", "days_of_month", list)
    if not days or not all(isinstance(day, int) and 1 <= day <= 31 for day in days):
        reader.problems.append("[installments] days_of_month has to list days from 1 to 31")
    retries = reader.value("charging", "retry_days", list)
    if not all(isinstance(day, int) and 1 <= day <= 30 for day in retries):
        reader.problems.append("[charging] retry_days has to list numbers of days from 1 to 30")
    grace = reader.count("charging", "grace_days", least=1, most=60)
    if all(isinstance(day, int) for day in retries) and grace < sum(retries) + 5:
        reader.problems.append("[charging] grace_days has to leave 5 days after the last of retry_days")
    may_exceed = reader.value("changes", "may_exceed", str)
    if may_exceed not in ("staff", "supervisor"):
        reader.problems.append('[changes] may_exceed has to be "staff" or "supervisor"')
    if reader.count("costs", "interest_percent") or reader.money("costs", "fee"):
        reader.problems.append("[costs] interest_percent and fee have to be 0: a plan costs the patient nothing")
    policy = Policy(
        minimum_installment=minimum,
        frequencies=tuple(known[one] for one in frequencies if one in known),
        days_of_month=tuple(sorted(set(days))) if all(isinstance(day, int) for day in days) else (),
        down_payment_percent=reader.count("installments", "down_payment_percent", most=50),
        longest=_longest(reader, found.get("longest", [])),
        smallest_balance=reader.money("joining", "smallest_balance"),
        smallest_line=reader.money("joining", "smallest_line"),
        oldest_service_days=reader.count("joining", "oldest_service_days"),
        notice_days=reader.count("charging", "notice_days", least=1, most=14),
        retry_days=tuple(retries),
        grace_days=grace,
        missed_ends_after=reader.count("charging", "missed_ends_after", least=1, most=12),
        skips_a_year=reader.count("changes", "skips_a_year", most=12),
        pause_longest_days=reader.count("changes", "pause_longest_days", least=1, most=366),
        may_exceed=may_exceed,
        assistance_url=_url(reader),
        discounts=_discounts(reader, found.get("discount", [])),
        rule=_rule(reader),
        clauses=_clauses(reader, found.get("clause", [])),
    )
    reader.unknown()
    if reader.problems:
        raise PolicyIsWrong(reader.problems)
    return policy


def _longest(reader: _Reader, rows: Any) -> tuple[tuple[Money | None, int], ...]:
    found: list[tuple[Money | None, int]] = []
    for row in rows if isinstance(rows, list) else []:
        months = row.get("months")
        if not isinstance(months, int) or not 1 <= months <= 120:
            reader.problems.append("[[longest]] months has to be between 1 and 120")
            continue
        found.append((reader.amount("[[longest]] up_to", row["up_to"]) if "up_to" in row else None, months))
    bounds = [bound for bound, _months in found]
    rising = [bound for bound in bounds[:-1] if bound is not None]
    if not found or bounds[-1] is not None or len(rising) != len(bounds) - 1 or rising != sorted(set(rising)):
        reader.problems.append("[[longest]] has to have rising amounts in up_to, and a last row without it")
    return tuple(found)


def _discounts(reader: _Reader, rows: Any) -> tuple[Discount, ...]:
    found = []
    for row in rows if isinstance(rows, list) else []:
        if not isinstance(row.get("words"), str) or not row["words"].strip():
            reader.problems.append("[[discount]] words is missing")
            continue
        found.append(Discount(reader.amount("[[discount]] from_balance", row.get("from_balance")), row["words"]))
    return tuple(found)


def _clauses(reader: _Reader, rows: Any) -> tuple[Clause, ...]:
    own, wrong = read_clauses(rows)
    found, reworded = with_shipped(own, shipped_clauses())
    reader.problems += wrong + reworded
    return tuple(found)


@cache
def shipped_clauses() -> tuple[Clause, ...]:
    """The clauses that every policy has."""
    with SHIPPED.open("rb") as file:
        found, problems = read_clauses(tomllib.load(file).get("clause"))
    if problems or not found:
        raise PolicyIsWrong(problems or ["[[clause]] is missing"])
    return tuple(found)


def _url(reader: _Reader) -> str:
    url: str = reader.value("help", "assistance_url", str)
    if url and not url.startswith("https://"):
        reader.problems.append("[help] assistance_url has to begin with https://")
    return url


def _rule(reader: _Reader) -> StateRule | None:
    state, facility = reader.value("law", "state", str), reader.value("law", "facility", str)
    if facility not in _FACILITIES:
        reader.problems.append('[law] facility has to be "hospital" or "clinic"')
    if len(state) not in (0, 2) or state != state.upper():
        reader.problems.append("[law] state has to be empty or two capital letters")
    rule = states().get(state)
    return rule if rule is not None and facility in rule.facilities else None


def longest_months(policy: Policy, balance: Money) -> int:
    """How long a plan over ``balance`` may be."""
    return next(months for up_to, months in policy.longest if up_to is None or balance <= up_to)


def counts(months: int, frequency: Frequency) -> int:
    """How many installments fit in so many months."""
    return max(1, months * _A_YEAR[frequency] // 12)


def month_cap(policy: Policy, monthly_income: Money | None) -> Money | None:
    """The most the law lets be asked of a household in a month; None where no rule caps it, or no income was told.

    ``monthly_income`` is the household's, before taxes.
    """
    if policy.rule is None or monthly_income is None:
        return None
    share = Decimal(monthly_income.cents) * policy.rule.most_share_of_income
    return Money(int(share.to_integral_value(ROUND_DOWN)), monthly_income.currency)


def stricter(*caps: Money | None) -> Money | None:
    """The least of what caps a month; None where nothing does."""
    return min((cap for cap in caps if cap is not None), default=None)


def most_payments(
    policy: Policy, balance: Money, frequency: Frequency, *, month_cap: Money | None = None, months_paid: int = 0
) -> int:
    """How many installments there may be: as many as the law allows where it caps them, or else as the policy does.

    ``months_paid`` are those in which installments were paid already: the law counts them, and none may be left.
    """
    if policy.rule is None or month_cap is None:
        return counts(longest_months(policy, balance), frequency)
    months = policy.rule.most_payments - months_paid
    return counts(months, frequency) if months > 0 else 0


def limits(
    policy: Policy, balance: Money, frequency: Frequency, *, month_cap: Money | None = None, months_paid: int = 0
) -> Limits:
    """What an installment of a plan over ``balance`` may be, and how many there may be.

    ``month_cap`` is the most that may be asked in a month, where the law caps it (:func:`month_cap`): the installments
    of any month are held to it. ``months_paid`` is as for :func:`most_payments`. Raises :class:`BalanceTooSmall`, and
    :class:`LawCapsPayments` where the balance can't be paid within the cap.
    """
    if balance < policy.smallest_balance:
        raise BalanceTooSmall
    most = most_payments(policy, balance, frequency, month_cap=month_cap, months_paid=months_paid)
    cap = most_each(month_cap, frequency)
    largest = balance if cap is None else min(balance, cap)
    if month_cap is not None and (largest * most < balance or largest < min(balance, SMALLEST * 2)):
        by_month = most_payments(policy, balance, Frequency.MONTHLY, month_cap=month_cap, months_paid=months_paid)
        fits = frequency is not Frequency.MONTHLY and month_cap * by_month >= balance
        raise LawCapsPayments(policy.rule, month_cap, monthly_fits=fits)
    least = max(min(policy.minimum_installment, largest), each_for_count(balance, most))
    return Limits(least, largest, -(-balance.cents // largest.cents), -(-balance.cents // least.cents))


def limits_to_choose(
    policy: Policy, balance: Money, frequency: Frequency, *, month_cap: Money | None = None
) -> Limits:
    """What the installments that a patient chooses may be, and how many: those after what is paid down."""
    found = limits(policy, balance, frequency, month_cap=month_cap)
    rest = balance - down_payment(policy, balance, month_cap=month_cap)
    if not rest or rest == balance:
        return found
    return limits(replace(policy, smallest_balance=Money.zero()), rest, frequency)


def breaks_policy(
    policy: Policy,
    balance: Money,
    each: Money,
    rhythm: Rhythm,
    dues: Collection[Due],
    *,
    month_cap: Money | None = None,
) -> list[str]:
    """What a plan exceeds: ``too_small_a_balance``, ``below_minimum``, ``too_long``, ``frequency``, ``day``.

    What the law asks for with a ``month_cap`` exceeds nothing.
    """
    broken = []
    if balance < policy.smallest_balance:
        broken.append("too_small_a_balance")
    cap = most_each(month_cap, rhythm.frequency)
    if each < min(policy.minimum_installment, balance if cap is None else min(balance, cap)):
        broken.append("below_minimum")
    longest = most_payments(policy, balance, rhythm.frequency, month_cap=month_cap)
    if len(dues) > longest + bool(down_payment(policy, balance, month_cap=month_cap)):
        broken.append("too_long")
    if rhythm.frequency not in policy.frequencies:
        broken.append("frequency")
    elif rhythm.frequency is Frequency.MONTHLY and rhythm.day not in policy.days_of_month:
        broken.append("day")
    return broken


def down_payment(policy: Policy, balance: Money, *, month_cap: Money | None = None) -> Money:
    """What is paid on the day of the agreement: the policy's percentage, rounded up, and no less than an installment.

    What the law caps (``month_cap``) leaves no room for one in the month of the first installment.
    """
    if not policy.down_payment_percent or month_cap is not None:
        return Money.zero()
    share = Money(-(-balance.cents * policy.down_payment_percent // 100))
    return min(balance, max(share, policy.minimum_installment))


def each_of(policy: Policy, balance: Money, count: int, *, month_cap: Money | None = None) -> Money:
    """The installment that pays a balance in ``count`` ones, after what is paid down where the policy asks for that."""
    rest = balance - down_payment(policy, balance, month_cap=month_cap)
    return each_for_count(rest or balance, count)


def discounts_for(policy: Policy, balance: Money) -> tuple[Discount, ...]:
    """The operator's discount rules that apply to a balance."""
    return tuple(one for one in policy.discounts if balance >= one.from_balance)
