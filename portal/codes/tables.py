"""Reading the public tables of codes as their publisher offers them. Pure.

- HCPCS Level II, of CMS: a CSV with the columns ``code``, ``long_description``, ``short_description``.
- ICD-10-CM, of CMS and NCHS: the fixed-width "order" file (``icd10cm_order_2026.txt``): the order number in columns
  1-5, the code in 7-13, whether it can be billed in 15, the short text in 17-76 and the long one from 78 on.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

#: Level II: a letter and four digits. Five digits, or four and a letter, are CPT (AMA); D and four digits CDT (ADA).
LEVEL_TWO = re.compile(r"[A-CE-V][0-9]{4}")
ICD = re.compile(r"[A-Z][0-9][0-9A-Z]{1,5}")

SHORTEST_LINE, LONGEST_SHORT, LONGEST_LONG = 17, 120, 2000


class NotATable(ValueError):
    """A file that is not the table it was said to be; the message says what was looked for."""


@dataclass(frozen=True, slots=True)
class Row:
    """One code of a table."""

    code: str
    short_text: str
    long_text: str
    billable: bool = True


def read_hcpcs(lines: Iterable[str]) -> tuple[list[Row], list[str]]:
    """The Level II codes of CMS's CSV, and the codes that were refused: those whose text is not public.

    Raises :class:`NotATable` when a column is missing or no row is a Level II code.
    """
    try:
        return _hcpcs_rows(lines)
    except csv.Error as error:
        raise NotATable(f"not CMS's HCPCS table: {error}") from None


def _hcpcs_rows(lines: Iterable[str]) -> tuple[list[Row], list[str]]:
    reader = csv.DictReader(lines)
    names = {(name or "").strip().lstrip("\ufeff").lower(): name for name in reader.fieldnames or ()}
    missing = {"code", "long_description", "short_description"} - set(names)
    if missing:
        raise NotATable(f"not CMS's HCPCS table: it has no column {', '.join(sorted(missing))}")
    rows: dict[str, Row] = {}
    refused = []
    for row in reader:
        code = (row[names["code"]] or "").strip().upper()
        if not LEVEL_TWO.fullmatch(code):
            if code:
                refused.append(code)
            continue
        short, long = row[names["short_description"]], row[names["long_description"]]
        rows[code] = Row(code, _text(short or long, LONGEST_SHORT), _text(long or short, LONGEST_LONG))
    if not rows:
        raise NotATable("not CMS's HCPCS table: no row is a Level II code")
    return list(rows.values()), refused


def read_icd10cm(lines: Iterable[str]) -> tuple[list[Row], list[str]]:
    """The codes of the order file, headings included, and an empty list: nothing of it is refused.

    Raises :class:`NotATable` at the first line that is not laid out like that file.
    """
    rows = list(_icd_rows(lines))
    if not rows:
        raise NotATable("not an ICD-10-CM order file: it is empty")
    return rows, []


def _icd_rows(lines: Iterable[str]) -> Iterator[Row]:
    for number, line in enumerate(lines, 1):
        line = line.rstrip("\r\n")
        if not line.strip():
            continue
        order, code, billable = line[:5].strip(), line[6:13].strip(), line[14:15]
        if len(line) < SHORTEST_LINE or not order.isdigit() or not ICD.fullmatch(code) or billable not in {"0", "1"}:
            raise NotATable(f"not an ICD-10-CM order file: line {number} has another layout")
        short, long = line[16:76].strip(), line[77:].strip()
        yield Row(code, _text(short or long, LONGEST_SHORT), _text(long or short, LONGEST_LONG), billable == "1")


def _text(text: str | None, length: int) -> str:
    return " ".join((text or "").replace("\x00", " ").split())[:length]


READERS = {"hcpcs": read_hcpcs, "icd10cm": read_icd10cm}
