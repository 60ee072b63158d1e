"""From which lines a refund is taken, when it is there, and which moves are moves."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.money import Money
from portal.payments.allocate import Part, Payable
from portal.refunds.allocate import take_amount, take_lines
from portal.refunds.calendar import there_by
from portal.refunds.errors import AmountAboveLeft, AmountNotPositive, LineNotRefundable, NothingLeft
from portal.refunds.state import (
    BOOKED,
    FINAL,
    LIVE,
    MOVES,
    RefundState,
    UnknownRefundStatus,
    may_move,
    of_stripe,
)

LEFT = [Payable(1, Money(1000)), Payable(2, Money(500)), Payable(3, Money(300))]


def test_an_amount_is_taken_from_the_newest_lines_first() -> None:
    assert take_amount(Money(600), LEFT) == [Part(3, Money(300)), Part(2, Money(300))]
    assert take_amount(Money(300), LEFT) == [Part(3, Money(300))]
    assert take_amount(None, LEFT) == [Part(3, Money(300)), Part(2, Money(500)), Part(1, Money(1000))]


def test_a_line_with_nothing_left_is_passed_over() -> None:
    assert take_amount(Money(400), [*LEFT, Payable(4, Money(0))]) == [Part(3, Money(300)), Part(2, Money(100))]


@given(
    st.lists(st.integers(min_value=0, max_value=10_000), max_size=6),
    st.integers(min_value=1, max_value=70_000),
)
def test_the_parts_are_the_amount_and_never_more_than_is_left(cents: list[int], wanted: int) -> None:
    left = [Payable(number, Money(one)) for number, one in enumerate(cents)]
    if wanted > sum(cents):
        with pytest.raises((AmountAboveLeft, NothingLeft)):
            take_amount(Money(wanted), left)
        return
    parts = take_amount(Money(wanted), left)
    assert sum(part.amount.cents for part in parts) == wanted
    assert all(Money(0) < part.amount <= left[part.charge_id].amount for part in parts)
    # Older lines are touched only when everything newer is taken whole.
    oldest = min(part.charge_id for part in parts)
    taken = {part.charge_id: part.amount for part in parts}
    assert all(taken.get(line.charge_id, Money(0)) == line.amount for line in left if line.charge_id > oldest)


def test_what_can_not_be_taken_is_refused() -> None:
    with pytest.raises(AmountAboveLeft) as above:
        take_amount(Money(1801), LEFT)
    assert above.value.most == Money(1800)
    for nothing in (Money(0), Money(-1)):
        with pytest.raises(AmountNotPositive):
            take_amount(nothing, LEFT)
    with pytest.raises(NothingLeft):
        take_amount(None, [])
    with pytest.raises(NothingLeft):
        take_amount(Money(1), [Payable(1, Money(0))])


def test_chosen_lines_are_given_back_in_full() -> None:
    assert take_lines({1, 3}, LEFT) == [Part(1, Money(1000)), Part(3, Money(300))]
    with pytest.raises(NothingLeft):
        take_lines(set(), LEFT)
    with pytest.raises(LineNotRefundable):
        take_lines({1, 9}, LEFT)
    with pytest.raises(LineNotRefundable):
        take_lines({4}, [Payable(4, Money(0))])


def test_a_refund_is_there_after_ten_business_days() -> None:
    assert there_by(date(2026, 11, 30)) == date(2026, 12, 14)
    assert there_by(date(2026, 11, 23)) == date(2026, 12, 8)  # Thanksgiving is no business day


def test_the_table_of_moves() -> None:
    assert set(MOVES) == set(RefundState)
    assert {state for state in RefundState if not MOVES[state]} == FINAL
    assert set(RefundState) == LIVE | FINAL
    assert may_move(RefundState.SUCCEEDED, RefundState.FAILED)
    assert not any(may_move(state, state) for state in RefundState)
    assert not any(may_move(state, RefundState.PROPOSED) for state in RefundState)
    # Nothing reaches Stripe without having been approved; what waits for its payment was made there.
    assert [state for state in RefundState if MOVES[state] & BOOKED] == [
        RefundState.APPROVED,
        RefundState.WAITING,
        RefundState.PENDING,
    ]
    assert not any(may_move(state, RefundState.WAITING) for state in RefundState)


def test_stripes_words() -> None:
    assert of_stripe("requires_action") is RefundState.PENDING
    with pytest.raises(UnknownRefundStatus):
        of_stripe("lost")
