"""What a state's law wants in an agreement, on the patient's pages and at the desk."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

from portal.accounts.models import Account
from portal.audit.models import AuditEvent
from portal.audit.tags import Tag
from portal.payments.models import Consent, SavedMethod
from portal.plans.models import PlanClause
from portal.plans.rules.clauses import MARKS
from portal.plans.rules.policy import shipped_clauses
from tests.conftest import Clinic
from tests.pages import JudgingClient, Page, as_page, text_of
from tests.unit.plans.test_clauses import CALIFORNIA, clause
from tests.web.paying import TESTA
from tests.web.planning import ACCOUNT, Patient, account_id, save_method, terms_on

STAFF, SUPERVISOR = "staff@example.com", "supervisor@example.com"


@pytest.fixture
def patient(
    client: JudgingClient, clinic: Clinic, session: Session, app: Flask, sign_in: Callable[..., Page]
) -> Patient:
    sign_in(client, TESTA)
    return Patient(client, clinic, session, app)


@pytest.fixture
def saved(clinic: Clinic, session: Session) -> SavedMethod:
    return save_method(session, clinic.user_id(TESTA))


@pytest.fixture
def desk(app: Flask, sign_in: Callable[..., Page], patient: Patient) -> Callable[[str], JudgingClient]:
    """``desk(email)``: the desk as one of the staff sees it."""

    def open_one(email: str = STAFF) -> JudgingClient:
        client = app.test_client()
        assert isinstance(client, JudgingClient)
        sign_in(client, email)
        return client

    return open_one


def live_in(client: JudgingClient, patient: Patient, state: str) -> str:
    """Somebody at the desk writes down where the account's guarantor lives; what the desk says to it."""
    address = f"/desk/accounts/{patient.clinic.account(ACCOUNT)}/state"
    answer = client.submit(client.page(address), {"state": state}, field="state", follow_redirects=True)
    patient.session.rollback()
    return as_page(answer).text("main") if answer.status_code == 200 else as_page(answer).text()


def clauses_kept(patient: Patient) -> list[str]:
    change = patient.last_change()
    query = sa.select(PlanClause.clause).where(PlanClause.consent_id == change.consent_id)
    return sorted(patient.session.scalars(query))


def without_clauses(patient: Patient) -> None:
    """The portal before it knew of any clause."""
    policy = patient.app.extensions["plainbill_policy"]
    patient.app.extensions["plainbill_policy"] = replace(policy, clauses=())


def with_clauses(patient: Patient, *more: object) -> None:
    policy = patient.app.extensions["plainbill_policy"]
    patient.app.extensions["plainbill_policy"] = replace(policy, clauses=(*shipped_clauses(), *more))


def clause_on(page: Page) -> list[str]:
    """The paragraphs of the agreement on a page that are exactly the law's words."""
    (shown,) = page.all("section", class_="terms")
    return [text_of(one) for one in shown.iter("p") if one.text == CALIFORNIA]


def test_the_page_has_the_words_to_the_letter_and_they_are_kept(patient: Patient, saved: SavedMethod) -> None:
    page = patient.agreement_page()
    assert f">{CALIFORNIA}</p>" in page.html  # no word of it is a button of the glossary
    assert clause_on(page) == [CALIFORNIA]
    assert "Notice that the law of California requires" in page.text("h3")
    assert patient.start().status_code == 302
    text = patient.session.get_one(Consent, patient.last_change().consent_id).text
    assert text == terms_on(page)
    assert clauses_kept(patient) == ["ca-credit-reporting"]


def test_every_page_of_a_change_has_them(patient: Patient, saved: SavedMethod, session: Session) -> None:
    assert patient.start().status_code == 302
    save_method(session, patient.clinic.user_id(TESTA), "pm_two", last4="0005")
    lines = [one.get("value") for one in patient.client.page(f"{patient.plan_url}/take-out").all("input", name="lines")]
    for act in (
        "amount?amount=60",
        "day?frequency=monthly&day=20&weekday=0",
        "skip?go=1",
        f"take-out?go=1&lines={lines[0]}",
        "method",
    ):
        page = patient.client.page(f"{patient.plan_url}/{act}")
        assert clause_on(page) == [CALIFORNIA], act
    page = patient.client.page(f"{patient.plan_url}/amount?amount=60")
    assert patient.client.submit(page, {"agree": "y"}, field="agree").status_code == 302
    assert clauses_kept(patient) == ["ca-credit-reporting"]


