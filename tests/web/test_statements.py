"""Statements: issued at the desk, read by whoever has the whole account, revoked."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import date
from typing import Any

import pypdf
import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.access import grant
from portal.accounts.kinds import Relationship
from portal.accounts.models import AccessGrant, Account, Patient
from portal.audit.models import AuditEvent
from portal.audit.tags import Tag
from portal.billing.kinds import HoldReason
from portal.billing.models import Charge, Visit
from portal.billing.service import place_hold
from portal.config import Settings
from portal.sandbox.clinic import STATEMENT_CODES, paper_bills
from portal.statements.models import Statement
from portal.statements.service import find_by_code
from tests.conftest import Clinic
from tests.pages import JudgingClient, Page

SignIn = Callable[..., Page]
STAFF, TESTA, SAM, PAULA = (f"{name}@example.com" for name in ("staff", "testa", "sam", "paula"))


def words(content: bytes) -> str:
    """What a PDF says, white space folded."""
    return " ".join(" ".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(content)).pages).split())


def statements_of(session: Session, ref: str) -> list[Statement]:
    """An account's statements, oldest first."""
    session.rollback()
    query = sa.select(Statement).join(Account, Account.id == Statement.account_id).where(Account.ref == ref)
    return list(session.scalars(query.order_by(Statement.id)))


def seen(session: Session, statement: Statement) -> list[int | None]:
    """Who opened a statement's PDF."""
    subject = statement.public_id
    session.rollback()
    query = sa.select(AuditEvent.actor_user_id).where(
        AuditEvent.tag == Tag.STATEMENT_SEEN, AuditEvent.subject == subject
    )
    return list(session.scalars(query))


def test_staff_issue_a_statement_and_its_code_opens_the_account(
    client: JudgingClient, clinic: Clinic, sign_in: SignIn, settings: Settings
) -> None:
    session, account_id = clinic.session, clinic.account("JDC-1001")
    sign_in(client, STAFF)
    page = client.page(f"/desk/accounts/{account_id}")
    ask = client.page(page.links()["Issue a statement"])
    before = statements_of(session, "JDC-1001")
    response = client.submit(ask, action="new-statement")
    assert response.status_code == 302
    assert len(statements_of(session, "JDC-1001")) == len(before) + 1
    statement = statements_of(session, "JDC-1001")[-1]
    assert str(statement.amount_due) in ask.text("main")
    assert (statement.issued_on, statement.issued_by) == (clock.today(settings.clinic_timezone), clinic.user_id(STAFF))

    listed = client.page(response.location)
    assert f"Statement {statement.number} is ready to print." in listed.text("body")
    pdf = client.get(listed.links()[f"Statement {statement.number} (PDF)"])
    assert (pdf.status_code, pdf.mimetype) == (200, "application/pdf")
    assert pdf.headers["Content-Disposition"] == f'inline; filename="statement-{statement.number}.pdf"'
    assert pdf.headers["Cache-Control"] == "no-store"
    assert seen(session, statement) == [clinic.user_id(STAFF)]

    text = words(pdf.data)
    for wanted in (f"Statement {statement.number}", str(statement.amount_due), "JDC-1001", "http://localhost/guest"):
        assert wanted in text
    code = text.split("Your code to pay online ")[1].split()[0]
    found = find_by_code(session, code, date(1984, 3, 14), secret=settings.secret_key)
    assert found is not None
    assert found.public_id == statement.public_id
    session.rollback()


def test_a_revoked_code_opens_nothing(
    client: JudgingClient, clinic: Clinic, sign_in: SignIn, settings: Settings
) -> None:
    session = clinic.session
    (statement,) = statements_of(session, "JDC-1002")
    sign_in(client, STAFF)
    links = client.page(f"/desk/accounts/{clinic.account('JDC-1002')}").links()
    ask = client.page(links[f"Revoke the code {statement.number}"])
    for words_after in ("opens nothing any more.", "was revoked before."):
        after = client.submit(ask, action="revoke-code", follow_redirects=True)
        assert words_after in after.get_data(as_text=True)
    session.rollback()
    assert find_by_code(session, STATEMENT_CODES["JDC-1002"], date(1951, 11, 2), secret=settings.secret_key) is None
    session.rollback()
    page = client.page(f"/desk/accounts/{clinic.account('JDC-1002')}")
    assert "Code revoked" in page.text("main")
    assert not [link for link in page.links() if link.startswith("Revoke the code")]
    assert not client.page(f"/desk/statements/{statement.public_id}/revoke-code").all("button", class_="btn-main")


