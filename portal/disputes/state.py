"""Where a dispute stands. Pure."""

from enum import StrEnum


class DisputeState(StrEnum):
    """https://docs.stripe.com/api/disputes/object#dispute_object-status, told from the clinic's side."""

    INQUIRY = "inquiry"  # the bank asks; no money has moved
    INQUIRY_ANSWERED = "inquiry_answered"
    INQUIRY_CLOSED = "inquiry_closed"
    NEEDS_RESPONSE = "needs_response"
    UNDER_REVIEW = "under_review"
    WON = "won"
    LOST = "lost"


#: What the subjects of one dispute's bookings have in common: so many characters of its public id.
SERIES = 28
#: Decided. A bank may take a decided dispute up again; its money then moves again.
FINAL = frozenset({DisputeState.INQUIRY_CLOSED, DisputeState.WON, DisputeState.LOST})
#: The clinic's answer is waited for.
TO_ANSWER = frozenset({DisputeState.INQUIRY, DisputeState.NEEDS_RESPONSE})
#: The bank has the money (or its decision on it is out): a refund would give it twice, and Stripe refuses one.
WITHHELD = frozenset({DisputeState.NEEDS_RESPONSE, DisputeState.UNDER_REVIEW})

MOVES: dict[DisputeState, frozenset[DisputeState]] = {
    DisputeState.INQUIRY: frozenset(DisputeState) - {DisputeState.INQUIRY},
    DisputeState.INQUIRY_ANSWERED: frozenset(DisputeState) - {DisputeState.INQUIRY, DisputeState.INQUIRY_ANSWERED},
    DisputeState.INQUIRY_CLOSED: frozenset(),
    DisputeState.NEEDS_RESPONSE: frozenset({DisputeState.UNDER_REVIEW, DisputeState.WON, DisputeState.LOST}),
    DisputeState.UNDER_REVIEW: frozenset({DisputeState.WON, DisputeState.LOST}),
    DisputeState.WON: frozenset(),
    DisputeState.LOST: frozenset(),
}

_OF_STRIPE = {
    "warning_needs_response": DisputeState.INQUIRY,
    "warning_under_review": DisputeState.INQUIRY_ANSWERED,
    "warning_closed": DisputeState.INQUIRY_CLOSED,
    "prevented": DisputeState.INQUIRY_CLOSED,
    "needs_response": DisputeState.NEEDS_RESPONSE,
    "under_review": DisputeState.UNDER_REVIEW,
    "won": DisputeState.WON,
    "lost": DisputeState.LOST,
}


class UnknownDisputeStatus(ValueError):
    """Stripe answered with a status this version does not know."""


def of_stripe(status: str) -> DisputeState:
    """The state that a Stripe dispute's ``status`` means. Raises :class:`UnknownDisputeStatus`."""
    try:
        return _OF_STRIPE[status]
    except KeyError:
        raise UnknownDisputeStatus(status) from None


def may_move(old: DisputeState, new: DisputeState) -> bool:
    """Whether a dispute may go from ``old`` to ``new``; an older answer that arrives late takes it nowhere."""
    return new in MOVES[old]
