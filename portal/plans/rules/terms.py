"""What a person agrees to when a plan begins or changes, as facts. Pure: the words are made of it elsewhere."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from portal.money import Money
from portal.plans.kinds import ChangeKind
from portal.plans.rules.clauses import Clause
from portal.plans.rules.schedule import Due, Rhythm


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

    ``dues`` are all installments to come, and their amounts sum to ``total``, which is what the ``lines`` sum to.
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
    #: The law's own words that have to stand in it, by where who agrees lives.
    clauses: tuple[Clause, ...]
    #: The most that may be asked in a month, where the law caps it for this household.
    month_cap: Money | None = None
    #: Whether a plan that runs ends by it.
    replaces: bool = False
    #: The down payment that was agreed to when the plan began; None where there was none, or it begins by this.
    paid_down: Due | None = None

    @property
    def down_payment(self) -> Due | None:
        """What is paid on the day of the first agreement itself; every other installment is due later.

        One that was declined is still one when another method is chosen for it: it does not become credit by that. Any
        other change makes the payments anew, and nothing of them is paid down.
        """
        if len(self.dues) < 2:
            return None
        if self.change is ChangeKind.ENROLLED:
            return self.dues[0] if self.dues[0].on == self.agreed_on else None
        stays = self.change is ChangeKind.METHOD_CHANGED and self.dues[0] == self.paid_down
        return self.dues[0] if stays else None

    @property
    def pays_down_today(self) -> bool:
        """Whether the down payment is made on the day of this agreement for sure.

        With another method it may be later: on a paused plan, or where a bank's customer has to know of it days before.
        """
        return self.down_payment is not None and self.change is ChangeKind.ENROLLED

    @property
    def financed(self) -> tuple[Due, ...]:
        """The installments that are credit: all but the down payment."""
        return self.dues if self.down_payment is None else self.dues[1:]

    @property
    def needs_disclosure(self) -> bool:
        """Whether it is credit that Regulation Z asks to disclose.

        That is credit payable in more than four installments, a down payment not counted: 12 CFR 1026.2(a)(17)(i).
        """
        return len(self.financed) > 4


class ParagraphKind(StrEnum):
    """How a paragraph of an agreement is shown."""

    WORDS = "words"
    LAW = "law"  # the law's own words, or our translation of them: nothing is marked in them
    TITLE = "title"
    ROWS = "rows"  # lines that belong together: a label and its value each


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph of what is agreed to; ``language`` where it is not that of the page."""

    text: str
    kind: ParagraphKind = ParagraphKind.WORDS
    language: str = ""


@dataclass(frozen=True, slots=True)
class Agreement:
    """The exact text somebody agrees to, its version, and the document of it."""

    text: str
    version: str
    document: bytes
