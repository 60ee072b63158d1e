"""Choosing what to pay: visits, lines, amounts, a family in one go; and what is shown before paying."""

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
import stripe
from flask import Flask
from sqlalchemy.orm import Session

from portal.accounts.models import Account
from portal.money import Money
from portal.payments.models import Allocation, Payment, PaymentShare
from portal.payments.service import payable_lines
from portal.payments.state import PaymentState
from portal.sandbox.stripe import StandIn
from tests.conftest import Clinic
from tests.pages import JudgingClient, as_page
from tests.web.paying import TESTA, client_of, confirm, payment_at, start

GAIL = "gail@example.com"
ACCOUNT, OTHER = "JDC-1001", "JDC-1003"


@pytest.fixture
def patient(client: JudgingClient, clinic: Clinic, sign_in: Callable[..., Any]) -> JudgingClient:
    """A browser in which Testa is signed in."""
    sign_in(client, TESTA)
    return client


@pytest.fixture
def helper(client: JudgingClient, clinic: Clinic, sign_in: Callable[..., Any]) -> JudgingClient:
    """A browser in which Gail, who sees two accounts, is signed in."""
    sign_in(client, GAIL)
    return client


def due(session: Session, ref: str) -> Money:
    session.rollback()
    account_id = session.scalars(sa.select(Account.id).where(Account.ref == ref)).one()
    return Money.total(line.amount for line in payable_lines(session, account_id, user_id=None))


def start_family(client: JudgingClient, **fields: Any) -> Any:
    return client.submit(client.page("/pay"), {"choice": "all", **fields}, field="choice")


def parts(session: Session, payment: Payment) -> dict[int, Money]:
    found = sa.select(Allocation.charge_id, Allocation.amount).where(Allocation.payment_id == payment.id)
    rows = session.execute(found)
    return dict(rows.all())


def test_a_whole_visit_is_paid_and_its_lines_are_shown_before(
    patient: JudgingClient, clinic: Clinic, session: Session
) -> None:
    visit = clinic.visit("V-260707-1")
    page = patient.page(f"/accounts/{clinic.account(ACCOUNT)}/pay?visit={visit}")
    (box,) = page.all("input", id=f"visit-{visit}")
    assert "checked" in box.attrib
    # Without a script the visit alone is sent; it means all its charges.
    answer = patient.submit(page, {"choice": "lines", "visits": visit, "lines": []}, field="choice")
    payment = payment_at(session, answer.location)
    wanted = {
        row[0]
        for row in session.execute(
            sa.text("SELECT c.id FROM charge c JOIN visit v ON v.id = c.visit_id WHERE v.ref = 'V-260707-1'")
        )
    }
    assert set(parts(session, payment)) <= wanted
    shown = patient.page(answer.location)
    for amount in parts(session, payment).values():
        assert str(amount) in shown.text("section", class_="pay-what")
    assert str(payment.amount) in shown.text("h1")


def test_a_visit_of_another_account_cannot_be_chosen(patient: JudgingClient, clinic: Clinic, session: Session) -> None:
    answer = start(patient, clinic.account(ACCOUNT), choice="lines", visits=clinic.visit("V-260712-1"))
    assert answer.status_code == 422
    assert "can’t be paid now" in as_page(answer).text("main")


def test_what_no_card_could_pay_is_not_left_behind(patient: JudgingClient, clinic: Clinic, session: Session) -> None:
    total = due(session, ACCOUNT)
    for cents, status in ((1, 422), (49, 422), (50, 302)):
        amount = str(total - Money(cents)).replace("$", "").replace(",", "")
        answer = start(patient, clinic.account(ACCOUNT), choice="amount", amount=amount)
        assert answer.status_code == status, cents
        if status == 422:
            words = as_page(answer).text("main")
            assert f"Pay {total} or {total - Money(50)} instead." in words


