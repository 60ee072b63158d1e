"""Which lines a bank's withdrawal is of, and where a dispute may go."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.disputes.parts import returned_parts, withdrawn_parts
from portal.disputes.reasons import REASONS, reason_of
from portal.disputes.state import FINAL, MOVES, DisputeState, may_move, of_stripe
from portal.money import Money


def cents(parts: object) -> list[tuple[int, int]]:
    return [(part.charge_id, part.amount.cents) for part in parts]  # type: ignore[attr-defined]


def left(*amounts: int) -> list[tuple[int, Money]]:
    return [(number, Money(amount)) for number, amount in enumerate(amounts, start=1)]


def test_the_newest_line_is_taken_from_first() -> None:
    assert cents(withdrawn_parts(Money(70), left(50, 30, 40))) == [(3, 40), (2, 30)]
    assert cents(withdrawn_parts(Money(75), left(50, 30, 40))) == [(3, 40), (2, 30), (1, 5)]


def test_what_is_gone_already_is_not_taken_again() -> None:
    assert cents(withdrawn_parts(Money(20), left(50, 30, 0))) == [(2, 20)]


def test_more_than_is_left_goes_to_the_newest_line() -> None:
    assert cents(withdrawn_parts(Money(100), left(50, 30))) == [(2, 50), (1, 50)]
    assert cents(withdrawn_parts(Money(10), left(0, 0))) == [(2, 10)]


@pytest.mark.parametrize("amount", [0, -1])
def test_nothing_is_no_withdrawal(amount: int) -> None:
    with pytest.raises(ValueError, match="above zero"):
        withdrawn_parts(Money(amount), left(5))


def test_a_payment_without_parts_is_refused() -> None:
    with pytest.raises(ValueError, match="without parts"):
        withdrawn_parts(Money(5), [])


@given(st.integers(1, 10**9), st.lists(st.integers(-100, 10**6), min_size=1, max_size=12))
def test_parts_sum_to_the_amount_and_are_above_nothing(amount: int, amounts: list[int]) -> None:
    parts = withdrawn_parts(Money(amount), left(*amounts))
    assert sum(part.amount.cents for part in parts) == amount
    assert all(part.amount > Money.zero() for part in parts)
    assert len({part.charge_id for part in parts}) == len(parts)
    if amount <= sum(max(0, one) for one in amounts):
        assert all(part.amount <= Money(amounts[part.charge_id - 1]) for part in parts)


def test_what_was_taken_last_is_returned_first() -> None:
    taken = {part.charge_id: part.amount for part in withdrawn_parts(Money(75), left(50, 30, 40))}
    assert cents(returned_parts(Money(10), taken)) == [(1, 5), (2, 5)]
    assert cents(returned_parts(Money(75), taken)) == [(1, 5), (2, 30), (3, 40)]


def test_every_state_has_its_moves_and_final_ones_have_none() -> None:
    assert set(MOVES) == set(DisputeState)
    assert {state for state, moves in MOVES.items() if not moves} == FINAL
    assert not any(may_move(state, state) for state in DisputeState)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("warning_needs_response", "warning_under_review"),
        ("warning_needs_response", "needs_response"),
        ("warning_under_review", "warning_closed"),
        ("needs_response", "under_review"),
        ("needs_response", "lost"),
        ("under_review", "won"),
    ],
)
def test_a_dispute_goes_forward_only(old: str, new: str) -> None:
    assert may_move(of_stripe(old), of_stripe(new))
    assert not may_move(of_stripe(new), of_stripe(old))


def test_every_reason_has_words_and_unknown_ones_the_general() -> None:
    assert all(one.evidence for one in REASONS.values())
    assert len({str(one.title) for one in REASONS.values()}) == len(REASONS)
    assert reason_of("something_new") is REASONS["general"]
