"""The demo clinic shows every state a bill can be in, and its books agree."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

from portal.accounts.queries import account_refs
from portal.billing.balance import LineState
from portal.billing.queries import lines_of_account
from portal.db import Base
from portal.money import Money
from portal.remittances.kinds import RemittanceState
from portal.remittances.models import RemittanceTransaction
from portal.remittances.x12.inspect import inspect_file
from portal.sandbox.clinic import clinic_is_loaded, load_clinic, remittance_files
from portal.web.database import db
from tests.conftest import Clinic


def _counts(session: Session) -> dict[str, int]:
    counts = {
        name: session.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
        for name, table in Base.metadata.tables.items()
    }
    session.commit()
    return counts


def test_loading_twice_changes_nothing(app: Flask, clinic: Clinic, session: Session) -> None:
    before = _counts(session)
    with app.app_context():
        assert clinic_is_loaded(db.session)
        load_clinic(db.session)
    assert _counts(session) == before
    assert before["entry"] > 100


def test_an_empty_database_has_no_clinic(app: Flask) -> None:
    with app.app_context():
        assert not clinic_is_loaded(db.session)


def test_every_state_of_a_line_is_shown(session: Session, clinic: Clinic) -> None:
    states = {
        line.state
        for account_id in account_refs(session)
        for line in lines_of_account(session, account_id)
    }
    assert states >= {LineState.PAYABLE, LineState.WITH_INSURER, LineState.ON_HOLD, LineState.SETTLED}


def test_only_the_registered_accounts_are_made(session: Session, clinic: Clinic) -> None:
    assert sorted(account_refs(session).values()) == ["JDC-1001", "JDC-1002", "JDC-1003", "JDC-1004"]


@pytest.mark.parametrize(
    ("visit_ref", "share"),
    [
        ("V-260604-1", "30.00"),  # a copay
        ("V-260707-1", "172.32"),  # deductible and coinsurance
        ("V-260422-1", "0"),  # filed too late: the clinic's loss
        ("V-260616-1", "0"),  # preventive, paid in full
        ("V-260805-1", "25.00"),  # denied, taken back, paid
        ("V-260718-9", "150.00"),  # a hospital stay after two insurers
        ("V-260928-1", "46.00"),  # with a payer-initiated reduction, which is not the patient's
    ],
)
def test_what_is_asked_for(session: Session, clinic: Clinic, visit_ref: str, share: str) -> None:
    found = [
        line.sums.due
        for account_id in account_refs(session)
        for line in lines_of_account(session, account_id)
        if line.visit_public_id == clinic.visit(visit_ref)
    ]
    assert found
    assert Money.total(found) == Money.parse(share)


def test_the_transaction_that_does_not_add_up_is_quarantined(session: Session, clinic: Clinic) -> None:
    states = session.scalars(sa.select(RemittanceTransaction.state)).all()
    assert list(states).count(RemittanceState.QUARANTINED) == 1
    assert set(states) == {RemittanceState.QUARANTINED, RemittanceState.LOADED}


def test_the_files_are_clean_but_for_what_is_meant() -> None:
    quarantined, errors = [], []
    for path in remittance_files():
        found = inspect_file(path)
        quarantined += [(Path(found["file"]).name, entry["claim"]) for entry in found["quarantined"]]
        errors += found["errors"]
    assert {claim for _, claim in quarantined} == {"V-261005-1"}
    # The hold of the story: the payer states less than its PR adjustments come to.
    assert len(errors) == 1
    assert "CLP05" in errors[0]
