"""What a remittance says of one adjustment, cleaned, and what that does to a bill. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from portal.explanations.catalogue import GROUP_CODES, OTHER_GROUP, Catalogue, Effect, Remark
from portal.money import Money

#: Longest payer name and code that is shown; what a feed may carry beyond that is noise.
PAYER_LENGTH, CODE_LENGTH = 80, 12

#: Families of remarks that are told after the others.
_LAST = frozenset({"appeal", "no_appeal", "forwarded"})

GROUP_EFFECTS: Mapping[str, Effect] = {
    "CO": "not_yours",
    "PR": "your_share",
    "OA": "information",
    "PI": "not_yours",
    "CR": "information",
    OTHER_GROUP: "information",
}


@dataclass(frozen=True, slots=True)
class AdjustmentFact:
    """One adjustment of a claim or a line: group (CO, PR, ...), CARC, signed amount, payer's name and RARCs.

    ``decided_on`` is the day of the payer's decision, where the feed tells it.
    """

    group: str
    reason: str
    amount: Money
    payer: str
    remarks: tuple[str, ...] = ()
    decided_on: date | None = None


@lru_cache(maxsize=4096)
def clean(text: str, length: int) -> str:
    """One printable line: feeds carry control characters, padding and, at worst, half a character."""
    printable = "".join(" " if unicodedata.category(character)[0] in "CZ" else character for character in text)
    return " ".join(printable.split())[:length].strip()


@lru_cache(maxsize=4096)
def code(text: str) -> str:
    """A code as the lists write it: capitals, without the zeros some payers put in front."""
    cleaned = clean(text, CODE_LENGTH).upper()
    return cleaned.lstrip("0") or cleaned


def group_of(fact: AdjustmentFact) -> str:
    """The group as the payer wrote it, cleaned."""
    return code(fact.group)


def reason_of(fact: AdjustmentFact) -> str:
    """The reason code as the payer wrote it, cleaned."""
    return code(fact.reason)


def known_group(fact: AdjustmentFact) -> str:
    """The group, or ``other`` for one that is in no list."""
    return group_of(fact) if group_of(fact) in GROUP_CODES else OTHER_GROUP


def family_of(fact: AdjustmentFact, catalogue: Catalogue) -> str:
    """The family of a fact's reason; ``unknown`` for a reason without words."""
    reason = catalogue.reasons.get(reason_of(fact))
    return reason.family if reason else "unknown"


def natural(text: str) -> tuple[str, int, str]:
    """Orders codes as people do: ``N9`` before ``N10``."""
    found = re.fullmatch(r"([A-Z]*)([0-9]{1,9})(.*)", text)
    return (found[1], int(found[2]), found[3]) if found else (text, -1, "")


def remarks_of(fact: AdjustmentFact, catalogue: Catalogue) -> tuple[list[Remark], list[str]]:
    """The remarks that have a text, and the codes of those that have none.

    Each once, in an order that does not hang on the file's: what frees the patient comes first, then words of the
    code's own, then general ones, and how to appeal last.
    """
    codes = ordered(fact.remarks)
    known = [catalogue.remarks[one] for one in codes if one in catalogue.remarks]
    known.sort(key=lambda remark: (remark.effect is None, remark.family in _LAST, not remark.own_words))
    return known, [one for one in codes if one not in catalogue.remarks]


def ordered(remarks: Iterable[str]) -> list[str]:
    """Remark codes cleaned, each once, in the order of the list."""
    return sorted({one for one in map(code, remarks) if one}, key=lambda one: (natural(one), one))


def is_protected(remarks: Sequence[Remark]) -> bool:
    """Whether a remark says that the patient need not pay what stands in the patient's group."""
    return any(remark.effect == "not_yours" for remark in remarks)


def effect_of(fact: AdjustmentFact, catalogue: Catalogue) -> Effect:
    """What an adjustment does to the bill: the sign first, then remarks, the reason, its family and its group."""
    group = known_group(fact)
    if not fact.amount:
        return "information"
    if fact.amount.cents < 0:
        return "lowers_bill" if group == "PR" else "information"
    if group == "PR" and is_protected(remarks_of(fact, catalogue)[0]):
        return "not_yours"
    reason = catalogue.reasons.get(reason_of(fact))
    if reason and group in reason.effect:
        return reason.effect[group]
    return catalogue.families[family_of(fact, catalogue)].effect.get(group, GROUP_EFFECTS[group])


def unknown_codes(facts: Iterable[AdjustmentFact], catalogue: Catalogue) -> list[str]:
    """The reasons, groups and remarks of ``facts`` without words, sorted: ``PR-999``, ``N9999``."""
    found: set[str] = set()
    for fact in facts:
        if known_group(fact) == OTHER_GROUP or reason_of(fact) not in catalogue.reasons:
            found.add(label(fact))
        found.update(remarks_of(fact, catalogue)[1])
    return sorted(found, key=lambda one: (natural(one), one))


def label(fact: AdjustmentFact) -> str:
    """What the code is called on a page: ``CO-45``."""
    return "-".join(part for part in (group_of(fact), reason_of(fact)) if part) or "?"
