"""Receipts as PDF: reached from the pages, and only by those who may see the payment."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.access import grant
from portal.accounts.kinds import Relationship
from portal.accounts.models import AccessGrant, Patient
from portal.audit.models import AuditEvent
from portal.audit.tags import Tag
from portal.billing.models import Charge, Visit
from portal.db import writing
from portal.money import Money
from portal.payments.allocate import Part
from portal.payments.booking import book
from portal.payments.kinds import BookingKind
from portal.payments.models import Allocation, Payment
from portal.sandbox.stripe import StandIn
from tests.conftest import Clinic
from tests.pages import JudgingClient, Page
from tests.web.paying import TESTA, confirm, payment_at, start
from tests.web.test_statements import words

SignIn = Callable[..., Page]
PAULA, SAM = "paula@example.com", "sam@example.com"


def pay(client: JudgingClient, session: Session, standin: StandIn, account_id: str, paid_at: datetime) -> Payment:
    """Pay all of an account; the payment, settled at ``paid_at``."""
    location = start(client, account_id).location
    client.page(location)
    payment = payment_at(session, location)
    confirm(standin, payment)
    client.page(f"{location}/return")
    session.rollback()  # the page has written meanwhile
    session.execute(sa.update(Payment).where(Payment.id == payment.id).values(settled_at=paid_at))
    session.commit()
    return payment


@pytest.fixture
def paid(client: JudgingClient, clinic: Clinic, sign_in: SignIn, standin: StandIn) -> Payment:
    """What Paula paid for herself and Kit, on the last evening of 2025 at the clinic."""
    sign_in(client, PAULA)
    return pay(
        client, clinic.session, standin, clinic.account("JDC-1003"), datetime(2026, 1, 1, 4, tzinfo=UTC)
    )


def addresses(payment: Payment, year: int = 2025) -> tuple[str, str]:
    return f"/payments/{payment.public_id}/receipt.pdf", f"/payments/year/{year}.pdf"


def test_the_receipt_and_the_year_are_linked_and_name_the_lines(
    client: JudgingClient, clinic: Clinic, paid: Payment
) -> None:
    receipt = client.page(f"/payments/{paid.public_id}/receipt").links()["Receipt as PDF"]
    history = client.page("/payments").links()
    year = history["All receipts of 2025 (PDF)"]
    assert (receipt, year) == addresses(paid)
    assert "All receipts of 2026 (PDF)" not in history
    reference = f"{paid.public_id[:4]}-{paid.public_id[4:8]}".upper()
    for address, name in ((receipt, f"receipt-{reference}"), (year, "receipts-2025")):
        pdf = client.get(address)
        assert (pdf.status_code, pdf.mimetype) == (200, "application/pdf")
        assert pdf.headers["Content-Disposition"] == f'inline; filename="{name}.pdf"'
        assert pdf.headers["Cache-Control"] == "no-store"
        text = words(pdf.data)
        for wanted in ("Juniper Demo Clinic", "Kit Pretendparent", reference, "Dec 31, 2025", str(paid.amount)):
            assert wanted in text, (address, wanted)
    for other in (2024, 2026, 0, 1, 9998, 10**30):
        assert client.get(f"/payments/year/{other}.pdf").status_code == 404


def test_what_a_bank_took_back_is_not_paid_on_paper(
    client: JudgingClient, clinic: Clinic, paid: Payment, session: Session
) -> None:
    """A dispute takes the money and its end brings some of it back; an inquiry or a dispute that was won takes none."""
    charges = dict(
        session.execute(
            sa.select(Allocation.charge_id, Allocation.amount).where(Allocation.payment_id == paid.id)
        ).all()
    )
    charge_id, amount = next(iter(charges.items()))

    def move(kind: BookingKind, cents: int) -> None:
        with writing():
            session.commit()
            book(
                session, kind=kind, payment_id=paid.id, home_account_id=paid.account_id, subject="d" * 32,
                parts=[Part(charge_id, Money(cents))], at=clock.now(),
            )  # fmt: skip
            session.commit()

    move(BookingKind.DISPUTE, amount.cents)
    left = f"Paid after what went back {paid.amount - amount}"
    for address in addresses(paid):
        assert left in words(client.get(address).data)
    move(BookingKind.DISPUTE_WON, amount.cents - 100)
    assert f"Paid after what went back {paid.amount - Money(100)}" in words(client.get(addresses(paid)[0]).data)


def test_only_those_who_may_see_the_payment_get_its_papers(
    client: JudgingClient, clinic: Clinic, paid: Payment, sign_in: SignIn, session: Session, standin: StandIn
) -> None:
    other = client.application.test_client()
    assert isinstance(other, JudgingClient)
    sign_in(other, SAM)
    sam = clinic.user_id(SAM)
    kit = session.scalars(sa.select(Patient).where(Patient.given_name == "Kit")).one()

    def answers() -> list[int]:
        return [other.get(address).status_code for address in addresses(paid)]

    assert answers() == [404, 404]
    # The payment was for Paula, too: who may see Kit alone does not get its papers.
    grant(session, user_id=sam, account_id=kit.account_id, relationship=Relationship.PROXY, patient_id=kit.id)
    session.commit()
    assert answers() == [404, 404]
    grant(session, user_id=sam, account_id=kit.account_id, relationship=Relationship.PROXY)
    session.commit()
    assert answers() == [200, 200]


def test_a_year_holds_only_the_readers_receipts(
    client: JudgingClient, clinic: Clinic, paid: Payment, sign_in: SignIn, standin: StandIn
) -> None:
    other = client.application.test_client()
    assert isinstance(other, JudgingClient)
    sign_in(other, TESTA)
    testas = pay(
        other, clinic.session, standin, clinic.account("JDC-1001"), datetime(2025, 6, 1, tzinfo=UTC)
    )
    text = words(other.get(addresses(testas)[1]).data)
    assert str(testas.amount) in text
    assert "Pretendparent" not in text
    assert "Demopatient" not in words(client.get(addresses(paid)[1]).data)


def test_who_paid_with_access_to_one_patient_gets_the_papers_of_that(
    client: JudgingClient, clinic: Clinic, sign_in: SignIn, session: Session, standin: StandIn
) -> None:
    """Sam may see Kit alone and pays Kit's bill; it names Kit and nobody else, and ends with the access."""
    kit = session.scalars(sa.select(Patient).where(Patient.given_name == "Kit")).one()
    sam = clinic.user_id(SAM)
    grant(session, user_id=sam, account_id=kit.account_id, relationship=Relationship.PROXY, patient_id=kit.id)
    session.commit()
    sign_in(client, SAM)
    payment = pay(client, session, standin, clinic.account("JDC-1003"), datetime(2025, 6, 1, tzinfo=UTC))
    assert session.scalar(
        sa.select(sa.func.count()).select_from(Charge).join(Visit).where(Visit.account_id == kit.account_id)
    ), "there are bills of both"
    session.rollback()
    for address in addresses(payment):
        text = words(client.get(address).data)
        assert "Kit Pretendparent" in text
        # She is named once, as the guarantor, and not as a patient.
        assert text.count("Paula Pretendparent") == 1
    session.rollback()
    assert session.scalars(sa.select(AuditEvent.id).where(AuditEvent.tag == Tag.RECEIPT_SEEN)).all(), "it is audited"
    session.rollback()
    session.execute(
        sa.update(AccessGrant)
        .where(AccessGrant.user_id == sam, AccessGrant.account_id == kit.account_id)
        .values(revoked_at=datetime(2025, 7, 1, tzinfo=UTC))
    )
    session.commit()
    assert [client.get(address).status_code for address in addresses(payment)] == [404, 404]
