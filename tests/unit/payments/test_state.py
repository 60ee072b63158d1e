"""What may become of a payment: the whole truth table."""

import itertools

import pytest

from portal.payments.state import FINAL, OPEN, RESERVING, PaymentState, UnknownStatus, may_move, of_stripe

ALLOWED = {
    "created": {"open", "action", "processing", "succeeded", "canceled"},
    "open": {"action", "processing", "succeeded", "canceled"},
    "action": {"open", "processing", "succeeded", "canceled"},
    "processing": {"succeeded", "canceled"},
    "succeeded": set(),
    "canceled": set(),
}


@pytest.mark.parametrize(("old", "new"), list(itertools.product(PaymentState, PaymentState)))
def test_every_move(old: PaymentState, new: PaymentState) -> None:
    assert may_move(old, new) is (new.value in ALLOWED[old.value])


def test_every_state_is_open_reserving_or_final_and_only_one() -> None:
    assert frozenset(PaymentState) == OPEN | RESERVING | FINAL
    assert len(OPEN) + len(RESERVING) + len(FINAL) == len(PaymentState)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("requires_payment_method", PaymentState.OPEN),
        ("requires_confirmation", PaymentState.OPEN),
        ("requires_action", PaymentState.ACTION),
        ("processing", PaymentState.PROCESSING),
        ("requires_capture", PaymentState.PROCESSING),
        ("succeeded", PaymentState.SUCCEEDED),
        ("canceled", PaymentState.CANCELED),
    ],
)
def test_stripes_statuses(status: str, state: PaymentState) -> None:
    assert of_stripe(status) is state


def test_a_status_from_the_future_is_an_error_and_not_a_guess() -> None:
    with pytest.raises(UnknownStatus):
        of_stripe("requires_moonlight")
