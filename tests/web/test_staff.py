"""The desk: finding accounts, answering, holds, remittances and the queues."""

import io
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

import portal.sandbox.clinic
from portal.audit.models import AuditEvent
from portal.audit.tags import Tag
from portal.billing.hold_words import HOLD_REASONS
from portal.billing.kinds import EntryKind, HoldReason, PostingState
from portal.billing.models import Hold, Posting
from portal.billing.service import NewEntry, write_entries
from portal.db import new_public_id
from portal.messages.kinds import ThreadState
from portal.messages.models import Message, Thread
from portal.money import Money
from portal.notifications.service import queue_email
from portal.remittances.desk_views import shown_name, upload_fault
from portal.remittances.models import RemittanceFile
from portal.web.guards import Guard
from tests.architecture.test_routes import Addresses
from tests.conftest import Clinic
from tests.pages import JudgingClient, Page, as_page, text_of

STAFF, SUPERVISOR, PATIENT = "staff@example.com", "supervisor@example.com", "testa@example.com"
VISIT, CODE = "V-260604-1", "99213"

SignIn = Callable[..., Page]


@pytest.fixture
def desk(client: JudgingClient, clinic: Clinic, sign_in: SignIn) -> JudgingClient:
    sign_in(client, STAFF)
    return client


def _all(session: Session, query: sa.Select[Any]) -> list[Any]:
    found = list(session.scalars(query))
    session.commit()
    return found


def _events(clinic: Clinic, tag: Tag, subject: str) -> list[int | None]:
    return _all(
        clinic.session, sa.select(AuditEvent.actor_user_id).where(AuditEvent.tag == tag, AuditEvent.subject == subject)
    )


def _waiting(clinic: Clinic) -> str:
    (thread,) = _all(clinic.session, sa.select(Thread.public_id).where(Thread.state == ThreadState.WAITING_FOR_STAFF))
    return str(thread)


def test_every_page_of_the_desk_is_the_staffs_only(app: Flask, clinic: Clinic, sign_in: SignIn) -> None:
    patient, stranger, supervisor = app.test_client(), app.test_client(), app.test_client()
    sign_in(patient, PATIENT)
    home = patient.page("/")
    token = next(field.get("value") for field in home.all("input", name="csrf_token") if field.get("value"))
    sign_in(supervisor, SUPERVISOR)
    addresses = Addresses(clinic)
    rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint.startswith("staff.")]
    assert len(rules) >= 11
    for rule in rules:
        assert app.view_functions[rule.endpoint].guard in (Guard.STAFF, Guard.SUPERVISOR)  # type: ignore[attr-defined]
        url = addresses.of(rule)
        if "GET" in (rule.methods or ()):
            assert patient.get(url).status_code == 404
            assert stranger.get(url).status_code == 302
            assert supervisor.get(url).status_code == 200
        if "POST" in (rule.methods or ()):
            assert patient.post(url, data={"csrf_token": token}).status_code == 404


def test_unknown_objects_are_404(desk: JudgingClient) -> None:
    for path in ("threads", "accounts", "visits", "charges"):
        for end in ("", "/hold", "/release") if path == "charges" else ("",):
            assert desk.get(f"/desk/{path}/{new_public_id()}{end}").status_code == 404
    for number in (0, 999_999, 2**63, 10**40):
        assert desk.get(f"/desk/remittances/{number}").status_code == 404


def test_the_inbox_shows_who_waits_and_filters(desk: JudgingClient, clinic: Clinic) -> None:
    page = desk.page("/desk/")
    assert "Two amounts for one emergency visit" in page.links()
    assert "Waiting for" in page.text("main")
    answered = desk.page("/desk/?state=answered")
    assert "My second insurance" in answered.links()
    assert "Two amounts for one emergency visit" not in answered.links()
    assert "No threads here" in desk.page("/desk/?state=closed").text("main")
    for odd in ("?state=nonsense&page=-3", "?page=x", "?page=99999999999999999999"):
        assert desk.get(f"/desk/{odd}").status_code == 200


def test_a_thread_stands_beside_its_charge_and_seeing_it_is_audited(desk: JudgingClient, clinic: Clinic) -> None:
    thread = _waiting(clinic)
    page = desk.page(f"/desk/threads/{thread}")
    assert "Are both right?" in page.text("p", class_="talk-body")
    assert "$980.00" in page.text("section", class_="pay-what")
    links = page.links()
    assert links["Open the visit"] == f"/desk/visits/{clinic.visit('V-260712-1')}"
    assert links["Open the account"] == f"/desk/accounts/{clinic.account('JDC-1003')}"
    assert _events(clinic, Tag.THREAD_SEEN, thread) == [clinic.user_id(STAFF)]