def test_a_family_is_paid_in_one_go(
    helper: JudgingClient, clinic: Clinic, session: Session, standin: StandIn
) -> None:
    sums = {ref: due(session, ref) for ref in (ACCOUNT, OTHER)}
    home = helper.page("/")
    assert home.links()["Pay for the family in one go"] == "/pay"
    page = helper.page("/pay")
    assert "Account of Testa Demopatient" in page.text("main")
    assert "Account of Paula Pretendparent" in page.text("main")
    answer = start_family(helper)
    shown = helper.page(answer.location)
    assert "Account of Paula Pretendparent" in shown.text("section", class_="pay-what")
    payment = payment_at(session, answer.location)
    assert payment.amount == sums[ACCOUNT] + sums[OTHER]
    confirm(standin, payment)
    receipt = helper.page(f"{answer.location}/return")
    assert "receipt" in receipt.url
    assert due(session, ACCOUNT) == due(session, OTHER) == Money(0)
    assert len(client_of(standin).v1.charges.list().data) == 1


def test_a_familys_amount_goes_to_the_oldest_lines_of_all_its_accounts(
    helper: JudgingClient, clinic: Clinic, session: Session
) -> None:
    answer = start_family(helper, choice="amount", amount="20")
    payment = payment_at(session, answer.location)
    oldest = session.execute(
        sa.text(
            "SELECT MIN(c.service_on) FROM charge c JOIN allocation a ON a.charge_id = c.id WHERE a.payment_id = :id"
        ),
        {"id": payment.id},
    ).scalar()
    assert Money.total(parts(session, payment).values()) == Money(2000)
    assert oldest is not None


def test_one_account_paid_in_another_tab_is_not_paid_again_with_the_family(
    helper: JudgingClient, clinic: Clinic, session: Session, standin: StandIn
) -> None:
    family = start_family(helper).location
    helper.page(family)
    single = start(helper, clinic.account(ACCOUNT)).location
    helper.page(single)
    assert payment_at(session, family).state is PaymentState.CANCELED
    with pytest.raises(stripe.InvalidRequestError):
        confirm(standin, payment_at(session, family))
    confirm(standin, payment_at(session, single))  # at Stripe only: its return page was never seen
    rest = due(session, OTHER)
    again = start_family(helper)
    if again.status_code == 422:  # the lines it was for have just been paid
        again = start_family(helper)
    payment = payment_at(session, again.location)
    assert payment_at(session, single).state is PaymentState.SUCCEEDED
    assert payment.amount == rest
    shares = session.execute(sa.select(PaymentShare.amount).where(PaymentShare.payment_id == payment.id)).all()
    assert [row[0] for row in shares] == [rest]


def test_a_family_payment_taken_up_again_is_the_same_one(
    helper: JudgingClient, clinic: Clinic, session: Session, standin: StandIn
) -> None:
    first = start_family(helper).location
    assert start_family(helper).location == first
    helper.page(first)
    confirm(standin, payment_at(session, first))
    for _again in range(3):
        helper.page(f"{first}/return")
        helper.page(first)
    assert len(client_of(standin).v1.charges.list().data) == 1


def test_somebody_with_one_account_has_no_family_link_but_the_page_works(
    patient: JudgingClient, clinic: Clinic
) -> None:
    assert "Pay for the family in one go" not in patient.page("/").links()
    assert patient.page("/pay").all("form", id="choose-form")


def test_wallets_and_windows_of_stripe_are_allowed_on_its_pages_only(
    patient: JudgingClient, clinic: Clinic, app: Flask
) -> None:
    origin = app.extensions["plainbill_settings"].stripe_js_origin
    location = start(patient, clinic.account(ACCOUNT), choice="amount", amount="5").location
    with_stripe, without = patient.get(location), patient.get("/payments")
    assert f'payment=(self "{origin}")' in with_stripe.headers["Permissions-Policy"]
    assert with_stripe.headers["Cross-Origin-Opener-Policy"] == "same-origin-allow-popups"
    assert "payment=()" in without.headers["Permissions-Policy"]
    assert without.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert origin not in without.headers["Content-Security-Policy"]
