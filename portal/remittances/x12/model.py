"""What an 835 says: transactions, claims, service lines, adjustments, all immutable."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from portal.money import Money
from portal.remittances.x12.errors import Problem

#: CLP02: the reversal of an earlier payment; its amounts are negative and CLP05 is not used.
REVERSAL = "22"
#: CLP02: what a claim would pay; nothing was billed and nothing is owed.
PREDETERMINATION = "25"


@dataclass(frozen=True, slots=True)
class Adjustment:
    """One CAS triplet: why ``amount`` of the charge was not paid; ``ordinal`` counts in its claim or line."""

    ordinal: int
    group: str
    reason: str
    amount: Money
    quantity: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody named by NM1; ``last`` is the whole name of an organization."""

    last: str
    first: str = ""
    middle: str = ""
    suffix: str = ""
    id_qualifier: str = ""
    identifier: str = ""


@dataclass(frozen=True, slots=True)
class ServiceLine:
    """One SVC and what follows it; ``segment`` is its place in the file.

    ``procedure_qualifier`` is HC for CPT/HCPCS, NU for a revenue code, N4 for a drug. ``submitted_*`` is the
    procedure as billed where the payer paid another (SVC06). ``units`` are 1 when the payer leaves them out.
    """

    ordinal: int
    segment: int
    procedure_qualifier: str
    procedure_code: str
    modifiers: tuple[str, ...]
    description: str
    submitted_qualifier: str
    submitted_code: str
    revenue_code: str
    charge: Money
    paid: Money
    units: Decimal
    service_on: date | None
    service_from: date | None
    service_to: date | None
    allowed: Money | None
    line_control: str
    adjustments: tuple[Adjustment, ...]
    remark_codes: tuple[str, ...]
    amounts: tuple[tuple[str, Money], ...]


@dataclass(frozen=True, slots=True)
class Claim:
    """One CLP and what follows it; ``adjustments`` are those of the claim level only."""

    ordinal: int
    segment: int
    patient_control: str
    status: str
    charge: Money
    paid: Money
    patient_responsibility: Money | None
    filing_indicator: str
    payer_control: str
    facility_code: str
    frequency: str
    original_payer_control: str
    patient: Person | None
    subscriber: Person | None
    rendering: Person | None
    statement_from: date | None
    statement_to: date | None
    received_on: date | None
    adjustments: tuple[Adjustment, ...]
    remark_codes: tuple[str, ...]
    amounts: tuple[tuple[str, Money], ...]
    lines: tuple[ServiceLine, ...]

    @property
    def service_from(self) -> date | None:
        """The first day of care: of the lines where they say, else of the statement."""
        days = [day for line in self.lines for day in (line.service_from, line.service_on) if day]
        return min(days, default=self.statement_from)

    @property
    def service_to(self) -> date | None:
        """The last day of care: of the lines where they say, else of the statement."""
        days = [day for line in self.lines for day in (line.service_to, line.service_on) if day]
        return max(days, default=self.statement_to or self.statement_from)

    @property
    def all_adjustments(self) -> tuple[Adjustment, ...]:
        """Those of the claim, then those of its lines."""
        return self.adjustments + tuple(cas for line in self.lines for cas in line.adjustments)


@dataclass(frozen=True, slots=True)
class ProviderAdjustment:
    """One pair of a PLB: a positive ``amount`` lowers the payment, for no claim in particular."""

    ordinal: int
    provider_id: str
    period_on: date | None
    reason: str
    reference: str
    amount: Money


@dataclass(frozen=True, slots=True)
class Transaction:
    """One ST*835 to its SE; ``ordinal`` counts from 1 in the file, ``version`` is 4010, 5010 or None.

    ``stray_lines`` are service lines that stand outside any claim. ``errors`` are the problems inside it.
    """

    ordinal: int
    segment: int
    control: str
    interchange_control: str
    group_control: str
    version: str | None
    payment: Money
    credit_or_debit: str
    payment_method: str
    paid_on: date | None
    trace_number: str
    trace_payer: str
    payer_name: str
    payer_id: str
    payer_phone: str
    payee_name: str
    payee_id: str
    payee_id_qualifier: str
    produced_on: date | None
    claims: tuple[Claim, ...]
    stray_lines: tuple[ServiceLine, ...]
    provider_adjustments: tuple[ProviderAdjustment, ...]
    errors: tuple[Problem, ...]

    @property
    def lines(self) -> tuple[ServiceLine, ...]:
        """Every service line, those of no claim last."""
        return tuple(line for claim in self.claims for line in claim.lines) + self.stray_lines

    @property
    def adjustments(self) -> tuple[Adjustment, ...]:
        """Every claim and line adjustment."""
        own = (cas for claim in self.claims for cas in claim.all_adjustments)
        return tuple(own) + tuple(cas for line in self.stray_lines for cas in line.adjustments)