def test_an_answer_empties_the_inbox(desk: JudgingClient, clinic: Clinic) -> None:
    thread = _waiting(clinic)
    page = desk.page(f"/desk/threads/{thread}")
    for _ in range(2):
        assert desk.submit(page, {"body": "Yes, both are right."}, field="body").status_code == 302
    assert len(_all(clinic.session, sa.select(Message.id).where(Message.body == "Yes, both are right."))) == 1
    assert "Nobody is waiting" in desk.page("/desk/?state=waiting").text("main")
    assert _events(clinic, Tag.THREAD_ANSWERED, thread) == [clinic.user_id(STAFF)]
    assert "not read yet" in desk.page(f"/desk/threads/{thread}").text("main")


@pytest.mark.parametrize("body", ["", "   ", "x" * 5001])
def test_a_refused_answer_keeps_its_text(desk: JudgingClient, clinic: Clinic, body: str) -> None:
    page = desk.page(f"/desk/threads/{_waiting(clinic)}")
    again = as_page(desk.submit(page, {"body": body}, field="body"))
    assert again.all("div", class_="error-summary")
    assert again.text("textarea") == body.strip()


def test_an_answer_does_not_pass_over_a_message_that_came_meanwhile(
    app: Flask, desk: JudgingClient, clinic: Clinic, sign_in: SignIn
) -> None:
    thread = _waiting(clinic)
    page = desk.page(f"/desk/threads/{thread}")
    patient = app.test_client()
    sign_in(patient, "paula@example.com")
    patient.submit(patient.page(f"/messages/{thread}"), {"body": "Forget it, I found it."}, field="body")

    again = as_page(desk.submit(page, {"body": "Long answer"}, field="body"))
    assert "The patient wrote again" in again.text("main")
    assert "Forget it, I found it." in again.text("ol")
    assert "Long answer" in again.text("textarea")
    closed = desk.submit(page, action="/close", field="seen", follow_redirects=True)
    assert "The patient wrote again" in as_page(closed).text("div", class_="notices")
    assert desk.submit(again, field="body").status_code == 302


def test_a_thread_can_be_closed_without_an_answer(desk: JudgingClient, clinic: Clinic) -> None:
    thread = _waiting(clinic)
    page = desk.page(f"/desk/threads/{thread}")
    assert desk.submit(page, action="/close", field="seen").status_code == 302
    assert "Two amounts for one emergency visit" in desk.page("/desk/?state=closed").links()
    assert _events(clinic, Tag.THREAD_CLOSED, thread) == [clinic.user_id(STAFF)]


@pytest.mark.parametrize("words", ["JDC-1003", "pretendparent", "kit PRETEND", "  paula  "])
def test_accounts_are_found_without_names_in_addresses(desk: JudgingClient, clinic: Clinic, words: str) -> None:
    response = desk.submit(desk.page("/desk/accounts"), {"q": words}, field="q")
    assert response.headers["Location"] == "/desk/accounts"
    found = desk.page("/desk/accounts").links()
    assert found["Paula Pretendparent"] == f"/desk/accounts/{clinic.account('JDC-1003')}"
    assert "Testa Demopatient" not in found


@pytest.mark.parametrize(
    ("words", "told"), [("zzz", "No account matches"), ("%", "Accounts that match"), ("x" * 81, "Use at most 80")]
)
def test_odd_searches_are_answered(desk: JudgingClient, words: str, told: str) -> None:
    page = as_page(desk.submit(desk.page("/desk/accounts"), {"q": words}, field="q", follow_redirects=True))
    assert told in page.text("main")


def test_account_and_visit_show_the_books_and_are_audited(desk: JudgingClient, clinic: Clinic) -> None:
    account, visit = clinic.account("JDC-1001"), clinic.visit(VISIT)
    assert VISIT in desk.page(f"/desk/accounts/{account}").text("main")
    page = desk.page(f"/desk/visits/{visit}")
    for amount in ("$267.00", "$185.00", "2026-06-26-example-health-plan.835"):
        assert amount in page.text("main")
    for subject in (account, visit):
        assert _events(clinic, Tag.ACCOUNT_SEEN, subject) == [clinic.user_id(STAFF)]


def test_every_hold_reason_has_words() -> None:
    assert set(HOLD_REASONS) == set(HoldReason)


