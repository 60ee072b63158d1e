"""The closed lists of payment plans. Pure."""

from enum import StrEnum


class Frequency(StrEnum):
    """How often an installment is due."""

    WEEKLY = "weekly"
    TWO_WEEKLY = "two_weekly"
    MONTHLY = "monthly"


class PlanState(StrEnum):
    """Where a plan stands."""

    PROPOSED = "proposed"  # the staff offer it; the patient has not agreed yet
    ACTIVE = "active"
    PAUSED = "paused"  # nothing is charged until a day, or until somebody goes on
    PAID = "paid"
    CANCELED = "canceled"  # the patient or the staff ended it
    STOPPED = "stopped"  # ended by the policy: too many installments were missed
    DECLINED = "declined"  # a proposal that was turned down, withdrawn, or overtaken


#: A plan in one of these goes on; an account has at most one.
RUNNING = (PlanState.ACTIVE, PlanState.PAUSED)
#: A plan in one of these ran.
ENDED = (PlanState.PAID, PlanState.CANCELED, PlanState.STOPPED)


class Need(StrEnum):
    """What a running plan waits for before it can charge again."""

    NOTHING = "nothing"
    METHOD = "method"  # another card or bank account
    CONFIRMATION = "confirmation"  # the bank wants the patient to confirm the payment


class InstallmentState(StrEnum):
    """Where one installment stands."""

    PLANNED = "planned"
    CHARGING = "charging"  # a payment of it exists
    PAID = "paid"
    MISSED = "missed"  # not paid within its grace; its amount comes at the end
    SKIPPED = "skipped"  # left out as agreed; its amount comes at the end
    DROPPED = "dropped"  # a change or an adjustment took it away


class ChangeKind(StrEnum):
    """What happened to a plan's schedule or terms."""

    ENROLLED = "enrolled"
    LINES_ADDED = "lines_added"
    LINES_REMOVED = "lines_removed"
    DAY_MOVED = "day_moved"
    AMOUNT_CHANGED = "amount_changed"
    SKIPPED = "skipped"
    METHOD_CHANGED = "method_changed"
    PAUSED = "paused"
    RESUMED = "resumed"
    PAID_OUTSIDE = "paid_outside"  # early, extra, at the front desk: money came in besides the installments
    INSURANCE_MOVED = "insurance_moved"  # an adjustment, a reversal, an insurer's payment
    HELD = "held"  # a line is on hold or disputed: it leaves the plan until that is settled
    HOLD_ENDED = "hold_ended"
    MISSED = "missed"
    AMENDED = "amended"  # by the staff, with a reason
    PAID_OFF = "paid_off"
    CANCELED = "canceled"
    STOPPED = "stopped"


class RequestKind(StrEnum):
    """What a patient can ask the staff for."""

    PAUSE = "pause"