def test_on_a_spanish_page_each_part_says_its_language(
    patient: Patient, saved: SavedMethod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal.web.templating.LANGUAGES", ("en", "es"))
    address = patient.asked().links()["Continue with this plan"]
    page = as_page(patient.client.get(address, headers={"Accept-Language": "es"}))
    (shown,) = page.all("section", class_="terms")
    by_text = {text_of(one): one for one in shown.iter("p")}
    assert page.all("html")[0].get("lang") == "es"
    assert by_text[CALIFORNIA].get("lang") == "en"
    ours = dict(shipped_clauses()[0].translations)["es"]
    assert [by_text[one].get("lang") for one in (MARKS["es"], ours)] == [None, None]
    assert list(by_text).index(CALIFORNIA) + 2 == list(by_text).index(ours)


def test_a_state_that_becomes_known_before_the_yes_shows_the_page_again(
    patient: Patient, saved: SavedMethod, desk: Callable[..., JudgingClient]
) -> None:
    staff = desk()
    live_in(staff, patient, "TX")
    page = patient.agreement_page()
    assert clause_on(page) == []
    live_in(staff, patient, "CA")
    answer = patient.client.submit(page, {"agree": "y"}, field="agree")
    assert (answer.status_code, patient.plans()) == (422, 0)
    again = as_page(answer)
    assert clause_on(again) == [CALIFORNIA]
    assert patient.client.submit(again, {"agree": "y"}, field="agree").status_code == 302
    assert clauses_kept(patient) == ["ca-credit-reporting"]


def test_staff_write_down_where_somebody_lives(patient: Patient, desk: Callable[..., JudgingClient]) -> None:
    staff, account = desk(), f"/desk/accounts/{patient.clinic.account(ACCOUNT)}"
    page = staff.page(account)
    assert "In which state they live is not known." in page.text("main")
    assert page.links()["Say which state"] == f"{account}/state"
    assert "Lives in California." in live_in(staff, patient, "CA")
    assert "Nothing was changed" in live_in(staff, patient, "CA")
    assert "Choose a state, or that it is not known." in live_in(staff, patient, "XX")
    assert patient.session.scalar(sa.select(Account.home_state).where(Account.ref == ACCOUNT)) == "CA"
    assert "In which state they live is not known." in live_in(staff, patient, "")
    events = patient.session.scalars(
        sa.select(AuditEvent)
        .where(
            AuditEvent.tag == Tag.ACCOUNT_STATE_CHANGED, AuditEvent.account_id == account_id(patient.session)
        )
        .order_by(AuditEvent.id)
    ).all()
    assert [one.facts for one in events] == [{"before": "", "after": "CA"}, {"before": "CA", "after": ""}]
    assert {one.actor_user_id for one in events} == {patient.clinic.user_id(STAFF)}


def test_agreements_without_are_listed_with_what_to_do(
    patient: Patient, saved: SavedMethod, desk: Callable[..., JudgingClient]
) -> None:
    staff = desk()
    assert "Nothing is missing" in staff.page("/desk/plans?list=clauses").text("main")
    without_clauses(patient)
    assert patient.start(each="60").status_code == 302
    with_clauses(patient, clause())
    start = staff.page("/desk/")
    assert "Plan agreements without a clause of a state’s law: 1" in start.text("main")
    assert "Agreements without one: 1" in staff.page("/desk/plans/clauses").text("main")
    listed = staff.page("/desk/plans?list=clauses")
    words = listed.text("main")
    assert "Testa Demopatient, account JDC-1001" in words
    assert "Nobody said in which state they live" in words
    assert "Missing: California, Cal. Civ. Code § 1785.27(c)" in words
    assert "Missing: Oregon, Washington, An invented law § 1" in words
    assert "To be offered anew" in words
    live_in(staff, patient, "CA")
    listed = staff.page("/desk/plans?list=clauses")
    words = listed.text("main")
    assert "Lives in California" in words
    assert "Oregon" not in words
    # Anew, as it is.
    old = patient.plan_url
    form = staff.page(listed.links()[f"Offer it anew {ACCOUNT}"])
    sent = as_page(staff.submit(form, {}, field="each"))
    assert "$60.00" in sent.text("main")
    assert staff.submit(sent, {"confirmed": "y"}, field="confirmed").status_code == 302
    assert "An offer waits" in staff.page("/desk/plans?list=clauses").text("main")
    offered = patient.client.page(patient.client.page(old).links()["Look at the offer"])
    assert clause_on(offered) == [CALIFORNIA]
    assert patient.client.submit(offered, {"agree": "y"}, field="agree").status_code == 302
    assert clauses_kept(patient) == ["ca-credit-reporting"]
    assert "Nothing is missing" in staff.page("/desk/plans?list=clauses").text("main")
    assert "without a clause" not in staff.page("/desk/").text("main")


def test_ended_plans_without_are_listed_with_what_to_do(
    patient: Patient, saved: SavedMethod, desk: Callable[..., JudgingClient]
) -> None:
    staff = desk()
    assert "Nothing is missing" in staff.page("/desk/plans?list=ended").text("main")
    without_clauses(patient)
    assert patient.start(each="60").status_code == 302
    with_clauses(patient)
    page = patient.client.page(f"{patient.plan_url}/end")
    assert patient.client.submit(page, {}, action="/end").status_code == 302
    assert "Bills still owed under an ended plan without such a clause: 1" in staff.page("/desk/").text("main")
    words = staff.page("/desk/plans/clauses").text("main")
    assert "Ended plans without one whose bills are still owed: 1" in words
    assert "Agreements without one" not in words
    listed = staff.page("/desk/plans?list=ended")
    words = listed.text("main")
    assert "Testa Demopatient, account JDC-1001" in words
    assert "Missing: California, Cal. Civ. Code § 1785.27(c)" in words
    assert re.search(r"Ended on .+; \$[\d.]+ of its bills is due", words)
    assert "Ask the clinic’s counsel" in words
    assert staff.page(listed.links()[f"Offer a new plan {ACCOUNT}"]).form(field="each") is not None
    assert "Nothing is missing" in staff.page("/desk/plans?list=clauses").text("main")


def test_an_ended_plan_owes_a_bill_that_was_put_back_on_it_once(
    patient: Patient, saved: SavedMethod, desk: Callable[..., JudgingClient]
) -> None:
    without_clauses(patient)
    assert patient.start().status_code == 302
    page = patient.client.page(f"{patient.plan_url}/take-out")
    line = page.all("input", name="lines")[0].get("value")
    for act in ("take-out", "add"):
        page = patient.client.page(f"{patient.plan_url}/{act}?go=1&lines={line}")
        assert patient.client.submit(page, {"agree": "y"}, field="agree").status_code == 302
    with_clauses(patient)
    left = patient.last_change().left
    page = patient.client.page(f"{patient.plan_url}/end")
    assert patient.client.submit(page, {}, action="/end").status_code == 302
    words = desk().page("/desk/plans?list=ended").text("main")
    assert f"; ${left.cents / 100:.2f} of its bills is due" in words


def test_a_supervisor_takes_a_state_away_and_puts_it_back(
    patient: Patient, saved: SavedMethod, desk: Callable[..., JudgingClient]
) -> None:
    boss = desk(SUPERVISOR)
    page = boss.page("/desk/plans/clauses")
    assert [text_of(one) for one in page.all("blockquote")] == [CALIFORNIA]
    assert page.all("blockquote")[0].get("lang") == "en"
    wrong = as_page(boss.submit(page, {"state": "TX", "reason": ""}, field="reason"))
    assert "Choose a state." in wrong.text()
    assert "Write why." in wrong.text()
    answer = boss.submit(
        page, {"state": "CA", "reason": "We treat nobody from there."}, field="reason", follow_redirects=True
    )
    words = as_page(answer).text("main")
    assert "We treat nobody from there." in words
    assert "Taken away where no state is known" in words
    assert clause_on(patient.agreement_page()) == []
    live_in(boss, patient, "CA")
    assert clause_on(patient.agreement_page()) == [CALIFORNIA]
    live_in(boss, patient, "")
    twice = boss.submit(page, {"state": "CA", "reason": "Again."}, field="reason", follow_redirects=True)
    assert "was taken away already" in as_page(twice).text()
    back = as_page(boss.submit(as_page(answer), action="/put-back", follow_redirects=True))
    assert "The state is back." in back.text()
    assert clause_on(patient.agreement_page()) == [CALIFORNIA]
    tags = [Tag.CLAUSE_STATE_LEFT_OUT, Tag.CLAUSE_STATE_PUT_BACK]
    patient.session.rollback()
    events = patient.session.scalars(
        sa.select(AuditEvent).where(AuditEvent.tag.in_(tags)).order_by(AuditEvent.id)
    ).all()
    assert [(one.tag, one.actor_user_id) for one in events] == [
        (tag, patient.clinic.user_id(SUPERVISOR)) for tag in tags
    ]
    assert events[0].facts == {"state": "CA", "reason": "We treat nobody from there."}


def test_staff_read_the_clauses_and_take_no_state_away(
    patient: Patient, desk: Callable[..., JudgingClient]
) -> None:
    staff = desk()
    page = staff.page(staff.page("/desk/plans").links()["Clauses"])
    assert "A supervisor can take a state away" in page.text("main")
    assert not page.all("textarea")
    token = staff.page("/desk/plans/clauses").all("input", name="csrf_token")
    data = {"csrf_token": token[0].get("value") if token else "", "state": "CA", "reason": "I may not."}
    assert staff.post("/desk/plans/clauses/leave-out", data=data).status_code == 404
