"""Plain categories for procedure and revenue codes, and plain words for modifiers.

The categories are our own and rest on number ranges and letter families only; no descriptor of a code is used.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from portal.explanations.catalogue import CatalogueError, load, read_table

#: Qualifiers of a procedure identifier (X12 element 235) under which a code can be looked up here.
PROCEDURE_QUALIFIERS = frozenset({"", "HC", "CJ", "AD"})
DRUG_QUALIFIERS = frozenset({"N4", "ND", "N1", "N2", "N3", "N6"})
REVENUE_QUALIFIERS = frozenset({"NU", "RB"})

FALLBACK = "other"


def service_category(code: str, qualifier: str = "HC", revenue_code: str = "", language: str = "en") -> str:
    """What kind of care a code stands for, such as "An office visit".

    ``code`` with its X12 ``qualifier`` (HC, AD, NU, N4; empty when unknown) is tried first, then
    ``revenue_code``. What neither tells is "A medical service". Never raises, whatever the strings hold.
    """
    code, qualifier = code.strip().upper(), qualifier.strip().upper()
    slug = None
    if qualifier in PROCEDURE_QUALIFIERS:
        slug = _procedure(code)
    elif qualifier in DRUG_QUALIFIERS:
        slug = "pharmacy"
    elif qualifier in REVENUE_QUALIFIERS:
        slug = _revenue(code)
    return load(language).categories[slug or _revenue(revenue_code.strip()) or FALLBACK]


def modifier_text(modifier: str, language: str = "en") -> str:
    """What a two-character modifier tells about a service; empty when we have no words for it."""
    return load(language).modifiers.get(modifier.strip().upper(), "")


class _Ranges:
    """``service_ranges.toml``, checked against the categories that have a text."""

    def __init__(self) -> None:
        file = "service_ranges.toml"
        table = read_table(file)
        try:
            self.numbers: Sequence[Sequence[str]] = table["numbers"]
            self.revenue: Sequence[Sequence[str]] = table["revenue"]["ranges"]
            self.letters: dict[str, str] = table["letters"]
            self.suffixes: dict[str, str] = table["suffixes"]
        except KeyError as missing:
            raise CatalogueError(f"{file}: no {missing}") from None
        for row in (*self.numbers, *self.revenue):
            if len(row) != 3 or len(row[0]) != len(row[1]) or row[0] > row[1]:
                raise CatalogueError(f"{file}: {row} is not a range and a category")
        slugs = {row[2] for row in (*self.numbers, *self.revenue)}
        slugs |= {*self.letters.values(), *self.suffixes.values(), FALLBACK, "pharmacy"}
        unnamed = slugs - set(load("en").categories)
        if unnamed:
            raise CatalogueError(f"{file}: categories without a text: {sorted(unnamed)}")


@cache
def _ranges() -> _Ranges:
    return _Ranges()


def _within(rows: Sequence[Sequence[str]], code: str) -> str | None:
    return next((slug for first, last, slug in rows if first <= code <= last), None)


def _procedure(code: str) -> str | None:
    if re.fullmatch(r"[0-9]{5}", code):
        return _within(_ranges().numbers, code)
    if re.fullmatch(r"[0-9]{4}[A-Z]", code):
        return _ranges().suffixes.get(code[4])
    if re.fullmatch(r"[A-Z][0-9]{4}", code):
        letters = _ranges().letters
        return next((letters[code[:n]] for n in range(4, 0, -1) if code[:n] in letters), None)
    return None


def _revenue(code: str) -> str | None:
    if not re.fullmatch(r"[0-9]{3,4}", code):
        return None
    return _within(_ranges().revenue, code.zfill(4))
