"""What may become of a refund: one table, and the projection of Stripe's status onto it. Pure."""

from enum import StrEnum


class RefundReason(StrEnum):
    """Why money is given back."""

    CREDIT_BALANCE = "credit_balance"  # a line was paid above what is owed on it
    DUPLICATE = "duplicate"
    INSURER_PAID = "insurer_paid"
    REQUESTED = "requested"
    FRAUDULENT = "fraudulent"
    GOODWILL = "goodwill"


class RefundState(StrEnum):
    """Where a refund stands."""

    PROPOSED = "proposed"  # waits for a supervisor
    APPROVED = "approved"  # will be sent on its day; Stripe may or may not have heard
    REFUSED = "refused"  # a supervisor said no
    WITHDRAWN = "withdrawn"  # not needed any more, before Stripe heard
    WAITING = "waiting"  # made at Stripe of a bank debit that has not arrived: nothing has moved
    PENDING = "pending"  # Stripe has it; it is on its way
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # the bank sent it back, or Stripe refused it: the money is ours again
    CANCELED = "canceled"


#: The money is spoken for.
LIVE = frozenset(
    {
        RefundState.PROPOSED,
        RefundState.APPROVED,
        RefundState.WAITING,
        RefundState.PENDING,
        RefundState.SUCCEEDED,
    }
)
#: Taken off what the portal holds: Stripe has accepted it.
BOOKED = frozenset({RefundState.PENDING, RefundState.SUCCEEDED})
#: Nothing more can happen. A refund that succeeded can still be sent back by the bank.
FINAL = frozenset({RefundState.REFUSED, RefundState.WITHDRAWN, RefundState.FAILED, RefundState.CANCELED})

MOVES: dict[RefundState, frozenset[RefundState]] = {
    RefundState.PROPOSED: frozenset({RefundState.APPROVED, RefundState.REFUSED, RefundState.WITHDRAWN}),
    RefundState.APPROVED: frozenset(
        {
            RefundState.WITHDRAWN,
            RefundState.PENDING,
            RefundState.SUCCEEDED,
            RefundState.FAILED,
            RefundState.CANCELED,
        }
    ),
    RefundState.REFUSED: frozenset(),
    RefundState.WITHDRAWN: frozenset(),
    # Where its payment arrives it goes out; where it does not, Stripe cancels it.
    RefundState.WAITING: frozenset(
        {RefundState.PENDING, RefundState.SUCCEEDED, RefundState.FAILED, RefundState.CANCELED}
    ),
    RefundState.PENDING: frozenset({RefundState.SUCCEEDED, RefundState.FAILED, RefundState.CANCELED}),
    RefundState.SUCCEEDED: frozenset({RefundState.FAILED}),
    RefundState.FAILED: frozenset(),
    RefundState.CANCELED: frozenset(),
}

#: https://docs.stripe.com/api/refunds/object#refund_object-status
_OF_STRIPE = {
    "pending": RefundState.PENDING,
    "requires_action": RefundState.PENDING,
    "succeeded": RefundState.SUCCEEDED,
    "failed": RefundState.FAILED,
    "canceled": RefundState.CANCELED,
}


class UnknownRefundStatus(ValueError):
    """Stripe answered with a status this version does not know."""


def of_stripe(status: str) -> RefundState:
    """The state that a Stripe refund's ``status`` means. Raises :class:`UnknownRefundStatus`."""
    try:
        return _OF_STRIPE[status]
    except KeyError:
        raise UnknownRefundStatus(status) from None


def may_move(old: RefundState, new: RefundState) -> bool:
    """Whether a refund may go from ``old`` to ``new``; staying is no move."""
    return new in MOVES[old]
