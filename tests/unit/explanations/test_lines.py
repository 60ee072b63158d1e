"""The codes on a line as one story: the same words in any order, each thing said once, and easy to read."""

import itertools
import random
import re
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.explanations import AdjustmentFact, Explanation, catalogue, explain, explain_line, languages
from portal.explanations.reading import english_grade, spanish_ease
from portal.money import Money

PAYER = "Blue Plan"
DECIDED = date(2026, 3, 3)


def fact(label: str, cents: int = 12345, *remarks: str, payer: str = PAYER, on: date | None = None) -> AdjustmentFact:
    group, _, reason = label.partition("-")
    return AdjustmentFact(group, reason, Money(cents), payer, remarks, on)


def bills(*facts: AdjustmentFact, language: str = "en") -> dict[str, str]:
    return {one.code_label: one.bill for one in explain_line(facts, language=language)}


def words_of(told: Explanation) -> str:
    return " ".join(filter(None, (told.what, told.bill, told.next_step, told.ask, told.source)))


def test_a_discount_and_two_shares_are_one_story() -> None:
    assert bills(fact("PR-2", 2000), fact("CO-45", 6550), fact("PR-1", 3000)) == {
        "CO-45": "The price dropped by $65.50. You do not owe that part. Of the price that is left, your share is "
        "$50.00: $30.00 for your deductible and $20.00 for your coinsurance.",
        "PR-1": "You owe $30.00 toward your deductible.",
        "PR-2": "You owe $20.00 as your coinsurance.",
    }


def test_two_discounts_lead_to_the_share_once() -> None:
    told = bills(fact("CO-45", 6550), fact("CO-59", 1000), fact("PR-3", 2000))
    assert "your share" not in told["CO-45"]
    assert told["CO-59"].endswith("Of the price that is left, your share is $20.00 for your copay.")


def test_shares_without_a_discount_add_up_once() -> None:
    told = bills(fact("PR-1", 3000), fact("PR-2", 2000))
    assert told["PR-1"].endswith(
        "In all, your share of this charge is $50.00: $30.00 for your deductible and $20.00 for your coinsurance."
    )
    assert told["PR-2"] == "You owe $20.00 as your coinsurance."


def test_what_a_first_plan_covered_leads_to_what_is_left() -> None:
    told = bills(fact("OA-23", 9000), fact("PR-2", 1000))
    assert told["OA-23"] == (
        "Your other plan covered $90.00 of this charge or took it off. It is not part of your share. "
        "What is left for you is $10.00 for your coinsurance."
    )
    assert told["PR-2"] == "You owe $10.00 as your coinsurance."
    assert "left for you" not in bills(fact("OA-23", 9000))["OA-23"]


def test_a_denial_with_an_empty_share_names_no_share() -> None:
    told = explain_line([fact("PR-1", 0), fact("CO-97", 9000)])
    assert [one.code_label for one in told] == ["CO-97", "PR-1"]
    assert told[0].bill == "You do not owe this $90.00. It is paid as part of the other service."
    assert told[1].bill == "No money moved here, so this does not change your bill."


def test_denied_parts_are_set_apart_once() -> None:
    told = bills(fact("CO-16", 500), fact("CO-197", 700), fact("PR-3", 2000))
    assert sum("apart from your share" in text for text in told.values()) == 1


@pytest.mark.parametrize(("remark", "share"), [("N781", "PR-1"), ("N782", "PR-2"), ("N364", "PR-3"), ("M41", "PR-96")])
def test_a_note_that_frees_stands_with_the_share_and_leaves_no_total(remark: str, share: str) -> None:
    told = explain_line([fact("CO-45", 6550, remark), fact(share, 3000, remark)])
    note = catalogue.load("en").remarks[remark].what.format(payer=PAYER)
    assert [note in one.what for one in told] == [share in one.code_label for one in told]
    assert not [one for one in told if "your share is" in one.bill]
    assert [one.effect for one in told] == ["lowers_bill", "not_yours"]


def test_a_note_is_told_once_and_where_it_is_needed() -> None:
    told = {one.code_label: one for one in explain_line([fact("CO-45", 1000, "N429"), fact("PR-96", 5000, "N429")])}
    assert "routine" not in told["CO-45"].what
    assert told["PR-96"].what == (
        "Blue Plan says your plan does not pay for this charge. Blue Plan does not pay for this when it is routine."
    )


def test_a_code_that_needs_a_note_says_that_there_is_none() -> None:
    assert explain(fact("PR-96")).what.endswith("Blue Plan gave no note that says more.")
    assert "no note" not in explain(fact("PR-96", 100, "N429")).what
    assert "no note" not in explain(fact("CO-45")).what


def test_the_days_to_appeal_are_counted_from_the_decision() -> None:
    told = explain(fact("PR-50", 5000, on=DECIDED))
    assert told.next_step.endswith("If the notice is from March 3, 2026, 180 days end on August 30, 2026.")
    assert told.source == "From the answer of Blue Plan on March 3, 2026."
    spanish = explain(fact("PR-50", on=DECIDED), language="es")
    assert spanish.source == "De la respuesta de Blue Plan del 3 de marzo de 2026."
    assert "days end" not in explain(fact("PR-50")).next_step
    assert "days end" not in explain(fact("CO-45", on=DECIDED)).next_step
    assert explain(fact("PR-50", on=date.max)).next_step == explain(fact("PR-50")).next_step


