"""The sentences that make the codes on one line one story. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from portal.explanations.catalogue import Catalogue
from portal.explanations.facts import AdjustmentFact, effect_of, family_of, group_of
from portal.money import Money

#: Families that have their own word when the parts of a share are listed, in the order they are listed.
SHARE_KINDS = ("deductible", "coinsurance", "copay")
#: Families whose share is what the plan does not pay for at all.
_NOT_PAID = frozenset({"not_covered", "limit", "medical_need", "network", "eligibility", "authorization"})
_ALL_KINDS = (*SHARE_KINDS, "not_paid", "other")


@dataclass(slots=True)
class Line:
    """The adjustments of one line in one currency, and what has been told of them as a whole.

    ``whole`` says that every adjustment is told in order on one page, so that each sentence about the line is
    told once; otherwise the one adjustment that is told has to say it all.
    """

    facts: Sequence[AdjustmentFact]
    catalogue: Catalogue
    currency: str
    whole: bool = False
    _told: set[str] = field(default_factory=set)

    def story(self, fact: AdjustmentFact, *, last_before_share: bool = True) -> list[str]:
        """What ties ``fact`` to the others; nothing when there is nothing to tie.

        ``last_before_share``: no other discount or earlier plan's part is told after this one.
        """
        if fact.amount.cents <= 0 or self._takes_back():
            return []
        effect = effect_of(fact, self.catalogue)
        shares = self._shares()
        before = is_before_share(fact, self.catalogue)
        if before and shares and last_before_share:
            self._told.add("share")
            return [self._share_follows(shares, after_plan=effect == "information")]
        if effect == "not_yours" and shares and self._first_time("apart"):
            share = Money.total((one.amount for one in shares), self.currency)
            return [self.catalogue.sentences["not_in_share"].format(share=share)]
        if effect == "your_share":
            return self._of_share(shares)
        return []

    def _takes_back(self) -> bool:
        """A line that takes back part of a share has no simple total to tell."""
        return any(group_of(one) == "PR" and one.amount.cents < 0 for one in self.facts)

    def _first_time(self, sentence: str) -> bool:
        if sentence in self._told:
            return False
        if self.whole:
            self._told.add(sentence)
        return True

    def _shares(self) -> list[AdjustmentFact]:
        return [one for one in self.facts if effect_of(one, self.catalogue) == "your_share"]

    def _share_follows(self, shares: Sequence[AdjustmentFact], *, after_plan: bool) -> str:
        kinds = self._kinds(shares)
        share = Money.total(kinds.values(), self.currency)
        one_kind = "_one" if len(kinds) == 1 else ""
        # "for other reasons" alone tells nothing.
        plain = "_plain" if list(kinds) == ["other"] else one_kind
        sentence = ("after_plan" if after_plan else "share_follows") + plain
        return self.catalogue.sentences[sentence].format(share=share, parts=self._listed(kinds))

    def _of_share(self, shares: Sequence[AdjustmentFact]) -> list[str]:
        if self.whole and "share" in self._told:
            return []
        say, told = self.catalogue.sentences, []
        discount = self._sum(
            one for one in self.facts if effect_of(one, self.catalogue) == "lowers_bill" and one.amount.cents > 0
        )
        kinds = self._kinds(shares)
        if discount and self._first_time("discount"):
            told.append(say["after_discount"].format(discount=discount))
        if len(kinds) > 1 and self._first_time("total"):
            told.append(
                say["share_total"].format(share=Money.total(kinds.values(), self.currency), parts=self._listed(kinds))
            )
        return told

    def _sum(self, facts: Iterable[AdjustmentFact]) -> Money:
        return Money.total((one.amount for one in facts), self.currency)

    def _kinds(self, shares: Sequence[AdjustmentFact]) -> dict[str, Money]:
        amounts: dict[str, Money] = {}
        for share in shares:
            family = family_of(share, self.catalogue)
            kind = family if family in SHARE_KINDS else "not_paid" if family in _NOT_PAID else "other"
            amounts[kind] = amounts.get(kind, Money.zero(self.currency)) + share.amount
        return {kind: amounts[kind] for kind in _ALL_KINDS if kind in amounts}

    def _listed(self, kinds: Mapping[str, Money]) -> str:
        words = self.catalogue.words
        parts = [words[kind].format(amount=amount) for kind, amount in kinds.items()]
        if len(parts) < 2:
            return "".join(parts)
        return ", ".join(parts[:-1]) + words["and"] + parts[-1]


def is_before_share(fact: AdjustmentFact, catalogue: Catalogue) -> bool:
    """Whether a fact takes something off before the patient's share: a discount, or what an earlier plan covered."""
    if fact.amount.cents <= 0:
        return False
    effect = effect_of(fact, catalogue)
    return effect == "lowers_bill" or (effect == "information" and family_of(fact, catalogue) == "prior_payer")
