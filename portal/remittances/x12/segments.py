"""X12 segments from a stream of bytes, a chunk at a time.

An interchange names its own separators in its ISA header, which is 106 characters wide (X12.5, Interchange
Control Structures): the element separator follows the letters ISA, the component separator is ISA16, the
segment terminator comes right after it, and ISA11 is the repetition separator from version 00402 on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from portal.remittances.x12.errors import BadInterchangeHeader, Kind, NotA835, Problem, SegmentTooLong

#: Longer than any segment of an 835; past it the bytes are not X12 and reading on would only fill memory.
LONGEST_SEGMENT = 64 * 1024
CHUNK = 64 * 1024

_ISA_WIDTH = 106
_ISA_SEPARATORS_AT = (3, 6, 17, 20, 31, 34, 50, 53, 69, 76, 81, 83, 89, 99, 101, 103)
#: How far a header that is not 106 wide may reach: every element at its widest, and line breaks.
_LOOSE_ISA_WIDTH = 256
_ISA_ELEMENTS = 16

_BOM = b"\xef\xbb\xbf"
#: Line ends and indents that people and programs put between segments; NUL and Ctrl-Z pad old files.
_BLANK = re.compile(rb"[ \t\r\n\v\f\x00\x1a]*")
_SEGMENT_ID = re.compile(r"[A-Z][A-Z0-9]{1,2}")
_LINE_ENDS = str.maketrans("", "", "\r\n")


class ByteSource(Protocol):
    """Anything with a binary ``read``."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Separators:
    """The single characters that part elements, components, segments and repetitions (``None``: not used)."""

    element: str
    component: str
    terminator: str
    repetition: str | None = None


