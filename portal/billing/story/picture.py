"""Where the money went: a line's, a visit's or an account's entries as parts that sum to what was billed. Pure.

Told in prose in docs/trace.md. Two sums hold to the cent, whatever the history:

- billed = discount + other reductions + insurer paid + still with the insurer + your share;
- your share = its kinds = paid + due.

A part may be negative: an insurer that took more back than it paid, a line decided for more than was billed, a credit.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import cache
from typing import Protocol, TypeVar

from portal.billing.kinds import PATIENT_MONEY, EntryKind
from portal.explanations.compose import explain
from portal.explanations.facts import AdjustmentFact
from portal.money import Money

#: Reasons whose family says that the plan does not pay for this care, or not for this person, place or time.
_NOT_COVERED = frozenset({"not_covered", "limit", "eligibility", "medical_need", "network", "extra_cost"})

#: The picture's width in its own units, and the least that is drawn of anything that is not nothing.
WIDTH, LEAST = 1000, 8


class Part(StrEnum):
    """Where a part of the billed amount went, and the sums on the way."""

    BILLED = "billed"
    DISCOUNT = "discount"
    OTHER_REDUCTION = "other_reduction"
    INSURER_PAID = "insurer_paid"
    WITH_INSURER = "with_insurer"
    SHARE = "share"
    DEDUCTIBLE = "deductible"
    COINSURANCE = "coinsurance"
    COPAY = "copay"
    NOT_COVERED = "not_covered"
    SELF_PAY = "self_pay"
    OTHER_SHARE = "other_share"
    PAID = "paid"
    DUE = "due"


#: What leaves the bill before it is the patient's, in the order it is told.
REDUCTIONS = (Part.DISCOUNT, Part.OTHER_REDUCTION, Part.INSURER_PAID, Part.WITH_INSURER)
#: The kinds of the patient's share, in the order they are told.
SHARES = (Part.DEDUCTIBLE, Part.COINSURANCE, Part.COPAY, Part.NOT_COVERED, Part.SELF_PAY, Part.OTHER_SHARE)


class Move(Protocol):
    """As much of an entry as the picture reads."""

    @property
    def charge_id(self) -> int: ...
    @property
    def kind(self) -> EntryKind: ...
    @property
    def insurer(self) -> Money: ...
    @property
    def patient(self) -> Money: ...
    @property
    def group_code(self) -> str: ...
    @property
    def reason_code(self) -> str: ...


AnyMove = TypeVar("AnyMove", bound=Move)
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Split:
    """Where the money of some lines went."""

    billed: Money
    discount: Money
    other_reduction: Money
    insurer_paid: Money
    with_insurer: Money
    deductible: Money
    coinsurance: Money
    copay: Money
    not_covered: Money
    self_pay: Money
    other_share: Money
    paid: Money

    @property
    def share(self) -> Money:
        """What is the patient's, paid or not."""
        return Money.total(self.part(kind) for kind in SHARES)

    @property
    def due(self) -> Money:
        """What is left of the share; negative is a credit."""
        return self.share - self.paid

    def part(self, kind: Part) -> Money:
        """The amount of one part."""
        amount: Money = getattr(self, kind.value)
        return amount

    @classmethod
    def of_cents(cls, cents: Mapping[Part, int]) -> Split:
        """The split with these parts, in cents."""
        return cls(**{one.name: Money(cents.get(Part(one.name), 0)) for one in fields(cls)})

    @classmethod
    def total(cls, splits: Iterable[Split]) -> Split:
        """The splits of different lines, added up part by part."""
        sums: dict[Part, int] = {}
        for split in splits:
            for one in fields(cls):
                kind = Part(one.name)
                sums[kind] = sums.get(kind, 0) + split.part(kind).cents
        return cls.of_cents(sums)


