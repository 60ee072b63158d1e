"""What tests of the ledger share: small remittances, the whole database as figures, and a Stripe that took nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from io import BytesIO
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal import clock
from portal.ledger.adapters.embedded.ledger import EmbeddedLedger
from portal.ledger.reconcile import reconcile
from portal.money import Money
from portal.payments.gateway import StripeCharge, StripeDispute
from portal.remittances.service import ImportReport, import_stream
from portal.schema import compatibility
from portal.tables import metadata
from tests.unit.remittances.x12.builder import Segments, group, interchange, transaction

Facts = dict[str, Any]


class StripeWith:
    """As much of the gateway as reconcile asks: what was captured, and what banks called back.

    ``later`` is what it says of a charge when it is asked about that one alone.
    """

    def __init__(
        self,
        captured: Sequence[StripeCharge] = (),
        disputes: Sequence[StripeDispute] = (),
        later: Mapping[str, StripeCharge] | None = None,
    ) -> None:
        self._captured, self._disputes = captured, disputes
        self._later = later or {}
        self.disputes = self.payouts = self

    def captured(self, *, since: datetime | None = None) -> Iterator[StripeCharge]:
        yield from (one for one in self._captured if since is None or one.created_at >= since)

    def charge(self, charge_id: str) -> StripeCharge:
        found = [one for one in self._captured if one.charge_id == charge_id]
        nothing = StripeCharge("", charge_id, Money(0), "", "", clock.now())
        return self._later.get(charge_id) or (found[0] if found else nothing)

    def charges_moved(self, *, since: datetime) -> list[str]:
        return [one.charge_id for one in self._captured if one.created_at >= since]

    def every(self, *, since: datetime) -> Iterator[StripeDispute]:
        return (one for one in self._disputes if one.created_at >= since)

    def of_charge(self, charge_id: str) -> list[StripeDispute]:
        return [one for one in self._disputes if one.charge_id == charge_id]


def header(trace: str = "EFT-1", payer: str = "EXAMPLE HEALTH PLAN", payer_id: str = "1999999999") -> list[str]:
    """The head of a transaction; ``trace`` is what makes it this payment."""
    parties = [f"N1*PR*{payer}", "N1*PE*DEMO CLINIC*XX*1234567893"]
    return [f"TRN*1*{trace}*{payer_id}", "DTM*405*20260102", *parties, "LX*1"]


def claim(
    number: str = "V-1",
    *,
    status: str = "1",
    billed: int = 100,
    paid: int = 60,
    contractual: int = 25,
    share: int = 15,
    stated: int | None = None,
    member: str = "MEM-1",
    family: str = "SAMPLESON",
    given: str = "ANNA",
    code: str = "99213",
    other: Sequence[str] = (),
) -> list[str]:
    """One claim with one line that adds up (whole dollars); ``other`` are more CAS segments of the line."""
    said = "" if status == "22" else str(share if stated is None else stated)
    adjustments = [f"CAS*CO*45*{contractual}"] if contractual else []
    adjustments += [f"CAS*PR*2*{share}"] if share else []
    return [
        f"CLP*{number}*{status}*{billed}*{paid}*{said}*12*PAYER-{number}*11*1",
        f"NM1*QC*1*{family}*{given}****MI*{member}",
        f"SVC*HC:{code}*{billed}*{paid}",
        "DTM*472*20251210",
        *adjustments,
        *other,
    ]


def payment(*claims: list[str], paid: int, control: str = "0001", trace: str = "EFT-1", **head: str) -> Segments:
    """ST to SE around claims."""
    body = [segment for one in claims for segment in one]
    return transaction(body, paid=str(paid), control=control, header=header(trace, **head))


def remittance(*payments: Segments, control: str = "000000009") -> bytes:
    """A file of payments; another ``control`` makes it another file."""
    return interchange(group(*payments), control=control)


def load(
    session: Session,
    data: bytes,
    name: str = "a.835",
    progress: Callable[[ImportReport], None] = lambda _report: None,
) -> ImportReport:
    """Import a file as the command does."""
    return import_stream(session, BytesIO(data), name, ledger=EmbeddedLedger(session), progress=progress)


def counts(session: Session) -> dict[str, int]:
    """How many rows each table of the business has."""
    found = {
        name: session.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
        for name, table in metadata.tables.items()
        if table is not compatibility  # says which code works on the schema
    }
    session.commit()
    return {name: count for name, count in found.items() if count}


def accounts(session: Session) -> dict[str, tuple[int, int]]:
    """Insurer's and patient's cents of every account in the mirror."""
    rows = session.execute(
        sa.text(
            "SELECT a.ref, SUM(e.insurer_cents), SUM(e.patient_cents) FROM account a "
            "JOIN entry e ON e.account_id = a.id GROUP BY a.ref"
        )
    ).all()
    session.commit()
    return {ref: (int(insurer), int(patient)) for ref, insurer, patient in rows}


def compared(session: Session, stripe: StripeWith | None = None) -> Facts:
    """What reconcile says."""
    session.rollback()
    gateway: Any = stripe or StripeWith()
    return reconcile(session, EmbeddedLedger(session), gateway)


def assert_books_agree(session: Session) -> None:
    """Mirror and embedded ledger agree on every account, and every transaction of the ledger balances."""
    result = compared(session)
    assert (result["exceptions"], result["agrees"]) == ([], True)
    assert [row for row in result["accounts"] if row["mirror_cents"] != row["ledger_cents"]] == []
    assert EmbeddedLedger(session).unbalanced() == 0
    session.commit()
