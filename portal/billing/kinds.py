"""The closed lists of the mirror. Pure, so that pure modules can name them."""

from enum import StrEnum


class EntryKind(StrEnum):
    """What moved the balance."""

    CHARGE = "charge"
    INSURER_PAYMENT = "insurer_payment"
    ADJUSTMENT = "adjustment"
    SHARE_MOVED = "share_moved"
    PATIENT_PAYMENT = "patient_payment"
    PATIENT_REFUND = "patient_refund"
    CHARGEBACK = "chargeback"


#: Entries of the patient's own money: paid, given back, called back by the patient's bank.
PATIENT_MONEY = frozenset({EntryKind.PATIENT_PAYMENT, EntryKind.PATIENT_REFUND, EntryKind.CHARGEBACK})


class HoldReason(StrEnum):
    """Why nobody may be asked for a line."""

    SHARE_ABOVE_REMITTANCE = "share_above_remittance"
    #: The payer has sent the claim on to another one, who has not decided yet.
    NEXT_PAYER = "next_payer"
    #: A later decision on the visit could not be matched with its lines.
    DECISION_UNMATCHED = "decision_unmatched"
    #: The patient's bank called a payment of the line back: whose money it is has not been decided, or was lost.
    CHARGEBACK = "chargeback"
    #: A payment of the line was given back: whether it is asked for again is for somebody to decide.
    REFUNDED = "refunded"
    STAFF = "staff"


#: Postings that only tell of something and move no money: how much of which visit is paid in instalments.
MOVES_NO_MONEY = frozenset({"plan_enrolled", "plan_changed", "plan_ended"})


class PostingState(StrEnum):
    """Where a posting is on its way to the back office."""

    WAITING = "waiting"
    UNKNOWN = "unknown"
    POSTED = "posted"
    REJECTED = "rejected"
