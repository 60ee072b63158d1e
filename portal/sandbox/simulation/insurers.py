"""What insurers decide and the back office enters: real remittances (835) through the import, and the front desk."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from io import BytesIO

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.queries import account_refs
from portal.accounts.service import account_row
from portal.billing.kinds import EntryKind
from portal.billing.queries import Line, lines_of_account, visit_refs
from portal.billing.service import NewEntry, write_entries
from portal.ledger.adapters.embedded.ledger import EmbeddedLedger, post
from portal.ledger.adapters.embedded.models import Book
from portal.money import Money
from portal.remittances.service import import_stream
from portal.sandbox.simulation.verdict import FRONT_DESK
from portal.sandbox.simulation.world import World


@dataclass(frozen=True, slots=True)
class Decided:
    """A payer's decision on a visit of one line, in cents; ``stands`` is False when it was taken back."""

    number: int  # the patient's
    visit: int
    billed: int
    paid: int
    contractual: int
    share: int
    stands: bool = True

    def shared(self, share: int, *, by_payer: bool = False) -> Decided:
        """This bill with another share of the patient's: the payer pays the rest, or writes it off."""
        share = max(0, min(share, self.billed - self.paid))
        rest = self.billed - self.paid - share
        if by_payer:
            return replace(self, share=share, paid=self.billed - self.contractual - share)
        return replace(self, share=share, contractual=rest)

    def written_off(self) -> Decided:
        """Nobody owes anything."""
        return replace(self, paid=0, share=0, contractual=self.billed)


def first_decision(number: int, visit: int, dice: random.Random) -> Decided:
    """A visit as it is decided first: the patient's share is between 60 and 700 dollars."""
    share = dice.choice([dice.randrange(60_00, 200_00), dice.randrange(150_00, 400_00), dice.randrange(300_00, 700_00)])
    paid, contractual = dice.randrange(50_00, 500_00), dice.randrange(40_00, 300_00)
    return Decided(number, visit, share + paid + contractual, paid, contractual, share)


class Insurer:
    """Sends remittances, each a file of its own."""

    def __init__(self) -> None:
        self._files = 0

    def decide(self, session: Session, decisions: Sequence[tuple[Decided | None, Decided | None]]) -> None:
        """Undo the first of each pair and decide the second, in one remittance; commits."""
        claims, paid = [], 0
        for old, new in decisions:
            if old is not None and old.stands:
                claims.append(_claim(old, sign=-1))
                paid -= old.paid
            if new is not None:
                claims.append(_claim(new, sign=1))
                paid += new.paid
        if not claims:
            return
        self._files += 1
        name = f"{self._files:09}"
        data = _file(claims, paid=paid, number=name, on=clock.clinic_day(clock.now()))
        report = import_stream(session, BytesIO(data), f"{name}.835", ledger=EmbeddedLedger(session))
        session.commit()
        if (report.loaded, report.quarantined) != (1, 0):
            raise AssertionError(f"the remittance {name} was not taken in: {report.reasons}")


def _dollars(cents: int) -> str:
    return f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02}"


def _claim(one: Decided, *, sign: int) -> list[str]:
    billed, paid, contractual, share = (
        _dollars(sign * cents) for cents in (one.billed, one.paid, one.contractual, one.share)
    )
    status, said = ("1", share) if sign > 0 else ("22", "")
    return [
        f"CLP*V-{one.number:04}-{one.visit}*{status}*{billed}*{paid}*{said}*12*PAYER-{one.number}-{one.visit}*11*1",
        f"NM1*QC*1*SIMULATED{one.number:04}*ANNA****MI*SIM-{one.number:04}",
        f"SVC*HC:99213*{billed}*{paid}",
        "DTM*472*20261010",
        *([f"CAS*CO*45*{contractual}"] if one.contractual else []),
        *([f"CAS*PR*2*{share}"] if one.share else []),
    ]


def _file(claims: Sequence[list[str]], *, paid: int, number: str, on: date) -> bytes:
    day, short = on.strftime("%Y%m%d"), on.strftime("%y%m%d")
    body = [
        f"BPR*I*{_dollars(paid)}*C*ACH*CCP*01*111*DA*222*1999999999**01*333*DA*444*{day}",
        f"TRN*1*EFT-{number}*1999999999",
        f"DTM*405*{day}",
        "N1*PR*SIMULATED HEALTH PLAN",
        "N1*PE*SIMULATED CLINIC*XX*1234567893",
        "LX*1",
        *(segment for one in claims for segment in one),
    ]
    parties = f"ZZ*{'SIM':<15}*ZZ*{'CLINIC':<15}"
    segments = [
        f"ISA*00*{'':<10}*00*{'':<10}*{parties}*{short}*1200*^*00501*{number}*0*T*:",
        f"GS*HP*SIM*CLINIC*{day}*1200*7*X*005010X221A1",
        "ST*835*0001",
        *body,
        f"SE*{len(body) + 2}*0001",
        "GE*1*7",
        f"IEA*1*{number}",
    ]
    return "".join(f"{segment}~" for segment in segments).encode()


def pay_at_the_desk(world: World, account_id: int, dice: random.Random) -> bool:
    """Somebody pays a line, or a part of it, in the office; the back office tells us. False where nothing is due."""
    with world.at_work() as session:
        account_row(session, account_id, lock=True)
        lines = [line for line in lines_of_account(session, account_id) if line.collectable > Money.zero()]
        if not lines:
            session.rollback()
            return False
        line = dice.choice(lines)
        share = dice.choice([100, 100, 50, 25])
        amount = Money(max(1, line.collectable.cents * share // 100))
        _enter(session, line, amount, number=dice.getrandbits(60))
        session.commit()
        return True


def _enter(session: Session, line: Line, amount: Money, *, number: int) -> None:
    today, ref = clock.clinic_day(clock.now()), account_refs(session)[line.account_id]
    visit = visit_refs(session, [line.charge_id])[line.charge_id]
    key = f"desk-{number:016x}"
    post(
        session,
        key=key,
        kind=FRONT_DESK,
        effective_on=today,
        account_ref=ref,
        lines=[(Book.CARD_CLEARING, "", amount), (Book.PATIENT_RECEIVABLE, visit, -amount)],
    )
    write_entries(
        session,
        [
            NewEntry(
                account_id=line.account_id,
                charge_id=line.charge_id,
                kind=EntryKind.PATIENT_PAYMENT,
                insurer=Money.zero(),
                patient=-amount,
                source=FRONT_DESK,
                source_id=key,
                effective_on=today,
            )
        ],
    )


def charges_by_visit(session: Session) -> dict[str, tuple[int, int]]:
    """The charge and the account of each visit, by the back office's number."""
    rows = session.execute(
        sa.text(
            "SELECT v.ref, c.id, v.account_id FROM charge c JOIN visit v ON v.id = c.visit_id ORDER BY c.id"
        )
    )
    return {ref: (charge, account) for ref, charge, account in rows}
