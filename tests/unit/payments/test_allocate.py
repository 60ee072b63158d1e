"""Which lines a payment is for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.money import Money
from portal.payments.allocate import (
    Part,
    Payable,
    allocate_amount,
    allocate_lines,
    amounts_nearby,
    left_stranded,
)
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


ACCOUNTS = {1: 10, 2: 10, 3: 20}


@pytest.mark.parametrize(
    ("cents", "left"),
    [(300, None), (250, None), (251, 49), (299, 1), (130, None), (171, None), (100, None)],
)
def test_what_a_card_cannot_pay_is_not_left_behind(cents: int, left: int | None) -> None:
    """Lines 1 and 2 ($1.00, $2.00) are on one account, line 3 ($5.00) on another."""
    lines = [Payable(1, Money(100)), Payable(2, Money(200)), Payable(3, Money(500))]
    parts = allocate_amount(Money(cents), lines)
    rest = left_stranded(parts, lines, ACCOUNTS, least=Money(50))
    assert rest == (None if left is None else Money(left))


def test_an_account_that_gets_nothing_is_not_this_payments_business() -> None:
    lines = [Payable(1, Money(100)), Payable(3, Money(20))]
    assert left_stranded([Part(1, Money(100))], lines, ACCOUNTS, least=Money(50)) is None


def test_the_amounts_nearby_leave_nothing_behind_and_one_step_nearer_would() -> None:
    lines = [Payable(1, Money(100)), Payable(2, Money(200)), Payable(3, Money(500))]
    assert amounts_nearby(Money(280), lines, ACCOUNTS, least=Money(50)) == (Money(250), Money(300))
    assert amounts_nearby(Money(770), lines, ACCOUNTS, least=Money(50)) == (Money(750), Money(800))
    assert amounts_nearby(Money(60), [Payable(1, Money(100))], ACCOUNTS, least=Money(50)) == (Money(50), Money(100))


@given(st.lists(st.integers(1, 400), min_size=1, max_size=6), st.data())
def test_what_is_suggested_is_never_refused(due: list[int], data: st.DataObject) -> None:
    lines = [Payable(number, Money(cents)) for number, cents in enumerate(due)]
    accounts = {number: number % 2 for number in range(len(due))}
    amount = Money(data.draw(st.integers(1, sum(due))))
    for other in amounts_nearby(amount, lines, accounts, least=Money(50)):
        if other is not None:
            assert Money(50) <= other
            assert left_stranded(allocate_amount(other, lines), lines, accounts, least=Money(50)) is None
