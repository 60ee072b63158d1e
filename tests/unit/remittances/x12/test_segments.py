"""The tokenizer: separators, line ends, envelopes, chunk boundaries, garbage."""

from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from portal.remittances.x12.errors import NotA835, SegmentTooLong, UnreadableX12
from portal.remittances.x12.segments import LONGEST_SEGMENT, SegmentStream, Separators

from .builder import Marks, interchange, isa, simple, transaction, written

Tokens = list[tuple[tuple[str, ...], Separators]]


def tokens(data: bytes, chunk_size: int = 64) -> Tokens:
    return [(segment.elements, segment.separators) for segment in SegmentStream(BytesIO(data), chunk_size=chunk_size)]


def plain(data: bytes) -> list[tuple[str, ...]]:
    return [elements for elements, _ in tokens(data)]


def test_separators_come_from_the_fixed_places_of_isa() -> None:
    marks = Marks(element="|", component=">", terminator="!", repetition="^")
    _, separators = tokens(simple(marks=marks))[0]
    assert separators == Separators("|", ">", "!", "^")


def test_isa11_is_no_repetition_separator_when_it_is_a_letter() -> None:
    _, separators = tokens(interchange(version="00401"))[0]
    assert separators.repetition is None


def test_several_interchanges_each_with_its_own_separators() -> None:
    other = Marks(element="|", component="<", terminator="\n", repetition="^")
    both = tokens(simple() + b"\r\n" + simple(marks=other))
    half = len(both) // 2
    assert {separators.element for _, separators in both[:half]} == {"*"}
    assert {separators.element for _, separators in both[half:]} == {"|"}
    assert [elements[0] for elements, _ in both[:half]] == [elements[0] for elements, _ in both[half:]]


@pytest.mark.parametrize("after", ["\n", "\r\n", "\r\n      ", "\n\t", "~", "~\r\n~"])
def test_what_stands_between_segments_does_not_matter(after: str) -> None:
    assert plain(simple(marks=Marks(after=after))) == plain(simple())


@pytest.mark.parametrize("terminator", ["\n", "\r", "\x1c"])
def test_a_terminator_may_be_a_control_character(terminator: str) -> None:
    data = simple(marks=Marks(terminator=terminator))
    assert plain(data)[1:] == plain(simple())[1:]
    assert plain(data.replace(b"\r", b"\r\n")) == plain(data)


def test_a_byte_order_mark_is_skipped_at_the_start_and_between_joined_files() -> None:
    marked = b"\xef\xbb\xbf" + simple()
    assert plain(marked + b"\r\n" + marked) == plain(simple() + simple())


def test_leading_blanks_and_trailing_padding_are_skipped() -> None:
    assert plain(b"\r\n   " + simple() + b"\r\n\x1a\x00\x00") == plain(simple())


def test_lines_wrapped_at_80_columns_are_joined() -> None:
    data = simple()
    wrapped = b"\r\n".join(data[at : at + 80] for at in range(0, len(data), 80))
    stream = SegmentStream(BytesIO(wrapped))
    assert [segment.elements for segment in stream] == plain(data)
    assert [problem.segment_id for problem in stream.problems] == ["ISA"]


def test_an_isa_of_odd_width_is_counted_and_noted() -> None:
    data = simple().replace(b" " * 10, b"")
    stream = SegmentStream(BytesIO(data))
    assert [segment.elements for segment in stream][1:] == plain(simple())[1:]
    assert "not 106 characters" in stream.problems[0].message


@pytest.mark.parametrize("start", ["GS*HP*A*B*20260101*1*1*X*005010X221A1", "ST*835*1"])
def test_a_stripped_envelope_is_read_with_the_usual_separators_and_noted(start: str) -> None:
    stream = SegmentStream(BytesIO(f"{start}~SVC*HC:99213~".encode()))
    segments = list(stream)
    assert segments[1].get(1) == "HC:99213"
    assert segments[1].separators == Separators("*", ":", "~")
    assert "stripped" in stream.problems[0].message


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b" \r\n\x00", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b"%PDF-1.7 binary", "ISA"),
        (b"\x00\x01\x02\xff", "ISA"),
        (b"claim,amount\n1,2\n", "ISA"),
        (b"ISABELLA wrote this", "ISA"),
        (b"GS|HP|A", "ISA"),
        (b"IS", "ISA"),
    ],
)
def test_what_is_not_x12_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(NotA835, match=reason) as caught:
        tokens(data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [b"ISA*00*", isa().encode(), isa(component="*").encode() + b"~", isa().encode() + b"A", isa().encode() + b":"],
)
def test_an_isa_that_names_no_separators_is_refused(data: bytes) -> None:
    with pytest.raises(UnreadableX12):
        tokens(data)


