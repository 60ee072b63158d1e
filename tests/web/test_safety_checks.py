"""What patients and the desk see of the safety checks, in the demo clinic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

from portal.accounts.models import Account
from portal.accounts.service import mark_check_due
from portal.audit.models import AuditEvent
from portal.audit.tags import Tag
from portal.billing.checks.rules import CHECKS, check_bill
from portal.billing.checks.run import FoundRow
from portal.billing.checks.words import ACTS, STAFF_TITLES, TITLES, staff_finding, tell_checks
from portal.billing.kinds import Check, EntryKind, FindingState, HoldReason
from portal.billing.models import Charge, CheckFinding
from portal.billing.queries import Line, lines_of_account
from portal.billing.service import NewEntry, write_entries
from portal.clock import now
from portal.money import Money
from portal.statements.errors import NothingToAskFor
from portal.statements.service import issue_statement
from tests.conftest import Clinic
from tests.pages import JudgingClient, as_page, text_of
from tests.unit.billing.checks.bills import CASES
from tests.web.paying import payment_at, start

CARLA, STAFF = "carla@example.com", "staff@example.com"
TWICE, LATE, BIG = "V-261006-1", "V-261012-1", "V-261013-1"


@pytest.fixture
def patient(client: JudgingClient, clinic: Clinic, sign_in: Callable[..., Any]) -> JudgingClient:
    """A browser in which Carla, whose bills the checks stopped, is signed in."""
    sign_in(client, CARLA)
    return client


@pytest.fixture
def desk(app: Flask, clinic: Clinic, sign_in: Callable[..., Any]) -> JudgingClient:
    """A browser in which somebody of the desk is signed in."""
    client = app.test_client()
    assert isinstance(client, JudgingClient)
    sign_in(client, STAFF)
    return client


def second_x_ray(session: Session) -> tuple[int, str, int]:
    """The line listed twice: its id and public id, and its account's id."""
    row = session.execute(
        sa.select(Charge.id, Charge.public_id, CheckFinding.account_id)
        .join(CheckFinding, CheckFinding.charge_id == Charge.id)
        .where(CheckFinding.check == Check.DUPLICATE_LINE)
    ).one()
    session.commit()
    return row[0], row[1], row[2]


def test_the_patient_reads_what_was_checked_and_why(patient: JudgingClient, clinic: Clinic) -> None:
    page = patient.page(f"/visits/{clinic.visit(TWICE)}")
    assert page.text("summary") == "We checked this bill: 13 checks, 12 fine, 1 we are looking at"
    told = page.all("ul", class_="checks")[0]
    assert len([item for item in told if item.tag == "li"]) == len(CHECKS) == 13
    first = text_of(next(iter(told)))
    for words in ("Nothing is listed twice", "Chest X-ray", "twice for Oct 6, 2026", "What happens next:"):
        assert words in first
    held = next(text_of(body) for body in page.all("tbody", class_="item") if "We are checking this" in text_of(body))
    assert "The same charge is on your bill twice" in held
    assert "You don’t need to pay it now" in held
    # The copay and one X-ray are asked for, the second X-ray is not.
    assert "$45.40" in page.text("main")


def test_a_bill_without_findings_says_so(client: JudgingClient, clinic: Clinic, sign_in: Callable[..., Any]) -> None:
    sign_in(client, "paula@example.com")
    page = client.page(f"/visits/{clinic.visit('V-260712-1')}")
    assert page.text("section", class_="checked").startswith("We checked this bill: 13 checks, all fine")


def test_while_it_is_not_checked_the_page_does_not_claim_it(
    patient: JudgingClient, clinic: Clinic, session: Session
) -> None:
    mark_check_due(session, session.scalars(sa.select(Account.id).where(Account.ref == "JDC-1004")))
    session.commit()
    page = patient.page(f"/visits/{clinic.visit(TWICE)}")
    assert "We checked this bill" not in page.text("main")
    assert "We are checking this bill again" in page.text("main")


def test_the_demo_holds_what_it_is_meant_to_and_nothing_else(clinic: Clinic, session: Session) -> None:
    rows = session.execute(
        sa.select(Account.ref, CheckFinding.check)
        .join(Account, Account.id == CheckFinding.account_id)
        .order_by(Account.ref, CheckFinding.check)
    ).all()
    session.commit()
    assert [tuple(row) for row in rows] == [
        ("JDC-1001", Check.ABOVE_REMITTANCE),
        ("JDC-1004", Check.ABOVE_ESTIMATE),
        ("JDC-1004", Check.DUPLICATE_LINE),
        ("JDC-1004", Check.NO_SURPRISES),
        ("JDC-1004", Check.PREVENTIVE),
        ("JDC-1004", Check.PROVIDER_FAULT),
    ]


