"""Asking the billing staff, as a patient does it."""

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from portal.db import new_public_id
from portal.messages.kinds import ThreadState
from portal.messages.models import Message, Thread
from portal.notifications.models import Notification
from tests.conftest import Clinic
from tests.pages import JudgingClient, Page, as_page, text_of

TESTA, SAM, PAULA, STAFF = "testa@example.com", "sam@example.com", "paula@example.com", "staff@example.com"

SignIn = Callable[..., Page]


@pytest.fixture
def testa(client: JudgingClient, clinic: Clinic, sign_in: SignIn) -> JudgingClient:
    sign_in(client, TESTA)
    return client


@pytest.fixture
def charge(clinic: Clinic) -> str:
    """One of Testa's charges."""
    return clinic.charge("V-260604-1", "99213")


def _messages(clinic: Clinic, body: str) -> list[Message]:
    found = list(clinic.session.scalars(sa.select(Message).where(Message.body == body)))
    clinic.session.commit()
    return found


def _threads_of(clinic: Clinic, email: str) -> list[str]:
    query = sa.select(Thread.public_id).where(Thread.opened_by == clinic.user_id(email)).order_by(Thread.id)
    found = list(clinic.session.scalars(query))
    clinic.session.commit()
    return found


def _ask(client: JudgingClient, charge: str, body: str) -> str:
    """Ask through the page; the address of the thread."""
    page = client.page(f"/messages/new?charge={charge}")
    response = client.submit(page, {"subject": "A question", "body": body}, field="body")
    assert response.status_code == 302
    return str(response.headers["Location"])


def _talk(page: Page) -> list[str]:
    return [text_of(body) for body in page.all("p", class_="talk-body")]


def test_from_the_line_to_the_thread(testa: JudgingClient, clinic: Clinic, charge: str, woken: list[str]) -> None:
    address = _ask(testa, charge, "Why is this so much?\n\nI have insurance.")
    page = testa.page(address)
    assert _talk(page) == ["Why is this so much? I have insurance."]
    assert "Your message was sent" in page.text("div", class_="notices")
    assert "A question" in testa.page("/messages/").links()
    assert _messages(clinic, "Why is this so much?\n\nI have insurance.")[0].from_staff is False


def test_an_empty_subject_is_named_after_the_charge(testa: JudgingClient, clinic: Clinic, charge: str) -> None:
    page = testa.page(f"/messages/new?charge={charge}")
    (prefilled,) = page.all("input", name="subject")
    testa.submit(page, {"subject": "  ", "body": "About this"}, field="body")
    assert prefilled.get("value") in testa.page("/messages/").links()


def test_a_double_click_and_a_reload_send_once(testa: JudgingClient, clinic: Clinic, charge: str) -> None:
    page = testa.page(f"/messages/new?charge={charge}")
    answers = [testa.submit(page, {"body": "Twice?"}, field="body") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [302, 302]
    assert answers[0].headers["Location"] == answers[1].headers["Location"]
    assert len(_messages(clinic, "Twice?")) == 1

    thread = testa.page(answers[0].headers["Location"])
    for _ in range(2):
        assert testa.submit(thread, {"body": "And again?"}, field="body").status_code == 302
    assert len(_messages(clinic, "And again?")) == 1


def test_going_back_and_sending_another_text_loses_neither(testa: JudgingClient, clinic: Clinic, charge: str) -> None:
    page = testa.page(f"/messages/new?charge={charge}")
    testa.submit(page, {"body": "First text"}, field="body")
    again = as_page(testa.submit(page, {"body": "Second text"}, field="body"))
    assert "Second text" in again.text("textarea")
    assert "You sent a message from this form before" in again.text("main")
    assert testa.submit(again, field="body").status_code == 302
    assert len(_messages(clinic, "First text")) == len(_messages(clinic, "Second text")) == 1


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("", "Write your message first."),
        (" \n\t ", "Write your message first."),
        ("x" * 5001, "Your message is 1 character too long."),
        ("y" * 7000, "Your message is 2000 characters too long."),
    ],
)
def test_a_refused_message_says_why_and_loses_no_text(
    testa: JudgingClient, clinic: Clinic, charge: str, body: str, told: str
) -> None:
    for address in (f"/messages/new?charge={charge}", _ask(testa, charge, "First")):
        sent = testa.submit(testa.page(address), {"body": body}, field="body")
        page = as_page(sent)
        assert sent.status_code == 200
        assert told in page.text("main")
        assert page.text("textarea") == body.strip()
    assert len(_threads_of(clinic, TESTA)) == 1


def test_a_message_of_exactly_the_limit_with_line_breaks_is_sent(
    testa: JudgingClient, clinic: Clinic, charge: str
) -> None:
    body = ("z" * 49 + "\r\n") * 99 + "z" * 50
    _ask(testa, charge, body)
    assert len(_messages(clinic, body.replace("\r\n", "\n"))) == 1


def test_a_token_of_another_make_is_replaced(testa: JudgingClient, clinic: Clinic, charge: str) -> None:
    page = testa.page(f"/messages/new?charge={charge}")
    again = as_page(testa.submit(page, {"body": "Keep me", "token": "x' OR 1=1"}, field="body"))
    assert "Your message was not sent yet" in again.text("main")
    assert testa.submit(again, field="body").status_code == 302
    assert len(_messages(clinic, "Keep me")) == 1


