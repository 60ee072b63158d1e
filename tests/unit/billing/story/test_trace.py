"""Why do I owe this: the steps sum to the cent."""

import random
from dataclasses import replace
from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from portal.billing.entries import EntryRow
from portal.billing.kinds import EntryKind
from portal.billing.story.trace import trace
from portal.billing.story.visit_lines import standing
from portal.money import Money


def entry(kind: EntryKind, insurer: int, patient: int = 0, *, claim: int = 1) -> EntryRow:
    return EntryRow(
        charge_id=1,
        kind=kind,
        amount=Money(insurer + patient),
        insurer=Money(insurer),
        patient=Money(patient),
        stated=Money(insurer + patient),
        group_code="",
        reason_code="",
        remarks=(),
        effective_on=date(2026, 6, 1),
        source="remittance",
        source_id="x",
        payer_name="Example Health Plan",
        payer_claim_ref="A",
        trace_number="1",
        file_name="a.835",
        claim_id=claim,
    )


LINE = [
    entry(EntryKind.CHARGE, 10000),
    entry(EntryKind.INSURER_PAYMENT, -5000),
    entry(EntryKind.ADJUSTMENT, -3000),
    entry(EntryKind.SHARE_MOVED, -2000, 2000),
]


def test_it_is_told_from_billed_to_due() -> None:
    told = trace([*LINE, entry(EntryKind.PATIENT_PAYMENT, 0, -500)])
    assert [step.entry.kind.value for step in told.steps] == [
        "charge",
        "adjustment",
        "insurer_payment",
        "share_moved",
        "patient_payment",
    ]
    assert [step.running.cents for step in told.steps] == [10000, 7000, 2000, 2000, 1500]
    assert (told.left, told.due, told.with_insurer) == (Money(1500), Money(1500), Money(0))
    assert told.steps[3].your_share == Money(2000)


def test_a_later_decision_comes_after_an_earlier_one() -> None:
    second = [replace(row, claim_id=2) for row in LINE[1:]]
    told = trace([*LINE, *second])
    assert [step.entry.claim_id for step in told.steps] == [1] * 4 + [2] * 3


def test_nothing_gives_nothing() -> None:
    assert trace([]).left == Money.zero()


@given(
    st.lists(st.tuples(st.sampled_from(EntryKind), st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6))),
    st.integers(0, 10**6),
)
def test_the_steps_sum_to_what_is_left_in_any_order(rows: list[tuple[EntryKind, int, int]], seed: int) -> None:
    entries = [entry(kind, insurer, patient, claim=patient % 3) for kind, insurer, patient in rows]
    random.Random(seed).shuffle(entries)
    told = trace(entries)
    assert Money.total(step.amount for step in told.steps) == told.left == told.due + told.with_insurer
    assert len(told.steps) == len(entries)
    assert not told.steps or told.steps[-1].running == told.left


def adjusted(group: str, cents: int, *, claim: int, reversal: bool = False) -> EntryRow:
    kind = EntryKind.SHARE_MOVED if group == "PR" else EntryKind.ADJUSTMENT
    row = entry(kind, -cents, cents if group == "PR" else 0, claim=claim)
    return replace(row, group_code=group, reason_code="2", reversal=reversal)


def test_what_a_reversal_undid_and_what_another_payer_took_up_holds_no_more() -> None:
    first = [adjusted("CO", 3000, claim=1), adjusted("PR", 2000, claim=1)]
    undone = [adjusted("CO", -3000, claim=2, reversal=True), adjusted("PR", -2000, claim=2, reversal=True)]
    taken_up = entry(EntryKind.SHARE_MOVED, 2000, -2000, claim=3)
    second = [adjusted("PR", 500, claim=3)]

    def codes(rows: list[EntryRow]) -> list[list[str]]:
        return [[f"{one.group_code}{one.claim_id}" for one in decision] for decision in standing(rows)]

    assert codes(first) == [["CO1", "PR1"]]
    assert codes([*first, *undone]) == []
    assert codes([*first, *undone, *second]) == [["PR3"]]
    assert codes([*first, taken_up, *second]) == [["CO1"], ["PR3"]]
