"""The patient's pages for autopay: turning it on and off, and the link in a notice."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from portal import clock
from portal.accounts.models import Account
from portal.autopay.announcing import announce
from portal.autopay.kinds import AutopayState, ChargeState
from portal.autopay.models import Autopay, AutopayCharge
from portal.money import Money
from portal.notifications.models import Notification
from portal.payments.kinds import ConsentKind
from portal.payments.models import Consent, SavedMethod
from tests.conftest import Clinic
from tests.pages import JudgingClient, Page, as_page, text_of
from tests.web.paying import TESTA

ACCOUNT = "JDC-1001"
SAM = "sam@example.com"


@pytest.fixture
def saved(clinic: Clinic, session: Session) -> SavedMethod:
    """A card that Testa keeps."""
    return _save(session, clinic.user_id(TESTA), "pm_one")


def _save(session: Session, user_id: int, stripe_id: str, expires_on: date | None = None) -> SavedMethod:
    agreed = Consent(
        user_id=user_id,
        kind=ConsentKind.SAVE_METHOD,
        version="1",
        language="en",
        text="Keep it.",
        given_at=clock.now(),
    )
    session.add(agreed)
    session.flush()
    method = SavedMethod(
        user_id=user_id,
        stripe_method_id=stripe_id,
        kind="card",
        issuer="Visa",
        last4="4242",
        expires_on=expires_on or date(2099, 12, 31),
        consent_id=agreed.id,
        saved_at=clock.now(),
    )
    session.add(method)
    session.commit()
    return method


@pytest.fixture
def patient(client: JudgingClient, clinic: Clinic, sign_in: Callable[..., Page]) -> JudgingClient:
    sign_in(client, TESTA)
    return client


def _where(clinic: Clinic) -> str:
    return f"/accounts/{clinic.account(ACCOUNT)}/autopay"


def _agreement(patient: JudgingClient, clinic: Clinic, **fields: str) -> Page:
    """The page with the agreement, as it follows the form."""
    answer = patient.submit(patient.page(_where(clinic)), {"cap": "500", **fields}, field="cap")
    assert answer.status_code == 200
    return as_page(answer)


def _on(patient: JudgingClient, clinic: Clinic, **fields: str) -> TestResponse:
    return patient.submit(_agreement(patient, clinic, **fields), {"agree": "y"}, field="agree")


def _terms(page: Page) -> str:
    """The agreement that a page shows, in the form in which it is kept."""
    (shown,) = page.all("section", class_="terms")
    return "\n\n".join(text_of(one) for one in shown.iter() if one.tag == "p")


def _autopays(session: Session) -> list[Autopay]:
    session.rollback()
    return list(session.scalars(sa.select(Autopay).order_by(Autopay.id)))


def test_without_a_method_it_says_where_to_add_one(patient: JudgingClient, clinic: Clinic) -> None:
    page = patient.page(_where(clinic))
    assert "Save a card or bank account first" in page.text()
    assert page.all("form", action=f"{_where(clinic)}") == []


def test_on_and_off(patient: JudgingClient, clinic: Clinic, session: Session, saved: SavedMethod) -> None:
    assert _on(patient, clinic).status_code == 302
    (autopay,) = _autopays(session)
    assert (autopay.cap, autopay.method_id, autopay.state) == (Money(50_000), saved.id, AutopayState.ACTIVE)
    text = session.get_one(Consent, autopay.consent_id).text
    assert "Visa ending 4242" in text
    assert "$500.00" in text
    assert "Juniper Demo Clinic" in text
    page = patient.page(_where(clinic))
    assert "Autopay is on" in page.text()
    answer = patient.submit(page, action="/stop")
    assert answer.status_code == 302
    assert [one.state for one in _autopays(session)] == [AutopayState.STOPPED]
    assert "Continue to the agreement" in patient.page(_where(clinic)).text()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("card", "The card does not have enough money available. Try another card"),
        ("us_bank_account", "There was not enough money in the bank account. Pay when there is"),
    ],
)
def test_a_charge_that_failed_says_why_and_what_to_do(
    patient: JudgingClient, clinic: Clinic, session: Session, saved: SavedMethod, kind: str, words: str
) -> None:
    """Also after autopay has ended, when there is no method to ask."""
    _on(patient, clinic)
    (autopay,) = _autopays(session)
    session.add(
        AutopayCharge(
            autopay_id=autopay.id,
            amount=Money(2_500),
            state=ChargeState.FAILED,
            noticed_at=clock.now(),
            charge_on=date(2026, 11, 30),
            failure_code="insufficient_funds",
        )
    )
    session.execute(sa.update(SavedMethod).where(SavedMethod.id == saved.id).values(kind=kind))
    session.commit()
    page = patient.page(_where(clinic))
    assert words in page.text("main")
    assert "You have not been charged." in page.text("main")
    patient.submit(page, action="/stop")
    assert words in patient.page(_where(clinic)).text("main")


def test_what_is_kept_and_mailed_is_what_was_shown(
    patient: JudgingClient, clinic: Clinic, session: Session, saved: SavedMethod
) -> None:
    """To the letter: the method and the limit are in the text before anybody agrees to it."""
    page = _agreement(patient, clinic)
    assert [words in _terms(page) for words in ("Visa ending 4242", "$500.00", "Juniper Demo Clinic")] == [True] * 3
    assert patient.submit(page, {"agree": "y"}, field="agree").status_code == 302
    (autopay,) = _autopays(session)
    kept = session.get_one(Consent, autopay.consent_id).text
    assert kept == _terms(page)
    assert re.findall(r"%\(|[{}]|limit above", kept) == []
    mail = session.scalars(sa.select(Notification).where(Notification.key.endswith("/copy"))).one()
    assert mail.body.partition("\n\n")[2] == kept


def test_without_the_tick_nothing_starts_and_the_agreement_is_shown_again(
    patient: JudgingClient, clinic: Clinic, session: Session, saved: SavedMethod
) -> None:
    page = _agreement(patient, clinic)
    answer = patient.submit(page, field="agree")
    assert answer.status_code == 422
    again = as_page(answer)
    assert "autopay stays off" in again.text()
    assert _terms(again) == _terms(page)
    assert _autopays(session) == []
    assert patient.submit(again, {"agree": "y"}, field="agree").status_code == 302


def test_nobody_agrees_to_another_text_than_they_read(
    patient: JudgingClient, clinic: Clinic, session: Session, saved: SavedMethod
) -> None:
    """The limit, or the method's name, is another one when the form comes back: it is shown again instead."""
    page = _agreement(patient, clinic)
    other = patient.submit(page, {"agree": "y", "cap": "5000"}, field="agree")
    assert other.status_code == 422
    saved.label = "Joint card"
    session.commit()
    answer = patient.submit(page, {"agree": "y"}, field="agree")
    assert answer.status_code == 422
    again = as_page(answer)
    assert "The agreement has changed" in again.text()
    assert "Joint card" in _terms(again)
    assert _autopays(session) == []
    assert patient.submit(again, {"agree": "y"}, field="agree").status_code == 302
    assert len(_autopays(session)) == 1


