"""Reading the public tables: what is taken, what is refused, and what is no table at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.codes.tables import NotATable, Row, read_hcpcs, read_icd10cm
from tests.shared_data import shared_path

HEAD = "code,long_description,short_description"


def order_line(number: int, code: str, billable: str, short: str, long: str) -> str:
    """One line of the fixed-width order file."""
    return f"{number:05d} {code:<7} {billable} {short:<60} {long}"


def test_the_shared_table_of_cms() -> None:
    with shared_path("data/codes/hcpcs_level2_2019_cms.csv").open(encoding="utf-8-sig", newline="") as lines:
        rows, refused = read_hcpcs(lines)
    assert len(rows) == 6440
    assert refused == []
    assert all(row.short_text and row.long_text for row in rows)


@pytest.mark.parametrize("code", ["99213", "0001U", "0591T", "3006F", "D0120", "W1234", "A002", "a00211", "99213-25"])
def test_codes_whose_texts_are_not_public_are_refused(code: str) -> None:
    """Five digits, and four with a letter, are CPT (AMA); D and four digits are CDT (ADA)."""
    rows, refused = read_hcpcs([HEAD, f"{code},Some words,Words", "A0021,A ride,Ride"])
    assert [row.code for row in rows] == ["A0021"]
    assert refused == [code.upper()]


def test_a_table_without_a_public_code_is_refused_whole() -> None:
    with pytest.raises(NotATable, match="no row is a Level II code"):
        read_hcpcs([HEAD, "99213,Some words,Words"])
    with pytest.raises(NotATable, match="no column long_description"):
        read_hcpcs(["code,short_description", "A0021,x"])
    with pytest.raises(NotATable):
        read_hcpcs([])


def test_the_order_file_of_icd_10_cm() -> None:
    lines = [
        order_line(1, "A00", "0", "Cholera", "Cholera"),
        order_line(2, "A000", "1", "Cholera due to Vibrio", "Cholera due to Vibrio cholerae 01, biovar cholerae"),
        order_line(3, "S72001A", "1", "Fracture of right leg", "Fracture of the right leg, first encounter") + "\r\n",
        "",
    ]
    rows, refused = read_icd10cm(lines)
    assert rows[0] == Row("A00", "Cholera", "Cholera", False)
    assert rows[2] == Row("S72001A", "Fracture of right leg", "Fracture of the right leg, first encounter", True)
    assert refused == []


@pytest.mark.parametrize(
    "line",
    ["A0021,A ride,Ride", "00001 A00     2 Cholera", "x0001 A00     0 Cholera", "00001 99213   1 Visit", "00001 A00"],
)
def test_another_layout_is_no_order_file(line: str) -> None:
    with pytest.raises(NotATable, match="line 2 has another layout"):
        read_icd10cm([order_line(1, "A00", "0", "Cholera", "Cholera"), line])
    with pytest.raises(NotATable):
        read_icd10cm([])


@given(st.lists(st.text(max_size=90), max_size=5))
def test_any_lines_are_read_or_refused(lines: list[str]) -> None:
    for read in (read_hcpcs, read_icd10cm):
        try:
            rows, _refused = read(lines)
        except NotATable:
            continue
        assert rows
