"""The safety checks: a table of hand-made bills, no miss and no false alarm; and no bill on which a check stumbles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from random import Random
from typing import ClassVar

import pytest

from portal.billing.checks import rules as checks
from portal.billing.checks.facts import Bill, ClaimFact, CoverageFact, CreditFact, EntryFact, Finding, LineFact
from portal.billing.checks.rules import CHECKS, check_bill
from portal.billing.kinds import Check, EntryKind
from portal.money import Money
from tests.unit.billing.checks.bills import CASES, Case, usd, visit

EVERY = [(check, one) for check, cases in CASES.items() for one in cases]


def found_on(bill: Bill) -> list[tuple[Check, int]]:
    return sorted((finding.check, finding.line) for finding in check_bill(bill))


@pytest.mark.parametrize(("check", "one"), EVERY, ids=[f"{check}: {one.name}" for check, one in EVERY])
def test_the_table(check: Check, one: Case) -> None:
    assert [pair for pair in found_on(one.bill) if pair not in one.found] == [], "a false alarm"
    assert [pair for pair in one.found if pair not in found_on(one.bill)] == [], "a miss"


def test_the_table_is_large_enough() -> None:
    assert set(CASES) == set(CHECKS) == set(Check)
    assert sum(map(len, CASES.values())) >= 60
    for check, cases in CASES.items():
        assert len({one.name for one in cases}) == len(cases) >= 4
        failing = [one for one in cases if any(name is check for name, _line in one.found)]
        assert len(failing) >= 2, check
        assert len(cases) - len(failing) >= 2, check


def _right() -> bool:
    return all(sorted(one.found) == found_on(one.bill) for _check, one in EVERY)


def _blind(_bill: Bill) -> Iterator[Finding]:
    return iter(())


@pytest.mark.parametrize("broken", list(Check))
def test_a_broken_check_is_noticed(broken: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blind, or seeing ghosts: either way the table says so."""

    def ghosts(bill: Bill) -> Iterator[Finding]:
        return (Finding(broken, line.id, line.due) for line in bill.asking)

    assert _right()
    for wrong in (_blind, ghosts):
        monkeypatch.setitem(checks.CHECKS, broken, wrong)
        assert not _right()


def test_a_finding_is_the_same_one_after_a_payment() -> None:
    """What was released must stay released when the patient pays some of it."""
    for _check, one in EVERY:
        before = {(finding.check, finding.line): finding.fingerprint for finding in check_bill(one.bill)}
        part = Money(1)
        paying = tuple(
            replace(line, entries=(*line.entries, EntryFact(EntryKind.PATIENT_PAYMENT, patient=-part, own=True)))
            for line in one.bill.lines
        )
        after = {
            (finding.check, finding.line): finding.fingerprint
            for finding in check_bill(replace(one.bill, lines=paying))
        }
        # A credit that was released is not handed in again (``gathering.py``), so its findings may move on.
        for key in {key for key in before.keys() & after.keys() if key[0] is not Check.CREDIT}:
            assert before[key] == after[key], (one.name, key)


def test_another_amount_is_another_finding() -> None:
    first, second = (
        check_bill(
            Bill(lines=(replace(visit(PR3=amount, CO45=103 - amount), id=1),), estimate=usd(0), desk_paid=usd(30))
        )
        for amount in (30, 29)
    )
    assert {one.fingerprint for one in first}.isdisjoint(one.fingerprint for one in second)


def test_a_check_can_be_left_out() -> None:
    for check, one in EVERY:
        assert all(finding.check is not check for finding in check_bill(one.bill, skip=[check]))


class Chance:
    """Bills of every sort, sense or none, from a seed."""

    CODES: ClassVar = ["", "99396", "90686", "90471", "99284", "A0431", "00400", "٣٤٥٦٧", "J1", "x" * 48]

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self.one = self._random.choice

    def some(self, words: str, most: int) -> tuple[str, ...]:
        return tuple(self.one(words.split()) for _ in range(self._random.randint(0, most)))

    def money(self) -> Money:
        return Money(self._random.choice([0, 1, 40_000, self._random.randint(-50_000, 50_000)]))

    def day(self) -> date | None:
        return self.one([None, date(2026, 5, 3), date(2026, 5, 4), date(2026, 5, 5)])

    def entry(self) -> EntryFact:
        return EntryFact(
            kind=self.one(list(EntryKind)),
            insurer=self.money(),
            patient=self.money(),
            group=self.one(["", "CO", "PR", "PR", "OA", "?"]),
            reason=self.one(["", "29", "45", "1", "3", "16", "18", "22", "31", "197", "242", "B7", "ZZ", "é"]),
            stated=self.money(),
            remarks=self.some("N830 MA18 N882 N179 ?", 2),
            own=self.one([True, False]),
        )

    def line(self) -> LineFact:
        return LineFact(
            id=self._random.randint(1, 4),
            billed=self.money(),
            entries=tuple(self.entry() for _ in range(self._random.randint(0, 6))),
            ordinal=self._random.randint(0, 3),
            code=self.one(["99213"] * 5 + self.CODES),
            qualifier=self.one(["", "HC", "HC", "HC", "NU", "?"]),
            modifiers=self.some("25 76 33 LT PT AS", 2),
            revenue_code=self.one(["99213"] * 5 + self.CODES),
            units=self.one(["", "1", "0.5", "-1"]),
            service_on=self.day(),
            whole_visit=self.one([True, False]),
        )

    def claim(self) -> ClaimFact:
        return ClaimFact(
            payer=self.one(["", "A Plan", "a plan", "Other"]),
            status=self.one(["", "1", "2", "4", "19", "20", "22", "25", "?"]),
            filing=self.one(["", "09", "12", "MB", "WC"]),
            facility=self.one(["", "11", "22", "23", "?"]),
            stated_share=self.one([None, self.money()]),
            share=self.money(),
            patient_paid=self.money(),
            remarks=self.some("MA07 N882 N865", 2),
            difference=self.money(),
            lines=frozenset(self._random.sample(range(1, 5), self._random.randint(0, 4))),
        )

    def bill(self) -> Bill:
        several = self._random.randint
        return Bill(
            lines=tuple(self.line() for _ in range(several(0, 4))),
            claims=tuple(self.claim() for _ in range(several(0, 3))),
            elsewhere=tuple(self.line() for _ in range(several(0, 2))),
            started_on=self.day(),
            estimate=self.one([None, self.money()]),
            coverages=tuple(
                CoverageFact(self.one(["", "A Plan", "New"]), date(2026, 5, 4), self.day())
                for _ in range(several(0, 2))
            ),
            credits=tuple(CreditFact(self.money(), "", self.money()) for _ in range(several(0, 2))),
            desk_paid=self.money(),
        )


def test_no_bill_makes_a_check_stumble() -> None:
    """Nothing is raised, only lines that ask are named, and the same is found each time."""
    seen = set()
    for seed in range(4_000):
        bill = Chance(seed).bill()
        found = check_bill(bill)
        asking = {line.id for line in bill.asking}
        for finding in found:
            seen.add(finding.check)
            assert finding.line in asking, seed
            assert all(type(value) in (int, str) for value in finding.facts.values()), seed
        assert [one.fingerprint for one in check_bill(bill)] == [one.fingerprint for one in found], seed
    assert seen == set(Check), "the bills by chance are too tame"
