"""Where the money went: parts that sum to the cent, and bars that stay on their scale."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portal.billing.entries import EntryRow
from portal.billing.kinds import PATIENT_MONEY, EntryKind
from portal.billing.story.picture import (
    LEAST,
    REDUCTIONS,
    SHARES,
    WIDTH,
    Part,
    Split,
    picture,
    segments,
    share_segments,
    split_of,
    splits_by,
)
from portal.money import Money
from tests.unit.billing.story.histories import History, history

SEEDS = st.integers(0, 10**9)


def total(entries: list[EntryRow], *kinds: EntryKind) -> int:
    return sum(row.amount.cents for row in entries if row.kind in kinds)


@settings(deadline=None)
@given(SEEDS)
def test_the_segments_sum_to_what_was_billed_and_the_share_to_what_is_due(seed: int) -> None:
    entries = history(1, seed)
    split = split_of(entries)
    assert split.billed.cents == total(entries, EntryKind.CHARGE)
    assert Money.total(one.amount for one in segments(split)) == split.billed
    assert Money.total(one.amount for one in share_segments(split)) == split.share
    assert split.due == Money.total(row.patient for row in entries)
    assert split.paid.cents == -total(entries, *PATIENT_MONEY)
    assert split.with_insurer == Money.total(row.insurer for row in entries)
    # What came off for other reasons is what the ledger calls adjustments, and no remainder.
    assert (split.discount + split.other_reduction).cents == -total(entries, EntryKind.ADJUSTMENT)


@settings(deadline=None)
@given(SEEDS)
def test_no_kind_of_a_share_is_below_nothing_where_the_share_is_not(seed: int) -> None:
    split = split_of(history(1, seed))
    if split.share >= Money.zero():
        assert all(split.part(kind) >= Money.zero() for kind in SHARES)


@settings(deadline=None)
@given(st.lists(SEEDS, max_size=6))
def test_lines_are_told_apart_and_add_up(seeds: list[int]) -> None:
    lines = [history(number, seed) for number, seed in enumerate(seeds)]
    mixed = [row for rows in zip(*lines, strict=False) for row in rows]
    mixed += [row for line in lines for row in line if row not in mixed]
    apart = [split_of(line) for line in lines]
    assert splits_by(mixed, lambda row: row.charge_id) == dict(enumerate(apart))
    assert split_of(mixed) == Split.total(apart)


@settings(deadline=None)
@given(SEEDS)
def test_the_bars_stay_on_the_scale_and_what_is_not_nothing_is_seen(seed: int) -> None:
    split = split_of(history(1, seed))
    told = picture(split)
    assert told == picture(split)
    assert told.rows[0].kind is Part.BILLED
    assert told.rows[-1].kind is Part.DUE
    for row in told.rows:
        assert 0 <= row.x <= row.x + row.width <= WIDTH
        assert (row.width >= LEAST) is bool(row.amount)
    # Billed, less what was taken off, is the share; less what was paid, what is due.
    taken = Money.total(row.amount for row in told.rows if row.taken and row.kind is not Part.PAID)
    assert split.billed + taken == split.share
    assert told.drawn is (split.billed > Money.zero())


def told(split: Split) -> list[tuple[str, int]]:
    return [(row.kind.value, row.amount.cents) for row in picture(split).rows]


def line(*entries: tuple[EntryKind, int, int, str]) -> Split:
    rows = History(1, None)  # type: ignore[arg-type]
    for kind, insurer, patient, code in entries:
        group, _, reason = code.partition("-")
        rows.write(kind, insurer, patient, group_code=group, reason_code=reason)
    return split_of(rows.rows)


CHARGE, MOVED, PAID, TAKEN = (
    EntryKind.CHARGE,
    EntryKind.SHARE_MOVED,
    EntryKind.INSURER_PAYMENT,
    EntryKind.ADJUSTMENT,
)
OWN = EntryKind.PATIENT_PAYMENT


def test_a_common_bill() -> None:
    split = line(
        (CHARGE, 40000, 0, ""),
        (TAKEN, -18000, 0, "CO-45"),
        (PAID, -13500, 0, ""),
        (MOVED, -6000, 6000, "PR-1"),
        (MOVED, -2500, 2500, "PR-3"),
        (OWN, 0, -4000, ""),
    )
    assert told(split) == [
        ("billed", 40000),
        ("discount", -18000),
        ("insurer_paid", -13500),
        ("share", 8500),
        ("deductible", 6000),
        ("copay", 2500),
        ("paid", -4000),
        ("due", 4500),
    ]
    assert [(row.x, row.width) for row in picture(split).rows] == [
        (0, 1000),
        (550, 450),
        (212, 338),
        (0, 212),
        (0, 150),
        (150, 62),
        (112, 100),
        (0, 112),
    ]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("PR-1", "deductible"),
        ("PR-2", "coinsurance"),
        ("PR-3", "copay"),
        ("PR-96", "not_covered"),
        ("PR-119", "not_covered"),
        ("PR-45", "other_share"),
        ("PR-ZZ", "other_share"),
    ],
)
def test_each_share_has_its_kind(code: str, kind: str) -> None:
    assert line((CHARGE, 100, 0, ""), (MOVED, -100, 100, code)).part(Part(kind)) == Money(100)


@pytest.mark.parametrize(("code", "kind"), [("CO-45", "discount"), ("PI-45", "discount"), ("CO-29", "other_reduction")])
def test_a_discount_is_told_from_what_else_came_off(code: str, kind: str) -> None:
    assert line((CHARGE, 100, 0, ""), (TAKEN, -100, 0, code)).part(Part(kind)) == Money(100)


def test_a_later_payer_takes_the_earlier_kinds_with_it() -> None:
    split = line(
        (CHARGE, 10000, 0, ""),
        (PAID, -5000, 0, ""),
        (MOVED, -5000, 5000, "PR-1"),
        (MOVED, 5000, -5000, ""),
        (PAID, -4000, 0, ""),
        (MOVED, -1000, 1000, "PR-2"),
    )
    assert (split.deductible, split.coinsurance, split.share) == (Money(0), Money(1000), Money(1000))


def test_a_reversal_leaves_no_kind_below_nothing() -> None:
    split = line(
        (CHARGE, 10000, 0, ""), (MOVED, -3000, 3000, "PR-1"), (MOVED, 4000, -4000, "PR-2"), (MOVED, -5000, 5000, "PR-3")
    )
    assert split.share == Money(4000)
    assert [split.part(kind).cents for kind in (Part.DEDUCTIBLE, Part.COINSURANCE, Part.COPAY)] == [3000, 0, 1000]


def test_nothing_billed_has_amounts_and_no_bars() -> None:
    empty = picture(Split.of_cents({}))
    assert ([row.amount.cents for row in empty.rows], empty.drawn) == ([0, 0, 0], False)


def test_what_was_decided_for_more_than_was_billed_does_not_leave_the_scale() -> None:
    split = line((CHARGE, 10000, 0, ""), (PAID, -12000, 0, ""))
    assert (split.with_insurer, split.share) == (Money(-2000), Money(0))
    rows = {row.kind: row for row in picture(split).rows}
    assert rows[Part.INSURER_PAID].x == 0
    assert rows[Part.WITH_INSURER].amount == Money(2000)


def test_a_credit_lies_on_the_other_side_of_nothing() -> None:
    split = line((CHARGE, 0, 1000, ""), (OWN, 0, -1500, ""))
    rows = {row.kind: row for row in picture(split).rows}
    assert (split.self_pay, split.due) == (Money(1000), Money(-500))
    assert rows[Part.DUE].x + rows[Part.DUE].width <= rows[Part.SHARE].x + LEAST


def test_a_tiny_part_is_still_seen() -> None:
    split = line((CHARGE, 10**7, 0, ""), (PAID, -(10**7) + 1, 0, ""), (MOVED, -1, 1, "PR-3"))
    assert [row.width for row in picture(split).rows if row.kind in (Part.COPAY, Part.DUE)] == [LEAST, LEAST]


def test_every_part_of_a_split_is_in_the_picture_or_its_sums() -> None:
    fields = {Part(name) for name in Split.__dataclass_fields__}
    assert fields == {Part.BILLED, Part.PAID, *REDUCTIONS, *SHARES}
    assert set(Part) - fields == {Part.SHARE, Part.DUE}
