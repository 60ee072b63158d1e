"""The 835 reader: a binary stream in, one transaction at a time out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from portal.remittances.x12.errors import Kind, NotA835, Problem, UnreadableX12
from portal.remittances.x12.loops import (
    amount_at,
    date_at,
    provider_adjustments,
    read_claim,
    read_line,
    read_parties,
)
from portal.remittances.x12.model import Claim, ProviderAdjustment, ServiceLine, Transaction
from portal.remittances.x12.segments import CHUNK, ByteSource, Segment, SegmentStream


@dataclass(slots=True)
class _Envelope:
    """The interchange and group now open; ``None`` where none is, or where it was stripped."""

    interchange: Segment | None = None
    group: Segment | None = None
    groups: int = 0
    transactions: int = 0

    @property
    def version(self) -> str | None:
        """4010 or 5010, by GS08, or by ISA12 where GS08 is no version."""
        said = (self.group.get(8) if self.group else "", self.interchange.get(12) if self.interchange else "")
        return next((known for text in said if (known := _VERSIONS.get(text.lstrip("0")[:4]))), None)


_VERSIONS = {"4010": "4010", "401": "4010", "5010": "5010", "501": "5010"}


def _control(segment: Segment | None, index: int) -> str:
    return segment.get(index) if segment else ""


class _TransactionDraft:
    """Gathers the segments of one transaction, and turns each claim into a :class:`Claim` when it ends."""

    def __init__(self, ordinal: int, start: Segment, envelope: _Envelope) -> None:
        self.control = start.get(2)
        self.start = start
        self._ordinal = ordinal
        self._interchange_control = _control(envelope.interchange, 13)
        self._group_control = _control(envelope.group, 6)
        self._version = envelope.version
        self._header: list[Segment] = []
        self._in_header = True
        self._claim: list[Segment] | None = None
        self._lines: list[list[Segment]] = []
        self._claims: list[Claim] = []
        self._stray: list[ServiceLine] = []
        self._provider: list[ProviderAdjustment] = []
        self._problems: list[Problem] = []
        self._noted: set[str] = set()

    def note(self, segment: Segment, kind: Kind, message: str) -> None:
        """Add a problem; what is only worth a note is noted once a transaction."""
        if kind is Kind.NOTE:
            if message in self._noted:
                return
            self._noted.add(message)
        claim = len(self._claims) + 1 if self._claim is not None else None
        self._problems.append(Problem(kind, message, segment.number, segment.shown_id, self.control, claim))

    def add(self, segment: Segment) -> None:
        """Take the next segment between ST and SE."""
        match segment.id:
            case "LX":
                self.close_claim()
            case "CLP":
                self.close_claim()
                self._claim = [segment]
            case "SVC":
                self._in_header = False
                if self._claim is None:
                    self.note(segment, Kind.VALUE, "a service line outside any claim")
                self._lines.append([segment])
            case "PLB":
                self.close_claim()
                self._provider += provider_adjustments(segment, len(self._provider), self.note)
            case _ if self._lines:
                self._lines[-1].append(segment)
            case _ if self._claim is not None:
                self._claim.append(segment)
            case "CAS":
                self.note(segment, Kind.VALUE, "an adjustment outside any claim; not read")
            case _ if self._in_header:
                self._header.append(segment)

    def close_claim(self) -> None:
        """End the claim that is open, if one is: nothing that follows is part of it."""
        self._in_header = False
        lines = [read_line(ordinal, group, self.note) for ordinal, group in enumerate(self._lines, 1)]
        if self._claim is None:
            before = len(self._stray)
            self._stray += [replace(line, ordinal=before + line.ordinal) for line in lines]
        else:
            self._claims.append(read_claim(len(self._claims) + 1, self._claim, lines, self.note))
            self._claim = None
        self._lines = []

    def _first(self, segment_id: str, qualifier: str = "") -> Segment:
        """The header's first segment of that id and first element, or an empty one."""
        for segment in self._header:
            if segment.id == segment_id and qualifier in ("", segment.get(1)):
                return segment
        return Segment(self.start.number, (segment_id,), self.start.separators)

    def finish(self, *, cut_at: Segment | None = None) -> Transaction:
        """The transaction; ``cut_at`` is the last segment of one that stopped without its SE."""
        self.close_claim()
        bpr, trn, dtm = self._first("BPR"), self._first("TRN"), self._first("DTM", "405")
        parties = read_parties(self._header)
        payment = amount_at(bpr, 2, self.note)
        paid_on = date_at(bpr, 16, self.note)
        produced_on = date_at(dtm, 2, self.note)
        if not trn.get(2):
            self.note(trn, Kind.VALUE, "TRN02, the trace number, is missing")
        if cut_at is not None:
            self.note(cut_at, Kind.CUT, "the transaction stops without its end (SE)")
        payee_qualifier, payee_id = parties.ids.get("PE", ("", ""))
        phones = parties.phones
        return Transaction(
            ordinal=self._ordinal,
            segment=self.start.number,
            control=self.control,
            interchange_control=self._interchange_control,
            group_control=self._group_control,
            version=self._version,
            payment=payment,
            credit_or_debit=bpr.get(3),
            payment_method=bpr.get(4),
            paid_on=paid_on,
            trace_number=trn.get(2),
            trace_payer=trn.get(3),
            payer_name=parties.names.get("PR", ""),
            payer_id=parties.ids.get("PR", ("", ""))[1] or parties.other_id,
            payer_phone=phones.get("CX") or next(iter(phones.values()), ""),
            payee_name=parties.names.get("PE", ""),
            payee_id=payee_id,
            payee_id_qualifier=payee_qualifier,
            produced_on=produced_on,
            claims=tuple(self._claims),
            stray_lines=tuple(self._stray),
            provider_adjustments=tuple(self._provider),
            errors=tuple(sorted(self._problems, key=lambda problem: problem.segment)),
        )


