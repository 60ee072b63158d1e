"""Facts of an adjustment in, plain words out. The same facts always give the same words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from portal.explanations.catalogue import (
    GROUP_CODES,
    NO_AMOUNT,
    OTHER_GROUP,
    Catalogue,
    Effect,
    Remark,
    load,
)
from portal.money import Money

#: Longest payer name and code that is shown; what a feed may carry beyond that is noise.
PAYER_LENGTH, CODE_LENGTH = 80, 12

GROUP_EFFECTS: Mapping[str, Effect] = {
    "CO": "not_yours",
    "PR": "your_share",
    "OA": "information",
    "PI": "not_yours",
    "CR": "information",
    OTHER_GROUP: "information",
}

#: The order a line is told in: what came off, what happened in between, what is left to the patient.
TELLING_ORDER: tuple[Effect, ...] = ("lowers_bill", "information", "not_yours", "your_share")

#: Families that have their own word when the parts of a share are listed, in the order they are listed.
SHARE_KINDS = ("deductible", "coinsurance", "copay")


@dataclass(frozen=True, slots=True)
class AdjustmentFact:
    """One adjustment of a claim or a line: group (CO, PR, ...), CARC, signed amount, payer's name and RARCs."""

    group: str
    reason: str
    amount: Money
    payer: str
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """What to show for one adjustment. All texts are plain (not HTML) and must be escaped where they are shown.

    ``known`` is false when the reason or the group is not in the catalogue: staff should look at it.
    ``unknown_codes`` names those and the remarks without any text. ``reviewed`` is false when a part of the
    words is a translation that no person has read yet.
    """

    title: str
    what: str
    bill: str
    next_step: str
    code_label: str
    known: bool
    effect: Effect
    amount: Money
    family: str
    reviewed: bool
    unknown_codes: tuple[str, ...] = ()


def explain(fact: AdjustmentFact, *, siblings: Sequence[AdjustmentFact] = (), language: str = "en") -> Explanation:
    """Explain one adjustment.

    ``siblings`` are the other adjustments on the same line (``fact`` itself may be among them and is left out);
    they let a discount and the share that follows it read as one story. ``language`` is a code such as ``es``
    or ``es-US``; one without texts is answered in English. Never raises, whatever the strings hold.
    """
    others = [sibling for sibling in siblings if sibling is not fact]
    return _compose(fact, others, load(language), entries=1)


def explain_line(facts: Sequence[AdjustmentFact], *, language: str = "en") -> list[Explanation]:
    """Explain all adjustments on one line, in telling order (discounts first, the patient's share last).

    Entries with the same group, reason and payer are merged: their amounts add up and their remarks are united.
    """
    merged: dict[tuple[str, str, str, str], list[AdjustmentFact]] = {}
    for fact in facts:
        key = (_group(fact), _reason(fact), _clean(fact.payer, PAYER_LENGTH), fact.amount.currency)
        merged.setdefault(key, []).append(fact)
    line = [(_merge(same), len(same)) for same in merged.values()]
    catalogue = load(language)
    told = [
        _compose(fact, [other for other, _ in line if other is not fact], catalogue, entries=count)
        for fact, count in line
    ]
    return sorted(told, key=_telling_order)


def _telling_order(explanation: Explanation) -> tuple[int, int]:
    family = explanation.family
    kind = SHARE_KINDS.index(family) if family in SHARE_KINDS else len(SHARE_KINDS)
    return TELLING_ORDER.index(explanation.effect), kind


def _merge(same: Sequence[AdjustmentFact]) -> AdjustmentFact:
    first = same[0]
    total = Money.total((fact.amount for fact in same), first.amount.currency)
    remarks = tuple(dict.fromkeys(remark for fact in same for remark in fact.remarks))
    return AdjustmentFact(first.group, first.reason, total, first.payer, remarks)


def _clean(text: str, length: int) -> str:
    """One printable line: feeds carry control characters, padding and, at worst, half a character."""
    printable = "".join(" " if unicodedata.category(character)[0] in "CZ" else character for character in text)
    return " ".join(printable.split())[:length].strip()


def _code(text: str) -> str:
    code = _clean(text, CODE_LENGTH).upper()
    return code.lstrip("0") or code


def _group(fact: AdjustmentFact) -> str:
    return _code(fact.group)


def _reason(fact: AdjustmentFact) -> str:
    return _code(fact.reason)


@dataclass(frozen=True, slots=True)
class _Voice:
    """Fills in templates for one payer; a payer without a name is "your insurer", capital where one is due."""

    payer: str
    nameless: bool

    @classmethod
    def of(cls, payer: str, catalogue: Catalogue) -> _Voice:
        name = _clean(payer, PAYER_LENGTH).rstrip(" .")
        return cls(name or catalogue.words["payer"], not name)

    def say(self, template: str, **facts: object) -> str:
        text = template.format_map({"payer": self.payer, **facts})
        if not self.nameless:
            return text
        starts = re.compile(r"(^|[.?!]\s+)" + re.escape(self.payer))
        return starts.sub(lambda found: found[1] + self.payer[0].upper() + self.payer[1:], text)