@dataclass(frozen=True, slots=True)
class Segment:
    """One part of the billed amount."""

    kind: Part
    amount: Money


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the picture: what it is, how much, and where its bar lies (``x`` and ``width`` of :data:`WIDTH`).

    ``taken`` marks what is taken off; ``inner`` a kind of the patient's share.
    """

    kind: Part
    amount: Money
    x: int
    width: int
    taken: bool = False
    inner: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """The rows from billed to due; ``drawn`` is false where there is nothing to draw to scale."""

    rows: tuple[Row, ...]
    drawn: bool


def split_of(entries: Iterable[Move]) -> Split:
    """Where the money of these entries went; entries of several lines are told line by line and added up."""
    return next(iter(splits_by(entries, lambda _entry: None).values()), Split.of_cents({}))


def splits_by(entries: Iterable[AnyMove], key: Callable[[AnyMove], Key]) -> dict[Key, Split]:
    """Where the money went, apart for each ``key`` of the entries (a line's entries have one key), in its order."""
    lines: dict[int, list[AnyMove]] = {}
    for entry in entries:
        lines.setdefault(entry.charge_id, []).append(entry)
    sums: dict[Key, dict[Part, int]] = {}
    for line in lines.values():
        into = sums.setdefault(key(line[0]), {})
        for kind, cents in _parts_of_line(line):
            into[kind] = into.get(kind, 0) + cents
    return {name: Split.of_cents(parts) for name, parts in sums.items()}


def _parts_of_line(entries: Iterable[Move]) -> Iterator[tuple[Part, int]]:
    billed = discount = insurer_paid = with_insurer = paid = share = 0
    kinds: dict[Part, int] = {}
    for entry in entries:
        insurer, patient, kind = entry.insurer.cents, entry.patient.cents, entry.kind
        with_insurer += insurer
        if kind in PATIENT_MONEY:
            paid -= patient
            continue
        share += patient
        if kind is EntryKind.CHARGE:
            billed += insurer + patient
        elif kind is EntryKind.INSURER_PAYMENT:
            insurer_paid -= insurer
        elif kind is EntryKind.ADJUSTMENT and _is_discount(entry.group_code, entry.reason_code):
            discount -= insurer
        if patient:
            _move_share(kinds, entry, patient)
    yield Part.BILLED, billed
    yield Part.DISCOUNT, discount
    # What is left over, so that the parts sum to what was billed whatever a feed holds.
    yield Part.OTHER_REDUCTION, billed - discount - insurer_paid - with_insurer - share
    yield Part.INSURER_PAID, insurer_paid
    yield Part.WITH_INSURER, with_insurer
    yield from _settled(kinds, share).items()
    yield Part.PAID, paid


@cache
def _family_and_effect(group: str, reason: str) -> tuple[str, str]:
    """What the catalogue says of a code: its family and what it does to a bill."""
    told = explain(AdjustmentFact(group, reason, Money(1), ""))
    return told.family, told.effect


def _is_discount(group: str, reason: str) -> bool:
    """Whether an adjustment is the price that clinic and plan agreed on (CARC 45 and its kind)."""
    family, effect = _family_and_effect(group, reason)
    return effect == "lowers_bill" or family == "discount"


@cache
def _share_kind(reason: str) -> Part:
    family, _effect = _family_and_effect("PR", reason)
    if family in ("deductible", "coinsurance", "copay"):
        return Part(family)
    return Part.NOT_COVERED if family in _NOT_COVERED else Part.OTHER_SHARE


def _move_share(kinds: dict[Part, int], entry: Move, cents: int) -> None:
    """Put an entry's share on its kind; a payer that takes a share up takes it from the kinds that are there."""
    if entry.kind is EntryKind.SHARE_MOVED and not entry.reason_code and cents < 0:
        left = -cents
        for kind in SHARES:
            took = min(max(kinds.get(kind, 0), 0), left)
            kinds[kind], left = kinds.get(kind, 0) - took, left - took
        kinds[Part.OTHER_SHARE] -= left
        return
    if entry.kind is EntryKind.CHARGE:
        kind = Part.SELF_PAY
    else:
        kind = _share_kind(entry.reason_code) if entry.reason_code else Part.OTHER_SHARE
    kinds[kind] = kinds.get(kind, 0) + cents


def _settled(kinds: Mapping[Part, int], share: int) -> Mapping[Part, int]:
    """No kind below zero where the share is not: what a reversal took back too much of is set against the others."""
    if share < 0:
        return {Part.OTHER_SHARE: share}
    lacking = -sum(cents for cents in kinds.values() if cents < 0)
    if not lacking:
        return kinds
    found = {kind: max(kinds.get(kind, 0), 0) for kind in SHARES}
    for kind in reversed(SHARES):
        took = min(found[kind], lacking)
        found[kind], lacking = found[kind] - took, lacking - took
    return found


def segments(split: Split) -> tuple[Segment, ...]:
    """The parts that the billed amount went to, in order; they sum to it. Parts of nothing are left out."""
    found = (Segment(kind, split.part(kind)) for kind in (*REDUCTIONS, *SHARES))
    return tuple(one for one in found if one.amount)


def share_segments(split: Split) -> tuple[Segment, ...]:
    """What became of the patient's share: paid and due, which sum to it."""
    return Segment(Part.PAID, split.paid), Segment(Part.DUE, split.due)


def picture(split: Split) -> Picture:
    """The split as bars from billed to due, one under the other, all on one scale.

    Each bar of what was taken off ends where the one before began. What is not nothing has at least :data:`LEAST`
    units, so that it can be seen; no bar leaves the scale. Deterministic.
    """
    zero = Money.zero()
    spans: list[tuple[Part, Money, int, int, bool, bool]] = [
        (Part.BILLED, split.billed, 0, split.billed.cents, False, False)
    ]
    running = split.billed.cents

    def take(kind: Part, amount: Money) -> None:
        nonlocal running
        spans.append((kind, -amount, running - amount.cents, running, True, False))
        running -= amount.cents

    for kind in REDUCTIONS:
        if split.part(kind):
            take(kind, split.part(kind))
    spans.append((Part.SHARE, split.share, 0, split.share.cents, False, False))
    start = 0
    for kind in SHARES:
        amount = split.part(kind)
        if amount:
            spans.append((kind, amount, start, start + amount.cents, False, True))
            start += amount.cents
    if split.paid:
        take(Part.PAID, split.paid)
    spans.append((Part.DUE, split.due, 0, split.due.cents, False, False))
    edges = [edge for span in spans for edge in span[2:4]]
    low, high = min(0, *edges), max(0, *edges)
    return Picture(
        rows=tuple(
            Row(kind, amount, *_bar(first, last, low, high), taken=taken, inner=inner)
            for kind, amount, first, last, taken, inner in spans
        ),
        drawn=split.billed > zero,
    )


def _bar(first: int, last: int, low: int, high: int) -> tuple[int, int]:
    """Start and width on the scale of a bar between two amounts in cents; nothing where they are one."""
    if first == last:
        return 0, 0
    left, right = (min(first, last) - low) * WIDTH // (high - low), (max(first, last) - low) * WIDTH // (high - low)
    width = max(LEAST, right - left)
    return min(left, WIDTH - width), width