def test_nothing_to_ask_for_is_no_statement(client: JudgingClient, clinic: Clinic, sign_in: SignIn) -> None:
    session, account_id = clinic.session, clinic.account("JDC-1001")
    sign_in(client, STAFF)
    ask = client.page(f"/desk/accounts/{account_id}/new-statement")
    rows = session.execute(
        sa.select(Charge.id, Visit.account_id).join(Visit).join(Account).where(Account.ref == "JDC-1001")
    ).all()
    for charge_id, account in rows:
        place_hold(session, charge_id=charge_id, reason=HoldReason.STAFF, account_id=account, actor_user_id=None)
    session.commit()
    before = len(statements_of(session, "JDC-1001"))
    after = client.submit(ask, action="new-statement", follow_redirects=True)
    assert "no statement was issued" in after.get_data(as_text=True)
    assert len(statements_of(session, "JDC-1001")) == before
    assert not client.page(f"/desk/accounts/{account_id}/new-statement").all("button", class_="btn-main")


def test_patients_find_their_statements(client: JudgingClient, clinic: Clinic, sign_in: SignIn) -> None:
    (statement,) = statements_of(clinic.session, "JDC-1003")
    sign_in(client, PAULA)
    page = client.page(client.page("/").links()["Statements we printed for this account"])
    assert str(statement.amount_due) in page.text("main")
    pdf = client.get(page.links()[f"Statement {statement.number} (PDF)"])
    assert (pdf.status_code, pdf.mimetype) == (200, "application/pdf")
    assert statement.number in words(pdf.data)
    assert seen(clinic.session, statement) == [clinic.user_id(PAULA)]


def test_who_may_see_one_patient_sees_no_statement(
    client: JudgingClient, clinic: Clinic, sign_in: SignIn, session: Session
) -> None:
    (statement,) = statements_of(session, "JDC-1003")
    kit = session.scalars(sa.select(Patient).where(Patient.given_name == "Kit")).one()
    sam = clinic.user_id(SAM)
    kit_id, account_id = kit.id, kit.account_id
    wanted = (f"/accounts/{clinic.account('JDC-1003')}/statements", f"/statements/{statement.public_id}/pdf")
    session.rollback()

    def answers() -> list[int]:
        return [client.get(address).status_code for address in wanted]

    sign_in(client, SAM)
    assert answers() == [404, 404]
    grant(session, user_id=sam, account_id=account_id, relationship=Relationship.PROXY, patient_id=kit_id)
    session.commit()
    assert answers() == [404, 404]
    home = client.page("/")
    assert home.text("main").count("Statements we printed") == 1  # for Sam's own account
    grant(session, user_id=sam, account_id=account_id, relationship=Relationship.PROXY)
    session.commit()
    assert answers() == [200, 200]
    session.execute(sa.update(AccessGrant).where(AccessGrant.user_id == sam).values(revoked_at=clock.now()))
    session.commit()
    assert answers() == [404, 404]


@pytest.mark.parametrize("bill", paper_bills(), ids=lambda bill: str(bill[2]))
def test_the_demos_codes_open_what_they_say(
    app: Flask, clinic: Clinic, settings: Settings, bill: tuple[str, date, str]
) -> None:
    code, born_on, name = bill
    found: Any = find_by_code(clinic.session, code, born_on, secret=settings.secret_key)
    assert clinic.session.get(Account, found.account_id).guarantor_name == name  # type: ignore[union-attr]
    clinic.session.rollback()
