"""The operator's policy, and what the law caps."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from portal.money import Money
from portal.plans.kinds import Frequency
from portal.plans.rules.policy import (
    SHIPPED,
    BalanceTooSmall,
    LawCapsPayments,
    PolicyIsWrong,
    breaks_policy,
    down_payment,
    each_of,
    limits,
    limits_to_choose,
    load,
    month_cap,
    parse,
    states,
    stricter,
)
from portal.plans.rules.schedule import Rhythm, lay_out


def _text(*changes: tuple[str, str]) -> str:
    text = SHIPPED.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return text


def test_the_shipped_policy_is_right() -> None:
    policy = load()
    assert policy.minimum_installment == Money(2_500)
    assert policy.rule is None


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (('minimum = "25.00"', 'minimum = "0.10"'), "minimum has to be at least"),
        (('minimum = "25.00"', "minimum = 25"), "minimum is missing or not a text"),
        (("interest_percent = 0", "interest_percent = 8"), "have to be 0"),
        (('fee = "0.00"', 'fee = "5.00"'), "have to be 0"),
        (('may_exceed = "supervisor"', 'may_exceed = "anybody"'), "may_exceed has to be"),
        (("days_of_month = [1,", "days_of_month = [32,"), "days from 1 to 31"),
        (('up_to = "1500.00"', 'up_to = "400.00"'), "rising amounts"),
        (("grace_days = 15", "grace_dayz = 15"), "grace_dayz is not known"),
        (('"weekly"]', '"hourly"]'), "frequencies has to name"),
        (('state = ""', 'state = "Colorado"'), "two capital letters"),
        (('assistance_url = ""', 'assistance_url = "javascript:x"'), "has to begin with https"),
        (("retry_days = [3, 5]", "retry_days = [0]"), "retry_days has to list"),
        (("grace_days = 15", "grace_days = 9"), "grace_days has to leave 5 days"),
        (("oldest_service_days = 0", "oldest_service_days = -1"), "oldest_service_days has to be between 0"),
        (("oldest_service_days = 0", 'oldest_service_days = "90"'), "oldest_service_days is missing or not a whole"),
        (('smallest_line = "0.50"', 'smallest_line = "-0.50"'), "smallest_line is less than nothing"),
        (('smallest_line = "0.50"', 'smallest_line = "half"'), "smallest_line is not an amount"),
    ],
)
def test_a_wrong_policy_is_refused_with_what_is_wrong(change: tuple[str, str], problem: str) -> None:
    with pytest.raises(PolicyIsWrong) as caught:
        parse(tomllib.loads(_text(change)))
    assert any(problem in one for one in caught.value.problems), caught.value.problems


def test_every_problem_is_listed_at_once(tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    file.write_text(_text(("skips_a_year = 1", "skips_a_year = 99"), ("notice_days = 3", "notice_days = 99")))
    with pytest.raises(PolicyIsWrong) as caught:
        load(file)
    assert len(caught.value.problems) == 2
    with pytest.raises(PolicyIsWrong):
        load(tmp_path / "absent.toml")


@pytest.mark.parametrize(
    ("balance", "frequency", "least", "most"),
    [
        (40_000, Frequency.MONTHLY, 6_667, 6),
        (100_000, Frequency.MONTHLY, 8_334, 12),
        (100_000, Frequency.TWO_WEEKLY, 3_847, 26),
        (6_000, Frequency.MONTHLY, 2_500, 3),
        (1_000_000, Frequency.MONTHLY, 27_778, 36),
    ],
)
def test_limits_by_balance(balance: int, frequency: Frequency, least: int, most: int) -> None:
    found = limits(load(), Money(balance), frequency)
    assert (found.least_each.cents, found.most) == (least, most)


def test_too_little_for_a_plan() -> None:
    with pytest.raises(BalanceTooSmall):
        limits(load(), Money(4_999), Frequency.MONTHLY)


def test_colorado_caps_a_hospitals_installments() -> None:
    hospital = ('facility = "clinic"', 'facility = "hospital"')
    policy = parse(tomllib.loads(_text(('state = ""', 'state = "CO"'), hospital)))
    assert policy.rule is not None
    cap = month_cap(policy, Money(300_000))
    assert cap == Money(12_000)  # 4 % of $3,000
    found = limits(policy, Money(100_000), Frequency.MONTHLY, month_cap=cap)
    assert (found.most_each.cents, found.most) == (12_000, 36)
    assert found.fewest == 9
    # Five Mondays can be in a month, and three of every other week.
    assert limits(policy, Money(100_000), Frequency.WEEKLY, month_cap=cap).most_each == Money(2_400)
    assert limits(policy, Money(100_000), Frequency.TWO_WEEKLY, month_cap=cap).most_each == Money(4_000)
    with pytest.raises(LawCapsPayments) as caught:
        limits(policy, Money(100_000), Frequency.MONTHLY, month_cap=month_cap(policy, Money(60_000)))
    assert caught.value.most_a_month == Money(2_400)
    # Exactly what the law lets be asked: 36 months of $24.00.
    assert limits(policy, Money(86_400), Frequency.MONTHLY, month_cap=Money(2_400)).least_each == Money(2_400)
    with pytest.raises(LawCapsPayments):
        limits(policy, Money(10_000), Frequency.MONTHLY, month_cap=Money(0))
    assert month_cap(policy, Money(9_999)) == Money(399)  # never rounded up
    clinic = parse(tomllib.loads(_text(('state = ""', 'state = "CO"'))))
    assert clinic.rule is None
    assert month_cap(policy, None) is None is month_cap(clinic, Money(300_000))


def test_what_can_be_chosen_beside_a_down_payment() -> None:
    policy = parse(tomllib.loads(_text(("down_payment_percent = 0", "down_payment_percent = 10"))))
    found = limits_to_choose(policy, Money(10_000), Frequency.MONTHLY)  # $25.00 is paid down
    assert (found.most, found.least_each, found.most_each) == (3, Money(2_500), Money(7_500))
    assert each_of(policy, Money(10_000), found.most) == found.least_each
    whole = limits(load(), Money(10_000), Frequency.MONTHLY)
    assert limits_to_choose(load(), Money(10_000), Frequency.MONTHLY) == whole


def test_what_the_law_asks_for_exceeds_no_policy() -> None:
    policy, rhythm = replace(load(), rule=states()["CO"]), Rhythm(Frequency.MONTHLY, 15)
    dues = lay_out(Money(40_000), Money(2_000), rhythm, date(2026, 12, 1))
    assert breaks_policy(policy, Money(40_000), Money(2_000), rhythm, dues) == ["below_minimum", "too_long"]
    assert breaks_policy(policy, Money(40_000), Money(2_000), rhythm, dues, month_cap=Money(2_000)) == []
    with_down = replace(policy, down_payment_percent=10)
    many = lay_out(Money(74_000), Money(2_000), rhythm, date(2026, 12, 1))
    assert len(many) == 37
    assert breaks_policy(with_down, Money(74_000), Money(2_000), rhythm, many, month_cap=Money(2_000)) == ["too_long"]
    assert stricter(None, Money(2_000), Money(1_500)) == Money(1_500)
    assert stricter(None, None) is None


def test_what_a_proposal_exceeds() -> None:
    policy, rhythm = load(), Rhythm(Frequency.MONTHLY, 15)
    dues = lay_out(Money(40_000), Money(1_000), rhythm, date(2026, 12, 1))
    assert breaks_policy(policy, Money(40_000), Money(1_000), rhythm, dues) == ["below_minimum", "too_long"]
    fine = lay_out(Money(40_000), Money(10_000), rhythm, date(2026, 12, 1))
    assert breaks_policy(policy, Money(40_000), Money(10_000), rhythm, fine) == []
    other_day = Rhythm(Frequency.MONTHLY, 7)
    assert breaks_policy(policy, Money(40_000), Money(10_000), other_day, fine) == ["day"]


def test_a_line_may_join_up_to_the_day_its_service_is_too_old() -> None:
    today = date(2026, 12, 1)
    policy = parse(tomllib.loads(_text(("oldest_service_days = 0", "oldest_service_days = 90"))))
    assert policy.oldest_service_days == 90
    for days, may in ((-5, True), (0, True), (89, True), (90, True), (91, False), (4_000, False)):
        assert policy.may_join(today - timedelta(days=days), today=today) is may, days
    assert policy.may_join(None, today=today)  # nobody knows how old it is


def test_no_line_is_too_old_for_the_shipped_policy() -> None:
    assert load().oldest_service_days == 0
    assert load().may_join(date(1990, 1, 1), today=date(2026, 12, 1))
    assert load().smallest_line == Money(50)  # what no card can pay stays out


def test_a_down_payment_is_a_share_and_no_less_than_an_installment() -> None:
    policy = parse(tomllib.loads(_text(("down_payment_percent = 0", "down_payment_percent = 10"))))
    assert down_payment(policy, Money(100_001)) == Money(10_001)
    assert down_payment(policy, Money(10_000)) == Money(2_500)
    assert down_payment(load(), Money(10_000)) == Money.zero()
