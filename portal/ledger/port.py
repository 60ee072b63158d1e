"""What the portal needs of a back office. Every adapter offers this and no more is asked of one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Protocol, runtime_checkable

from portal.away import Away
from portal.money import Money


class Outcome(StrEnum):
    """What a back office says of a posting."""

    POSTED = "posted"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class VisitPart:
    """How much of a posting belongs to which visit."""

    visit_ref: str
    amount: Money


@dataclass(frozen=True, slots=True)
class PostingRequest:
    """A patient's payment as the back office is told of it; ``key`` is the same at every try.

    A ``kind`` of ``billing.kinds.MOVES_NO_MONEY`` moves nothing: it says what of each visit is paid in installments
    from then on, and replaces what was said of that account before. No parts: nothing any more.
    """

    key: str
    kind: str
    account_ref: str
    amount: Money
    effective_on: date
    parts: Sequence[VisitPart]


@dataclass(frozen=True, slots=True)
class PostingAnswer:
    """The back office's answer: its own reference, or why it refused."""

    outcome: Outcome
    ref: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the back office holds an account to owe: by the insurer, and by the patient."""

    insurer: Money
    patient: Money


class LedgerUnreachable(Away):
    """No answer: whether a posting arrived is unknown, and is looked up before it is sent again."""


class Ledger(Protocol):
    """A back-office account ledger. Every method may raise :class:`LedgerUnreachable`."""

    def push(self, posting: PostingRequest) -> PostingAnswer:
        """Post a payment once; the same key with the same content is a duplicate, with other content rejected."""

    def lookup(self, key: str) -> PostingAnswer | None:
        """What became of a posting whose answer was lost; None when it never arrived."""

    def snapshots(self) -> dict[str, Snapshot]:
        """The balance of every account, by its number."""

    def received(self) -> dict[str, Money]:
        """What was posted under each of the portal's keys."""

    def as_of(self) -> datetime:
        """How fresh the answers are (UTC)."""


@dataclass(frozen=True, slots=True)
class ClaimDecision:
    """A payer's decision on a claim as a clerk of the back office enters it from the remittance's totals.

    All amounts are as the payer wrote them (a reversal's are negative); ``billed`` is what was not billed before.
    ``key`` is the same whenever the same decision is loaded.
    """

    key: str
    account_ref: str
    visit_ref: str
    effective_on: date
    billed: Money
    insurer_paid: Money
    contractual: Money
    other: Money
    share: Money


@runtime_checkable
class RemittanceLedger(Protocol):
    """What a ledger offers besides that learns of remittances from the portal alone, and lives in its database.

    Both run in the caller's database transaction: the mirror and the ledger take a decision in together or not at all.
    A ledger that posts its own remittances lacks this, and is told of none.
    """

    def record_claim(self, decision: ClaimDecision) -> None:
        """Post a payer's decision. A key that is known fails at the database's unique constraint."""

    def wordings(self, codes: Iterable[str]) -> dict[str, str]:
        """The clinic's own wording for the codes that it bills, by code."""
