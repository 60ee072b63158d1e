"""What the portal needs of a back office. Every adapter offers this and no more is asked of one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Protocol

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

    A ``kind`` of ``billing.kinds.MOVES_NO_MONEY`` moves nothing: it says what of each visit is paid in instalments
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
