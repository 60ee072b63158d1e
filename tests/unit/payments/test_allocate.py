"""Which lines a payment is for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.money import Money
from portal.payments.allocate import Part, Payable, allocate_amount, allocate_lines
from portal.payments.errors import AmountAboveBalance, AmountNotPositive, LineNotPayable, NothingToPay

LINES = [Payable(7, Money(1000)), Payable(3, Money(250)), Payable(9, Money(4000))]


def test_the_oldest_line_is_paid_first() -> None:
    assert allocate_amount(Money(1100), LINES) == [Part(7, Money(1000)), Part(3, Money(100))]


def test_chosen_lines_are_paid_in_full_and_no_others() -> None:
    assert allocate_lines({9, 3}, LINES) == [Part(3, Money(250)), Part(9, Money(4000))]


@pytest.mark.parametrize("cents", [0, -1])
def test_nothing_and_less_are_refused(cents: int) -> None:
    with pytest.raises(AmountNotPositive):
        allocate_amount(Money(cents), LINES)


def test_more_than_is_due_is_refused_with_the_most() -> None:
    with pytest.raises(AmountAboveBalance) as refused:
        allocate_amount(Money(5251), LINES)
    assert refused.value.most == Money(5250)


@pytest.mark.parametrize("chosen", [{1}, {7, 1}, {-1}])
def test_a_line_that_is_not_payable_is_refused(chosen: set[int]) -> None:
    with pytest.raises(LineNotPayable):
        allocate_lines(chosen, LINES)


def test_with_nothing_payable_there_is_nothing_to_pay() -> None:
    with pytest.raises(NothingToPay):
        allocate_amount(Money(100), [])
    with pytest.raises(NothingToPay):
        allocate_lines(set(), LINES)


@given(st.lists(st.integers(1, 10**7), min_size=1, max_size=30), st.data())
def test_the_parts_sum_to_the_amount_and_no_line_is_overpaid(due: list[int], data: st.DataObject) -> None:
    lines = [Payable(number, Money(cents)) for number, cents in enumerate(due)]
    amount = Money(data.draw(st.integers(1, sum(due))))
    parts = allocate_amount(amount, lines)
    assert Money.total(part.amount for part in parts) == amount
    assert all(Money.zero() < part.amount <= Money(due[part.charge_id]) for part in parts)
    # Oldest first: every line before the last one touched is paid in full.
    assert [part.charge_id for part in parts] == list(range(len(parts)))
    assert all(part.amount == Money(due[part.charge_id]) for part in parts[:-1])
