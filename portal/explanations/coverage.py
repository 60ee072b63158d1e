"""How much of what insurers write the catalogue explains, and how hard the words are to read. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from portal.explanations.catalogue import BASE_LANGUAGE, GROUP_CODES, languages, load
from portal.explanations.compose import Explanation, explain
from portal.explanations.facts import AdjustmentFact, code, natural
from portal.explanations.reading import english_grade, spanish_ease
from portal.money import Money

#: How each language is measured; on the English scale high is hard, on the Spanish one low is.
SCALES: dict[str, tuple[str, Callable[[str], float], bool]] = {
    "en": ("Flesch-Kincaid grade, 8 or below", english_grade, True),
    "es": ("Fernández Huerta ease, 65 or above", spanish_ease, False),
}

#: A code as somebody would type it: ``CO-45``, ``pr-A1``, ``N14``, ``45``.
CODE = re.compile(r"(?:([A-Za-z]{2})-)?([A-Za-z]{0,2}[0-9]{1,4})")
REMARK = re.compile(r"MA?[0-9]+|N[0-9]+|X999")

_AMOUNT, _PAYER, _DAY = Money(12345), "Blue Plan", date(2026, 3, 3)


class NotACode(ValueError):
    """A text that can't be a group with a reason, a reason or a remark."""


@dataclass(slots=True)
class Seen:
    """The codes that were met: (group, reason) pairs and remarks. A reason without a group counts for each group."""

    adjustments: set[tuple[str, str]] = field(default_factory=set)
    remarks: set[str] = field(default_factory=set)

    def add(self, group: str, reason: str) -> None:
        """Take in a reason; ``group`` is empty where a list names none."""
        groups = (group,) if group else tuple(one for one in GROUP_CODES if one != "CR")
        self.adjustments.update((code(one), code(reason)) for one in groups if code(reason))

    def add_remark(self, remark: str) -> None:
        """Take in a remark."""
        if code(remark):
            self.remarks.add(code(remark))

    def add_text(self, text: str) -> None:
        """Take in a code as somebody typed it. Raises :class:`NotACode`."""
        group, own = parse(text)
        if not group and REMARK.fullmatch(own):
            self.add_remark(own)
        else:
            self.add(group, own)


def parse(text: str) -> tuple[str, str]:
    """Group (empty where there is none) and code of what somebody typed. Raises :class:`NotACode`."""
    found = CODE.fullmatch(text.strip())
    if found is None:
        raise NotACode(f"{text.strip()[:20]!r} is not a code like CO-45 or N14")
    return (found[1] or "").upper(), code(found[2])


def coverage(seen: Seen) -> dict[str, Any]:
    """What is explained of the codes that were met.

    ``codes_seen`` is ``explained`` (in words of their own) plus ``by_family`` (in the general words of their kind)
    plus the length of ``unknown``. A group that no list has counts as an unknown code. Grades are of the composed
    texts, part by part, in each language, on the scale that ``scale`` names; None where nothing was met.
    """
    book = load(BASE_LANGUAGE)
    reasons = {reason for _, reason in seen.adjustments}
    unknown = {reason for reason in reasons if reason not in book.reasons}
    unknown |= {remark for remark in seen.remarks if remark not in book.remarks}
    strange = {group for group, _ in seen.adjustments if group not in GROUP_CODES}
    by_family = {remark for remark in seen.remarks - unknown if not book.remarks[remark].own_words}
    codes = reasons | seen.remarks | strange
    result: dict[str, Any] = {
        "codes_seen": len(codes),
        "explained": len(codes - unknown - strange - by_family),
        "by_family": len(by_family),
        "unknown": sorted(unknown | strange, key=natural),
        "worst_grade": {},
        "mean_grade": {},
        "scale": {},
    }
    for language in languages():
        name, measure, high_is_hard = SCALES[language]
        grades = [measure(text) for text in _composed(seen, language)]
        worst = (max if high_is_hard else min)(grades) if grades else None
        result["worst_grade"][language] = round(worst, 1) if worst is not None else None
        result["mean_grade"][language] = round(sum(grades) / len(grades), 1) if grades else None
        result["scale"][language] = name
    return result


def _composed(seen: Seen, language: str) -> Iterable[str]:
    for group, reason in sorted(seen.adjustments):
        yield from _parts(explain(AdjustmentFact(group, reason, _AMOUNT, _PAYER, (), _DAY), language=language))
    book = load(language)
    yield from (book.remarks[one].what.format(payer=_PAYER) for one in sorted(seen.remarks) if one in book.remarks)


def _parts(told: Explanation) -> tuple[str, ...]:
    return (told.what, told.bill, told.next_step, told.ask)
