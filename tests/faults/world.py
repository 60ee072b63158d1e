"""A small clinic with bills to pay: who its patients are, and what is on their accounts."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from io import BytesIO

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.access import grant
from portal.accounts.kinds import Relationship
from portal.accounts.models import Account
from portal.auth import identity
from portal.auth.models import User
from portal.billing.models import Charge, Visit
from portal.db import normal_url
from portal.ledger.adapters.embedded.ledger import EmbeddedLedger
from portal.migrate import upgrade
from portal.remittances.service import import_stream
from portal.sandbox.simulation.dying import Points
from portal.sandbox.simulation.world import START, Time, World, told_by
from tests.unit.remittances.books import claim, payment, remittance

__all__ = ["PATIENTS", "START", "VISITS", "Decided", "Patient", "Points", "Time", "World", "fill", "first_decision",
           "patients", "told_by"]  # fmt: skip

#: Patients with an account each, and what is on it: visits of one line, each a payer's decision of its own.
PATIENTS, VISITS = 32, 3

identity.ARGON2.update({"argon2__memory_cost": 64, "argon2__time_cost": 1})


@dataclass(frozen=True, slots=True)
class Patient:
    """Somebody with bills, who also sees a neighbour's account (a family)."""

    number: int
    user_id: int
    account_id: int
    relative_id: int
    charge_ids: tuple[int, ...]


def patients(session: Session) -> list[Patient]:
    """Everybody, by number."""
    charges: dict[int, list[int]] = {}
    for charge_id, account_id in session.execute(
        sa.select(Charge.id, Visit.account_id).join(Visit, Visit.id == Charge.visit_id).order_by(Charge.id)
    ):
        charges.setdefault(account_id, []).append(charge_id)
    accounts = session.scalars(sa.select(Account.id).order_by(Account.id)).all()
    users = session.scalars(sa.select(User.id).where(User.email.startswith("p-")).order_by(User.id)).all()
    session.commit()
    return [
        Patient(number, user_id, account_id, accounts[number ^ 1], tuple(charges[account_id]))
        for number, (user_id, account_id) in enumerate(zip(users, accounts, strict=True))
    ]


def fill(url: str) -> None:
    """Make the clinic in an empty database: the same one every time. Leaves no connection open."""
    upgrade(url)
    engine = sa.create_engine(normal_url(url))
    with Session(engine) as session:
        import_stream(session, BytesIO(_bills()), "bills.835", ledger=EmbeddedLedger(session))
        accounts = session.scalars(sa.select(Account.id).order_by(Account.id)).all()
        for number, account_id in enumerate(accounts):
            user = User(email=f"p-{number:02}@example.test", created_at=clock.now(), confirmed_at=clock.now())
            session.add(user)
            session.flush()
            for seen in (account_id, accounts[number ^ 1]):
                grant(session, user_id=user.id, account_id=seen, relationship=Relationship.GUARANTOR)
        for name in ("clerk", "supervisor"):
            session.add(User(email=f"{name}@example.test", created_at=clock.now(), confirmed_at=clock.now()))
        session.commit()
    engine.dispose()


@dataclass(frozen=True, slots=True)
class Decided:
    """A payer's decision on a visit, in whole dollars; ``stands`` is False when it was taken back."""

    billed: int
    paid: int
    contractual: int
    share: int
    stands: bool = True

    def amounts(self) -> dict[str, int]:
        """As the remittance has them."""
        return {"billed": self.billed, "paid": self.paid, "contractual": self.contractual, "share": self.share}

    def shared(self, share: int) -> Decided:
        """The same bill with another share of the patient's; the payer writes more or less off."""
        share = min(share, self.billed - self.paid)
        return replace(self, share=share, contractual=self.billed - self.paid - share)

    def written_off(self) -> Decided:
        """Nobody owes anything."""
        return replace(self, paid=0, share=0, contractual=self.billed)

    def undone(self) -> Decided:
        return replace(self, stands=False)

    def again(self) -> Decided:
        return replace(self, stands=True)


def first_decision(number: int, visit: int) -> Decided:
    """What was decided on a patient's visit when the clinic was made."""
    share = random.Random(f"{number}/{visit}").randrange(12, 240)
    return Decided(billed=100 + share, paid=70, contractual=30, share=share)


def _bills() -> bytes:
    decisions = [
        claim(
            f"V-{number:02}-{visit}",
            **first_decision(number, visit).amounts(),
            member=f"MEM-{number:02}",
            family=f"SAMPLE{number:02}",
        )
        for number in range(PATIENTS)
        for visit in range(VISITS)
    ]
    return remittance(payment(*decisions, paid=70 * len(decisions)))