def test_markup_in_a_message_is_shown_as_text(testa: JudgingClient, charge: str) -> None:
    attack = '<script>alert(1)</script><img src=x onerror="alert(2)">\n&amp; {{ 7*7 }}'
    page = testa.page(_ask(testa, charge, attack))
    (body,) = page.all("p", class_="talk-body")
    assert len(body) == 0
    assert "".join(body.itertext()) == attack
    assert not [element for element in page.all("img") if element.get("src") == "x"]


def test_another_patients_thread_does_not_exist(
    app: Flask, testa: JudgingClient, clinic: Clinic, sign_in: SignIn, charge: str
) -> None:
    address = _ask(testa, charge, "Mine")
    other = app.test_client()
    sign_in(other, SAM)
    page = other.page("/messages/")
    assert address not in page.links().values()
    token = next(field.get("value") for field in page.all("input", name="csrf_token"))
    forged = {"csrf_token": token, "body": "Let me in", "token": new_public_id()}
    for url in (address, f"/messages/{new_public_id()}"):
        assert other.get(url).status_code == 404
        assert other.post(url, data=forged).status_code == 404
    for url in (f"/messages/new?charge={charge}", f"/messages/new?account={clinic.account('JDC-1001')}"):
        assert other.get(url).status_code == 404
        assert other.post(url, data=forged | {"subject": "x"}).status_code == 404
    assert other.get("/messages/not-an-id").status_code == 404
    assert other.get("/messages/new?charge=not-an-id").status_code == 404
    assert _messages(clinic, "Let me in") == []


def test_nobody_reads_messages_without_signing_in(client: JudgingClient, clinic: Clinic) -> None:
    for url in ("/messages/", "/messages/new", f"/messages/{_threads_of(clinic, SAM)[0]}"):
        response = client.get(url)
        assert response.status_code == 302
        assert "/sign-in" in response.headers["Location"]


def test_a_message_without_the_csrf_token_is_refused(testa: JudgingClient, clinic: Clinic, charge: str) -> None:
    response = testa.post(f"/messages/new?charge={charge}", data={"body": "Forged", "token": new_public_id()})
    assert response.status_code == 400
    assert _messages(clinic, "Forged") == []


def test_an_answer_is_new_until_it_is_read_and_the_mail_tells_nothing(
    app: Flask, testa: JudgingClient, clinic: Clinic, sign_in: SignIn, charge: str, woken: list[str]
) -> None:
    address = _ask(testa, charge, "Is my knee covered?")
    desk = app.test_client()
    sign_in(desk, STAFF)
    before = set(clinic.session.scalars(sa.select(Notification.id)))
    clinic.session.commit()
    page = desk.page(address.replace("/messages/", "/desk/threads/"))
    for _ in range(2):
        assert desk.submit(page, {"body": "Yes, your knee is covered."}, field="body").status_code == 302
    assert "notifications.send" in woken

    (mail,) = clinic.session.scalars(sa.select(Notification).where(Notification.id.not_in(before)))
    assert mail.to_email == TESTA
    assert mail.key.startswith("message-answer/")
    told = f"{mail.subject}\n{mail.body}".lower()
    for secret in ("knee", "covered", "question", "testa", "demopatient", "stella", "jdc-1001", charge, address):
        assert secret.lower() not in told
    assert "http://localhost" in told
    assert "juniper demo clinic" in told
    clinic.session.commit()

    assert "New answer" in testa.page("/messages/").text("main")
    assert _talk(testa.page(address))[-1] == "Yes, your knee is covered."
    assert "New answer" not in testa.page("/messages/").text("main")


def test_a_closed_thread_opens_again_when_the_patient_writes(
    app: Flask, testa: JudgingClient, clinic: Clinic, sign_in: SignIn, charge: str
) -> None:
    address = _ask(testa, charge, "Question")
    desk = app.test_client()
    sign_in(desk, STAFF)
    page = desk.page(address.replace("/messages/", "/desk/threads/"))
    desk.submit(page, {"body": "Answer", "close": "1"}, field="body")

    def state() -> Any:
        return clinic._one(sa.select(Thread.state).where(Thread.public_id == address.rsplit("/", 1)[1]))

    assert state() is ThreadState.CLOSED
    testa.submit(testa.page(address), {"body": "But why?"}, field="body")
    assert state() is ThreadState.WAITING_FOR_STAFF


def test_without_a_topic_the_only_account_is_meant(testa: JudgingClient, clinic: Clinic) -> None:
    assert testa.submit(testa.page("/messages/new"), {"body": "In general"}, field="body").status_code == 302
    thread = clinic._one(sa.select(Thread.charge_id).join(Message).where(Message.body == "In general"))
    assert thread is None


def test_staff_use_the_desk_and_not_the_patients_pages(client: JudgingClient, clinic: Clinic, sign_in: SignIn) -> None:
    sign_in(client, STAFF)
    for url in ("/messages/", "/messages/new", f"/messages/{_threads_of(clinic, SAM)[0]}"):
        assert client.get(url).status_code == 404
