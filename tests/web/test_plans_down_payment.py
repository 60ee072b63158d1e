"""A down payment on the pages: what is paid today, what later, and that as many payments are made as were asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from portal import clock
from portal.payments.models import SavedMethod
from portal.web.templating import day
from tests.conftest import Clinic
from tests.pages import JudgingClient, Page, text_of
from tests.web.paying import TESTA
from tests.web.planning import Patient, amounts_in, days_in, save_method, terms_on


@pytest.fixture
def patient(
    client: JudgingClient, clinic: Clinic, session: Session, app: Flask, sign_in: Callable[..., Page]
) -> Patient:
    """The policy asks for a fifth at once: $49.67 of $248.32."""
    sign_in(client, TESTA)
    found = Patient(client, clinic, session, app)
    ask_for(found, 20)
    return found


@pytest.fixture
def saved(clinic: Clinic, session: Session) -> SavedMethod:
    return save_method(session, clinic.user_id(TESTA))


def ask_for(patient: Patient, percent: int) -> None:
    policy = patient.app.extensions["plainbill_policy"]
    patient.app.extensions["plainbill_policy"] = replace(policy, down_payment_percent=percent)


def written(patient: Patient) -> str:
    with patient.app.test_request_context():
        return day(patient.conditions.today)


def in_words(page: Page) -> str:
    (said,) = page.all("p", class_="plan-sum")
    return text_of(said)


def control(page: Page, name: str) -> str:
    (found,) = page.all("input", name=name)
    return found.get("value") or ""


@pytest.mark.parametrize(
    ("query", "words", "amounts"),
    [
        ({"each": "100"}, "$49.67 today, then 2 payments of $100.00, every month on the 15th",
         ["$49.67", "$100.00", "$98.65"]),
        ({"each": "150"}, "$49.67 today, then 2 payments of $150.00, every month on the 15th",
         ["$49.67", "$150.00", "$48.65"]),
        ({"each": "200"}, "$49.67 today, then 1 payment of $198.65, on ", ["$49.67", "$198.65"]),
        ({"by": "count", "count": "4"}, "$49.67 today, then 4 payments of $49.67, every month on the 15th",
         ["$49.67", "$49.67", "$49.67", "$49.67", "$49.64"]),
    ],
)  # fmt: skip
def test_what_is_paid_today_and_what_later_is_said_in_words(
    patient: Patient, saved: SavedMethod, query: dict[str, str], words: str, amounts: list[str]
) -> None:
    setup = patient.asked(**query)
    agree = patient.client.page(setup.links()["Continue with this plan"])
    for page in (setup, agree):
        assert in_words(page).startswith(words)
        assert amounts_in(page, "Your payments") == [*amounts, "$248.32"]
        days = days_in(page, "Your payments")
        assert days[0] == written(patient) != days[1]
        if len(days) > 2:
            assert f"The first is on {days[1]} and the last on {days[-1]}." in page.text()
        else:
            assert in_words(page).endswith(days[1])
            assert "The first is on" not in page.text()
    assert f"Payments: {days[0]}: {amounts[0]} (down payment); {days[1]}: {amounts[1]}" in terms_on(agree)


def test_as_many_payments_as_were_asked_for_however_often_they_are_shown(patient: Patient) -> None:
    """Both controls say what came of it, and asking again with them asks for the same."""
    page = patient.asked(by="count", count="3")
    for _look in range(3):
        assert in_words(page).startswith("$49.67 today, then 3 payments of $66.22")
        assert (control(page, "count"), control(page, "each")) == ("3", "66.22")
        page = patient.asked(by="count", count=control(page, "count"), each=control(page, "each"))
    assert control(patient.asked(by="count", count="1"), "count") == "1"


@pytest.mark.parametrize(("percent", "count"), [(0, "3"), (20, "2")])
def test_an_amount_says_how_many_payments_it_makes(patient: Patient, percent: int, count: str) -> None:
    """The number that stood there before goes with the form, and is not the one in use."""
    ask_for(patient, percent)
    page = patient.asked(by="amount", each="100", count="6")
    assert (control(page, "each"), control(page, "count")) == ("100.00", count)
    assert f"{count} payments of $100.00" in in_words(page)


def test_without_a_down_payment_nothing_is_said_of_today(patient: Patient, saved: SavedMethod) -> None:
    ask_for(patient, 0)
    for page in (patient.asked(each="100"), patient.agreement_page(each="100")):
        assert in_words(page) == "3 payments of $100.00, every month on the 15th"
        assert f"The first is on {days_in(page, 'Your payments')[0]} " in page.text()


def test_what_is_agreed_to_is_due_today(patient: Patient, saved: SavedMethod, woken: list[str]) -> None:
    assert patient.start(each="100").status_code == 302
    today = clock.today("America/Chicago")
    coming = patient.coming()
    assert coming[0] == (today, 4_967)
    assert [cents for _on, cents in coming[1:]] == [10_000, 9_865]
    assert all(on > today for on, _cents in coming[1:])
    assert "plans.run_due" in woken  # it is charged now, and not within the minute
