"""The safety check over 835 files, without storing any of it.

The files' claims are loaded into a database in memory by the import's own code, so that what is found here is what an
import would hold; but for one thing: a transaction that does not add up is looked at all the same, and the claim that
does not add up is a finding of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from os import PathLike, fspath
from pathlib import Path
from typing import TypedDict

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal.billing.checks.facts import Bill
from portal.billing.checks.gathering import bills_of
from portal.billing.checks.rules import CHECKS, check_bill
from portal.billing.kinds import Check
from portal.db import Base
from portal.money import Money
from portal.remittances.load_claim import load_claim
from portal.remittances.whose import visit_ref
from portal.remittances.x12.balancing import imbalances
from portal.remittances.x12.remittance import RemittanceFile

#: What remittances alone can't tell: estimates, other coverages, and credits of the whole account.
NOT_CHECKED = (Check.COVERED_SELF_PAY, Check.ABOVE_ESTIMATE, Check.CREDIT)


class FoundInFile(TypedDict):
    """One finding; ``line`` is the line's place on the bill, 0 what was decided for all of it."""

    check: str
    line: int
    code: str
    amount_cents: int
    facts: dict[str, str | int]


class CheckedClaim(TypedDict):
    """One bill, as its claims leave it: ``claim`` is CLP01, ``decisions`` how many claims of the file are about it."""

    claim: str
    decisions: int
    lines: int
    patient_share_cents: int
    held_cents: int
    findings: list[FoundInFile]


class CheckedFile(TypedDict):
    """One file: what was found, per claim and in all. ``quarantined`` transactions would not be imported."""

    file: str
    transactions: int
    quarantined: int
    claims: list[CheckedClaim]
    not_checked: list[str]
    totals: dict[str, int]
    held_cents: int


def check_file(path: str | PathLike[str]) -> CheckedFile:
    """Run the checks over the 835 file at ``path`` and store nothing; ``file`` is ``path`` as given.

    ``totals`` counts findings by check, each check that ran included. Raises
    :class:`portal.remittances.x12.errors.NotA835` when it holds no 835, and :class:`OSError` when it can't be opened.
    """
    claims: list[CheckedClaim] = []
    with Path(path).open("rb") as stream, _memory() as session:
        loaded = _load(session, RemittanceFile(stream, fspath(path)))
        for account_id, bill in bills_of(session, sorted(loaded.accounts)):
            if difference := loaded.broken.get((account_id, bill.ref)):
                bill = replace(bill, claims=(*bill.claims[:-1], replace(bill.claims[-1], difference=difference)))
            claims.append(_checked(bill))
    totals = Counter({name.value: 0 for name in CHECKS if name not in NOT_CHECKED})
    totals.update(finding["check"] for claim in claims for finding in claim["findings"])
    return CheckedFile(
        file=fspath(path),
        transactions=loaded.transactions,
        quarantined=loaded.quarantined,
        claims=claims,
        not_checked=[name.value for name in NOT_CHECKED],
        totals=dict(totals),
        held_cents=sum(claim["held_cents"] for claim in claims),
    )


def _checked(bill: Bill) -> CheckedClaim:
    found = check_bill(bill, skip=NOT_CHECKED)
    by_id = {line.id: line for line in bill.lines}
    held = {finding.line for finding in found}
    return CheckedClaim(
        claim=bill.ref,
        decisions=len(bill.claims),
        lines=len(bill.lines),
        patient_share_cents=Money.total(line.due for line in bill.asking).cents,
        held_cents=Money.total(line.due for line in bill.asking if line.id in held).cents,
        findings=[
            FoundInFile(
                check=finding.check.value,
                line=by_id[finding.line].ordinal,
                code=by_id[finding.line].code,
                amount_cents=finding.amount.cents,
                facts=dict(finding.facts),
            )
            for finding in found
        ],
    )


@contextmanager
def _memory() -> Iterator[Session]:
    """A session on an empty database that is gone afterwards. Every table is known: ``portal.tables`` was imported."""
    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
    try:
        Base.metadata.create_all(engine)
        with Session(engine) as session:
            yield session
    finally:
        engine.dispose()


@dataclass(slots=True)
class _Loaded:
    """The accounts that came of a file, and what does not add up, by account and claim number."""

    accounts: set[int] = field(default_factory=set)
    broken: dict[tuple[int, str], Money] = field(default_factory=dict)
    transactions: int = 0
    quarantined: int = 0


def _load(session: Session, transactions: RemittanceFile) -> _Loaded:
    loaded = _Loaded()
    for transaction in transactions:
        faults = imbalances(transaction)
        loaded.transactions += 1
        loaded.quarantined += bool(faults)
        differences = {fault.claim_ordinal: fault.difference for fault in reversed(faults) if fault.difference}
        for claim in transaction.claims:
            account_id = load_claim(
                session,
                transaction,
                claim,
                transaction_key=f"{transaction.ordinal}",
                file_name=transactions.name,
                ledger=None,
            )
            if account_id is None:
                continue
            loaded.accounts.add(account_id)
            if difference := differences.get(claim.ordinal):
                loaded.broken[account_id, visit_ref(claim)] = difference
        session.flush()
    return loaded
