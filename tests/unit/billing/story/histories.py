"""Random histories of a line as the portal writes them: decisions through the ledger's own rules, then money.

A payer decides, takes its decision back and decides anew, or another payer takes up what the first one left; the
patient pays, is refunded, a bank calls a payment back and returns it.
"""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta

from portal.billing.entries import EntryRow
from portal.billing.kinds import PATIENT_MONEY, EntryKind
from portal.money import Money
from portal.remittances.decide import movements
from portal.remittances.x12.model import Adjustment

START = datetime(2026, 6, 1, tzinfo=UTC)
SHARES = ("1", "2", "3", "96", "204", "45", "66", "100", "ZZ9")
REDUCTIONS = (("CO", "45"), ("CO", "97"), ("OA", "18"), ("PI", "45"), ("CO", "29"), ("OA", "23"), ("XX", "A1"))

OWN_MONEY = (
    (EntryKind.PATIENT_PAYMENT, "payment"),
    (EntryKind.PATIENT_REFUND, "refund"),
    (EntryKind.CHARGEBACK, "dispute"),
)


class History:
    """A line's entries, written one after the other."""

    def __init__(self, charge_id: int, rng: random.Random, first: int = 0) -> None:
        self.charge_id, self.rng, self.rows = charge_id, rng, list[EntryRow]()
        self.clock, self.claims = first, charge_id * 100
        self.last: list[tuple[int, list[Adjustment]]] = []

    def write(self, kind: EntryKind, insurer: int, patient: int, **facts: object) -> None:
        self.clock += 1
        defaults: dict[str, object] = {
            "stated": Money(insurer + patient),
            "group_code": "",
            "reason_code": "",
            "remarks": (),
            "effective_on": date(2026, 6, 1) + timedelta(days=self.clock),
            "source": "remittance",
            "source_id": f"{self.charge_id}/{self.clock}",
            "payer_name": "",
            "payer_claim_ref": "",
            "trace_number": "",
            "file_name": "",
            "created_at": START + timedelta(hours=self.clock),
        }
        self.rows.append(
            EntryRow(
                charge_id=self.charge_id,
                kind=kind,
                amount=Money(insurer + patient),
                insurer=Money(insurer),
                patient=Money(patient),
                **{**defaults, **facts},  # type: ignore[arg-type]
            )
        )

    def sums(self) -> tuple[int, int]:
        """What stands with the insurer, and what of the patient's share."""
        share = sum(row.patient.cents for row in self.rows if row.kind not in PATIENT_MONEY)
        return sum(row.insurer.cents for row in self.rows), share

    def decide(self, payer: str, *, again: list[tuple[int, list[Adjustment]]] | None = None) -> None:
        """A payer decides; with ``again`` it takes its last decision back first."""
        self.claims += 1
        facts = {"payer_name": payer, "claim_id": self.claims, "file_name": f"{payer}.835", "trace_number": "EFT-1"}
        insurer, share = self.sums()
        decided = any(row.claim_id for row in self.rows)
        reversal = bool(again)
        if again:
            paid, adjustments = again.pop()
            paid = -paid
            adjustments = [Adjustment(one.ordinal, one.group, one.reason, -one.amount) for one in adjustments]
        else:
            left = insurer + (share if decided else 0)
            paid = self.rng.randrange(0, max(1, left + 1))
            left -= paid
            adjustments = []
            for ordinal in range(self.rng.randrange(0, 4)):
                cents = self.rng.randrange(-50, left + 1) if left > 0 else 0
                group, reason = self.rng.choice(REDUCTIONS)
                adjustments.append(Adjustment(ordinal, group, reason, Money(cents)))
                left -= cents
            if self.rng.random() < 0.9:  # now and then a part stays undecided, or too much is decided
                while left > 0:
                    cents = self.rng.randrange(1, left + 1)
                    adjustments.append(Adjustment(len(adjustments), "PR", self.rng.choice(SHARES), Money(cents)))
                    left -= cents
        for one in movements(
            new_charge=None,
            paid=Money(paid),
            adjustments=adjustments,
            share_so_far=Money(share),
            decided_before=decided,
            reversal=reversal,
        ):
            self.write(
                one.kind,
                one.insurer.cents,
                one.patient.cents,
                group_code=one.group,
                reason_code=one.reason,
                stated=one.stated,
                reversal=reversal,
                **facts,
            )
        if not reversal:
            self.last = [(paid, adjustments)]


def history(charge_id: int, seed: int, *, first: int = 0) -> list[EntryRow]:
    """The entries of one line, in the order they were written."""
    rng = random.Random(seed)
    line = History(charge_id, rng, first)
    billed = rng.choice([0, 1, rng.randrange(2, 500), rng.randrange(500, 10**7)])
    if rng.random() < 0.1:
        line.write(EntryKind.CHARGE, 0, billed)  # not sent to insurance
    else:
        line.write(EntryKind.CHARGE, billed, 0)
        for number in range(rng.randrange(0, 4)):
            line.decide(f"Payer {number}")
            if rng.random() < 0.3:
                line.decide(f"Payer {number}", again=line.last)
                if rng.random() < 0.7:
                    line.decide(f"Payer {number}")
    for _act in range(rng.randrange(0, 5)):
        cents = rng.randrange(1, 20_000)
        kind, source = rng.choice(OWN_MONEY)
        back = kind is not EntryKind.PATIENT_PAYMENT and rng.random() < 0.7
        line.write(kind, 0, cents if back else -cents, source=source, source_id=f"{line.clock:032x}/{charge_id}")
    return line.rows
