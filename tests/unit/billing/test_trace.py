"""Why do I owe this: the steps sum to the cent."""

import random
from dataclasses import replace
from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from portal.billing.kinds import EntryKind
from portal.billing.trace import EntryRow, trace
from portal.money import Money


def entry(kind: EntryKind, insurer: int, patient: int = 0, *, claim: str = "A") -> EntryRow:
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
        payer_claim_ref=claim,
        trace_number="1",
        file_name="a.835",
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
    second = [replace(row, payer_claim_ref="B") for row in LINE[1:]]
    told = trace([*LINE, *second])
    assert [step.entry.payer_claim_ref for step in told.steps] == ["A"] * 4 + ["B"] * 3


def test_nothing_gives_nothing() -> None:
    assert trace([]).left == Money.zero()


@given(
    st.lists(st.tuples(st.sampled_from(EntryKind), st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6))),
    st.integers(0, 10**6),
)
def test_the_steps_sum_to_what_is_left_in_any_order(rows: list[tuple[EntryKind, int, int]], seed: int) -> None:
    entries = [entry(kind, insurer, patient, claim=str(patient % 3)) for kind, insurer, patient in rows]
    random.Random(seed).shuffle(entries)
    told = trace(entries)
    assert Money.total(step.amount for step in told.steps) == told.left == told.due + told.with_insurer
    assert len(told.steps) == len(entries)
    assert not told.steps or told.steps[-1].running == told.left