@pytest.mark.parametrize("agreeing", [False, True], ids=["first", "agreeing"])
@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"cap": ""}, "Write the most we may charge"),
        ({"cap": "0.10"}, "at least $0.50"),
        ({"cap": "lots"}, "in dollars and cents"),
        ({"method": "0" * 32}, "Choose one of your saved"),
    ],
)
def test_what_is_missing_is_said(
    patient: JudgingClient,
    clinic: Clinic,
    session: Session,
    saved: SavedMethod,
    fields: dict[str, str],
    words: str,
    agreeing: bool,
) -> None:
    page = patient.page(_where(clinic))
    given = {"cap": "500", "method": saved.public_id, **({"agree": "y", "seen": "x"} if agreeing else {}), **fields}
    token = page.all("input", name="csrf_token")[0].get("value")
    answer = patient.post(
        _where(clinic), data={"csrf_token": token, **{name: value for name, value in given.items() if value}}
    )
    assert answer.status_code == 422
    assert words in answer.get_data(as_text=True).replace("&#39;", "'")
    assert _autopays(session) == []


def test_another_persons_method_is_not_there(
    patient: JudgingClient, clinic: Clinic, session: Session, saved: SavedMethod
) -> None:
    foreign = _save(session, clinic.user_id(SAM), "pm_two")
    page = patient.page(_where(clinic))
    assert foreign.public_id not in str(page.text())
    token = page.all("input", name="csrf_token")[0].get("value")
    answer = patient.post(
        _where(clinic), data={"csrf_token": token, "cap": "5", "agree": "y", "seen": "", "method": foreign.public_id}
    )
    assert answer.status_code == 422
    assert "Choose one of your saved" in answer.text
    assert _autopays(session) == []


