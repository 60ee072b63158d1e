"""What an 835 file says, in figures, without storing any of it."""

from __future__ import annotations

from collections import Counter
from os import PathLike, fspath
from pathlib import Path
from typing import TypedDict

from portal.remittances.x12.balancing import Imbalance, imbalances, patient_share, patient_share_flags
from portal.remittances.x12.errors import Problem
from portal.remittances.x12.model import Transaction
from portal.remittances.x12.remittance import RemittanceFile


class Quarantined(TypedDict):
    """One reason why a transaction is quarantined; ``claim`` is None where it is the transaction's own."""

    transaction: str
    claim: str | None
    reason: str
    difference_cents: int


class Inspection(TypedDict):
    """The figures of one file; every total counts all that was read, quarantined or not."""

    file: str
    interchanges: int
    transactions: int
    claims: int
    service_lines: int
    charge_cents: int
    paid_cents: int
    patient_responsibility_cents: int
    adjustment_cents: dict[str, int]
    quarantined: list[Quarantined]
    errors: list[str]


def inspect_file(path: str | PathLike[str]) -> Inspection:
    """Read the 835 file at ``path`` once and return its figures; ``file`` is ``path`` as given.

    Charges are the sum of CLP03, payments of CLP04, both before provider adjustments; patient responsibility
    is the sum of the PR adjustments of claims and lines. ``errors`` are the problems of the file and of its
    transactions, and claims whose CLP05 is not their PR adjustments, in the order of the file.

    Raises :class:`NotA835` when it holds no 835, and :class:`OSError` when it cannot be opened.
    """
    result = Inspection(
        file=fspath(path),
        interchanges=0,
        transactions=0,
        claims=0,
        service_lines=0,
        charge_cents=0,
        paid_cents=0,
        patient_responsibility_cents=0,
        adjustment_cents={},
        quarantined=[],
        errors=[],
    )
    groups: Counter[str] = Counter()
    placed: list[tuple[int, str]] = []
    with Path(path).open("rb") as stream:
        remittance = RemittanceFile(stream, fspath(path))
        for transaction in remittance:
            _add(result, transaction)
            for cas in transaction.adjustments:
                groups[cas.group] += cas.amount.cents
            result["quarantined"] += map(_quarantined, imbalances(transaction))
            placed += map(_problem, transaction.errors)
            placed += map(_flag, patient_share_flags(transaction))
    placed += map(_problem, remittance.errors)
    result["interchanges"] = remittance.interchanges
    result["adjustment_cents"] = dict(sorted(groups.items()))
    result["errors"] = [text for _, text in sorted(placed, key=lambda item: item[0])]
    return result


def _add(result: Inspection, transaction: Transaction) -> None:
    result["transactions"] += 1
    result["claims"] += len(transaction.claims)
    result["service_lines"] += len(transaction.lines)
    result["charge_cents"] += sum(claim.charge.cents for claim in transaction.claims)
    result["paid_cents"] += sum(claim.paid.cents for claim in transaction.claims)
    result["patient_responsibility_cents"] += patient_share(transaction.adjustments).cents


def _quarantined(imbalance: Imbalance) -> Quarantined:
    return Quarantined(
        transaction=imbalance.transaction,
        claim=imbalance.claim,
        reason=imbalance.explanation,
        difference_cents=imbalance.difference.cents,
    )


def _problem(problem: Problem) -> tuple[int, str]:
    return problem.segment, str(problem)


def _flag(flag: Imbalance) -> tuple[int, str]:
    place = f"segment {flag.segment} (CLP), transaction {flag.transaction}, claim {flag.claim_ordinal}"
    return flag.segment, f"{place}: {flag.explanation}; difference {flag.difference}"