class RemittanceFile:
    """Iterate once over the 835 transactions of a binary stream; each is given as soon as it ends.

    At most one transaction is in memory. After (and during) the iteration ``interchanges`` is the number of
    ISA headers met and ``errors`` the problems of the file outside its transactions; those inside are in
    ``Transaction.errors``.

    Iterating raises :class:`NotA835`, before the first transaction only. Bytes that stop being X12 later on
    are a problem in ``errors``; the transaction they cut is given, with a problem of kind ``CUT``.
    """

    def __init__(self, stream: ByteSource, name: str = "", *, chunk_size: int = CHUNK) -> None:
        self.name = name
        self.interchanges = 0
        self._problems: list[Problem] = []
        self._segments = SegmentStream(stream, chunk_size=chunk_size)
        self._envelope = _Envelope()
        self._draft: _TransactionDraft | None = None
        self._found = 0
        self._last: Segment | None = None
        self._other = ""
        self._skipping = False
        self._outside_noted = False
        self._transactions = self._read()

    def __iter__(self) -> Iterator[Transaction]:
        return self._transactions

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems of the file outside its transactions, in its order."""
        return tuple(sorted(self._segments.problems + self._problems, key=lambda problem: problem.segment))

    def _read(self) -> Iterator[Transaction]:
        try:
            for segment in self._segments:
                yield from self._take(segment)
                self._last = segment
        except UnreadableX12 as error:
            if not self._found:
                reason = error.reason if isinstance(error, NotA835) else str(error)
                raise NotA835(reason, self.name) from error
            message = f"{error}; nothing after it is read"
            self._problems.append(Problem(Kind.CUT, message, self._last.number + 1 if self._last else 0))
        yield from self._cut()
        if not self._found:
            reason = f"its transactions are {self._other}" if self._other else "it holds no 835 transaction"
            raise NotA835(reason, self.name)
        self._leave_interchange()

    def _take(self, segment: Segment) -> Iterator[Transaction]:
        match segment.id:
            case "ISA":
                yield from self._cut()
                self._leave_interchange()
                self.interchanges += 1
                self._envelope = _Envelope(interchange=segment)
            case "GS":
                yield from self._cut()
                self._leave_group()
                self._envelope.group = segment
                self._envelope.groups += 1
                self._envelope.transactions = 0
            case "ST":
                yield from self._cut()
                self._enter_transaction(segment)
            case "SE":
                yield from self._end_transaction(segment)
            case "GE":
                yield from self._cut()
                self._check(segment, self._envelope.group, 6, self._envelope.transactions, "transactions")
                self._envelope.group = None
            case "IEA":
                yield from self._cut()
                self._leave_group()
                self._check(segment, self._envelope.interchange, 13, self._envelope.groups, "groups")
                self._envelope.interchange = None
            case _ if self._draft is not None:
                self._draft.add(segment)
            case _ if not (self._skipping or self._outside_noted):
                self._outside_noted = True
                self._note(segment, Kind.NOTE, "there are segments outside any transaction; not read")

    def _enter_transaction(self, segment: Segment) -> None:
        self._envelope.transactions += 1
        self._skipping = segment.get(1) != "835"
        if self._skipping:
            shown = segment.get(1) if re.fullmatch("[0-9]{3}", segment.get(1)) else "of no known kind"
            self._other = self._other or shown
            self._note(segment, Kind.VALUE, f"a transaction is {shown}, not 835; not read")
        else:
            self._found += 1
            self._draft = _TransactionDraft(self._found, segment, self._envelope)

    def _end_transaction(self, segment: Segment) -> Iterator[Transaction]:
        self._skipping, skipped = False, self._skipping
        draft, self._draft = self._draft, None
        if draft is None:
            if not skipped:
                self._note(segment, Kind.CONTROL, "SE without an ST")
            return
        draft.close_claim()
        counted = segment.number - draft.start.number + 1
        if not _same_number(segment.get(1), str(counted)):
            draft.note(segment, Kind.CONTROL, f"SE01 does not count the {counted} segments that were read")
        if not _same_number(segment.get(2), draft.control):
            draft.note(segment, Kind.CONTROL, "SE02 is not the control number of ST02")
        yield draft.finish()

    def _cut(self) -> Iterator[Transaction]:
        """Give the transaction that is open where another part of the envelope, or the end, stands."""
        draft, self._draft = self._draft, None
        self._skipping = False
        if draft is not None:
            yield draft.finish(cut_at=self._last or draft.start)

    def _leave_group(self) -> None:
        if self._envelope.group is not None:
            self._note(self._envelope.group, Kind.CONTROL, "the group has no end (GE)")
            self._envelope.group = None

    def _leave_interchange(self) -> None:
        self._leave_group()
        if self._envelope.interchange is not None:
            self._note(self._envelope.interchange, Kind.CONTROL, "the interchange has no end (IEA)")
            self._envelope.interchange = None

    def _check(self, end: Segment, start: Segment | None, control_at: int, count: int, what: str) -> None:
        """Compare a GE or IEA with what it ends."""
        if start is None:
            self._note(end, Kind.CONTROL, f"{end.id} ends nothing that was started")
            return
        if not _same_number(end.get(1), str(count)):
            self._note(end, Kind.CONTROL, f"{end.id}01 does not count the {count} {what} that were read")
        if not _same_number(end.get(2), start.get(control_at)):
            self._note(end, Kind.CONTROL, f"{end.id}02 is not the control number of its {start.id}")

    def _note(self, segment: Segment, kind: Kind, message: str) -> None:
        self._problems.append(Problem(kind, message, segment.number, segment.shown_id))


def _same_number(one: str, other: str) -> bool:
    """Control numbers are the same whatever zeros stand before them."""
    return one.lstrip("0") == other.lstrip("0")


def read_remittances(stream: ByteSource, name: str = "") -> Iterator[Transaction]:
    """The 835 transactions of a binary ``stream``, one at a time; see :class:`RemittanceFile`."""
    return iter(RemittanceFile(stream, name))
