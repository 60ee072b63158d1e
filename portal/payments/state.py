"""What may become of a payment: one table, and the projection of Stripe's status onto it. Pure."""

from enum import StrEnum


class PaymentState(StrEnum):
    """Where an attempt to pay stands."""

    CREATED = "created"  # the row is ours alone; Stripe may or may not have heard
    OPEN = "open"  # Stripe has the intent; the patient may confirm it
    ACTION = "action"  # the bank wants the patient (3-D Secure)
    PROCESSING = "processing"  # confirmed, the money is on its way (bank debits): reserved, not paid
    SUCCEEDED = "succeeded"
    CANCELED = "canceled"


#: May still be confirmed in a browser; one at a time for each account.
OPEN = frozenset({PaymentState.CREATED, PaymentState.OPEN, PaymentState.ACTION})
#: The balance is taken by these although the ledger has not heard.
RESERVING = frozenset({PaymentState.PROCESSING})
#: Nothing more can happen.
FINAL = frozenset({PaymentState.SUCCEEDED, PaymentState.CANCELED})

MOVES: dict[PaymentState, frozenset[PaymentState]] = {
    PaymentState.CREATED: frozenset(PaymentState) - {PaymentState.CREATED},
    PaymentState.OPEN: frozenset(
        {PaymentState.ACTION, PaymentState.PROCESSING, PaymentState.SUCCEEDED, PaymentState.CANCELED}
    ),
    PaymentState.ACTION: frozenset(
        {PaymentState.OPEN, PaymentState.PROCESSING, PaymentState.SUCCEEDED, PaymentState.CANCELED}
    ),
    # Money on its way that does not arrive ends the attempt (refresh cancels the intent): trying again is a new row.
    PaymentState.PROCESSING: frozenset({PaymentState.SUCCEEDED, PaymentState.CANCELED}),
    PaymentState.SUCCEEDED: frozenset(),
    PaymentState.CANCELED: frozenset(),
}

#: ``next_action.type`` of a bank account that two small deposits have to confirm first.
DEPOSITS = "verify_with_microdeposits"

#: How waiting for them ends without them, as https://docs.stripe.com/error-codes has it.
DEPOSITS_FAILED = frozenset(
    f"payment_method_microdeposit_{how}"
    for how in ("failed", "verification_attempts_exceeded", "verification_timeout")
)

#: https://docs.stripe.com/payments/paymentintents/lifecycle
_OF_STRIPE = {
    "requires_payment_method": PaymentState.OPEN,
    "requires_confirmation": PaymentState.OPEN,
    "requires_action": PaymentState.ACTION,
    "requires_capture": PaymentState.PROCESSING,
    "processing": PaymentState.PROCESSING,
    "succeeded": PaymentState.SUCCEEDED,
    "canceled": PaymentState.CANCELED,
}


class UnknownStatus(ValueError):
    """Stripe answered with a status this version does not know."""


def of_stripe(status: str) -> PaymentState:
    """The state that a PaymentIntent's ``status`` means. Raises :class:`UnknownStatus`."""
    try:
        return _OF_STRIPE[status]
    except KeyError:
        raise UnknownStatus(status) from None


def may_move(old: PaymentState, new: PaymentState) -> bool:
    """Whether a payment may go from ``old`` to ``new``; staying is no move."""
    return new in MOVES[old]