#: A file whose envelope was stripped no longer says; these are what nearly every payer uses.
USUAL_SEPARATORS = Separators("*", ":", "~")


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment: ``elements[0]`` is its id, ``number`` counts from 1 in the file, blanks not counted."""

    number: int
    elements: tuple[str, ...]
    separators: Separators

    @property
    def id(self) -> str:
        """The two or three letters that name the segment."""
        return self.elements[0]

    @property
    def shown_id(self) -> str:
        """The id where it looks like one, else empty: in a broken file a name may stand in its place."""
        return self.id if _SEGMENT_ID.fullmatch(self.id) else ""

    def get(self, index: int) -> str:
        """The element at ``index`` (1 is the first after the id) without padding; empty when absent."""
        return self.elements[index].strip() if index < len(self.elements) else ""


class SegmentStream:
    """Iterate once over the segments of ``source``; at most a chunk and a segment are in memory.

    ``problems`` fills while iterating: a stripped envelope, a header of odd width, a last segment without its
    terminator (which is still given, as far as it goes).

    Iterating raises :class:`NotA835` when the first bytes are no X12 envelope, :class:`SegmentTooLong` and
    :class:`BadInterchangeHeader` when the bytes stop being X12 further on.
    """

    def __init__(self, source: ByteSource, *, chunk_size: int = CHUNK) -> None:
        self.problems: list[Problem] = []
        self._source = source
        self._chunk_size = chunk_size
        self._buffer = bytearray()
        self._at = 0
        self._ended = False
        self._segments = self._read()

    def __iter__(self) -> Iterator[Segment]:
        return self._segments

    def _read(self) -> Iterator[Segment]:
        separators = self._opening()
        number = 0
        while self._skip_blank():
            if self._at_header():
                separators = self._header(number + 1)
            raw, terminated = self._take(separators.terminator.encode("latin-1"))
            text = _decoded(raw)
            # Some senders wrap lines at a fixed width, in the middle of segments.
            text = text.translate(_LINE_ENDS) if "\n" in text or "\r" in text else text
            if not text:
                continue
            number += 1
            elements = text.split(separators.element)
            elements[0] = elements[0].strip()
            segment = Segment(number, tuple(elements), separators)
            if not terminated:
                message = "the file ends without the terminator of its last segment; read as far as it goes"
                self.problems.append(Problem(Kind.VALUE, message, number, segment.shown_id))
            yield segment

    def _opening(self) -> Separators:
        """Be sure that the first bytes are X12; the separators until an ISA names others."""
        if not self._skip_blank():
            raise NotA835("it is empty")
        if self._at_header():
            return USUAL_SEPARATORS
        self._have(3)
        start = bytes(self._buffer[self._at : self._at + 3])
        if start not in (b"GS*", b"ST*"):
            raise NotA835("it does not start with an X12 envelope (ISA)")
        message = f"the envelope was stripped: the file starts at {start[:2].decode()}; read with * and ~"
        self.problems.append(Problem(Kind.NOTE, message))
        return USUAL_SEPARATORS

    def _at_header(self) -> bool:
        if not self._have(4) or not self._buffer.startswith(b"ISA", self._at):
            return False
        return not chr(self._buffer[self._at + 3]).isalnum()

    def _header(self, number: int) -> Separators:
        """The separators that the ISA segment at the present place names."""
        self._have(_ISA_WIDTH)
        head = bytes(self._buffer[self._at : self._at + _ISA_WIDTH])
        element = head[3]
        if len(head) == _ISA_WIDTH and all(head[place] == element for place in _ISA_SEPARATORS_AT):
            component_at = _ISA_WIDTH - 2
        else:
            self._have(_LOOSE_ISA_WIDTH)
            head = bytes(self._buffer[self._at : self._at + _LOOSE_ISA_WIDTH])
            component_at = _after_separator(head, element, _ISA_ELEMENTS)
            message = f"the ISA header is not {_ISA_WIDTH} characters wide; separators found by counting"
            self.problems.append(Problem(Kind.NOTE, message, number, "ISA"))
        if component_at + 1 >= len(head):
            raise BadInterchangeHeader("its ISA header is cut short")
        marks = (element, head[component_at], head[component_at + 1])
        if len(set(marks)) < len(marks) or any(chr(mark).isalnum() or mark == 0x20 for mark in marks):
            raise BadInterchangeHeader("its ISA header does not name three different separators")
        repetition = head.split(bytes([element]))[11].strip().decode("latin-1")
        several = len(repetition) == 1 and not repetition.isalnum()
        return Separators(chr(marks[0]), chr(marks[1]), chr(marks[2]), repetition if several else None)

    def _take(self, terminator: bytes) -> tuple[bytes, bool]:
        """The bytes up to the next terminator, and whether there was one."""
        searched = 0
        while True:
            end = self._buffer.find(terminator, self._at + searched)
            length = (end if end >= 0 else len(self._buffer)) - self._at
            if length > LONGEST_SEGMENT:
                raise SegmentTooLong(f"no segment ends within {LONGEST_SEGMENT // 1024} KiB")
            if end >= 0:
                raw = bytes(self._buffer[self._at : end])
                self._at = end + 1
                return raw, True
            searched = length
            if not self._fill():
                raw = bytes(self._buffer[self._at :])
                self._at = len(self._buffer)
                return raw, False

    def _skip_blank(self) -> bool:
        """Move past blanks and byte order marks; whether anything is left."""
        while True:
            if blank := _BLANK.match(self._buffer, self._at):
                self._at = blank.end()
            if self._at == len(self._buffer):
                if not self._fill():
                    return False
            # Joined files carry a byte order mark in the middle.
            elif self._buffer[self._at] == _BOM[0] and self._have(3) and self._buffer.startswith(_BOM, self._at):
                self._at += len(_BOM)
            else:
                return True

    def _have(self, count: int) -> bool:
        """Read on until ``count`` bytes are at hand; whether the file had as many."""
        while len(self._buffer) - self._at < count:
            if not self._fill():
                return False
        return True

    def _fill(self) -> bool:
        if self._ended:
            return False
        chunk = self._source.read(self._chunk_size)
        self._ended = not chunk
        if self._at:
            del self._buffer[: self._at]
            self._at = 0
        self._buffer += chunk
        return not self._ended


def _after_separator(head: bytes, element: int, count: int) -> int:
    """The place right after the ``count``-th separator; raises :class:`BadInterchangeHeader` without one."""
    place = -1
    for _ in range(count):
        place = head.find(element, place + 1)
        if place < 0:
            raise BadInterchangeHeader("its ISA header is cut short")
    return place + 1


def _decoded(raw: bytes) -> str:
    """X12 is ASCII by the book; payers send UTF-8 or Latin-1 names, and Latin-1 never fails."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")
