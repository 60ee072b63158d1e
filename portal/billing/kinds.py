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
    #: The safety check found something (docs/checks.md); what it was is in the findings.
    CHECK = "check"
    STAFF = "staff"


#: Postings that only tell of something and move no money: how much of which visit is paid in installments.
MOVES_NO_MONEY = frozenset({"plan_enrolled", "plan_changed", "plan_ended"})


class Check(StrEnum):
    """The safety checks, in the order in which a reader is told of them (``billing/checks/rules.py``)."""

    MATH = "math"
    DUPLICATE_LINE = "duplicate_line"
    SAME_SERVICE_TWICE = "same_service_twice"
    ABOVE_REMITTANCE = "above_remittance"
    CONTRACTUAL_AMOUNT = "contractual_amount"
    INSURER_PENDING = "insurer_pending"
    PROVIDER_FAULT = "provider_fault"
    COVERED_SELF_PAY = "covered_self_pay"
    PREVENTIVE = "preventive"
    NO_SURPRISES = "no_surprises"
    ABOVE_ESTIMATE = "above_estimate"
    PAID_AT_DESK = "paid_at_desk"
    CREDIT = "credit"


class FindingState(StrEnum):
    """What became of something a check found."""

    OPEN = "open"
    #: Somebody looked and found that the line is owed all the same: the same finding holds it no more.
    RELEASED = "released"
    #: What it was about is no longer so.
    GONE = "gone"


#: The hold of a check's finding: two of them are placed by the import, too, and are one hold.
HOLD_OF = {
    Check.ABOVE_REMITTANCE: HoldReason.SHARE_ABOVE_REMITTANCE,
    Check.INSURER_PENDING: HoldReason.NEXT_PAYER,
}


def hold_of(check: Check) -> HoldReason:
    """The reason under which a line is held while ``check`` has found something on it."""
    return HOLD_OF.get(check, HoldReason.CHECK)


class PostingState(StrEnum):
    """Where a posting is on its way to the back office."""

    WAITING = "waiting"
    UNKNOWN = "unknown"
    POSTED = "posted"
    REJECTED = "rejected"
