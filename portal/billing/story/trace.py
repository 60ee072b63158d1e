"""Why do I owe this: a line's entries, in order, with a running amount. Pure; told in prose in docs/trace.md.

The steps' amounts sum to what is left, to the cent; moving a share from the insurer's side to the patient's is a step
of amount zero that says how much is the patient's, because it changes who pays and not how much is left.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from portal.billing.entries import EntryRow
from portal.billing.kinds import PATIENT_MONEY, EntryKind
from portal.money import Money


@dataclass(frozen=True, slots=True)
class Step:
    """One step from billed to due. ``amount`` is its effect on what is left; ``running`` is what is left after it."""

    entry: EntryRow
    amount: Money
    running: Money
    your_share: Money


@dataclass(frozen=True, slots=True)
class Trace:
    """The steps, and where they end."""

    steps: tuple[Step, ...]
    left: Money
    due: Money
    with_insurer: Money


#: The order in which a bill makes sense: what was asked, what came off, what the insurer paid, whose the rest is.
_ORDER = {
    EntryKind.CHARGE: 0,
    EntryKind.ADJUSTMENT: 1,
    EntryKind.INSURER_PAYMENT: 2,
    EntryKind.SHARE_MOVED: 3,
    EntryKind.PATIENT_PAYMENT: 4,
    EntryKind.PATIENT_REFUND: 4,
    EntryKind.CHARGEBACK: 4,
}


def trace(entries: Iterable[EntryRow]) -> Trace:
    """Lay the entries of one line, visit or account out as steps.

    Entries keep their order within a payer's decision; a later decision comes after an earlier one. The sum of the
    steps' amounts equals ``left``, and ``left == due + with_insurer``.
    """
    rows = list(entries)
    decision: dict[int | None, int] = {}
    for row in rows:
        decision.setdefault(row.claim_id, len(decision))

    def place(indexed: tuple[int, EntryRow]) -> tuple[int, int, int, int]:
        index, row = indexed
        if row.kind is EntryKind.CHARGE:
            return (0, 0, 0, index)
        if row.kind in PATIENT_MONEY:
            return (2, 0, 0, index)
        return (1, decision[row.claim_id], _ORDER[row.kind], index)

    running, steps = Money.zero(), []
    for _index, row in sorted(enumerate(rows), key=place):
        running = running + row.amount
        share = row.patient if row.kind is EntryKind.SHARE_MOVED else Money.zero()
        steps.append(Step(row, row.amount, running, share))
    return Trace(
        steps=tuple(steps),
        left=running,
        due=Money.total(row.patient for row in rows),
        with_insurer=Money.total(row.insurer for row in rows),
    )


def by_line(entries: Iterable[EntryRow]) -> dict[int, list[EntryRow]]:
    """Entries line by line, by charge id, each line's in their order."""
    lines: dict[int, list[EntryRow]] = {}
    for entry in entries:
        lines.setdefault(entry.charge_id, []).append(entry)
    return lines


@dataclass(frozen=True, slots=True)
class Change:
    """What one record did to what is due since a statement: a payment, a refund, an insurer's later decision.

    ``amount`` is its effect on what is due, over all lines; ``running`` what is due after it.
    """

    entries: tuple[EntryRow, ...]
    amount: Money
    running: Money


@dataclass(frozen=True, slots=True)
class Since:
    """A statement's story: ``printed + on_its_way + sum(changes) == due``.

    ``on_its_way`` is what payments that were on their way when it was printed had taken off the printed amount.
    """

    printed: Money
    on_its_way: Money
    changes: tuple[Change, ...]
    due: Money


def since(entries: Iterable[EntryRow], *, printed: Mapping[int, Money], printed_at: datetime) -> Since:
    """What changed on a statement's lines since it was printed.

    ``entries`` are all of the lines' entries in their order, ``printed`` what was asked for each, by charge id. What
    one record did to several lines is one change; what left the patient's side as it was is none.
    """
    was = Money.zero()
    later: dict[tuple[str, str], list[EntryRow]] = {}
    for entry in entries:
        if entry.charge_id not in printed:
            continue
        if entry.created_at is None or entry.created_at <= printed_at:
            was = was + entry.patient
            continue
        if entry.kind in PATIENT_MONEY:
            record = (entry.kind.value, f"{entry.subject}/{entry.patient < Money.zero()}")
        else:
            record = ("decision", str(entry.claim_id or entry.source_id))
        later.setdefault(record, []).append(entry)
    asked = Money.total(printed.values())
    running, changes = was, []
    for rows in later.values():
        amount = Money.total(row.patient for row in rows)
        if amount:
            running = running + amount
            changes.append(Change(tuple(rows), amount, running))
    return Since(printed=asked, on_its_way=was - asked, changes=tuple(changes), due=running)
