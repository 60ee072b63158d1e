"""How a payer's words become entries: told in docs/remittances.md."""

from hypothesis import given
from hypothesis import strategies as st

from portal.billing.kinds import EntryKind
from portal.money import Money
from portal.remittances.decide import Movement, movements
from portal.remittances.x12.model import Adjustment

ZERO = Money.zero()


def cas(ordinal: int, group: str, reason: str, cents: int) -> Adjustment:
    return Adjustment(ordinal, group, reason, Money(cents))


def buckets(found: list[Movement]) -> tuple[int, int]:
    return Money.total(one.insurer for one in found).cents, Money.total(one.patient for one in found).cents


def first(billed: int, paid: int, *adjustments: Adjustment) -> list[Movement]:
    return movements(
        new_charge=Money(billed),
        paid=Money(paid),
        adjustments=adjustments,
        share_so_far=ZERO,
        decided_before=False,
        reversal=False,
    )


def later(share_so_far: int, paid: int, *adjustments: Adjustment, reversal: bool = False) -> list[Movement]:
    return movements(
        new_charge=None,
        paid=Money(paid),
        adjustments=adjustments,
        share_so_far=Money(share_so_far),
        decided_before=True,
        reversal=reversal,
    )


def test_a_decided_line_leaves_the_patients_share_and_nothing_with_the_insurer() -> None:
    found = first(10000, 5000, cas(1, "CO", "45", 3000), cas(2, "PR", "2", 2000))
    assert buckets(found) == (0, 2000)


def test_a_denied_line_is_nobodys_to_pay() -> None:
    assert buckets(first(10000, 0, cas(1, "CO", "29", 10000))) == (0, 0)


def test_a_second_payer_takes_up_what_the_first_left_to_the_patient() -> None:
    # The first left 2,000 to the patient; the second pays 1,500 of it, tells the rest again, and leaves 500.
    found = later(2000, 1500, cas(1, "OA", "23", 8000), cas(2, "PR", "2", 500))
    assert buckets(found) == (0, -1500)
    assert [one.part for one in found] == ["taken-up", "paid", "cas1", "cas2"]
    assert found[2].insurer == ZERO
    assert found[2].stated == Money(8000)


def test_a_second_payer_whose_first_is_not_in_the_books_moves_what_it_tells() -> None:
    assert buckets(first(10000, 1500, cas(1, "OA", "23", 8000), cas(2, "PR", "2", 500))) == (0, 500)


def test_a_reversal_undoes_the_decision_and_leaves_the_charge_with_the_insurer() -> None:
    decided = first(10000, 5000, cas(1, "CO", "45", 3000), cas(2, "PR", "2", 2000))
    undone = later(2000, -5000, cas(1, "CO", "45", -3000), cas(2, "PR", "2", -2000), reversal=True)
    assert buckets(decided + undone) == (10000, 0)


def test_only_responsibility_reaches_the_patient() -> None:
    for group in ("CO", "OA", "PI", "CR", "XX", ""):
        assert all(one.patient == ZERO for one in first(100, 0, cas(1, group, "96", 100))), group


def test_an_adjustment_of_nothing_is_kept_because_it_explains() -> None:
    assert [one.part for one in first(0, 0, cas(1, "CO", "42", 0))] == ["cas1"]


@given(
    st.lists(st.tuples(st.sampled_from(["CO", "PR", "OA", "PI"]), st.integers(-(10**6), 10**6)), max_size=6),
    st.integers(-(10**6), 10**6),
)
def test_a_balanced_line_always_empties_the_insurers_bucket(parts: list[tuple[str, int]], paid: int) -> None:
    adjustments = [cas(number, group, "45", cents) for number, (group, cents) in enumerate(parts, start=1)]
    billed = paid + sum(cents for _group, cents in parts)
    found = first(billed, paid, *adjustments)
    assert buckets(found) == (0, sum(cents for group, cents in parts if group == "PR"))
    assert all(one.kind is not EntryKind.PATIENT_PAYMENT for one in found)
