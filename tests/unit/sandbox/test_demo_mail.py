"""The demo's mail arrives by SMTP and can be read on a page."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from portal.notifications.transport import smtp
from portal.sandbox.mail import Mailbox, mail_page, start_smtp
from tests.browser import free_port
from tests.pages import Page


@pytest.fixture
def mailbox(tmp_path: Path) -> Mailbox:
    return Mailbox(tmp_path / "mail.sqlite")


@pytest.fixture
def smtp_port(mailbox: Mailbox) -> Iterator[int]:
    port = free_port()
    stop = start_smtp(mailbox, port)
    yield port
    stop()


@pytest.fixture
def reader(mailbox: Mailbox) -> FlaskClient:
    app = Flask("mail-test")
    app.register_blueprint(mail_page(mailbox))
    return app.test_client()


def test_what_the_portal_sends_is_kept_word_for_word(mailbox: Mailbox, smtp_port: int) -> None:
    send = smtp(f"smtp://127.0.0.1:{smtp_port}", "billing@juniper-demo.example")
    body = "Sign in to see it.\nIt’s there."
    send(to="testa@example.com", subject="Your receipt – ready", body=body, key="receipt/1")
    (mail,) = mailbox.newest()
    assert (mail.sender, mail.recipient) == ("billing@juniper-demo.example", "testa@example.com")
    assert mail.subject == "Your receipt – ready"
    assert mail.body.strip().replace("\r\n", "\n") == body


def test_several_recipients_get_one_each(mailbox: Mailbox, smtp_port: int) -> None:
    with smtplib.SMTP("127.0.0.1", smtp_port) as server:
        server.sendmail("a@example.com", ["b@example.com", "c@example.com"], "Subject: twice\r\n\r\nbody")
    assert [mail.recipient for mail in mailbox.newest()] == ["c@example.com", "b@example.com"]


def test_a_port_in_use_is_an_oserror(mailbox: Mailbox, smtp_port: int) -> None:
    with pytest.raises(OSError, match="in use"):
        start_smtp(mailbox, smtp_port)


def test_the_page_lists_and_shows_mail_without_running_what_is_in_it(mailbox: Mailbox, reader: FlaskClient) -> None:
    assert "No mail yet" in reader.get("/mail").get_data(as_text=True)
    content = b"Subject: <b>Hi</b>\r\n\r\n<script>alert(1)</script> http://127.0.0.1:1/x"
    mailbox.keep("a@example.com", ["b@example.com"], content)
    listing = Page(reader.get("/mail").get_data(as_text=True))
    assert not listing.parse_errors
    (address,) = (href for text, href in listing.links().items() if "<b>Hi</b>" in text)
    shown = Page(reader.get(address).get_data(as_text=True))
    assert not shown.parse_errors
    assert not shown.all("script")
    assert shown.text("h1") == "<b>Hi</b>"
    assert shown.links()["http://127.0.0.1:1/x"] == "http://127.0.0.1:1/x"
    assert reader.get("/mail/999").status_code == 404
