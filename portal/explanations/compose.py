"""Facts of an adjustment in, plain words out. The same facts, in whatever order, always give the same words."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from babel.dates import format_date

from portal.explanations.catalogue import BASE_LANGUAGE, NO_AMOUNT, OTHER_GROUP, Ask, Catalogue, Effect, Remark, load
from portal.explanations.facts import (
    PAYER_LENGTH,
    AdjustmentFact,
    clean,
    effect_of,
    family_of,
    group_of,
    is_protected,
    known_group,
    label,
    natural,
    ordered,
    reason_of,
    remarks_of,
)
from portal.explanations.stories import SHARE_KINDS, Line, is_before_share
from portal.money import Money

#: The order a line is told in: what came off, what happened in between, what is left to the patient.
TELLING_ORDER: tuple[Effect, ...] = ("lowers_bill", "information", "not_yours", "your_share")

#: A remark is the line's; it is told with the first adjustment that is none of these, which explain themselves.
_PLAIN_FAMILIES = frozenset({"discount", *SHARE_KINDS})

#: Texts that speak of this many days get the day on which they end, where the day of the decision is known.
APPEAL_DAYS = 180


@dataclass(frozen=True, slots=True)
class Explanation:
    """What to show for one adjustment. All texts are plain (not HTML) and must be escaped where they are shown.

    ``what`` happened, what it means for the ``bill``, the ``next_step`` and by when, and whom to ``ask``; ``source`` is
    the payer's answer it comes from, empty where its day is not known. ``known`` is false when the reason or the group
    is not in the catalogue: staff should look at it. ``unknown_codes`` names those and the remarks without any text;
    ``general_codes`` the remarks that only have the general words of their family. ``reviewed`` is false when a part of
    the words is a translation that no person has read yet.
    """

    title: str
    what: str
    bill: str
    next_step: str
    ask: str
    source: str
    code_label: str
    known: bool
    effect: Effect
    amount: Money
    family: str
    reviewed: bool
    unknown_codes: tuple[str, ...] = ()
    general_codes: tuple[str, ...] = ()

    @property
    def by_family(self) -> bool:
        """Whether a part of the words is general: those of a whole kind of codes."""
        return bool(self.general_codes)


def explain(
    fact: AdjustmentFact,
    *,
    siblings: Sequence[AdjustmentFact] = (),
    language: str = BASE_LANGUAGE,
    reviewed: Collection[str] = (),
) -> Explanation:
    """Explain one adjustment.

    ``siblings`` are the other adjustments on the same line (``fact`` itself may be among them and is left out);
    they let a discount and the share that follows it read as one story. ``language`` is a code such as ``es``
    or ``es-US``; one without texts is answered in English. ``reviewed`` are the keys of the translations that
    a person has reviewed (:mod:`portal.explanations.texts`). Never raises, whatever the strings hold.
    """
    catalogue = load(language)
    others = [sibling for sibling in siblings if sibling is not fact]
    line = _line([fact, *others], fact.amount.currency, catalogue)
    return _compose(fact, line.story(fact), catalogue, reviewed, told_remarks=fact.remarks, entries=1)


def explain_line(
    facts: Sequence[AdjustmentFact], *, language: str = BASE_LANGUAGE, reviewed: Collection[str] = ()
) -> list[Explanation]:
    """Explain all adjustments on one line, in telling order (discounts first, the patient's share last).

    Entries with the same group, reason and payer are merged: their amounts add up and their remarks are united.
    What is true of the whole line (the total of the shares, a remark) is told once.
    """
    catalogue = load(language)
    merged: dict[tuple[str, str, str, str], list[AdjustmentFact]] = {}
    for fact in facts:
        key = (group_of(fact), reason_of(fact), clean(fact.payer, PAYER_LENGTH), fact.amount.currency)
        merged.setdefault(key, []).append(fact)
    counted = sorted(
        ((_merge(same), len(same)) for same in merged.values()), key=lambda pair: _place(pair[0], catalogue)
    )
    told = [fact for fact, _ in counted]
    lines = {
        currency: _line(told, currency, catalogue, whole=True)
        for currency in dict.fromkeys(fact.amount.currency for fact in told)
    }
    homes = _homes(told, catalogue)
    explanations = []
    for at, (fact, entries) in enumerate(counted):
        later = [one for one in told[at + 1 :] if one.amount.currency == fact.amount.currency]
        last = not any(is_before_share(one, catalogue) for one in later)
        story = lines[fact.amount.currency].story(fact, last_before_share=last)
        own = [remark for remark, home in homes.items() if home == at]
        explanations.append(_compose(fact, story, catalogue, reviewed, told_remarks=own, entries=entries))
    return explanations


def _line(facts: Sequence[AdjustmentFact], currency: str, catalogue: Catalogue, *, whole: bool = False) -> Line:
    return Line([fact for fact in facts if fact.amount.currency == currency], catalogue, currency, whole)


def _place(fact: AdjustmentFact, catalogue: Catalogue) -> tuple[object, ...]:
    """Where an adjustment is told on its line, what moved no money last: nothing of it hangs on the file's order."""
    family = family_of(fact, catalogue)
    kind = SHARE_KINDS.index(family) if family in SHARE_KINDS else len(SHARE_KINDS)
    effect = TELLING_ORDER.index(effect_of(fact, catalogue))
    words = (group_of(fact), natural(reason_of(fact)), clean(fact.payer, PAYER_LENGTH), fact.amount.currency)
    return (not fact.amount, effect, kind, *words)


def _homes(told: Sequence[AdjustmentFact], catalogue: Catalogue) -> dict[str, int]:
    """Where each remark of a line is told: where it frees from paying, else where an adjustment needs a reason."""
    carried: dict[str, list[int]] = {}
    for at, fact in enumerate(told):
        for remark in ordered(fact.remarks):
            carried.setdefault(remark, []).append(at)

    def home(remark: str, places: list[int]) -> int:
        known = catalogue.remarks.get(remark)
        if known and known.effect == "not_yours":
            wanted = [at for at in places if group_of(told[at]) == "PR" and told[at].amount.cents > 0]
        else:
            wanted = [at for at in places if family_of(told[at], catalogue) not in _PLAIN_FAMILIES]
        return (wanted or places)[0]

    return {remark: home(remark, places) for remark, places in carried.items()}


def _merge(same: Sequence[AdjustmentFact]) -> AdjustmentFact:
    first = same[0]
    return replace(
        first,
        amount=Money.total((fact.amount for fact in same), first.amount.currency),
        remarks=tuple(ordered(remark for fact in same for remark in fact.remarks)),
        decided_on=max((fact.decided_on for fact in same if fact.decided_on), default=None),
    )


@dataclass(frozen=True, slots=True)
class _Voice:
    """Fills in templates for one payer; a payer without a name is "your insurer", capital where one is due."""

    payer: str
    nameless: bool

    @classmethod
    def of(cls, payer: str, catalogue: Catalogue) -> _Voice:
        name = clean(payer, PAYER_LENGTH).rstrip(" .")
        return cls(name or catalogue.words["payer"], not name)

    def say(self, template: str, **facts: object) -> str:
        text = template.format_map({"payer": self.payer, **facts})
        if not self.nameless:
            return text
        starts = re.compile(r"(^|[.?!]\s+)" + re.escape(self.payer))
        return starts.sub(lambda found: found[1] + self.payer[0].upper() + self.payer[1:], text)


def _compose(
    fact: AdjustmentFact,
    story: Sequence[str],
    catalogue: Catalogue,
    reviewed: Collection[str],
    *,
    told_remarks: Sequence[str],
    entries: int,
) -> Explanation:
    voice = _Voice.of(fact.payer, catalogue)
    group_code = known_group(fact)
    reason = catalogue.reasons.get(reason_of(fact))
    family = catalogue.families[family_of(fact, catalogue)]
    group = catalogue.groups[group_code]
    remarks, unknown_remarks = remarks_of(replace(fact, remarks=tuple(told_remarks)), catalogue)
    known = reason is not None and group_code != OTHER_GROUP
    protected = group_code == "PR" and is_protected(remarks_of(fact, catalogue)[0])

    what = [voice.say(reason.what if reason else family.what)]
    what += dict.fromkeys(voice.say(remark.what) for remark in remarks)
    what += [voice.say(catalogue.sentences["unknown_remark"], code=code) for code in unknown_remarks]
    if reason and reason.wants_note and not fact.remarks:
        what.append(voice.say(catalogue.sentences["no_note"]))
    if entries > 1:
        what.append(catalogue.sentences["repeated"].format(count=entries))

    ask: Ask = "us"
    if not fact.amount:
        group = catalogue.groups[NO_AMOUNT]
        bill, next_step = group.bill, group.next
    elif fact.amount.cents < 0:
        bill, next_step = group.negative, group.next
    elif protected:
        bill, next_step = catalogue.protected["bill"], catalogue.protected["next"]
    else:
        bill = _first(group_code, reason.bill if reason else {}, family.bill) or group.bill
        next_step = _first(group_code, reason.next if reason else {}, family.next) or group.next
        ask = family.ask.get(group_code, "us")
    amount = str(abs(fact.amount))
    next_steps = [voice.say(next_step, amount=amount)]
    if fact.decided_on and str(APPEAL_DAYS) in next_step:
        next_steps += _appeal_by(fact.decided_on, catalogue)

    return Explanation(
        title=reason.title if reason else family.title,
        what=" ".join(what),
        bill=" ".join([voice.say(bill, amount=amount), *story]),
        next_step=" ".join(next_steps),
        ask=voice.say(catalogue.ask[ask]),
        source=voice.say(catalogue.sentences["source"], decided=_day(fact.decided_on, catalogue))
        if fact.decided_on
        else "",
        code_label=label(fact),
        known=known,
        effect=effect_of(fact, catalogue),
        amount=fact.amount,
        family=family.slug,
        reviewed=_is_reviewed(catalogue, reviewed, reason.code if reason else None, family.slug, group_code, remarks),
        unknown_codes=(() if known else (label(fact),)) + tuple(unknown_remarks),
        general_codes=tuple(remark.code for remark in remarks if not remark.own_words),
    )


def _first(group: str, *sources: Mapping[str, str]) -> str | None:
    return next((source[group] for source in sources if group in source), None)


def _day(day: date, catalogue: Catalogue) -> str:
    return format_date(day, "long", locale=catalogue.language)


def _appeal_by(decided_on: date, catalogue: Catalogue) -> list[str]:
    """When the days to appeal end, counted from the payer's decision; a day that no calendar has is left out."""
    try:
        until = decided_on + timedelta(days=APPEAL_DAYS)
    except OverflowError:
        return []
    return [
        catalogue.sentences["appeal_by"].format(decided=_day(decided_on, catalogue), until=_day(until, catalogue))
    ]


def _is_reviewed(
    catalogue: Catalogue,
    reviewed: Collection[str],
    reason: str | None,
    family: str,
    group: str,
    remarks: Sequence[Remark],
) -> bool:
    """Whether a person has read every text that these words may be made of; see :mod:`portal.explanations.texts`."""
    if catalogue.language == BASE_LANGUAGE:
        return True
    keys = {f"family/{family}", f"group/{group}", "stories"}
    if reason:
        keys.add(f"carc/{reason}")
    keys.update(
        f"rarc/{remark.code}" if remark.own_words else f"remark-family/{remark.family}" for remark in remarks
    )
    return all(key in reviewed or key in catalogue.reviewed for key in keys)
