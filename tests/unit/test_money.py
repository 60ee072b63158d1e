"""Money is whole cents."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.money import LARGEST_CENTS, MixedCurrencies, Money, NotMoney

CENTS = st.integers(-(10**13), 10**13)


@pytest.mark.parametrize(
    ("text", "cents"),
    [
        ("12", 1200),
        ("12.5", 1250),
        ("$1,234.50", 123450),
        (" 0.07 ", 7),
        (".5", 50),
        ("$ 3", 300),
        ("-2.50", -250),
        ("1,000,000", 100000000),
    ],
)
def test_amounts_as_people_type_them(text: str, cents: int) -> None:
    assert Money.parse(text) == Money(cents)


@pytest.mark.parametrize(
    "text",
    [
        *("", "  ", "abc", "1e9", "1.234", "12,34", "1,23.00", "--1", "1 000", "٣", "NaN", "inf", "$", ".", "1_000"),
        str(LARGEST_CENTS),
    ],
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(NotMoney):
        Money.parse(text)


@pytest.mark.parametrize("cents", [1.0, True, "1", Decimal(1), None])
def test_cents_are_ints_and_nothing_else(cents: object) -> None:
    with pytest.raises(NotMoney):
        Money(cents)  # type: ignore[arg-type]


@pytest.mark.parametrize("amount", ["0.001", "NaN", "Infinity", "1..2", Decimal("0.005")])
def test_fractions_of_a_cent_are_not_rounded_silently(amount: Decimal | str) -> None:
    with pytest.raises(NotMoney):
        Money.from_decimal(amount)


def test_floats_are_refused_even_when_they_are_whole() -> None:
    with pytest.raises(NotMoney):
        Money.from_decimal(1.0)  # type: ignore[arg-type]


@given(CENTS)
def test_decimal_dollars_and_cents_are_the_same(cents: int) -> None:
    assert Money.from_decimal(Decimal(cents) / 100) == Money(cents)


@given(st.integers(0, LARGEST_CENTS))
def test_what_is_shown_can_be_typed_again(cents: int) -> None:
    assert Money.parse(str(Money(cents))) == Money(cents)


def test_currencies_do_not_mix() -> None:
    with pytest.raises(MixedCurrencies):
        Money(1) + Money(1, "CAD")
    with pytest.raises(MixedCurrencies):
        _ = Money(1) < Money(1, "CAD")
    with pytest.raises(TypeError):
        Money(1) + 1  # type: ignore[operator]


def test_it_is_shown_with_a_true_minus_and_thousands() -> None:
    assert (str(Money(-123456789)), str(Money(5))) == ("\u2212$1,234,567.89", "$0.05")