def _compose(
    fact: AdjustmentFact, others: Sequence[AdjustmentFact], catalogue: Catalogue, *, entries: int
) -> Explanation:
    voice = _Voice.of(fact.payer, catalogue)
    group_code = _group(fact) if _group(fact) in GROUP_CODES else OTHER_GROUP
    reason = catalogue.reasons.get(_reason(fact))
    family = catalogue.families[reason.family if reason else "unknown"]
    group = catalogue.groups[group_code]
    remarks, unknown_remarks = _remarks(fact, catalogue)
    label = "-".join(part for part in (_group(fact), _reason(fact)) if part) or "?"
    known = reason is not None and group_code != OTHER_GROUP

    what = [voice.say(reason.what if reason else family.what)]
    what += dict.fromkeys(voice.say(remark.what) for remark in remarks)
    what += [voice.say(catalogue.sentences["unknown_remark"], code=code) for code in unknown_remarks]
    if entries > 1:
        what.append(catalogue.sentences["repeated"].format(count=entries))

    effect = _effect(fact, catalogue)
    if not fact.amount:
        group = catalogue.groups[NO_AMOUNT]
        bill, next_step = group.bill, group.next
    elif fact.amount.cents < 0:
        bill, next_step = group.negative, group.next
    elif group_code == "PR" and _protected(remarks):
        bill, next_step = catalogue.protected["bill"], catalogue.protected["next"]
    else:
        bill = _first(group_code, reason.bill if reason else {}, family.bill) or group.bill
        next_step = _first(group_code, reason.next if reason else {}, family.next) or group.next
    amount = str(abs(fact.amount))
    bills = [voice.say(bill, amount=amount), *_story(fact, effect, others, catalogue)]

    parts = [family.reviewed, group.reviewed, *(remark.reviewed for remark in remarks)]
    return Explanation(
        title=reason.title if reason else family.title,
        what=" ".join(what),
        bill=" ".join(bills),
        next_step=voice.say(next_step, amount=amount),
        code_label=label,
        known=known,
        effect=effect,
        amount=fact.amount,
        family=family.slug,
        reviewed=all(parts) and (reason is None or reason.reviewed),
        unknown_codes=(() if known else (label,)) + tuple(unknown_remarks),
    )


def _first(group: str, *sources: Mapping[str, str]) -> str | None:
    return next((source[group] for source in sources if group in source), None)


def _effect(fact: AdjustmentFact, catalogue: Catalogue) -> Effect:
    """What an adjustment does to the bill: the sign first, then remarks, the reason, its family and its group."""
    group = _group(fact) if _group(fact) in GROUP_CODES else OTHER_GROUP
    if not fact.amount:
        return "information"
    if fact.amount.cents < 0:
        return "lowers_bill" if group == "PR" else "information"
    if group == "PR" and _protected(_remarks(fact, catalogue)[0]):
        return "not_yours"
    reason = catalogue.reasons.get(_reason(fact))
    if reason and group in reason.effect:
        return reason.effect[group]
    family = catalogue.families[reason.family if reason else "unknown"]
    return family.effect.get(group, GROUP_EFFECTS[group])


def _remarks(fact: AdjustmentFact, catalogue: Catalogue) -> tuple[list[Remark], list[str]]:
    """The remarks that have a text, and the codes of those that have none, each once and in order."""
    codes = dict.fromkeys(code for code in map(_code, fact.remarks) if code)
    return (
        [catalogue.remarks[code] for code in codes if code in catalogue.remarks],
        [code for code in codes if code not in catalogue.remarks],
    )


def _protected(remarks: Sequence[Remark]) -> bool:
    return any(remark.effect == "not_yours" for remark in remarks)


def _story(fact: AdjustmentFact, effect: Effect, others: Sequence[AdjustmentFact], catalogue: Catalogue) -> list[str]:
    """Sentences that tie this adjustment to the others on its line; none when there is nothing to tie."""
    if fact.amount.cents <= 0:
        return []
    line = [fact, *(other for other in others if other.amount.currency == fact.amount.currency)]
    shares = [one for one in line if _effect(one, catalogue) == "your_share"]
    currency = fact.amount.currency
    # A line that takes back part of a share has no simple total to tell.
    if any(_group(one) == "PR" and one.amount.cents < 0 for one in line):
        return []
    share = str(Money.total((one.amount for one in shares), currency))
    kinds = _share_kinds(shares, catalogue, currency)
    parts = _listed(kinds, catalogue)
    say = catalogue.sentences
    if effect == "lowers_bill" and shares:
        template = say["share_follows"] if len(kinds) > 1 else say["share_follows_one"]
        return [template.format(share=share, parts=parts)]
    if effect == "not_yours" and shares:
        return [say["not_in_share"].format(share=share)]
    if effect != "your_share":
        return []
    told = []
    discount = Money.total(
        (one.amount for one in line if _effect(one, catalogue) == "lowers_bill" and one.amount.cents > 0), currency
    )
    if discount:
        told.append(say["after_discount"].format(discount=discount))
    if len(kinds) > 1:
        told.append(say["share_total"].format(share=share, parts=parts))
    return told


def _share_kinds(shares: Sequence[AdjustmentFact], catalogue: Catalogue, currency: str) -> dict[str, Money]:
    amounts: dict[str, Money] = {}
    for share in shares:
        reason = catalogue.reasons.get(_reason(share))
        kind = reason.family if reason and reason.family in SHARE_KINDS else "other"
        amounts[kind] = amounts.get(kind, Money.zero(currency)) + share.amount
    return {kind: amounts[kind] for kind in (*SHARE_KINDS, "other") if kind in amounts}


def _listed(kinds: Mapping[str, Money], catalogue: Catalogue) -> str:
    parts = [catalogue.words[kind].format(amount=amount) for kind, amount in kinds.items()]
    if len(parts) < 2:
        return "".join(parts)
    return ", ".join(parts[:-1]) + catalogue.words["and"] + parts[-1]