def test_a_hold_is_placed_and_released_with_a_note(desk: JudgingClient, clinic: Clinic) -> None:
    charge, visit = clinic.charge(VISIT, CODE), f"/desk/visits/{clinic.visit(VISIT)}"
    confirm = desk.page(f"/desk/charges/{charge}/hold")
    assert _all(clinic.session, sa.select(Hold.id).where(Hold.reason == HoldReason.STAFF)) == []
    for _ in range(2):
        assert desk.submit(confirm, field="reason").headers["Location"] == visit
    assert "On hold since" in desk.page(visit).text("main")
    assert len(_all(clinic.session, sa.select(Hold.id).where(Hold.reason == HoldReason.STAFF))) == 1

    confirm = desk.page(f"/desk/charges/{charge}/release")
    for note in ("", "  ", "x" * 301):
        refused = desk.submit(confirm, {"note": note}, field="note")
        assert as_page(refused).all("div", class_="error-summary")
    assert "On hold since" in desk.page(visit).text("main")
    for _ in range(2):
        assert desk.submit(confirm, {"note": "Amount is right"}, field="note").headers["Location"] == visit
    assert "On hold since" not in desk.page(visit).text("main")
    (hold,) = _all(clinic.session, sa.select(Hold).where(Hold.reason == HoldReason.STAFF))
    assert (hold.release_note, hold.released_by) == ("Amount is right", clinic.user_id(STAFF))


def test_a_reason_of_another_make_is_refused(desk: JudgingClient, clinic: Clinic) -> None:
    page = desk.page(f"/desk/charges/{clinic.charge(VISIT, CODE)}/hold")
    assert desk.submit(page, {"reason": "because"}, field="reason").status_code == 200
    assert _all(clinic.session, sa.select(Hold.id).where(Hold.reason == HoldReason.STAFF)) == []


def _upload(desk: JudgingClient, content: bytes | None, name: str = "remit.835") -> Page:
    page = desk.page("/desk/remittances")
    token = page.form(field="file").find(".//input[@name='csrf_token']")
    assert token is not None
    data: dict[str, Any] = {"csrf_token": token.get("value")}
    if content is not None:
        data["file"] = (io.BytesIO(content), name)
    return as_page(desk.post("/desk/remittances", data=data, follow_redirects=True))


def _demo_835() -> bytes:
    folder = Path(portal.sandbox.clinic.__file__).parent / "remittances"
    return (folder / "2026-06-26-example-health-plan.835").read_bytes()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "Choose a file first."),
        (b"", "The file is empty."),
        (b"\r\n \x00\x00", "The file is empty."),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "This file is not text"),
        (b"Dear billing,\nplease find attached nothing.\n", "is not an X12 835 remittance"),
        (bytes(range(1, 256)) * 40, "is not an X12 835 remittance"),
        ("ISA*00*".encode("utf-16"), "This file is not text"),
        (b"<html><script>alert(1)</script></html>", "is not an X12 835 remittance"),
    ],
)
def test_an_upload_that_is_no_remittance_is_told_so_and_not_stored(
    desk: JudgingClient, clinic: Clinic, content: bytes | None, told: str
) -> None:
    before = _all(clinic.session, sa.select(RemittanceFile.id))
    page = _upload(desk, content, name="<b>odd</b>.835")
    assert told in page.text("main")
    assert "Traceback" not in page.html
    assert _all(clinic.session, sa.select(RemittanceFile.id)) == before


def test_an_upload_above_20_mb_is_refused(desk: JudgingClient, clinic: Clinic) -> None:
    before = _all(clinic.session, sa.select(RemittanceFile.id))
    response = desk.post(
        "/desk/remittances",
        data=b"--x",
        content_type="multipart/form-data; boundary=x",
        environ_overrides={"CONTENT_LENGTH": str((20 << 20) + 1)},
    )
    assert response.status_code == 413
    assert "up to 20 MB" in as_page(response).text("main")
    assert _all(clinic.session, sa.select(RemittanceFile.id)) == before


def test_the_same_file_again_changes_nothing(desk: JudgingClient, clinic: Clinic) -> None:
    assert "imported before" in _upload(desk, _demo_835()).text("div", class_="notices")


def test_a_payment_that_does_not_add_up_is_first_in_the_list(desk: JudgingClient, clinic: Clinic) -> None:
    broken = _demo_835().replace(b"CLP*V-260604-1*1*267*96.2*", b"CLP*V-260604-1*1*267*95.2*")
    assert broken != _demo_835()
    page = _upload(desk, broken, name="fakepath/broken.835")
    assert "1 quarantined" in page.text("div", class_="notices")
    first = page.all("tbody", class_="item")[0]
    assert "Quarantined" in text_of(first)
    assert "V-260604-1" in text_of(first)
    assert "$1.00" in text_of(first)
    assert "broken.835" in text_of(first)
    assert "fakepath" not in page.html
    (link,) = first.iter("a")
    detail = desk.page(str(link.get("href")))
    assert "What does not add up" in detail.text("main")
    assert "$1.00" in detail.text("main")


def test_uploads_read_as_text() -> None:
    assert upload_fault(io.BytesIO(b"\x00" * 70_000 + b"ISA*00*" + b"\x00" * 70_000)) is None


