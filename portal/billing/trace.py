"""Why do I owe this: a line's entries, in order, with a running amount. Pure.

The steps' amounts sum to what is left, to the cent; moving a share from the insurer's side to the patient's is a step
of amount zero that says how much is the patient's, because it changes who pays and not how much is left.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from portal.billing.kinds import PATIENT_MONEY, EntryKind
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

    @property
    def code(self) -> str:
        """``CO-45``; empty for what is no adjustment."""
        return f"{self.group_code}-{self.reason_code}" if self.reason_code else ""


@dataclass(frozen=True, slots=True)
class Step:
    """One step from billed to due. ``amount`` is its effect on what is left; ``running`` is what is left after it."""

    entry: EntryRow
    amount: Money
    running: Money
    your_share: Money


@dataclass(frozen=True, slots=True)
class Trace:
    """The steps, and where they end."""

    steps: tuple[Step, ...]
    left: Money
    due: Money
    with_insurer: Money


#: The order in which a bill makes sense: what was asked, what came off, what the insurer paid, whose the rest is.
_ORDER = {
    EntryKind.CHARGE: 0,
    EntryKind.ADJUSTMENT: 1,
    EntryKind.INSURER_PAYMENT: 2,
    EntryKind.SHARE_MOVED: 3,
    EntryKind.PATIENT_PAYMENT: 4,
    EntryKind.PATIENT_REFUND: 4,
    EntryKind.CHARGEBACK: 4,
}


def trace(entries: Iterable[EntryRow]) -> Trace:
    """Lay the entries of one line, visit or account out as steps.

    Entries keep their order within a payer's decision; a later decision comes after an earlier one. The sum of the
    steps' amounts equals ``left``, and ``left == due + with_insurer``.
    """
    rows = list(entries)
    decision: dict[int | None, int] = {}
    for row in rows:
        decision.setdefault(row.claim_id, len(decision))

    def place(indexed: tuple[int, EntryRow]) -> tuple[int, int, int, int]:
        index, row = indexed
        if row.kind is EntryKind.CHARGE:
            return (0, 0, 0, index)
        if row.kind in PATIENT_MONEY:
            return (2, 0, 0, index)
        return (1, decision[row.claim_id], _ORDER[row.kind], index)

    running, steps = Money.zero(), []
    for _index, row in sorted(enumerate(rows), key=place):
        running = running + row.amount
        share = row.patient if row.kind is EntryKind.SHARE_MOVED else Money.zero()
        steps.append(Step(row, row.amount, running, share))
    return Trace(
        steps=tuple(steps),
        left=running,
        due=Money.total(row.patient for row in rows),
        with_insurer=Money.total(row.insurer for row in rows),
    )
