"""What a safety check looks at, and what it finds. Pure: facts in, findings out (``rules.py``).

Amounts are :class:`Money`; ids are whatever the caller knows lines and claims by, and come back in the findings.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property

from portal.billing.kinds import PATIENT_MONEY, Check, EntryKind
from portal.money import Money

ZERO = Money.zero()
#: CLP02 of a reversal.
REVERSED = "22"


@dataclass(frozen=True, slots=True)
class EntryFact:
    """One movement of a line's money; ``own`` says that the portal itself took or gave it."""

    kind: EntryKind
    insurer: Money = ZERO
    patient: Money = ZERO
    group: str = ""
    reason: str = ""
    stated: Money = ZERO
    remarks: tuple[str, ...] = ()
    own: bool = False


@dataclass(frozen=True)
class LineFact:
    """One line of a bill with its entries, oldest first."""

    id: int
    billed: Money
    entries: tuple[EntryFact, ...] = ()
    ordinal: int = 1
    code: str = ""
    qualifier: str = "HC"
    modifiers: tuple[str, ...] = ()
    revenue_code: str = ""
    units: str = "1"
    service_on: date | None = None
    whole_visit: bool = False

    @cached_property
    def share(self) -> Money:
        """What stands in the patient's bucket, without what the patient has paid."""
        return Money.total(one.patient for one in self.entries if one.kind not in PATIENT_MONEY)

    @cached_property
    def due(self) -> Money:
        """What the patient would be asked for."""
        return Money.total(one.patient for one in self.entries)

    @cached_property
    def with_insurer(self) -> Money:
        """What no payer has decided yet; below nothing where payers decided about more than there was."""
        return Money.total(one.insurer for one in self.entries)

    @cached_property
    def insurer_paid(self) -> Money:
        """What payers paid."""
        return -Money.total(one.insurer for one in self.entries if one.kind is EntryKind.INSURER_PAYMENT)

    @property
    def asks(self) -> bool:
        """Whether the patient would be asked for anything on it."""
        return self.due > ZERO

    @cached_property
    def shares(self) -> Mapping[str, Money]:
        """The patient's share that still stands, by the payer's reason; nothing where a reason was taken back.

        A later payer takes up what an earlier one left to the patient, all of it; a reversal undoes reason by reason.
        """
        standing: dict[str, Money] = {}
        for one in self.entries:
            if one.kind is not EntryKind.SHARE_MOVED:
                continue
            if one.group == "PR":
                standing[one.reason] = standing.get(one.reason, ZERO) + one.patient
            elif not one.reason:
                standing.clear()
        return {reason: amount for reason, amount in standing.items() if amount > ZERO}

    @cached_property
    def contractual(self) -> Money:
        """The contractual (CO) adjustments that stand."""
        return Money.total(one.stated for one in self.entries if one.group == "CO")

    @cached_property
    def remarks(self) -> frozenset[str]:
        """Every remark (RARC) on the line."""
        return frozenset(code for one in self.entries for code in one.remarks)

    def share_for(self, reasons: Iterable[str]) -> Money:
        """What of the share stands for any of these reasons."""
        return Money.total(self.shares.get(reason, ZERO) for reason in sorted(set(reasons)))


@dataclass(frozen=True, slots=True)
class ClaimFact:
    """One payer's decision, oldest first in a bill. ``stated_share`` (CLP05) is None where the payer states none;
    ``difference`` is what does not add up in it (CLP03 - CLP04 - its adjustments).
    """

    payer: str = ""
    status: str = "1"
    filing: str = ""
    facility: str = ""
    stated_share: Money | None = None
    #: The sum of its PR adjustments.
    share: Money = ZERO
    patient_paid: Money = ZERO
    remarks: tuple[str, ...] = ()
    difference: Money = ZERO
    #: The lines it decided about.
    lines: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class CoverageFact:
    """An insurance on record, and when it was active; ``ends_on`` None: still."""

    payer: str
    starts_on: date
    ends_on: date | None = None

    def active(self, day: date) -> bool:
        """Whether it was active on ``day``, its first and last day included."""
        return self.starts_on <= day and (self.ends_on is None or day <= self.ends_on)


@dataclass(frozen=True, slots=True)
class CreditFact:
    """A credit elsewhere on the account that nobody has decided about; ``ref`` names the visit it is on, ``left`` is
    what older bills would leave of it.
    """

    amount: Money
    ref: str
    left: Money


@dataclass(frozen=True)
class Bill:
    """One visit, as it would be asked for. What is not known is empty; ``elsewhere`` are lines of the same patient
    with the same provider on earlier bills.
    """

    lines: tuple[LineFact, ...]
    #: The back office's number of the visit.
    ref: str = ""
    claims: tuple[ClaimFact, ...] = ()
    elsewhere: tuple[LineFact, ...] = ()
    started_on: date | None = None
    estimate: Money | None = None
    coverages: tuple[CoverageFact, ...] = ()
    credits: tuple[CreditFact, ...] = ()
    #: What the front desk noted as paid for this visit, whether or not it is in the books.
    desk_paid: Money = ZERO

    @cached_property
    def asking(self) -> tuple[LineFact, ...]:
        """The lines on which the patient would be asked for something, in order."""
        return tuple(sorted((line for line in self.lines if line.asks), key=lambda line: line.ordinal))

    @cached_property
    def standing(self) -> tuple[ClaimFact, ...]:
        """The decisions that no reversal took back: a reversal undoes its payer's newest one."""
        left: list[ClaimFact] = []
        for claim in self.claims:
            if claim.status != REVERSED:
                left.append(claim)
                continue
            for index in range(len(left) - 1, -1, -1):
                if same_name(left[index].payer, claim.payer):
                    del left[index]
                    break
        return tuple(left)

    @cached_property
    def decision(self) -> Mapping[int, ClaimFact]:
        """The newest decision that stands, by the line it is about."""
        return {line: claim for claim in self.standing for line in claim.lines}

    @cached_property
    def institutional(self) -> bool:
        """A hospital's own bill (revenue codes), whose facility code is a type of bill and no place of service."""
        return any(line.revenue_code or line.qualifier == "NU" for line in self.lines)

    @cached_property
    def place(self) -> str:
        """The place of service; empty where it is not known or the bill has none."""
        return "" if self.institutional else next((one.facility for one in self.claims if one.facility), "")

    @cached_property
    def filing(self) -> frozenset[str]:
        """The kinds of plan (CLP06) that decided."""
        return frozenset(claim.filing for claim in self.standing)

    @cached_property
    def remarks(self) -> frozenset[str]:
        """The remarks on the decisions that stand, as a whole."""
        return frozenset(code for claim in self.standing for code in claim.remarks)

    def day(self, line: LineFact) -> date | None:
        """The day a line was done, as far as it is known."""
        return line.service_on or self.started_on


def same_name(one: str, other: str) -> bool:
    """Whether two spellings name the same payer: letters and digits count, and neither case nor space."""
    return plain(one) == plain(other)


def plain(name: str) -> str:
    """A name's letters and digits only, in one case."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found on one line. ``facts`` are plain values for the sentences about it: amounts are cents under
    names that end in ``_cents``. They hold nothing that a payment changes, so that a finding stays the same one.
    """

    check: Check
    line: int
    amount: Money
    facts: Mapping[str, str | int] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """What makes it the same finding when it is found again on its line."""
        words = json.dumps([self.check.value, self.amount.cents, dict(self.facts)], sort_keys=True)
        return hashlib.sha256(words.encode()).hexdigest()
