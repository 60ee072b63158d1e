"""Living with a plan in the browser without scripts: every act with its payments shown before it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

from portal import clock
from portal.billing.kinds import HoldReason
from portal.billing.service import place_hold
from portal.payments.models import Consent, Payment, SavedMethod
from portal.plans.kinds import ChangeKind, Need, PlanState
from portal.plans.models import Installment, Plan, PlanRequest
from tests.conftest import Clinic
from tests.pages import JudgingClient, Page, as_page
from tests.web.paying import TESTA
from tests.web.planning import Patient, account_id, amounts_in, days_in, save_method, terms_on


@pytest.fixture
def saved(clinic: Clinic, session: Session) -> SavedMethod:
    return save_method(session, clinic.user_id(TESTA))


@pytest.fixture
def patient(
    client: JudgingClient,
    clinic: Clinic,
    session: Session,
    app: Flask,
    sign_in: Callable[..., Page],
    saved: SavedMethod,
) -> Patient:
    """Testa with a plan of $50.00 on the 15th: four of them and $48.32."""
    sign_in(client, TESTA)
    patient = Patient(client, clinic, session, app)
    assert patient.start().status_code == 302
    return patient


def set_plan(patient: Patient, **values: object) -> None:
    patient.session.rollback()
    patient.session.execute(sa.update(Plan).values(**values))
    patient.session.commit()


def payments(patient: Patient) -> list[Payment]:
    """What was begun to be paid."""
    patient.session.rollback()
    return list(patient.session.scalars(sa.select(Payment)))


def test_the_page_says_what_is_left_and_what_comes_next(patient: Patient) -> None:
    page = patient.client.page(patient.plan_url)
    first = patient.coming()[0][0]
    assert f"$50.00 on {first:%b} {first.day}, {first.year}" in page.text()
    for words in ("Left to pay $248.32", "0 of 5 payments made", "Visa ending 4242", "You started the plan.",
                  "Autopay, statements and other payments leave out what is on this plan"):  # fmt: skip
        assert words in page.text()
    home = patient.client.page("/")
    assert home.links()["Go to your plan"] == patient.plan_url
    assert "Nothing to pay right now" in home.text()
    assert "On a payment plan" in home.text()
    assert "Pay in installments" not in home.links()


def test_lines_on_a_plan_say_so(patient: Patient) -> None:
    visit = patient.client.page(f"/visits/{patient.clinic.visit('V-260604-1')}")
    assert visit.links()["Go to your plan"] == patient.plan_url
    assert "paid by a payment plan. You don’t need to pay it separately." in visit.text()
    why = patient.client.page(f"/charges/{patient.clinic.charge('V-260604-1', '99213')}/why")
    assert "paid by a payment plan" in why.text()
    assert "on a payment plan" in patient.client.page(f"/accounts/{patient.clinic.account(patient.ref)}/pay").text()


ACTS = {
    "amount": ("amount=62.08", ChangeKind.AMOUNT_CHANGED, ["$62.08"] * 4),
    "day": ("frequency=monthly&day=25&weekday=4", ChangeKind.DAY_MOVED, ["$50.00"] * 4 + ["$48.32"]),
    "skip": ("", ChangeKind.SKIPPED, ["$50.00"] * 4 + ["$48.32"]),
}


@pytest.mark.parametrize("act", ACTS)
def test_a_change_is_shown_before_and_after_and_agreed_to(patient: Patient, act: str) -> None:
    query, kind, after = ACTS[act]
    before = patient.coming()
    page = patient.client.page(f"{patient.plan_url}/{act}?{query}")
    assert amounts_in(page, "Now") == ["$50.00"] * 4 + ["$48.32", "$248.32"]
    assert amounts_in(page, "After the change") == [*after, "$248.32"]
    assert patient.coming() == before
    answer = patient.client.submit(page, field="agree")
    assert answer.status_code == 422
    assert "Without it, nothing changes" in as_page(answer).text()
    assert patient.client.submit(page, {"agree": "y"}, field="agree").status_code == 302
    change = patient.last_change()
    assert change.kind is kind
    assert patient.session.get_one(Consent, change.consent_id).text == terms_on(page)
    assert [f"${cents / 100:.2f}" for _day, cents in patient.coming()] == after
    # The second tab: the plan has moved since, so it is shown again instead.
    again = patient.client.submit(page, {"agree": "y"}, field="agree")
    assert again.status_code == 422
    assert patient.last_change().id == change.id


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("amount?amount=5", "Each payment has to be at least $25.00."),
        ("amount?amount=30", "at most 6 payments are possible. Choose $41.39 or more"),
        ("amount?amount=50", "That is how the plan is already."),
        ("amount?amount=0", "Write an amount above $0.00."),
        ("amount?amount=-3", "Write an amount above $0.00."),
        ("amount?amount=", "Write an amount."),
        ("amount?amount=lots", "in dollars and cents"),
        ("day?frequency=monthly&day=31&weekday=1", "Not a valid choice"),
        ("day?frequency=monthly&day=15&weekday=4", "That is how the plan is already."),
        ("take-out?go=1", "Choose at least one."),
        ("add", "Right now there is no other bill that is ready to pay."),
        ("go-on", "That is how the plan is already."),
        ("pay-extra?amount=248.01", "That would leave $0.31"),
        ("pay-extra?amount=300", "That is more than is left. The most is $248.32."),
        ("pay-extra?amount=0.10", "An online payment has to be at least $0.50."),
        ("pay-extra?amount=0", "Write an amount above $0.00."),
        ("method", "Add another card or bank account first"),
    ],
)
def test_what_is_not_possible_is_said(patient: Patient, asked: str, words: str) -> None:
    before = patient.coming()
    page = patient.client.page(f"{patient.plan_url}/{asked}")
    assert words in page.text()
    assert page.all("input", name="agree") == []
    assert patient.post(f"{patient.plan_url}/{asked}", {"agree": "y", "seen": "x"}).status_code == 422
    assert patient.coming() == before


def test_all_lines_can_not_be_taken_out(patient: Patient) -> None:
    page = patient.client.page(f"{patient.plan_url}/take-out")
    lines = [one.get("value") for one in page.all("input", name="lines")]
    answer = patient.client.get(f"{patient.plan_url}/take-out", query_string={"go": 1, "lines": lines})
    assert "At least one charge has to stay." in as_page(answer).text()


def test_a_line_is_taken_out_and_added_again(patient: Patient) -> None:
    page = patient.client.page(f"{patient.plan_url}/take-out")
    line = page.all("input", name="lines")[0].get("value")
    page = as_page(patient.client.submit(page, {"lines": line}, action="/take-out", field="go"))
    assert amounts_in(page, "After the change")[-1] == "$218.32"
    assert patient.client.submit(page, {"agree": "y"}, field="agree").status_code == 302
    assert patient.last_change().kind is ChangeKind.LINES_REMOVED
    home = patient.client.page("/")
    assert "You can pay now $30.00" in home.text()
    assert "Pay in installments" not in home.links()  # it can be added to the plan that runs
    visit = patient.client.page(f"/visits/{patient.clinic.visit('V-260604-1')}")
    page = patient.client.page(visit.links()["Add it to your payment plan"])
    page = as_page(patient.client.submit(page, {"lines": line}, action="/add", field="go"))
    assert amounts_in(page, "After the change") == ["$50.00"] * 4 + ["$48.32", "$248.32"]
    assert patient.client.submit(page, {"agree": "y"}, field="agree").status_code == 302
    assert patient.last_change().kind is ChangeKind.LINES_ADDED


def test_one_skip_a_year(patient: Patient) -> None:
    page = patient.client.page(f"{patient.plan_url}/skip")
    assert "You can do this once a year." in page.text()
    patient.client.submit(page, {"agree": "y"}, field="agree")
    assert "Skip the next payment" not in patient.client.page(patient.plan_url).links()
    page = patient.client.page(f"{patient.plan_url}/skip")
    assert "as many payments as is possible in a year" in page.text()
    assert "Skipped" in patient.client.page(patient.plan_url).text()


def test_a_change_is_shown_again_when_the_bill_moved(patient: Patient) -> None:
    take_out = patient.client.page(f"{patient.plan_url}/take-out")
    charge_id, account = patient.charge(take_out)
    page = patient.client.page(f"{patient.plan_url}/amount?amount=62.08")
    patient.session.rollback()
    place_hold(patient.session, charge_id=charge_id, account_id=account, reason=HoldReason.STAFF)
    patient.session.commit()
    answer = patient.client.submit(page, {"agree": "y"}, field="agree")
    assert answer.status_code == 422
    again = as_page(answer)
    assert "The plan has changed since this page was opened" in again.text()
    assert amounts_in(again, "After the change")[-1] == "$218.32"
    assert patient.client.submit(again, {"agree": "y"}, field="agree").status_code == 302
    assert "We are checking this. It is left out" in patient.client.page(patient.plan_url).text()


def test_the_next_one_is_paid_early(patient: Patient) -> None:
    page = patient.client.page(f"{patient.plan_url}/pay-next")
    assert amounts_in(page, "Once it is paid") == ["$50.00"] * 3 + ["$48.32", "$198.32"]
    answer = patient.client.submit(page, field="seen")
    assert answer.status_code == 302, as_page(answer).text("main")
    (payment,) = payments(patient)
    assert answer.location == f"/payments/{payment.public_id}"
    assert (payment.amount.cents, payment.user_id) == (5_000, patient.plan().user_id)
    # Begun and not finished: the plan can't be changed, and says how to go on.
    shown = patient.client.page(patient.plan_url)
    assert shown.links()["Go to this payment"] == answer.location
    assert "Move the day" not in shown.links()
    assert "is being made right now" in patient.client.page(f"{patient.plan_url}/skip").text()
    # The button pressed twice leads to the same payment.
    assert patient.client.submit(page, field="seen").location == answer.location
    assert patient.client.get(f"{patient.plan_url}/pay-next").location == answer.location
    assert len(payments(patient)) == 1


@pytest.mark.parametrize(
    ("asked", "cents", "after"),
    [("pay-extra?amount=60", 6_000, ["$50.00"] * 3 + ["$38.32", "$188.32"]), ("pay-off", 24_832, [])],
)
def test_more_is_paid_besides(patient: Patient, asked: str, cents: int, after: list[str]) -> None:
    page = patient.client.page(f"{patient.plan_url}/{asked}")
    if after:
        assert amounts_in(page, "Once it is paid") == after
    else:
        assert "the plan is paid off" in page.text()
    answer = patient.client.submit(page, field="seen")
    (payment,) = payments(patient)
    assert answer.location == f"/payments/{payment.public_id}"
    assert payment.amount.cents == cents
    assert len(patient.coming()) == 5  # nothing is paid yet
    canceled = patient.client.submit(patient.client.page(answer.location), action="/cancel", follow_redirects=True)
    assert as_page(canceled).text("h1") == "Your payment plan"
    assert "You have not been charged." in as_page(canceled).text()


def test_another_amount_than_the_one_that_was_shown_is_not_paid(patient: Patient) -> None:
    page = patient.client.page(f"{patient.plan_url}/pay-off")
    charge_id, account = patient.charge(patient.client.page(f"{patient.plan_url}/take-out"))
    place_hold(patient.session, charge_id=charge_id, account_id=account, reason=HoldReason.STAFF)
    patient.session.commit()
    answer = patient.client.submit(page, field="seen")
    assert answer.status_code == 422
    assert "You pay $218.32 now" in as_page(answer).text()
    assert payments(patient) == []


def test_another_method(patient: Patient, session: Session, clinic: Clinic) -> None:
    save_method(session, clinic.user_id(TESTA), "pm_old", last4="0001", expires_on=date(2020, 1, 31))
    other = save_method(session, clinic.user_id(TESTA), "pm_two", last4="1881")
    other_id = other.id
    session.commit()
    page = patient.client.page(f"{patient.plan_url}/method")
    assert "0001" not in page.text()
    assert "Visa ending 1881" in terms_on(page)
    waits = "waits until you have known of it for 10 days"
    assert waits not in page.text()
    session.rollback()  # what was read is from before the page was counted
    other.kind = "us_bank_account"
    session.commit()
    assert waits in patient.client.page(f"{patient.plan_url}/method").text()  # its last payment is a smaller one
    session.rollback()
    other.kind = "card"
    session.commit()
    assert patient.client.submit(page, {"agree": "y"}, field="agree").status_code == 302
    assert patient.plan().method_id == other_id
    assert patient.session.get_one(Consent, patient.last_change().consent_id).text == terms_on(page)


def test_a_method_that_was_renamed_is_agreed_to_anew(patient: Patient, session: Session, clinic: Clinic) -> None:
    other = save_method(session, clinic.user_id(TESTA), "pm_two", last4="1881")
    page = patient.client.page(f"{patient.plan_url}/method")
    session.rollback()
    other.label = "Joint card"
    session.commit()
    answer = patient.client.submit(page, {"agree": "y"}, field="agree")
    assert answer.status_code == 422
    assert "Joint card" in terms_on(as_page(answer))
    assert patient.client.submit(as_page(answer), {"agree": "y"}, field="agree").status_code == 302


def test_a_method_that_is_gone_comes_first_on_the_page(patient: Patient, session: Session, clinic: Clinic) -> None:
    set_plan(patient, need=Need.METHOD)
    session.execute(sa.update(Installment).where(Installment.ordinal == 1).values(tries=1, failure_code="lost_card"))
    session.commit()
    page = patient.client.page(patient.plan_url)
    assert page.text("h2") == "Please choose another card or bank account"
    last = patient.coming()[0][0] + timedelta(days=15)
    assert f"Please do it by {last:%b} {last.day}, {last.year}" in page.text()
    assert "needs another card or bank account" in patient.client.page("/").text()
    # The same card may be chosen again: the bank may have changed its mind.
    page = patient.client.page(page.links()["Choose another one"])
    assert "The payment of $50.00 that did not go through is made with it right away" in page.text()
    set_plan(patient, state=PlanState.PAUSED)
    assert "right away" not in patient.client.page(f"{patient.plan_url}/method").text()
    assert patient.client.submit(page, {"agree": "y"}, field="agree").status_code == 302
    assert patient.plan().need is Need.NOTHING


def test_a_payment_to_confirm_comes_first_on_the_page(patient: Patient) -> None:
    set_plan(patient, need=Need.CONFIRMATION)
    page = patient.client.page(patient.plan_url)
    assert page.text("h2") == "Your bank wants you to confirm a payment"
    assert "wants you to confirm" in patient.client.page("/").text()
    page = patient.client.page(page.links()["Pay the next one now"])
    assert "you pay with Visa ending 4242" in page.text()
    answer = patient.client.submit(page, field="seen")
    (payment,) = payments(patient)
    assert (answer.location, payment.method_id) == (f"/payments/{payment.public_id}", "pm_one")


def test_a_pause_is_asked_for_once(patient: Patient) -> None:
    today = clock.today("America/Chicago")
    page = patient.client.page(f"{patient.plan_url}/pause")
    for until, words in (
        ("", "Choose the day"),
        (today.isoformat(), "Choose a day after today"),
        ((today + timedelta(days=91)).isoformat(), "Choose a day after today"),
        ("soon", "Not a valid date"),
    ):
        answer = patient.client.get(f"{patient.plan_url}/pause", query_string={"until": until})
        assert words in as_page(answer).text()
        assert "Send my request" not in as_page(answer).text()
    assert "Send my request" not in page.text()
    until = today + timedelta(days=40)
    before = patient.coming()
    shown = patient.client.page(f"{patient.plan_url}/pause?until={until.isoformat()}")
    assert amounts_in(shown, "After the pause") == amounts_in(shown, "Now")
    now, then = (days_in(shown, caption) for caption in ("Now", "After the pause"))
    assert set(now) != set(then)
    assert days_in(shown, "Now") == [f"{due_on:%b} {due_on.day}, {due_on.year}" for due_on, _cents in before]
    nearer = patient.client.page(f"{patient.plan_url}/pause?until={(before[0][0]).isoformat()}")
    assert "so choose a later day" in nearer.text()
    assert "Send my request" not in nearer.text()
    for _tab in range(2):
        answer = patient.client.submit(shown, {"note": "No work."}, field="note")
        assert answer.status_code == 302
    assert patient.coming() == before  # it is only asked for
    patient.session.rollback()
    asked = patient.session.scalars(sa.select(PlanRequest)).one()
    assert (asked.until, asked.note) == (until, "No work.")
    shown = patient.client.page(patient.plan_url)
    assert "You asked for a pause until" in shown.text()
    assert "Ask for a pause" not in shown.links()
    asked.decided_at, asked.granted, asked.answer = clock.now(), False, "Please call us about it."
    patient.session.commit()
    assert "Please call us about it." in patient.client.page(patient.plan_url).text()


def test_a_paused_plan_goes_on_with_a_yes(patient: Patient) -> None:
    set_plan(patient, state=PlanState.PAUSED)
    page = patient.client.page(patient.plan_url)
    assert "Nothing is charged until you go on." in page.text()
    assert "Your payment plan is paused." in patient.client.page("/").text()
    for act in ("skip", "day?frequency=monthly&day=25&weekday=4"):
        assert "The plan is paused. Continue it first." in patient.client.page(f"{patient.plan_url}/{act}").text()
    page = patient.client.page(page.links()["Continue the plan"])
    assert len(amounts_in(page, "After the change")) == 6
    assert patient.client.submit(page, {"agree": "y"}, field="agree").status_code == 302
    assert patient.plan().state is PlanState.ACTIVE
    assert patient.last_change().kind is ChangeKind.RESUMED


def test_ending_it_makes_ordinary_bills(patient: Patient) -> None:
    page = patient.client.page(f"{patient.plan_url}/end")
    assert "$248.32, becomes an ordinary bill" in page.text()
    for _tab in range(2):
        assert patient.client.submit(page, action="/plans/").status_code == 302
    assert patient.plan().state is PlanState.CANCELED
    shown = patient.client.page(patient.plan_url)
    assert "Ended" in shown.text()
    assert any(words.startswith("What you agreed to (PDF)") for words in shown.links())  # for ever
    assert "You can pay now $248.32" in patient.client.page("/").text()
    for act in ("add", "take-out", "amount", "day", "skip", "go-on", "method", "pay-next", "pay-extra", "pay-off",
                "pause", "end"):  # fmt: skip
        answer = patient.client.get(f"{patient.plan_url}/{act}")
        assert (answer.status_code, answer.location) == (302, patient.plan_url)


def test_the_notices_link_stops_it_without_signing_in(patient: Patient, app: Flask) -> None:
    patient.session.rollback()
    first = patient.session.scalars(sa.select(Installment).where(Installment.ordinal == 1)).one().public_id
    patient.session.commit()
    stranger = app.test_client()
    assert isinstance(stranger, JudgingClient)
    link = f"/plans/stop/{first}"
    page = stranger.page(link)
    assert "the payment of $50.00 on" in page.text()
    for secret in ("Testa", "Demopatient", "JDC", "4242", "$248.32"):
        assert secret not in page.text()
    assert patient.plan().state is PlanState.ACTIVE, "opening the link changes nothing"
    for _again in range(2):
        assert stranger.submit(page).status_code == 302
    assert (patient.plan().state, patient.plan().paused_until) == (PlanState.PAUSED, None)
    page = stranger.page(link)
    assert "Your plan is stopped" in page.text("h1")
    assert stranger.get(patient.plan_url).location.startswith("/sign-in")
    set_plan(patient, state=PlanState.CANCELED)
    assert "This plan has ended" in stranger.page(link).text("h1")
    assert stranger.get(f"/plans/stop/{'0' * 32}").status_code == 404


def test_removing_the_plans_card_is_warned_about(patient: Patient, saved: SavedMethod) -> None:
    page = patient.client.page(f"/methods/{saved.public_id}/remove")
    assert "The payment plan of Testa Demopatient is charged to it." in page.text()
    set_plan(patient, state=PlanState.CANCELED)
    assert "payment plan" not in patient.client.page(f"/methods/{saved.public_id}/remove").text("main")


def test_the_policy_of_the_operator_decides(patient: Patient) -> None:
    patient.app.extensions["plainbill_policy"] = replace(
        patient.app.extensions["plainbill_policy"], skips_a_year=0, days_of_month=(15,)
    )
    assert "Skip the next payment" not in patient.client.page(patient.plan_url).links()
    assert [one.get("value") for one in patient.client.page(f"{patient.plan_url}/day").all("option")][3:] == [
        "15", *"0123456"
    ]  # fmt: skip
    assert account_id(patient.session) == patient.plan().account_id


def test_the_page_shows_what_is_due_now_before_it_is_written_down(patient: Patient) -> None:
    """A hold was placed a minute ago: what is left, the next payment and the list agree with each other."""
    charge_id, account = patient.charge(patient.client.page(f"{patient.plan_url}/take-out"))
    place_hold(patient.session, charge_id=charge_id, account_id=account, reason=HoldReason.STAFF)
    patient.session.commit()
    page = patient.client.page(patient.plan_url)
    assert "What is left has just changed." in page.text()
    assert amounts_in(page, "All payments") == ["$50.00"] * 4 + ["$18.32", "$218.32"]
