"""What a person agrees to when a plan begins or changes, as facts. Pure: the words are made of it elsewhere."""

from dataclasses import dataclass
from datetime import date

from portal.money import Money
from portal.plans.kinds import ChangeKind
from portal.plans.schedule import Due, Rhythm


@dataclass(frozen=True, slots=True)
class TermsLine:
    """A charge on the plan, with the part of it that is paid by the plan from now on."""

    description: str
    service_on: date | None
    patient_name: str
    amount: Money


@dataclass(frozen=True, slots=True)
class Terms:
    """A plan as it will stand once it is agreed to.

    ``dues`` are all instalments to come, and their amounts sum to ``total``, which is what the ``lines`` sum to.
    ``change`` says whether it begins (:attr:`ChangeKind.ENROLLED`) or what is changed by it.
    """

    plan: str  # its public id
    account_ref: str
    payer_name: str
    lines: tuple[TermsLine, ...]
    total: Money
    each: Money
    rhythm: Rhythm
    dues: tuple[Due, ...]
    method_name: str
    method_kind: str  # ``card`` or ``us_bank_account``
    change: ChangeKind
    agreed_on: date
    grace_days: int
    notice_days: int
    missed_ends_after: int
    skips_a_year: int
    #: Whether a plan that runs ends by it.
    replaces: bool = False

    @property
    def needs_disclosure(self) -> bool:
        """Whether it is credit that Regulation Z asks to disclose: more than four instalments, 12 CFR 1026.2(a)(17)."""
        return len(self.dues) > 4


@dataclass(frozen=True, slots=True)
class Agreement:
    """The exact text somebody agrees to, its version, and the document of it."""

    text: str
    version: str
    document: bytes
