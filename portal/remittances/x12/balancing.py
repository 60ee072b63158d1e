"""Does a remittance add up? Pure checks; a transaction that fails one is quarantined whole.

The rules are those of X12 005010X221A1, section 1.10.2.1 (Balancing), in our words; 004010X091A1, section
2.2.1, has the same:

* a service line: what was charged less every adjustment of the line is what was paid for it;
* a claim: what was charged less every adjustment of the claim and of its lines is what was paid for it, and
  where a claim has lines, their charges are the claim's;
* a transaction: the payments of its claims less its provider adjustments are the payment it announces.

BPR03 does not change the sign: C (the payer sends the money) and D (the provider draws it) both pay the
provider. A payer that is owed money carries it forward by PLB and announces 0.

What the patient owes (CLP05) is no part of the balance (X12 RFI 2548 says so, and that it must be the sum of
the PR adjustments except on reversals); where it differs staff should look, but the money still adds up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from portal.money import Money
from portal.remittances.x12.errors import Kind
from portal.remittances.x12.model import REVERSAL, Adjustment, Claim, ServiceLine, Transaction


class Reason(StrEnum):
    """Why a transaction cannot be trusted; the value is a phrase for staff."""

    LINE = "charge less paid is not the sum of the line's adjustments (SVC02 - SVC03, CAS)"
    CLAIM = "the claim's charge less paid is not the sum of its adjustments (CLP03 - CLP04, CAS)"
    LINE_CHARGES = "the service lines do not add up to the claim's charge (CLP03, SVC02)"
    TRANSACTION = "the payment is not its claims less provider adjustments (BPR02, CLP04, PLB)"
    STRAY_LINE = "a service line stands outside any claim (SVC before CLP)"
    UNREADABLE_AMOUNT = "an amount could not be read and counts as 0"
    CUT = "the transaction stops without its end (SE)"
    PATIENT_SHARE = "the stated patient responsibility is not the sum of the PR adjustments (CLP05, CAS)"


@dataclass(frozen=True, slots=True)
class Imbalance:
    """One thing that does not add up. ``difference`` is what the left side of the rule has above the right.

    ``transaction`` is ST02, ``claim`` is CLP01 (None: the transaction as a whole), ``line`` the ordinal of
    the service line; ``claim_ordinal`` tells apart claims of the same number, ``segment`` is the place in the
    file.
    """

    transaction: str
    claim: str | None
    line: int | None
    reason: Reason
    difference: Money
    segment: int
    claim_ordinal: int | None = None

    @property
    def explanation(self) -> str:
        """The reason with its line: ``line 2: charge less paid is not ...``."""
        return self.reason.value if self.line is None else f"line {self.line}: {self.reason}"


def line_difference(line: ServiceLine) -> Money:
    """SVC02 - SVC03 - the line's adjustments; zero when the line balances."""
    return line.charge - line.paid - _total(line.adjustments)


def claim_difference(claim: Claim) -> Money:
    """CLP03 - CLP04 - the adjustments of the claim and its lines; zero when the claim balances."""
    return claim.charge - claim.paid - _total(claim.all_adjustments)


def line_charges_difference(claim: Claim) -> Money:
    """CLP03 - the lines' SVC02; zero when they agree, or when an institutional claim has no lines."""
    return claim.charge - Money.total(line.charge for line in claim.lines) if claim.lines else Money.zero()


def transaction_difference(transaction: Transaction) -> Money:
    """BPR02 - (the claims' CLP04 - the provider adjustments); zero when the payment is explained."""
    claims = Money.total(claim.paid for claim in transaction.claims)
    return transaction.payment - claims + Money.total(plb.amount for plb in transaction.provider_adjustments)


def patient_share(adjustments: Iterable[Adjustment]) -> Money:
    """The sum of the PR adjustments: what the payer says the patient owes."""
    return _total(cas for cas in adjustments if cas.group == "PR")


def imbalances(transaction: Transaction) -> list[Imbalance]:
    """Every reason to quarantine ``transaction``, its own balance last; empty when it adds up.

    Besides the rules above: a line that belongs to no claim, an amount that is there but unreadable, and a
    missing end. A *missing* amount counts as 0 and is no reason by itself: the sums decide. Nor are wrong
    segment counts (SE01) or control numbers: segments lost on the way that carry money break a sum, and
    payers who count wrongly are common.
    """
    found = [entry for claim in transaction.claims for entry in _of_claim(transaction, claim)]
    control = transaction.control
    for line in transaction.stray_lines:
        found.append(Imbalance(control, None, line.ordinal, Reason.STRAY_LINE, line.charge, line.segment))
    found += _of_problems(transaction)
    if difference := transaction_difference(transaction):
        found.append(Imbalance(control, None, None, Reason.TRANSACTION, difference, transaction.segment))
    return found


def patient_share_flags(transaction: Transaction) -> list[Imbalance]:
    """Claims whose CLP05 is not the sum of their PR adjustments: worth a look, no reason to quarantine.

    A reversal does not use CLP05, and a payer that leaves it out contradicts nothing.
    """
    flags = []
    for claim in transaction.claims:
        if claim.status == REVERSAL or claim.patient_responsibility is None:
            continue
        if difference := claim.patient_responsibility - patient_share(claim.all_adjustments):
            flags.append(_at_claim(transaction, claim, Reason.PATIENT_SHARE, difference))
    return flags


def _of_claim(transaction: Transaction, claim: Claim) -> Iterator[Imbalance]:
    for line in claim.lines:
        if difference := line_difference(line):
            yield _at_claim(transaction, claim, Reason.LINE, difference, line)
    if difference := claim_difference(claim):
        yield _at_claim(transaction, claim, Reason.CLAIM, difference)
    if difference := line_charges_difference(claim):
        yield _at_claim(transaction, claim, Reason.LINE_CHARGES, difference)


_PROBLEM_REASONS = {Kind.AMOUNT: Reason.UNREADABLE_AMOUNT, Kind.CUT: Reason.CUT}


def _of_problems(transaction: Transaction) -> Iterator[Imbalance]:
    for problem in transaction.errors:
        if (reason := _PROBLEM_REASONS.get(problem.kind)) is None:
            continue
        ordinal = problem.claim_ordinal
        claim = transaction.claims[ordinal - 1].patient_control if ordinal else None
        control = transaction.control
        yield Imbalance(control, claim, None, reason, Money.zero(), problem.segment, ordinal)


def _at_claim(
    transaction: Transaction, claim: Claim, reason: Reason, difference: Money, line: ServiceLine | None = None
) -> Imbalance:
    return Imbalance(
        transaction=transaction.control,
        claim=claim.patient_control,
        line=line.ordinal if line else None,
        reason=reason,
        difference=difference,
        segment=line.segment if line else claim.segment,
        claim_ordinal=claim.ordinal,
    )


def _total(adjustments: Iterable[Adjustment]) -> Money:
    return Money.total(cas.amount for cas in adjustments)