def test_a_cut_last_segment_is_given_and_noted() -> None:
    stream = SegmentStream(BytesIO(b"ST*835*1~BPR*I*12"))
    assert list(stream)[-1].elements == ("BPR", "I", "12")
    assert stream.problems[-1].segment == 2
    assert "without the terminator" in stream.problems[-1].message


def test_a_segment_may_be_long_but_not_endless() -> None:
    longest = b"ST*" + b"x" * (LONGEST_SEGMENT - 3)
    assert len(plain(longest + b"~SE*1~")) == 2
    with pytest.raises(SegmentTooLong):
        tokens(longest + b"x~SE*1~")


def test_an_endless_segment_does_not_fill_memory() -> None:
    class Endless:
        given = 0

        def read(self, size: int, /) -> bytes:
            self.given += size
            return (b"ST*" if self.given == size else b"") + b"x" * size

    source = Endless()
    with pytest.raises(SegmentTooLong):
        list(SegmentStream(source))
    assert source.given <= LONGEST_SEGMENT + 3 * 64 * 1024


def test_text_is_utf8_and_latin1_where_it_is_not() -> None:
    assert plain("ST*Zoë~".encode() + "ST*Zoë~".encode("latin-1")) == [("ST", "Zoë"), ("ST", "Zoë")]


def test_elements_lose_their_padding_and_absent_ones_are_empty() -> None:
    (segment,) = SegmentStream(BytesIO(b"ST* 835 **~"))
    assert (segment.get(1), segment.get(2), segment.get(9)) == ("835", "", "")


def test_a_name_in_the_place_of_a_segment_id_is_not_shown() -> None:
    stream = SegmentStream(BytesIO(b"ST*835~TESTPERSON ANNA"))
    assert [segment.shown_id for segment in stream] == ["ST", ""]
    assert "TESTPERSON" not in str(stream.problems[-1])


separator = st.sampled_from(list("*|:>~!^+\n\r\x1c\x1d"))
text = st.text(st.characters(min_codepoint=32, max_codepoint=0x17F, exclude_characters="*|:>~!^+"), max_size=12)


@st.composite
def x12_files(draw: st.DrawFn) -> bytes:
    data = b"\xef\xbb\xbf" if draw(st.booleans()) else b""
    for _ in range(draw(st.integers(1, 3))):
        element, component, terminator = draw(st.lists(separator, min_size=3, max_size=3, unique=True))
        marks = Marks(
            element, component, terminator, "^", draw(st.sampled_from(["", "\n", "\r\n  ", "\xef\xbb\xbf"]))
        )
        rows = draw(st.lists(st.lists(text, min_size=1, max_size=4), max_size=6))
        data += written([isa(), *("*".join(["REF", *row]) for row in rows)], marks)
    return data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data


def outcome(data: bytes, chunk_size: int) -> tuple[Tokens | str, list[str]]:
    stream = SegmentStream(BytesIO(data), chunk_size=chunk_size)
    found: Tokens = []
    try:
        found.extend((segment.elements, segment.separators) for segment in stream)
    except UnreadableX12 as error:
        return f"{len(found)} then {type(error).__name__}: {error}", list(map(str, stream.problems))
    return found, list(map(str, stream.problems))


@given(x12_files(), st.integers(1, 300))
@example(b"\xef\xbb\xbf" + simple() + b"\xef\xbb\xbf" + simple(), 1)
@example(written(transaction([], paid="0")), 1)
def test_the_tokens_do_not_depend_on_the_chunk_size(data: bytes, chunk_size: int) -> None:
    assert outcome(data, chunk_size) == outcome(data, 1 << 20)


@given(st.one_of(st.binary(max_size=400), st.binary(max_size=400).map(lambda tail: isa().encode() + b"~" + tail)))
def test_random_bytes_end_in_segments_or_in_a_typed_error(data: bytes) -> None:
    found, _ = outcome(data, 7)
    assert isinstance(found, (list, str))
    if isinstance(found, list):
        assert sum(len("".join(elements)) for elements, _ in found) <= len(data)