def test_every_explanation_says_whom_to_ask() -> None:
    assert explain(fact("CO-45")).ask == "Questions? Send us a message about this charge."
    assert explain(fact("PR-227")).ask == "Questions? Call Blue Plan at the number on your card."
    assert explain(fact("PR-1")).ask.startswith("About your plan, call Blue Plan")
    assert explain(fact("PR-1", 3000, "N781")).ask.startswith("Questions? Send us")


def test_general_words_are_marked() -> None:
    told = explain(fact("CO-16", 100, "M51", "N55"))
    assert (told.by_family, told.general_codes) == (True, ("N55",))
    assert not explain(fact("CO-16", 100, "M51")).by_family


#: What a text must not say of money that the patient does not owe.
OWING = re.compile(
    r"You owe|is your part to pay|(?<!not )put that in your share|so it is in your share|Usted debe|le tocan"
)


@pytest.mark.parametrize("language", languages())
def test_only_the_patients_group_says_that_something_is_owed(language: str) -> None:
    """CARC by group: nothing of CO, OA, PI or CR is told as owed, and what is the patient's own is."""
    wrong = []
    for code, group in itertools.product(catalogue.load(language).reasons, ("CO", "OA", "PI", "CR")):
        told = explain(fact(f"{group}-{code}"), language=language)
        if OWING.search(told.bill) or "before you pay" in told.bill:
            wrong.append((told.code_label, told.bill))
        if told.effect == "your_share":
            wrong.append((told.code_label, told.effect))
    assert not wrong


@pytest.mark.parametrize("language", languages())
def test_a_share_that_may_be_wrong_says_so_before_it_is_paid(language: str) -> None:
    """Under PR: what is seldom the patient's asks for a word before the money."""
    seldom = {"duplicate", "coding", "missing_info", "filing_time", "bundled", "provider_status", "provider_duty",
              "payer_pricing", "history", "unknown", "other_insurance", "wrong_payer", "network"}  # fmt: skip
    book = catalogue.load(language)
    hold = ("before you pay", "do not pay", "not pay this") if language == "en" else ("antes de pagar", "no pague")
    for code, reason in book.reasons.items():
        told = explain(fact(f"PR-{code}"), language=language)
        if reason.family in seldom and told.effect == "your_share":
            assert any(words in told.next_step.casefold() for words in hold), (told.code_label, told.next_step)


CODES = ["CO-45", "CO-97", "CO-16", "CO-253", "CO-29", "PR-1", "PR-2", "PR-3", "PR-96", "PR-50", "PR-204", "PR-275",
         "PR-27", "OA-23", "OA-18", "PI-45", "CR-45", "PR-999", "ZZ-45"]  # fmt: skip
REMARKS = ["N14", "MA01", "MA02", "M51", "N781", "N55", "N9999", "N429", "M41", "X999"]
line_facts = st.builds(
    fact,
    st.sampled_from(CODES),
    st.integers(-5000, 50000) | st.just(0),
    payer=st.sampled_from([PAYER, "", "Red Plan"]),
    on=st.sampled_from([None, DECIDED, date(2025, 12, 1)]),
).flatmap(
    lambda one: st.lists(st.sampled_from(REMARKS), max_size=4).map(lambda codes: replace(one, remarks=tuple(codes)))
)


@given(st.lists(line_facts, max_size=6), st.randoms(use_true_random=False), st.sampled_from(languages()))
def test_the_same_facts_in_any_order_give_the_same_words(
    line: list[AdjustmentFact], order: random.Random, language: str
) -> None:
    told = explain_line(line, language=language)
    shuffled = [
        replace(one, remarks=tuple(order.sample(one.remarks, len(one.remarks))))
        for one in order.sample(line, len(line))
    ]
    assert explain_line(shuffled, language=language) == told
    for one in line:
        others = order.sample(line, len(line))
        assert explain(one, siblings=others, language=language) == explain(one, siblings=line, language=language)


@given(st.lists(line_facts, min_size=1, max_size=5))
def test_composed_words_are_easy_to_read(line: list[AdjustmentFact]) -> None:
    for told in explain_line(line, language="en"):
        assert english_grade(words_of(told)) <= 8.0, words_of(told)
    for told in explain_line(line, language="es"):
        assert spanish_ease(words_of(told)) >= 65.0, words_of(told)


def test_every_code_in_every_group_is_easy_to_read_as_it_is_shown() -> None:
    """With amount, payer and day filled in, part by part as the page shows them."""
    hard = []
    for code, group in itertools.product(catalogue.load("en").reasons, catalogue.GROUP_CODES):
        one = fact(f"{group}-{code}", on=DECIDED)
        english, spanish = explain(one), explain(one, language="es")
        for part in ("what", "bill", "next_step"):
            if english_grade(getattr(english, part)) > 8.0 or spanish_ease(getattr(spanish, part)) < 65.0:
                hard.append((english.code_label, part))
    assert not hard