def test_an_expired_card_is_not_offered(patient: JudgingClient, clinic: Clinic, session: Session) -> None:
    _save(session, clinic.user_id(TESTA), "pm_old", date(2020, 1, 31))
    assert "Save a card or bank account first" in patient.page(_where(clinic)).text()


def _announced(app: Flask, session: Session, autopay: Autopay) -> AutopayCharge:
    with app.app_context():
        announce(
            session,
            autopay_id=autopay.id,
            today=clock.today("America/Chicago"),
            stop_url=lambda one: f"http://localhost/autopay/stop/{one}",
        )
    return session.scalars(sa.select(AutopayCharge)).one()


def test_the_notices_link_stops_it_without_signing_in(
    patient: JudgingClient, clinic: Clinic, session: Session, saved: SavedMethod, app: Flask
) -> None:
    _on(patient, clinic)
    charge = _announced(app, session, _autopays(session)[0])
    mail = session.scalars(sa.select(Notification).where(Notification.key.contains("/notice/"))).one()
    link = next(word for word in mail.body.split() if "/autopay/stop/" in word).removeprefix("http://localhost")
    assert charge.public_id in link
    stranger = app.test_client()
    assert isinstance(stranger, JudgingClient)
    page = stranger.page(link)
    assert str(charge.amount) in page.text()
    for secret in ("Testa", "Demopatient", "JDC", "4242"):
        assert secret not in page.text()
    session.expire_all()
    assert _autopays(session)[0].state is AutopayState.ACTIVE, "opening the link changes nothing"
    assert stranger.submit(page, action=link).status_code == 302
    assert _autopays(session)[0].state is AutopayState.STOPPED
    assert session.get_one(AutopayCharge, charge.id, populate_existing=True).state is ChargeState.STOPPED
    assert "Autopay is off" in stranger.page(link).text()


def test_an_unknown_notice_is_not_there(client: JudgingClient, clinic: Clinic) -> None:
    assert client.get(f"/autopay/stop/{'0' * 32}").status_code == 404


def test_the_start_page_tells_of_the_next_charge(
    patient: JudgingClient, clinic: Clinic, session: Session, saved: SavedMethod, app: Flask
) -> None:
    assert "autopay" in patient.page("/").text().lower()
    _on(patient, clinic)
    charge = _announced(app, session, _autopays(session)[0])
    assert f"Autopay will charge up to {charge.amount}" in patient.page("/").text()


def test_one_account_one_autopay(
    patient: JudgingClient, clinic: Clinic, session: Session, saved: SavedMethod
) -> None:
    """Two tabs: the second form finds it on already."""
    page = _agreement(patient, clinic)
    for _tab in range(2):
        assert patient.submit(page, {"agree": "y"}, field="agree").status_code == 302
    assert len(_autopays(session)) == 1


def test_somebody_elses_autopay_is_told_and_not_stopped(
    patient: JudgingClient, clinic: Clinic, session: Session, saved: SavedMethod
) -> None:
    foreign = _save(session, clinic.user_id(SAM), "pm_three")
    session.add(
        Autopay(
            account_id=session.scalars(sa.select(Account.id).where(Account.ref == ACCOUNT)).one(),
            user_id=clinic.user_id(SAM),
            method_id=foreign.id,
            cap=Money(100),
            consent_id=foreign.consent_id,
            started_at=clock.now(),
            checked_at=clock.now(),
        )
    )
    session.commit()
    page = patient.page(_where(clinic))
    assert "Somebody else" in page.text()
    token = patient.page("/").all("input", name="csrf_token")[0].get("value")
    assert patient.post(_where(clinic) + "/stop", data={"csrf_token": token}).status_code == 404
    assert [one.state for one in _autopays(session)] == [AutopayState.ACTIVE]
