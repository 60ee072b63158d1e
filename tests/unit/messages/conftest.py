"""An invented family and the people around it."""

from dataclasses import dataclass
from datetime import date

import pytest
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.access import grant
from portal.accounts.kinds import Relationship
from portal.accounts.service import add_patient, open_account
from portal.auth.models import User
from portal.billing.service import add_charge, visit_of
from portal.money import Money


@dataclass(frozen=True)
class Family:
    """One account with two patients, and the people around it."""

    account_id: int
    charge_id: int
    child_charge_id: int
    visit_id: int
    guarantor_id: int
    child_proxy_id: int
    stranger_id: int
    staff_id: int


@pytest.fixture
def family(session: Session) -> Family:
    def person(name: str) -> int:
        user = User(email=f"{name}@example.test", display_name=f"{name.title()} Sample", created_at=clock.now())
        session.add(user)
        session.flush()
        return user.id

    account = open_account(session, ref="ACC-1", guarantor_name="Gail Sample")
    charges = []
    for given_name in ("Gail", "Kit"):
        patient = add_patient(session, account_id=account.id, given_name=given_name, family_name="Sample")
        visit = visit_of(
            session,
            account_id=account.id,
            patient_id=patient.id,
            ref=f"V-{given_name}",
            started_on=date(2026, 3, 4),
            ended_on=None,
            provider_name="",
        )
        charge_id = add_charge(
            session, visit_id=visit.id, ordinal=1, billed=Money(10000), description=f"Office visit {given_name}"
        )
        charges.append((charge_id, visit.id, patient.id))
    guarantor, proxy, stranger, staff = (person(name) for name in ("gail", "paula", "otto", "dana"))
    grant(session, user_id=guarantor, account_id=account.id, relationship=Relationship.GUARANTOR)
    grant(
        session,
        user_id=proxy,
        account_id=account.id,
        relationship=Relationship.PROXY,
        patient_id=charges[1][2],
    )
    family = Family(
        account_id=account.id,
        charge_id=charges[0][0],
        child_charge_id=charges[1][0],
        visit_id=charges[0][1],
        guarantor_id=guarantor,
        child_proxy_id=proxy,
        stranger_id=stranger,
        staff_id=staff,
    )
    session.commit()
    return family