def test_nothing_that_is_held_can_be_chosen(patient: JudgingClient, clinic: Clinic) -> None:
    page = patient.page(f"/visits/{clinic.visit(LATE)}")
    assert "Nothing to pay for this visit right now" in page.text("main")
    assert "Pay for this visit" not in page.links()


def test_the_desk_sees_the_facts_and_releases_with_a_reason(
    patient: JudgingClient, desk: JudgingClient, clinic: Clinic, session: Session
) -> None:
    charge_id, public_id, _account = second_x_ray(session)
    row = next(
        text_of(body)
        for body in desk.page("/desk/to-check").all("tbody", class_="item")
        if "Listed twice" in text_of(body)
    )
    for words in ("Amount at stake: $10.40", "Code: 71046", "Suggested:", "JDC-1004"):
        assert words in row
    confirm = desk.page(f"/desk/charges/{public_id}/release")
    assert "Listed twice" in confirm.text("main")
    assert as_page(desk.submit(confirm, {"note": " "}, field="note")).all("div", class_="error-summary")
    desk.submit(confirm, {"note": "Two views were taken."}, field="note")
    assert "Listed twice" not in desk.page("/desk/to-check").text("main")
    assert "Listed twice" not in desk.page(f"/desk/visits/{clinic.visit(TWICE)}").text("main")
    staff = clinic.user_id(STAFF)
    event = session.execute(
        sa.select(AuditEvent.actor_user_id, AuditEvent.facts).where(AuditEvent.tag == Tag.FINDING_RELEASED)
    ).one()
    assert (event[0], event[1]["check"], event[1]["charge"]) == (staff, "duplicate_line", charge_id)
    session.commit()
    page = patient.page(f"/visits/{clinic.visit(TWICE)}")
    assert page.text("section", class_="checked").startswith("We checked this bill: 13 checks, all fine")
    assert "Fine, our staff looked" in page.text("main")
    assert "$55.80" in page.text("main")


def test_the_checks_place_their_own_holds_and_nobody_else_does(desk: JudgingClient, clinic: Clinic) -> None:
    page = desk.page(f"/desk/charges/{clinic.charge('V-260604-1', '99213')}/hold")
    assert "safety check" not in page.text("form", class_="reading")
    assert desk.submit(page, {"reason": HoldReason.CHECK.value}, field="reason").status_code == 200


def slip(session: Session, line: Line) -> None:
    """Something puts $5.00 more into the patient's side of a line than its insurer said."""
    more = NewEntry(line.account_id, line.charge_id, EntryKind.ADJUSTMENT, Money(0), Money(500), "test", line.public_id)
    write_entries(session, [more])
    session.commit()


def payable(session: Session) -> list[Line]:
    account_id = session.scalars(sa.select(Account.id).where(Account.ref == "JDC-1004")).one()
    found = [line for line in lines_of_account(session, account_id) if line.payable]
    session.commit()
    return found


def test_before_a_statement_is_issued_the_bill_is_checked_once_more(clinic: Clinic, session: Session) -> None:
    lines = payable(session)
    assert len(lines) == 2
    for line in lines:
        slip(session, line)
    with pytest.raises(NothingToAskFor):
        issue_statement(
            session,
            account_id=lines[0].account_id,
            issued_by=None,
            secret="x" * 32,
            timezone="America/Chicago",
            on_its_way=lambda _session, _account: {},
            to_pdf=lambda _draft: b"",
        )


def test_before_a_payment_starts_the_bill_is_checked_once_more(
    patient: JudgingClient, clinic: Clinic, session: Session
) -> None:
    copay, x_ray = payable(session)
    slip(session, copay)
    location = start(patient, clinic.account("JDC-1004")).headers["Location"]
    assert payment_at(session, location).amount == x_ray.payable
    assert payable(session) == [x_ray]


def test_every_finding_of_the_table_has_words(app: Flask) -> None:
    assert set(TITLES) == set(STAFF_TITLES) == set(ACTS) == set(Check)
    with app.test_request_context():
        for cases in CASES.values():
            for one in cases:
                rows = [
                    FoundRow(1, found.check, found.amount, dict(found.facts), FindingState.OPEN, now(), "Office visit")
                    for found in check_bill(one.bill)
                ]
                told = tell_checks(rows)
                assert told.fine == 13 - len({row.check for row in rows})
                for row in rows:
                    words = staff_finding(row)
                    assert words.title
                    assert words.why.endswith(".")
                    assert "%(" not in words.why + words.act
                    assert "None" not in words.why
