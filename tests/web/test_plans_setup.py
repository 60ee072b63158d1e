"""Setting a plan up in the browser without scripts: the control, the agreement, an offer of the staff."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from portal import clock
from portal.billing.kinds import HoldReason
from portal.billing.service import place_hold
from portal.documents.models import Document
from portal.money import Money
from portal.payments.models import Consent, SavedMethod
from portal.plans.agreeing.agreement import VERSION
from portal.plans.agreeing.enrollment import propose
from portal.plans.kinds import Frequency, PlanState
from portal.plans.models import Plan
from portal.plans.rules.policy import Discount, states
from portal.plans.rules.schedule import Rhythm
from tests.conftest import Clinic
from tests.pages import JudgingClient, Page, as_page
from tests.web.paying import TESTA
from tests.web.planning import Patient, account_id, amounts_in, save_method, terms_on

SAM = "sam@example.com"


@pytest.fixture
def patient(
    client: JudgingClient, clinic: Clinic, session: Session, app: Flask, sign_in: Callable[..., Page]
) -> Patient:
    sign_in(client, TESTA)
    return Patient(client, clinic, session, app)


@pytest.fixture
def hospital(patient: Patient) -> None:
    """The clinic is a hospital of Colorado."""
    policy = patient.app.extensions["plainbill_policy"]
    patient.app.extensions["plainbill_policy"] = replace(policy, rule=states()["CO"])


@pytest.fixture
def saved(clinic: Clinic, session: Session) -> SavedMethod:
    return save_method(session, clinic.user_id(TESTA))


def total_of(page: Page) -> int:
    return sum(round(float(one.strip("$").replace(",", "")) * 100) for one in amounts_in(page, "Your payments")[:-1])


def test_every_way_leads_to_it(patient: Patient) -> None:
    home = patient.client.page("/")
    assert home.links()["Pay in installments"] == patient.setup_url
    visit = patient.client.page(next(link for link in home.links().values() if link.startswith("/visits/")))
    choose = patient.client.page(f"/accounts/{patient.clinic.account(patient.ref)}/pay")
    assert patient.setup_url in [*visit.links().values(), *choose.links().values()]
    assert choose.links()["Is it too much at once? Pay in installments"] == patient.setup_url


def test_the_whole_schedule_is_there_at_once(patient: Patient) -> None:
    page = patient.client.page(patient.setup_url)
    shown = amounts_in(page, "Your payments")
    assert len(shown) == 7  # as long as the policy lets it be, and the total
    assert total_of(page) == round(float(shown[-1].strip("$")) * 100)
    for words in ("6 payments of $41.39", "The last one is $41.37", "It costs you nothing: no interest, no fee"):
        assert words in page.text()
    assert page.text().index("financial assistance") < page.text().index("How much at a time?")


@pytest.mark.parametrize(
    ("query", "count", "first", "last"),
    [
        ({"each": "100"}, 3, "$100.00", "$48.32"),
        ({"by": "count", "count": "4"}, 4, "$62.08", "$62.08"),
        ({"by": "count", "count": "5"}, 5, "$49.67", "$49.64"),
        ({"each": "5000"}, 1, "$248.32", "$248.32"),
        ({"frequency": "weekly", "weekday": "2", "each": "30"}, 9, "$30.00", "$8.32"),
        ({"frequency": "two_weekly", "weekday": "0", "each": "124.16"}, 2, "$124.16", "$124.16"),
    ],
)
def test_one_control_makes_the_schedule(
    patient: Patient, query: dict[str, str], count: int, first: str, last: str
) -> None:
    page = patient.asked(**query)
    shown = amounts_in(page, "Your payments")
    assert (len(shown) - 1, shown[0], shown[-2], shown[-1]) == (count, first, last, "$248.32")


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"each": "24.99"}, "Each payment has to be at least $25.00."),
        ({"each": "0"}, "Each payment has to be at least $25.00."),
        ({"each": "-50"}, "Each payment has to be at least $25.00."),
        ({"each": "30"}, "at most 6 payments are possible. Choose $41.39 or more"),
        ({"by": "count", "count": "9"}, "At most 6 payments are possible"),
        ({"by": "count", "count": "0"}, "Write a number like 6."),
        ({"by": "count", "count": "many"}, "integer"),
        ({"each": "lots"}, "in dollars and cents"),
        ({"frequency": "daily"}, "Not a valid choice"),
        ({"day": "31"}, "Not a valid choice"),
        ({"lines": ["-", "x"]}, "Choose at least one charge"),
        ({"count": "9" * 6000}, ""),
    ],
)
def test_what_is_not_possible_is_said(patient: Patient, query: dict[str, Any], words: str) -> None:
    page = patient.asked(**query)
    assert words in page.text()
    assert words == "" or "Continue with this plan" not in page.text()
    assert patient.plans() == 0


def test_too_little_for_a_plan_says_so(patient: Patient) -> None:
    line = patient.client.page(patient.setup_url).all("input", name="lines")[0].get("value")
    page = patient.asked(lines=[line])
    assert "A plan is for $50.00 or more" in page.text()
    patient.app.extensions["plainbill_policy"] = replace(
        patient.app.extensions["plainbill_policy"], smallest_balance=Money(900_00)
    )
    page = patient.client.page(patient.setup_url)
    assert "This is too little for a plan" in page.text()
    assert page.all("form", id="plan-form") == []


def test_help_and_discounts_come_before_the_plan(patient: Patient) -> None:
    patient.app.extensions["plainbill_policy"] = replace(
        patient.app.extensions["plainbill_policy"],
        assistance_url="https://clinic.example/help",
        discounts=(
            Discount(Money(200_00), "Pay at once and we take 10 % off."),
            Discount(Money(900_00), "Not for you."),
        ),
    )
    page = patient.client.page(patient.setup_url)
    assert page.links()["See if you can get financial assistance"] == "https://clinic.example/help"
    assert "we take 10 % off" in page.text()
    assert "Not for you" not in page.text()


def test_what_is_kept_is_what_was_shown(patient: Patient, saved: SavedMethod) -> None:
    """To the letter: text, version, time and address; and the document stays."""
    page = patient.agreement_page()
    text = terms_on(page)
    for words in ("Visa ending 4242", "$248.32", "Juniper Demo Clinic", "every month on the 15th"):
        assert words in text
    assert patient.client.submit(page, {"agree": "y"}, field="agree").status_code == 302
    change = patient.last_change()
    consent = patient.session.get_one(Consent, change.consent_id)
    assert consent.text == text
    assert (consent.version, consent.address, consent.user_id) == (VERSION, "127.0.0.1", patient.plan().user_id)
    assert abs(consent.given_at - clock.now()) < timedelta(minutes=5)
    document = patient.session.get_one(Document, change.document_id)
    link = patient.client.page(patient.plan_url).links()
    pdf = next(href for words, href in link.items() if words.startswith("What you agreed to (PDF)"))
    answer = patient.client.get(pdf)
    assert (answer.status_code, answer.mimetype, answer.data) == (200, "application/pdf", document.content)


@pytest.mark.parametrize(("count", "disclosed"), [(4, False), (5, True)])
def test_more_than_four_payments_are_disclosed(
    patient: Patient, saved: SavedMethod, count: int, disclosed: bool
) -> None:
    """12 CFR 1026.2(a)(17): credit payable in more than four installments."""
    text = terms_on(patient.agreement_page(by="count", count=str(count)))
    assert ("Finance charge (the dollar amount the credit will cost you): $0.00" in text) is disclosed
    assert ("Annual percentage rate" in text) is disclosed


def test_without_the_tick_there_is_no_plan(patient: Patient, saved: SavedMethod) -> None:
    page = patient.agreement_page()
    answer = patient.client.submit(page, field="agree")
    assert answer.status_code == 422
    assert "Without it, there is no plan" in as_page(answer).text()
    assert terms_on(as_page(answer)) == terms_on(page)
    assert patient.plans() == 0


def test_sent_twice_it_is_one_plan(patient: Patient, saved: SavedMethod, woken: list[str]) -> None:
    page = patient.agreement_page()
    for _tab in range(2):
        assert patient.client.submit(page, {"agree": "y"}, field="agree").status_code == 302
    assert patient.plans() == 1
    assert woken.count("plans.run_due") == 1
    assert "Your payment plan" in patient.client.page(patient.setup_url).text("h1")


def test_a_bill_that_changed_is_looked_at_again(patient: Patient, saved: SavedMethod) -> None:
    """A line goes on hold while the page is open: that plan is gone, and nothing is agreed to."""
    setup = patient.asked()
    page = patient.client.page(setup.links()["Continue with this plan"])
    charge_id, account = patient.charge(setup)
    place_hold(patient.session, charge_id=charge_id, account_id=account, reason=HoldReason.STAFF)
    patient.session.commit()
    answer = patient.client.submit(page, {"agree": "y"}, field="agree", follow_redirects=True)
    assert "this plan is not possible any more" in as_page(answer).text()
    assert patient.plans() == 0


def test_nobody_agrees_to_another_text_than_they_read(
    patient: Patient, saved: SavedMethod, session: Session, clinic: Clinic
) -> None:
    """The card was removed, and another one is the first now: its name was not in what was read."""
    page = patient.agreement_page()
    save_method(session, clinic.user_id(TESTA), "pm_two", last4="1881")
    saved.removed_at = clock.now()
    session.commit()
    answer = patient.client.submit(page, {"agree": "y"}, field="agree")
    assert answer.status_code == 422
    again = as_page(answer)
    assert "Something has changed" in again.text()
    assert "Visa ending 1881" in terms_on(again)
    assert patient.plans() == 0
    assert patient.client.submit(again, {"agree": "y"}, field="agree").status_code == 302
    assert patient.plans() == 1


def test_another_method_is_chosen_without_scripts(
    patient: Patient, saved: SavedMethod, session: Session, clinic: Clinic
) -> None:
    other = save_method(session, clinic.user_id(TESTA), "pm_two", last4="1881")
    other_id, other_row = other.public_id, other.id
    session.commit()
    page = patient.agreement_page()
    page = as_page(patient.client.submit(page, {"method": other_id}, field="method"))
    assert "Visa ending 1881" in terms_on(page)
    assert patient.client.submit(page, {"agree": "y"}, field="agree").status_code == 302
    assert patient.plan().method_id == other_row


def test_without_a_method_the_way_leads_back(patient: Patient, session: Session, clinic: Clinic) -> None:
    save_method(session, clinic.user_id(TESTA), "pm_old", expires_on=date(2020, 1, 31))  # expired: as good as none
    page = patient.agreement_page()
    assert "One thing is missing" in page.text()
    assert page.all("section", class_="terms") == []
    patient.client.page(page.links()["Add a card or bank account"])
    with patient.client.session_transaction() as kept:
        assert kept["after_saving_method"].startswith(f"{patient.setup_url}/agree?each=5000&")


@pytest.mark.parametrize(
    "back", ["https://evil.example/", "//evil.example", "/methods", "/plans/../desk", "/plans/x\n"]
)
def test_the_way_back_is_one_of_our_pages(patient: Patient, back: str) -> None:
    patient.client.get("/methods/new", query_string={"back": back})
    with patient.client.session_transaction() as kept:
        assert "after_saving_method" not in kept


@pytest.mark.parametrize(
    "query",
    ["", "each=5000", "each=x&frequency=monthly&day=1", "each=5000&frequency=daily&day=1",
     "each=0&frequency=monthly&day=15", "each=5000&frequency=weekly&day=9"],
)  # fmt: skip
def test_an_address_that_says_no_plan_leads_to_the_choice(patient: Patient, saved: SavedMethod, query: str) -> None:
    answer = patient.client.get(f"{patient.setup_url}/agree?{query}")
    assert (answer.status_code, answer.location) == (302, patient.setup_url)


def test_lines_of_somebody_else_make_no_plan(patient: Patient, saved: SavedMethod, clinic: Clinic) -> None:
    foreign = clinic.charge("V-260712-1", "99283")
    answer = patient.client.get(
        f"{patient.setup_url}/agree", query_string={"each": 5000, "frequency": "monthly", "day": 15, "lines": [foreign]}
    )
    assert answer.status_code == 302
    assert patient.plans() == 0


@pytest.mark.usefixtures("hospital")
def test_an_income_lowers_what_may_be_asked(patient: Patient, saved: SavedMethod) -> None:
    """Colorado: at most 4 % of a household's income a month, however short the policy's own plans are."""
    assert states()["CO"].most_share_of_income == Decimal("0.04")
    page = patient.client.page(patient.setup_url)
    answer = patient.client.submit(page, {"income": "500"}, field="income", follow_redirects=True)
    page = as_page(answer)
    assert "income" not in answer.request.url
    assert "You told us $500.00 a month" in page.text()
    assert "13 payments of $20.00" in patient.asked(each="20").text()
    assert "at most $20.00 each time, by your household’s income" in patient.asked(each="50").text()
    assert patient.start(each="20").status_code == 302
    assert len(patient.coming()) == 13
    with patient.client.session_transaction() as kept:
        assert "plan_income_cents" not in kept


@pytest.mark.usefixtures("hospital")
def test_the_laws_cap_stays_with_the_plan(patient: Patient, saved: SavedMethod, clinic: Clinic) -> None:
    """The income is forgotten, and what came of it binds every change."""
    patient.client.submit(patient.client.page(patient.setup_url), {"income": "500"}, field="income")
    lines = [one.get("value") for one in patient.client.page(patient.setup_url).all("input", name="lines")]
    assert patient.start(each="20", lines=lines[1:]).status_code == 302
    assert patient.plan().month_cap == Money(2_000)
    page = patient.client.page(f"{patient.plan_url}/amount")
    assert "By law we may ask for at most $20.00 each time." in page.text()
    more = patient.client.page(f"{patient.plan_url}/amount?amount=20.01")
    assert "at most $20.00 each time, by your household’s income" in more.text()
    assert not more.all("input", name="agree")
    added = patient.client.page(f"{patient.plan_url}/add?go=1&" + "&".join(f"lines={one}" for one in lines[:1]))
    assert "13 payments of $20.00" in added.text()  # longer, and not more at a time
    weekly = patient.client.page(f"{patient.plan_url}/day?frequency=weekly&day=15&weekday=2")
    assert "payments of $4.00" in weekly.text()


@pytest.mark.usefixtures("hospital")
def test_an_income_that_no_plan_fits_leads_to_a_person(patient: Patient) -> None:
    patient.client.submit(patient.client.page(patient.setup_url), {"income": "100"}, field="income")
    assert "Please send us a message" in patient.client.page(patient.setup_url).text()
    patient.client.submit(patient.client.page(patient.setup_url), {"income": "0"}, field="income")
    assert "You told us $0.00 a month" in patient.client.page(patient.setup_url).text()
    assert "Please send us a message" in patient.client.page(patient.setup_url).text()
    patient.client.submit(patient.client.page(patient.setup_url), {"income": "175"}, field="income")
    assert "Choose every month." in patient.asked(frequency="weekly", weekday="2", each="1.40").text()
    patient.client.submit(patient.client.page(patient.setup_url), {"income": "much"}, field="income")
    assert "Write your income in dollars" in patient.client.page(patient.setup_url).text()


def propose_to(
    patient: Patient,
    each: int = 1_000,
    user_id: int | None = None,
    *,
    replaces: bool = False,
    month_cap: Money | None = None,
) -> Plan:
    """The staff offer Testa a plan that exceeds the policy."""
    with patient.app.app_context():
        propose(
            patient.session,
            account_id=account_id(patient.session),
            user_id=user_id or patient.clinic.user_id(TESTA),
            staff_user_id=patient.clinic.user_id("staff@example.com"),
            charge_ids=None,
            each=Money(each),
            rhythm=Rhythm(Frequency.MONTHLY, 10),
            reason="Agreed on the phone.",
            is_supervisor=True,
            conditions=patient.conditions,
            replaces=replaces,
            month_cap=month_cap,
        )
    return patient.plan()


@pytest.mark.usefixtures("hospital")
def test_an_offer_says_what_the_law_asks_and_keeps_to_it(patient: Patient, saved: SavedMethod) -> None:
    address = f"/plans/{propose_to(patient, each=5_000).public_id}/offer"
    open_offer = patient.client.page(address)
    assert "at most 4 % of your household’s monthly income" in open_offer.text()
    assert "If these payments are more than that for you" in open_offer.text()
    # Their income was told meanwhile: the offer asks for more than is allowed, and can't be agreed to.
    patient.client.submit(patient.client.page(patient.setup_url), {"income": "500"}, field="income")
    gone = patient.client.page(address)
    assert "at most $20.00 each time, by your household’s income" in gone.text()
    assert "The plan we offered asks for more than that." in gone.text()
    patient.client.submit(open_offer, {"agree": "y"}, field="agree")
    assert patient.plan().state is PlanState.PROPOSED
    # Nor does it in more payments than the law counts, whatever the staff may exceed.
    small = propose_to(patient, each=500)
    longer = patient.client.page(f"/plans/{small.public_id}/offer")
    assert "By law it has to be paid in at most 36 payments." in longer.text()
    # What the staff knew holds as well, and the stricter of the two.
    kept = propose_to(patient, each=1_500, month_cap=Money(1_500))
    page = patient.client.page(f"/plans/{kept.public_id}/offer")
    assert "For you that is at most $15.00 a month, and this plan keeps to it." in page.text()
    assert patient.client.submit(page, {"agree": "y"}, field="agree").status_code == 302
    assert (patient.plan().state, patient.plan().month_cap) == (PlanState.ACTIVE, Money(1_500))


def test_an_offer_begins_with_a_yes(patient: Patient, saved: SavedMethod) -> None:
    plan = propose_to(patient)
    link = patient.client.page("/").links()["Look at the offer"]
    assert link == patient.client.page(patient.setup_url).links()["Look at the offer"]
    page = patient.client.page(link)
    assert "25 payments of $10.00" in page.text()
    assert "It begins only if you agree" in page.text()
    assert patient.plan().state is PlanState.PROPOSED
    assert patient.client.submit(page, {"agree": "y"}, field="agree").status_code == 302
    assert (patient.plan().public_id, patient.plan().state) == (plan.public_id, PlanState.ACTIVE)
    assert len(patient.coming()) == 25
    assert patient.session.get_one(Consent, patient.last_change().consent_id).text == terms_on(page)
    assert patient.client.get(link).location == patient.plan_url


def test_an_offer_is_turned_down(patient: Patient, saved: SavedMethod) -> None:
    propose_to(patient)
    page = patient.client.page("/plans/" + patient.plan().public_id + "/offer")
    assert patient.client.submit(page, action="/no-thank-you").status_code == 302
    assert patient.plan().state is PlanState.DECLINED
    assert "Look at the offer" not in patient.client.page("/").text()
    assert "Not taken up" in patient.client.page(patient.plan_url).text()
    answer = patient.client.submit(page, {"agree": "y"}, field="agree", follow_redirects=True)
    assert patient.plan().state is PlanState.DECLINED, as_page(answer).text()
    assert "This offer is not open any more. Nothing was started." in as_page(answer).text()
    assert "You said no to this offer." in as_page(answer).text("main")


@pytest.mark.parametrize(
    "again",
    [{"fields": {"agree": "y"}, "field": "agree"}, {"field": "agree"}, {"action": "/no-thank-you"}],
    ids=["twice", "without-the-tick", "no"],
)
def test_an_offer_that_was_agreed_to_says_so(patient: Patient, saved: SavedMethod, again: dict[str, Any]) -> None:
    """The button pressed twice, or "no" in another tab."""
    page = patient.client.page(f"/plans/{propose_to(patient).public_id}/offer")
    assert patient.client.submit(page, {"agree": "y"}, field="agree").status_code == 302
    answer = as_page(patient.client.submit(page, follow_redirects=True, **again))
    assert "You have agreed to this plan already." in answer.text()
    assert "not open any more" not in answer.text()
    assert (patient.plan().state, patient.plans()) == (PlanState.ACTIVE, 1)


def test_an_offer_leaves_out_what_can_not_be_paid_any_more(patient: Patient, saved: SavedMethod) -> None:
    setup = patient.client.page(patient.setup_url)
    lines = len(setup.all("input", name="lines"))
    propose_to(patient)
    for place in range(lines):
        charge_id, account = patient.charge(setup, place)
        place_hold(patient.session, charge_id=charge_id, account_id=account, reason=HoldReason.STAFF)
        patient.session.commit()
        page = patient.client.page(f"/plans/{patient.plan().public_id}/offer")
        if place + 1 < lines:
            assert amounts_in(page, "Your payments")[-1] != "$248.32"
    assert "This offer is not possible any more" in page.text("h1")


def test_an_offer_in_the_place_of_a_plan_is_told_of_on_its_page(patient: Patient, saved: SavedMethod) -> None:
    assert patient.start().status_code == 302
    running, address = patient.plan(), patient.plan_url
    propose_to(patient, replaces=True)
    told = patient.client.page(address)
    assert "offers you another plan" in told.text()
    page = patient.client.page(told.links()["Look at the offer"])
    assert "it takes the place of the plan you have now" in page.text()
    assert amounts_in(page, "Your payments")[-1] == "$248.32"
    assert patient.client.submit(page, {"agree": "y"}, field="agree").status_code == 302
    assert patient.plan().state is PlanState.ACTIVE
    patient.session.refresh(running)
    assert (running.state, running.end_reason) == (PlanState.CANCELED, "replaced")
    assert "offers you another plan" not in patient.client.page(address).text()


def test_an_offer_waits_while_a_payment_of_the_plan_it_replaces_is_made(patient: Patient, saved: SavedMethod) -> None:
    assert patient.start().status_code == 302
    running = patient.plan()
    offer = propose_to(patient, replaces=True)
    page = patient.client.page(f"/plans/{offer.public_id}/offer")
    pay = patient.client.page(f"/plans/{running.public_id}/pay-next")
    assert patient.client.submit(pay, field="seen").status_code == 302
    answer = patient.client.submit(page, {"agree": "y"}, field="agree")
    assert answer.status_code == 422
    assert "A payment of this plan is being made right now. Please try again" in as_page(answer).text()
    patient.session.refresh(running)
    assert (running.state, patient.plan().state) == (PlanState.ACTIVE, PlanState.PROPOSED)


def test_a_plan_of_somebody_else_is_told_of_and_no_more(
    patient: Patient, session: Session, clinic: Clinic, saved: SavedMethod
) -> None:
    """Two people look after the account; the plan is the other one's."""
    assert patient.start().status_code == 302
    plan = patient.plan()
    address = patient.plan_url
    plan.user_id = clinic.user_id(SAM)
    session.commit()
    page = patient.client.page(patient.setup_url)
    assert "Somebody else who looks after this account" in page.text()
    assert patient.client.get(address).status_code == 404
    home = patient.client.page("/")
    assert "is paid by the payment plan of somebody else" in home.text()
    assert address not in home.html