@pytest.mark.parametrize(
    ("given", "shown"),
    [("a/b\\c.835", "c.835"), (None, "upload.835"), ("\x00\n", "upload.835"), ("x" * 300, "x" * 255)],
)
def test_shown_name(given: str | None, shown: str) -> None:
    assert shown_name(given) == shown


def _posting(clinic: Clinic, state: PostingState, error: str = "") -> str:
    key, now = new_public_id(), datetime.now(UTC)
    account_id = clinic._one(sa.text("SELECT id FROM account WHERE ref = 'JDC-1001'"))
    clinic.session.add(
        Posting(
            key=key,
            account_id=account_id,
            kind="payment",
            amount=Money(1234),
            effective_on=date(2026, 5, 1),
            lines=[{"visit_ref": VISIT, "cents": 1234}],
            state=state,
            created_at=now,
            next_try_at=now,
            last_error=error,
        )
    )
    clinic.session.commit()
    return key


def test_sync_shows_what_waits_and_says_so_when_nothing_does(desk: JudgingClient, clinic: Clinic) -> None:
    empty = desk.page("/desk/sync").text("main")
    assert "Everything is posted" in empty
    assert "Emails not sent1, the oldest" in empty  # the demo's answer to Sam
    queue_email(clinic.session, key="test/1", to="somebody@example.com", subject="Hello", body="Hello")
    _posting(clinic, PostingState.WAITING)
    _posting(clinic, PostingState.REJECTED, "AccountClosed")
    _posting(clinic, PostingState.POSTED)
    page = desk.page("/desk/sync")
    rows = [text_of(row) for row in page.all("tbody", class_="item")]
    assert len(rows) == 2
    assert "Rejected" in rows[0]
    assert "AccountClosed" in rows[0]
    assert "Waiting" in rows[1]
    assert "Emails not sent2, the oldest" in page.text("main")


def test_a_rejected_posting_is_tried_again_once(desk: JudgingClient, clinic: Clinic, woken: list[str]) -> None:
    key = _posting(clinic, PostingState.REJECTED, "AccountClosed")
    page = desk.page("/desk/sync")
    for _ in range(2):
        assert desk.submit(page, action=f"/{key}/retry").status_code == 302
    # Looked up before it is sent again: it may have arrived.
    assert _all(clinic.session, sa.select(Posting.state).where(Posting.key == key)) == [PostingState.UNKNOWN]
    assert _events(clinic, Tag.POSTING_RETRIED, key) == [clinic.user_id(STAFF)]
    assert woken.count("ledger.deliver_postings") == 1


def test_only_rejected_postings_are_tried_again(desk: JudgingClient, clinic: Clinic) -> None:
    rejected, posted = _posting(clinic, PostingState.REJECTED), _posting(clinic, PostingState.POSTED)
    page = desk.page("/desk/sync")
    token = page.form(f"/{rejected}/retry").find(".//input[@name='csrf_token']")
    assert token is not None
    for key, status in ((posted, 302), (new_public_id(), 404)):
        data = {"csrf_token": token.get("value")}
        assert desk.post(f"/desk/sync/postings/{key}/retry", data=data).status_code == status
    assert _all(clinic.session, sa.select(Posting.state).where(Posting.key == posted)) == [PostingState.POSTED]


def test_what_is_on_hold_or_does_not_add_up_is_on_the_worklist(desk: JudgingClient, clinic: Clinic) -> None:
    page = desk.page("/desk/to-check")
    first = [text_of(row) for row in page.all("tbody", class_="item")]
    assert "JDC-1001" in first[0]
    assert "above what the insurer" in first[0]
    # The rest is what the safety checks stopped on an account of its own.
    assert all("JDC-1004" in row for row in first[1:])
    charge_id, account_id = clinic.session.execute(
        sa.text(
            "SELECT c.id, v.account_id FROM charge c JOIN visit v ON v.id = c.visit_id WHERE v.ref = 'V-260616-1' "
            "ORDER BY c.id LIMIT 1"
        )
    ).one()
    clinic.session.rollback()
    more = NewEntry(account_id, charge_id, EntryKind.INSURER_PAYMENT, Money(-100), Money(0), "test", "more")
    write_entries(clinic.session, [more])
    clinic.session.commit()
    rows = [text_of(row) for row in desk.page("/desk/to-check").all("tbody", class_="item")]
    assert len(rows) == len(first) + 1
    assert "more than was billed" in rows[-1]
    # Looked at and released: it leaves the list.
    held = clinic.charge("V-260811-1", "99214")
    release = desk.page(f"/desk/charges/{held}/release")
    desk.submit(release, {"note": "The payer corrected it by telephone."}, action="/release")
    assert len(desk.page("/desk/to-check").all("tbody", class_="item")) == len(first)
