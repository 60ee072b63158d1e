"""The closed lists of autopay. Pure."""

from enum import StrEnum


class AutopayState(StrEnum):
    """Whether an autopay goes on."""

    ACTIVE = "active"
    STOPPED = "stopped"


class ChargeState(StrEnum):
    """Where one announced charge stands."""

    NOTICED = "noticed"  # the patient was told: this much, on this day
    CHARGING = "charging"  # a payment of it exists
    PAID = "paid"
    SKIPPED = "skipped"  # nothing was owed any more
    ABOVE_CAP = "above_cap"  # the patient's cap stood against it: told, not charged
    STOPPED = "stopped"  # the patient stopped it in time
    FAILED = "failed"
