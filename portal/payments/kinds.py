"""The closed lists of payments. Pure."""

from enum import Enum, StrEnum


class PaymentSource(StrEnum):
    """Who made a payment."""

    PATIENT = "patient"  # somebody signed in
    GUEST = "guest"  # with the code of a printed statement
    AUTOPAY = "autopay"  # the portal, as the patient agreed
    PLAN = "plan"  # the portal: an installment of a payment plan


#: Made by the portal with nobody there: confirmed in the same call; their feature tells what became of them.
UNATTENDED = frozenset({PaymentSource.AUTOPAY, PaymentSource.PLAN})


class BookingKind(StrEnum):
    """Why money of a payment moved."""

    PAYMENT = "payment"
    REFUND = "refund"
    REFUND_RETURNED = "refund_returned"  # the bank sent a refund back
    DISPUTE = "dispute"  # the bank took the money back
    DISPUTE_WON = "dispute_won"


class ConsentKind(StrEnum):
    """What a person can agree to."""

    SAVE_METHOD = "save_method"
    AUTOPAY = "autopay"
    PLAN = "plan"


class SetupState(StrEnum):
    """Where an attempt to save a method stands."""

    CREATED = "created"
    OPEN = "open"
    ACTION = "action"  # the bank wants the patient: 3-D Secure, micro-deposits
    SUCCEEDED = "succeeded"
    CANCELED = "canceled"


class EventSource(StrEnum):
    """How an event of Stripe's came in."""

    WEBHOOK = "webhook"
    CATCH_UP = "catch_up"


class NextPage(Enum):
    """What somebody who pays sees next."""

    CARD_FORM = "card form"
    WAITING = "waiting"  # the money is on its way, or small deposits have to be confirmed
    RECEIPT = "receipt"
    RETURNED = "returned"  # the bank sent the debit back, days later
    CLOSED = "closed"  # nothing was charged
    BILL_CHANGED = "bill changed"  # closed, since its amount is not owed any more
    TOO_MANY_DECLINES = "too many declines"  # closed, and the next one has to wait
    NO_ANSWER = "no answer"  # Stripe could not be asked
