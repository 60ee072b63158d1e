"""Refunds through the pages: the desk asks, a supervisor decides, the patient sees where the money is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

from portal import clock
from portal.config import Settings
from portal.db import new_public_id, writing
from portal.money import Money
from portal.payments.models import Allocation, Payment
from portal.refunds.credits import find_credits
from portal.refunds.desk_forms import CHOOSABLE, FAILURES, REASONS, what_to_do, why_failed
from portal.refunds.models import Refund, RefundPart
from portal.refunds.sending import send_due
from portal.refunds.settle import project
from portal.refunds.state import RefundReason, RefundState
from portal.sandbox.stripe import StandIn
from portal.web.database import db
from tests.conftest import Clinic
from tests.pages import JudgingClient, Page, as_page
from tests.unit.refunds.conftest import Desk
from tests.web.paying import TESTA, client_of, confirm, payment_at, start

BOTH_DATABASES = True

STAFF, SUPERVISOR, SAM = "staff@example.com", "supervisor@example.com", "sam@example.com"
SignIn = Callable[..., Page]
ACCOUNT = "JDC-1001"


@pytest.fixture
def patient(client: JudgingClient, clinic: Clinic, sign_in: SignIn) -> JudgingClient:
    sign_in(client, TESTA)
    return client


@pytest.fixture
def payment(patient: JudgingClient, clinic: Clinic, session: Session, standin: StandIn) -> Payment:
    """All that Testa can pay, paid."""
    location = start(patient, clinic.account(ACCOUNT)).location
    patient.page(location)
    payment = payment_at(session, location)
    confirm(standin, payment)
    patient.page(f"{location}/return")
    session.rollback()
    return payment


@pytest.fixture
def browse(app: Flask, sign_in: SignIn) -> Callable[[str], JudgingClient]:
    def open_one(email: str) -> JudgingClient:
        client = app.test_client()
        assert isinstance(client, JudgingClient)
        sign_in(client, email)
        return client

    return open_one


@pytest.fixture
def desk(browse: Callable[[str], JudgingClient], payment: Payment) -> JudgingClient:
    return browse(STAFF)


@pytest.fixture
def send(app: Flask) -> Callable[[], int]:
    def act() -> int:
        with app.app_context(), writing():
            settings: Settings = app.extensions["plainbill_settings"]
            return send_due(db.session, app.extensions["plainbill_gateway"], timezone=settings.clinic_timezone)

    return act


def form_at(payment: Payment) -> str:
    return f"/desk/payments/{payment.public_id}/refund"


def review(desk: JudgingClient, payment: Payment, **fields: Any) -> Page:
    """The page that says what will happen, or the form again."""
    given = {"choice": "all", "reason": "requested", "note": "asked on the telephone", **fields}
    return as_page(desk.submit(desk.page(form_at(payment)), given, field="reason"))


def ask(desk: JudgingClient, payment: Payment, **fields: Any) -> str:
    """Ask for a refund all the way; the address of its page."""
    response = desk.submit(review(desk, payment, **fields), {"confirmed": "1"}, field="seen")
    assert response.status_code == 302
    return str(response.location)


def only(session: Session) -> Refund:
    session.rollback()
    session.expire_all()
    return session.scalars(sa.select(Refund)).one()


def test_from_the_account_to_a_refund_that_is_sent(
    desk: JudgingClient, clinic: Clinic, session: Session, payment: Payment, woken: list[str], send: Callable[[], int]
) -> None:
    account = desk.page(f"/desk/accounts/{clinic.account(ACCOUNT)}")
    links = [address for words, address in account.links().items() if words.startswith("Refund ")]
    assert links == [form_at(payment)]
    form = desk.page(links[0])
    assert "goes on hold" in form.text("main")
    shown = review(desk, payment, choice="amount", amount="5.00")
    words = shown.text("main")
    assert "Give back $5.00?" in words
    assert "$5.00 goes back to Visa ending 4242 now" in words
    assert "goes on hold, because" in words
    assert session.scalars(sa.select(Refund)).all() == []
    session.rollback()
    response = desk.submit(shown, {"confirmed": "1"}, field="seen", follow_redirects=True)
    assert "The refund is being sent." in as_page(response).text("div", class_="notices")
    refund = only(session)
    assert (refund.amount, refund.state, refund.requested_by) == (
        Money(500),
        RefundState.APPROVED,
        clinic.user_id(STAFF),
    )
    assert "refunds.send_due" in woken
    # The same press again asks for nothing new.
    again = desk.submit(shown, {"confirmed": "1"}, field="seen")
    assert again.location == f"/desk/refunds/{refund.public_id}"
    assert send() == 1
    assert only(session).state is RefundState.SUCCEEDED
    assert "A payment of this charge was refunded" in desk.page("/desk/to-check").text("main")
    assert "$5.00" in desk.page("/desk/refunds?list=recent").text("main")


def test_what_is_wrong_is_said_beside_it(desk: JudgingClient, payment: Payment) -> None:
    for fields, words in (
        ({"reason": ""}, "Choose a reason."),
        ({"note": "  "}, "Write what happened."),
        ({"choice": "amount", "amount": ""}, "Write the amount that goes back."),
        ({"choice": "amount", "amount": "1e3"}, "with numbers only"),
        ({"choice": "amount", "amount": "0"}, "Write an amount above zero."),
        ({"choice": "amount", "amount": "99999"}, "At most $"),
        ({"choice": "lines"}, "Choose at least one charge."),
        ({"choice": "lines", "lines": new_public_id()}, "Nothing is left of this payment on one of these charges."),
        ({"reason": "credit_balance"}, "Choose a reason."),
    ):
        page = review(desk, payment, **fields)
        assert words in page.text("div", class_="error-summary"), fields
        assert page.all("input", name="note") == []  # still the form, not the review


def test_changing_something_keeps_what_was_written(desk: JudgingClient, payment: Payment) -> None:
    shown = review(desk, payment, choice="amount", amount="7.25", reason="goodwill", note="a long wait")
    form = as_page(desk.submit(shown, {"change": "1"}, field="seen"))
    assert form.text("textarea") == "a long wait"
    assert [one.get("value") for one in form.all("input", name="amount")] == ["7.25"]
    assert not form.all("div", class_="error-summary")


def test_an_amount_that_changed_meanwhile_is_shown_again(
    desk: JudgingClient, session: Session, payment: Payment
) -> None:
    first, second = review(desk, payment, reason="duplicate"), review(desk, payment, choice="amount", amount="5.00")
    desk.submit(second, {"confirmed": "1"}, field="seen")
    answer = as_page(desk.submit(first, {"confirmed": "1"}, field="seen"))
    assert "The amount has changed" in answer.text("main")
    assert only(session).amount == Money(500)
    desk.submit(answer, {"confirmed": "1"}, field="seen")
    session.rollback()
    assert sum(one.cents for one in session.scalars(sa.select(Refund.amount))) == payment.amount.cents
    session.rollback()
    assert "Nothing is left to give back" in desk.page(form_at(payment)).text("main")


def test_by_line(desk: JudgingClient, session: Session, payment: Payment) -> None:
    public_id, amount = session.execute(
        sa.text("SELECT c.public_id, a.amount_cents FROM allocation a JOIN charge c ON c.id = a.charge_id LIMIT 1")
    ).one()
    session.rollback()
    ask(desk, payment, choice="lines", lines=public_id)
    assert only(session).amount.cents == amount
    assert session.scalars(sa.select(RefundPart.amount)).all() == [Money(amount)]


def test_above_the_limit_somebody_else_approves(
    desk: JudgingClient,
    browse: Callable[[str], JudgingClient],
    session: Session,
    payment: Payment,
    send: Callable[[], int],
) -> None:
    assert payment.amount > Money(10_000)
    shown = review(desk, payment)
    assert "A supervisor who is someone else looks at it first" in shown.text("main")
    address = ask(desk, payment)
    page = desk.page(address)
    assert "Somebody else has to approve this" in page.text("main")
    assert "Approve this refund" not in page.text("main")
    refund = only(session)
    token = desk.page(address).all("input", name="csrf_token")[0].get("value")
    assert desk.post(f"{address}/approve", data={"csrf_token": token}).status_code == 404
    assert send() == 0
    boss = browse(SUPERVISOR)
    todo = boss.page("/desk/refunds")
    assert "Wait for a supervisor (1)" in todo.text("main")
    assert "Stella Staffexample" in todo.text("main")
    response = boss.submit(boss.page(address), action="/approve", follow_redirects=True)
    assert "Approved." in as_page(response).text("div", class_="notices")
    assert send() == 1
    assert only(session).state is RefundState.SUCCEEDED
    assert refund.id == only(session).id
    assert "has moved on" in as_page(
        boss.post(f"{address}/approve", data={"csrf_token": _token(boss)}, follow_redirects=True)
    ).text("div", class_="notices")


def _token(client: JudgingClient) -> str:
    return str(client.page("/desk/").all("input", name="csrf_token")[0].get("value"))


def test_a_supervisor_does_not_approve_their_own_also_not_from_another_device(
    browse: Callable[[str], JudgingClient], session: Session, payment: Payment
) -> None:
    boss, elsewhere = browse(SUPERVISOR), browse(SUPERVISOR)
    address = ask(boss, payment)
    for one in (boss, elsewhere):
        assert "Somebody else has to approve this" in one.page(address).text("main")
        answer = one.post(f"{address}/approve", data={"csrf_token": _token(one)}, follow_redirects=True)
        assert "somebody else has to decide" in as_page(answer).text("div", class_="notices")
    assert only(session).state is RefundState.PROPOSED


def test_a_refusal_needs_words(desk: JudgingClient, browse: Callable[[str], JudgingClient], payment: Payment) -> None:
    address = ask(desk, payment)
    boss = browse(SUPERVISOR)
    again = as_page(boss.submit(boss.page(address), {"refuse-note": ""}, action="/refuse"))
    assert "Write why. Whoever asked reads it." in again.text("div", class_="error-summary")
    boss.submit(again, {"refuse-note": "The patient owes it."}, action="/refuse")
    page = desk.page(address)
    assert "The patient owes it." in page.text("main")
    assert "Refused by" in page.text("main")


def test_withdrawn_before_it_is_sent(desk: JudgingClient, session: Session, payment: Payment) -> None:
    address = ask(desk, payment)
    again = as_page(desk.submit(desk.page(address), action="/withdraw"))
    assert "Write why." in again.text("div", class_="error-summary")
    desk.submit(again, {"withdraw-note": "The wrong payment"}, action="/withdraw")
    assert only(session).state is RefundState.WITHDRAWN


def linked(patient: JudgingClient, payment: Payment) -> list[str]:
    """The pages about a payment that lead to its refunds."""
    pages = {"receipt": f"/payments/{payment.public_id}/receipt", "history": "/payments"}
    refunds = f"/payments/{payment.public_id}/refunds"
    return [name for name, address in pages.items() if patient.page(address).all("a", href=refunds)]


def test_one_made_at_stripe_was_sent_on_its_day_there(
    desk: JudgingClient, patient: JudgingClient, session: Session, standin: StandIn, app: Flask, payment: Payment
) -> None:
    made = standin.refund_in_dashboard(payment.stripe_charge_id or "", 500)
    standin.store.save({**made, "created": made["created"] - 3 * 86_400})
    with app.app_context(), writing():
        project(db.session, app.extensions["plainbill_gateway"].refunds.retrieve(made["id"]))
    refund = only(session)
    sent = clock.clinic_day(refund.created_at)
    day = f"{sent:%b} {sent.day}, {sent.year}"
    page = desk.page(f"/desk/refunds/{refund.public_id}").text("main")
    assert f"Sent on{day}" in page
    assert "Entered on" in page
    seen = patient.page(f"/payments/{payment.public_id}/refunds").text("main")
    assert f"We sent $5.00 back to Visa ending 4242 on {day}" in seen


def test_what_failed_comes_back_to_the_desk_and_the_patient_is_told(
    desk: JudgingClient,
    patient: JudgingClient,
    session: Session,
    standin: StandIn,
    app: Flask,
    payment: Payment,
    send: Callable[[], int],
) -> None:
    assert linked(patient, payment) == []
    address = ask(desk, payment, choice="amount", amount="5.00")
    assert linked(patient, payment) == ["receipt", "history"], "it is planned"
    assert send() == 1
    seen = patient.page(f"/payments/{payment.public_id}/refunds").text("main")
    assert "We sent $5.00 back to Visa ending 4242 on" in seen
    assert "$5.00" in patient.page("/").text("main")
    (made,) = client_of(standin).v1.refunds.list({}).data
    standin.fail_refund(made.id)
    with app.app_context(), writing():
        project(db.session, app.extensions["plainbill_gateway"].refunds.retrieve(made.id))
    todo = desk.page("/desk/refunds").text("main")
    assert "Did not arrive (1)" in todo
    assert "Call the patient" in todo
    assert "did not take our refund of $5.00" in patient.page("/").text("main")
    assert linked(patient, payment) == ["receipt", "history"]
    again = as_page(desk.submit(desk.page(address), action="/handle"))
    assert "Write what you did." in again.text("div", class_="error-summary")
    desk.submit(again, {"handle-note": "Sent check 1204"}, action="/handle")
    assert "Nothing to do" in desk.page("/desk/refunds").text("main")
    assert "Sent check 1204" in desk.page(address).text("main")
    assert "did not take" not in patient.page("/").text("main")


def test_a_credit_is_promised_to_the_patient_by_a_day(
    desk: JudgingClient,
    patient: JudgingClient,
    browse: Callable[[str], JudgingClient],
    clinic: Clinic,
    session: Session,
    standin: StandIn,
    app: Flask,
    payment: Payment,
    send: Callable[[], int],
) -> None:
    charge_id = session.scalars(sa.select(Allocation.charge_id).where(Allocation.payment_id == payment.id)).all()[0]
    session.rollback()
    with writing():
        Desk(session, app.extensions["plainbill_gateway"], standin, clinic).insurer_takes_over(charge_id, Money(1200))
    with app.app_context(), writing():
        assert find_credits(db.session, timezone="America/Chicago", limit=Money(10_000), days=7) == 1
    refund = only(session)
    home = patient.page("/").text("main")
    assert "We owe you $12.00. We will send it back to Visa ending 4242 by" in home
    assert "banks take 5 to 10 business days" in home
    assert "You have a credit" not in home
    visit_id = session.execute(
        sa.text("SELECT v.public_id FROM visit v JOIN charge c ON c.visit_id = v.id WHERE c.id = :id"),
        {"id": charge_id},
    ).scalar_one()
    session.rollback()
    assert "We owe you $12.00." in patient.page(f"/visits/{visit_id}").text("main")
    assert "found by the portal" in desk.page("/desk/refunds?list=scheduled").text("main")
    response = desk.submit(desk.page(f"/desk/refunds/{refund.public_id}"), action="/send-today", follow_redirects=True)
    assert "The refund is being sent." in as_page(response).text("div", class_="notices")
    assert send() == 1
    assert "We sent $12.00 back" in patient.page("/").text("main")


def test_no_day_is_promised_before_a_supervisor_has_approved_a_credit(
    desk: JudgingClient,
    patient: JudgingClient,
    browse: Callable[[str], JudgingClient],
    clinic: Clinic,
    session: Session,
    standin: StandIn,
    app: Flask,
    payment: Payment,
    send: Callable[[], int],
) -> None:
    charge_id = session.scalars(sa.select(Allocation.charge_id).where(Allocation.payment_id == payment.id)).all()[0]
    visit_id = session.execute(
        sa.text("SELECT v.public_id FROM visit v JOIN charge c ON c.visit_id = v.id WHERE c.id = :id"),
        {"id": charge_id},
    ).scalar_one()
    session.rollback()
    with writing():
        Desk(session, app.extensions["plainbill_gateway"], standin, clinic).insurer_takes_over(charge_id, Money(1200))
    with app.app_context(), writing():
        find_credits(db.session, timezone="America/Chicago", limit=Money(1000), days=7)
    refund = only(session)
    assert refund.state is RefundState.PROPOSED
    day = f"{refund.send_on:%b} {refund.send_on.day}"
    session.rollback()
    pages = ["/", f"/visits/{visit_id}", f"/payments/{payment.public_id}/refunds"]
    for address in pages:
        text = patient.page(address).text("main")
        assert "We owe you $12.00. We are checking it, and will send it back to" in text, address
        assert day not in text, address
    for address in ("/desk/refunds", f"/desk/refunds/{refund.public_id}"):
        assert day not in desk.page(address).text("main"), address
    assert "After a supervisor has approved it" in desk.page(f"/desk/refunds/{refund.public_id}").text("main")
    assert send() == 0
    supervisor = browse(SUPERVISOR)
    supervisor.submit(supervisor.page(f"/desk/refunds/{refund.public_id}"), action="/approve")
    for address in pages:
        assert f"We will send it back to Visa ending 4242 by {day}" in patient.page(address).text("main"), address
    assert day in desk.page(f"/desk/refunds/{refund.public_id}").text("main")


def test_a_refund_that_waits_for_its_bank_payment_says_so_at_the_desk(
    desk: JudgingClient, session: Session, payment: Payment
) -> None:
    made = Refund(
        payment_id=payment.id,
        amount=Money(500),
        reason=RefundReason.REQUESTED,
        note="Made at Stripe",
        state=RefundState.WAITING,
        send_on=payment.created_at.date(),
        created_at=payment.created_at,
        requested_at=payment.created_at,
        checked_at=payment.created_at,
        stripe_refund_id="pyr_1",
    )
    with writing():
        session.add(made)
        session.commit()
    address = f"/desk/refunds/{made.public_id}"
    session.rollback()
    assert "Goes out when the bank payment has arrived, asked by: made at Stripe" in desk.page(
        "/desk/refunds?list=scheduled"
    ).text("main")
    text = desk.page(address).text("main")
    for words in ("Waits for its payment", "When the bank payment has arrived", "cancels it and nothing is booked"):
        assert words in text
    assert "Withdraw" not in text
    with writing():
        session.execute(
            sa.update(Refund).values(
                state=RefundState.CANCELED, handled_at=payment.created_at, ended_at=payment.created_at,
                handled_note="Its payment did not arrive, so nothing went back", failure_code="canceled",
            )
        )  # fmt: skip
        session.commit()
    text = desk.page(address).text("main")
    assert "Canceled at Stripe" in text
    assert "Its payment did not arrive" in text
    assert "The money did not reach the patient" not in text
    assert "Nothing to do" in desk.page("/desk/refunds").text("main")


def test_a_credit_that_no_payment_can_take_back_is_the_desks(
    desk: JudgingClient, clinic: Clinic, session: Session, standin: StandIn, app: Flask, payment: Payment
) -> None:
    charge_id = session.scalars(sa.select(Allocation.charge_id).where(Allocation.payment_id == payment.id)).all()[0]
    paid = session.scalars(sa.select(Allocation.amount).where(Allocation.charge_id == charge_id)).one()
    session.rollback()
    with writing():
        made_up = Desk(session, app.extensions["plainbill_gateway"], standin, clinic)
        made_up.insurer_takes_over(charge_id, paid + Money(300))
    with app.app_context(), writing():
        find_credits(db.session, timezone="America/Chicago", limit=Money(10_000), days=7)
    todo = desk.page("/desk/refunds").text("main")
    assert "Credits with no payment to return them to (1)" in todo
    assert "$3.00" in todo


def test_others_and_unknown_refunds_are_not_there(
    desk: JudgingClient, browse: Callable[[str], JudgingClient], payment: Payment
) -> None:
    address = ask(desk, payment)
    sam = browse(SAM)
    for path in (address, form_at(payment), "/desk/refunds", f"/payments/{payment.public_id}/refunds"):
        assert sam.get(path).status_code == 404
    for path in (f"/desk/refunds/{new_public_id()}", f"/desk/payments/{new_public_id()}/refund"):
        assert desk.get(path).status_code == 404
    token = _token(desk)
    for act in ("withdraw", "handle", "send-today"):
        answer = desk.post(
            f"/desk/refunds/{new_public_id()}/{act}",
            data={"csrf_token": token, "withdraw-note": "x", "handle-note": "x"},
        )
        assert answer.status_code == 404
    assert desk.get(f"/payments/{payment.public_id}/refunds").status_code == 404


def test_a_refund_that_staff_only_thought_of_is_not_told(
    desk: JudgingClient, patient: JudgingClient, payment: Payment
) -> None:
    ask(desk, payment)
    assert "No refunds" in patient.page(f"/payments/{payment.public_id}/refunds").text("main")


def test_odd_addresses_of_the_list(desk: JudgingClient) -> None:
    for odd in ("?list=nonsense", "?list=recent&page=-3", "?list=scheduled&page=x", "?page=99999999999999999999"):
        assert desk.get(f"/desk/refunds{odd}").status_code == 200


def test_every_reason_has_words() -> None:
    assert set(REASONS) == set(RefundReason)
    assert RefundReason.CREDIT_BALANCE not in CHOOSABLE
    assert all(why_failed(code) and what_to_do(code) for code in [*FAILURES, "unknown", ""])
