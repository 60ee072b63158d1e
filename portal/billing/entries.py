"""An entry as it is read with its source: what queries find, and what the story of a bill is made of."""

from dataclasses import dataclass
from datetime import date, datetime

from portal.billing.kinds import EntryKind
from portal.money import Money


@dataclass(frozen=True, slots=True)
class EntryRow:
    """An entry with the names of its source, as the trace reads it."""

    charge_id: int
    kind: EntryKind
    amount: Money
    insurer: Money
    patient: Money
    stated: Money
    group_code: str
    reason_code: str
    remarks: tuple[str, ...]
    effective_on: date | None
    source: str
    source_id: str
    payer_name: str
    payer_claim_ref: str
    trace_number: str
    file_name: str
    claim_id: int | None = None
    reversal: bool = False
    created_at: datetime | None = None

    @property
    def subject(self) -> str:
        """The public id of the payment, refund or dispute an entry is of: what stands before the slash."""
        return self.source_id.partition("/")[0]

    @property
    def code(self) -> str:
        """``CO-45``; empty for what is no adjustment."""
        return f"{self.group_code}-{self.reason_code}" if self.reason_code else ""
