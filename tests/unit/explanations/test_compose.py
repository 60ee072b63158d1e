"""Facts in, words out: what each adjustment does to a bill, and how the codes on a line read together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.explanations import AdjustmentFact, catalogue, explain, explain_line, languages
from portal.money import Money
from tests.shared_data import shared_path

PAYER = "Blue Plan"


def fact(label: str, cents: int = 12345, *remarks: str, payer: str = PAYER) -> AdjustmentFact:
    group, _, reason = label.partition("-")
    return AdjustmentFact(group, reason, Money(cents), payer, remarks)


@pytest.mark.parametrize(
    ("label", "cents", "effect"),
    [
        ("CO-45", 100, "lowers_bill"),
        ("CO-253", 100, "not_yours"),
        ("CO-29", 100, "not_yours"),
        ("PR-1", 100, "your_share"),
        ("PR-2", 100, "your_share"),
        ("PR-3", 100, "your_share"),
        ("PR-96", 100, "your_share"),
        ("OA-23", 100, "information"),
        ("OA-45", 100, "information"),
        ("PI-45", 100, "not_yours"),
        ("CR-45", 100, "information"),
        ("PR-209", 100, "not_yours"),
        ("PR-A0", 100, "information"),
        ("PR-1", -100, "lowers_bill"),
        ("CO-45", -100, "information"),
        ("CO-45", 0, "information"),
        ("CO-ZZ9", 100, "not_yours"),
        ("PR-ZZ9", 100, "your_share"),
        ("??-45", 100, "information"),
    ],
)
def test_effect(label: str, cents: int, effect: str) -> None:
    assert explain(fact(label, cents)).effect == effect


@pytest.mark.parametrize("language", languages())
def test_contract_amounts_are_never_said_to_be_owed(language: str) -> None:
    for code in catalogue.load(language).reasons:
        told = explain(fact(f"CO-{code}"), language=language)
        assert told.effect in {"lowers_bill", "not_yours"}, code
        assert "You owe" not in told.bill, code
        assert "Usted debe" not in told.bill, code


@pytest.mark.parametrize("language", languages())
def test_every_code_speaks_in_every_group(language: str) -> None:
    for code in catalogue.load(language).reasons:
        for group in catalogue.GROUP_CODES:
            told = explain(fact(f"{group}-{code}"), language=language)
            assert told.known
            assert told.code_label == f"{group}-{code}"
            assert all((told.title, told.what, told.bill, told.next_step))
            assert not set("{}") & set(told.title + told.what + told.bill + told.next_step)
            assert "$123.45" in told.bill, told.code_label
            assert told.reviewed is (language == "en")


def test_the_payer_is_named() -> None:
    assert "Blue Plan" in explain(fact("CO-22")).what
    assert explain(fact("CO-22", payer=" ")).what.startswith("Your insurer thinks")
    assert "Plan Inc needs" in explain(fact("CO-252", payer="Plan\tInc.\x00")).what
    assert "{amount}" in explain(fact("CO-22", payer="{amount}")).what


def test_discount_and_share_read_as_one_story() -> None:
    discount, share = fact("CO-45", 6550), fact("PR-2", 2000)
    line = [discount, share]
    assert explain(discount, siblings=line).bill == (
        "The price dropped by $65.50. You do not owe that part. "
        "Of the price that is left, your share is $20.00 for your coinsurance."
    )
    assert explain(share, siblings=line).bill == (
        "You owe $20.00 as your coinsurance. Before that, a discount took $65.50 off the price."
    )
    assert "Of the price" not in explain(discount).bill
    assert "Before that" not in explain(share).bill


def test_shares_of_several_kinds_add_up() -> None:
    line = [fact("PR-3", 500), fact("PR-2", 2000), fact("PR-96", 1000), fact("PR-1", 3000)]
    told = explain(line[0], siblings=line[1:])
    assert told.bill.endswith(
        "In all, your share of this charge is $65.00: $30.00 for your deductible, $20.00 for your coinsurance, "
        "$5.00 for your copay and $10.00 that your plan does not pay."
    )


def test_a_denied_part_is_set_apart_from_the_share() -> None:
    told = explain(fact("CO-197", 5000), siblings=[fact("PR-3", 2000)])
    assert told.bill.endswith("This is apart from your share of this charge, which is $20.00.")


def test_a_line_that_takes_back_a_share_tells_no_total() -> None:
    told = explain(fact("PR-1", 3000), siblings=[fact("PR-2", -2000), fact("CO-45", 1000)])
    assert told.bill == "You owe $30.00 toward your deductible."


def test_amounts_below_zero_and_zero() -> None:
    assert explain(fact("PR-1", -500)).bill == "This takes $5.00 off your share."
    assert "does not change your bill" in explain(fact("PR-1", 0)).bill


def test_a_line_is_told_in_order_and_merged() -> None:
    line = [fact("PR-2", 2000), fact("OA-23", 700), fact("CO-45", 100, "N14"), fact("co-045", 50, "N14", "MA02")]
    told = explain_line(line)
    assert [(one.code_label, one.amount.cents) for one in told] == [("CO-45", 150), ("OA-23", 700), ("PR-2", 2000)]
    assert told[0].what.count("contract or price list") == 1
    assert "second look" in told[0].what
    assert told[0].what.endswith("This adds up 2 entries with the same code.")
    assert explain_line([]) == []


def test_shares_are_told_deductible_first() -> None:
    told = explain_line([fact("PR-3"), fact("PR-2"), fact("PR-96"), fact("PR-1")])
    assert [one.code_label for one in told] == ["PR-1", "PR-2", "PR-3", "PR-96"]


def test_the_same_code_of_two_payers_is_not_merged() -> None:
    assert len(explain_line([fact("CO-45"), fact("CO-45", payer="Red Plan")])) == 2


def test_a_remark_that_frees_the_patient_wins() -> None:
    told = explain(fact("PR-1", 3000, "N781"), siblings=[fact("CO-45", 1000)])
    assert told.effect == "not_yours"
    assert told.bill.startswith("Blue Plan shows $30.00 as your share, but its note says")
    assert "do not pay" in told.next_step
    discount = explain(fact("CO-45", 1000), siblings=[fact("PR-1", 3000, "N781")])
    assert "your share" not in discount.bill


def test_unknown_codes_say_so() -> None:
    told = explain(fact("PR-ZZ9", 100, "X998"))
    assert not told.known
    assert told.unknown_codes == ("PR-ZZ9", "X998")
    assert "not yet put into plain words" in told.what
    assert "staff" in told.next_step
    known = explain(fact("PR-1", 100, "X998"))
    assert known.known
    assert known.unknown_codes == ("X998",)


def test_amounts_in_other_currencies_do_not_meet() -> None:
    other = AdjustmentFact("PR", "1", Money(5, "EUR"), PAYER)
    assert "EUR" not in explain(fact("CO-45"), siblings=[other]).bill
    assert len(explain_line([fact("PR-1"), other])) == 2


def test_all_shared_remittances_are_explained() -> None:
    seen = set()
    for path in shared_path("data/x12").rglob("*"):
        if path.is_file():
            text = path.read_bytes().decode("latin-1")
            element = text[text.find("ISA") + 3] if "ISA" in text[:10] else "*"
            for segment in text.replace("\n", "~").split("~"):
                parts = segment.strip().split(element)
                if parts[0] == "CAS":
                    seen |= {(parts[1], reason) for reason in parts[2::3] if reason}
    assert len(seen) >= 20
    assert all(explain(AdjustmentFact(group, reason, Money(1), PAYER)).known for group, reason in seen)


anything = st.text(max_size=40) | st.sampled_from(["CO", "PR", "OA", "45", "1", "16", "N781", "X998", "{", "\ud800"])
facts = st.builds(
    AdjustmentFact,
    group=anything,
    reason=anything,
    amount=st.builds(Money, st.integers(-(10**9), 10**9), st.sampled_from(["USD", "USD", "EUR"])),
    payer=anything,
    remarks=st.lists(anything, max_size=3).map(tuple),
)


@given(facts, st.lists(facts, max_size=4), anything | st.sampled_from(languages()))
def test_any_strings_give_an_explanation_and_always_the_same(
    one: AdjustmentFact, others: list[AdjustmentFact], language: str
) -> None:
    told = explain(one, siblings=others, language=language)
    assert all((told.title, told.what, told.bill, told.next_step, told.code_label))
    assert told == explain(one, siblings=others, language=language)
    "".join((told.title, told.what, told.bill, told.next_step, told.code_label)).encode("utf-8")


@given(st.lists(facts, max_size=5))
def test_a_line_keeps_its_total(line: list[AdjustmentFact]) -> None:
    told = explain_line(line)
    assert told == explain_line(line)
    for currency in ("USD", "EUR"):
        before = sum(one.amount.cents for one in line if one.amount.currency == currency)
        assert before == sum(one.amount.cents for one in told if one.amount.currency == currency)
