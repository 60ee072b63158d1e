"""What can be wrong with an 835: errors that end the reading, and problems that are noted on the way."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class UnreadableX12(Exception):
    """The bytes cannot be read as X12 any further."""


class NotA835(UnreadableX12):
    """The file holds no 835 at all. ``str()`` is one clear line, fit for a terminal or a page.

    ``reason`` says why in a few words; ``name`` is how the caller calls the file, empty when it has no name.
    """

    def __init__(self, reason: str, name: str = "") -> None:
        self.reason = reason
        self.name = name
        super().__init__(f"{name or 'This file'} is not an X12 835 remittance: {reason}.")


class SegmentTooLong(UnreadableX12):
    """No segment terminator within the bound: this is not X12, or its terminator is not the one ISA names."""


class BadInterchangeHeader(UnreadableX12):
    """An ISA segment that does not say what separates elements, components and segments."""


class Kind(StrEnum):
    """What a problem means for the figures."""

    #: Unusual but read with nothing lost.
    NOTE = "note"
    #: Counts or control numbers of the envelope do not agree with what was read.
    CONTROL = "control"
    #: A value is missing, or a date, group or place is wrong; the rest of the segment is read.
    VALUE = "value"
    #: An amount is there but is no whole number of cents; it counts as 0, so the figures cannot be trusted.
    AMOUNT = "amount"
    #: The transaction stops before its end.
    CUT = "cut"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong, and where: ``segment`` counts from 1 in the file (0: the file as a whole).

    ``message`` never repeats what the file says, so that it can be logged: names and numbers of patients may
    stand in any element of a broken file.
    """

    kind: Kind
    message: str
    segment: int = 0
    segment_id: str = ""
    transaction: str | None = None
    claim_ordinal: int | None = None

    def __str__(self) -> str:
        """``segment 42 (CLP), transaction 0001, claim 3: CLP03 is missing; it counts as 0``."""
        place = []
        if self.segment:
            place.append(f"segment {self.segment}" + (f" ({self.segment_id})" if self.segment_id else ""))
        if self.transaction is not None:
            place.append(f"transaction {self.transaction}")
        if self.claim_ordinal is not None:
            place.append(f"claim {self.claim_ordinal}")
        return f"{', '.join(place)}: {self.message}" if place else self.message
