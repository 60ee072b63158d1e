"""Paying as a guest: who is let in, what they see, what they pay."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.models import Account, Patient
from portal.audit.models import AuditEvent
from portal.audit.tags import Tag
from portal.billing.kinds import HoldReason
from portal.billing.models import Visit
from portal.billing.queries import lines_of_account
from portal.billing.service import place_hold
from portal.guests import door, guessing, service, views
from portal.guests.models import GuestPass, GuestPayment
from portal.money import Money
from portal.notifications.models import Notification
from portal.payments.gateway import StripeGateway
from portal.payments.models import Payment
from portal.payments.service import payable_lines
from portal.payments.state import PaymentState
from portal.sandbox.stripe import StandIn
from portal.statements.models import Statement
from portal.statements.service import revoke_code
from portal.web import guards
from portal.web.database import db
from portal.web.guards import Guard, guard_of
from tests.conftest import Clinic
from tests.pages import JudgingClient, Page, as_page
from tests.statements import CODE, SECRET
from tests.web.guesting import ACCOUNT, BORN, account_id, choose, comes_from, enter, issue, knock, payment_at
from tests.web.paying import TESTA, client_of, confirm

OTHER_CODE = "9XW8VT7SR6QP5"


@pytest.fixture
def gateway(app: Flask) -> StripeGateway:
    gateway: StripeGateway = app.extensions["plainbill_gateway"]
    return gateway


@pytest.fixture
def statement(session: Session, clinic: Clinic) -> Statement:
    """A statement of Testa's."""
    return issue(session)


@pytest.fixture
def guest(client: JudgingClient, statement: Statement) -> JudgingClient:
    """A browser with a pass for Testa's account."""
    enter(client)
    return client


def due(session: Session, ref: str = ACCOUNT) -> Money:
    session.rollback()
    return Money.total(line.amount for line in payable_lines(session, account_id(session, ref), user_id=None))


def taken(standin: StandIn) -> int:
    """What Stripe has taken, in cents."""
    charges = client_of(standin).v1.charges.list({"limit": 100})
    return sum(charge.amount_captured for charge in charges.data)


def audited(session: Session, tag: Tag) -> list[AuditEvent]:
    session.rollback()
    return session.query(AuditEvent).filter_by(tag=tag).order_by(AuditEvent.id).all()


@contextmanager
def queries(app: Flask) -> Iterator[list[str]]:
    """The statements the app sends meanwhile."""
    sent: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        sent.append(statement)

    with app.app_context():
        engine = db.engine
    sa.event.listen(engine, "before_cursor_execute", note)
    yield sent
    sa.event.remove(engine, "before_cursor_execute", note)


# --- Being let in ---


def test_a_code_and_a_birth_date_show_the_amount_due(client: JudgingClient, session: Session, clinic: Clinic) -> None:
    row = issue(session)
    page = enter(client)
    assert str(due(session)) in page.text("main")
    assert "changed" not in page.text("main")
    (event,) = audited(session, Tag.GUEST_ADMITTED)
    assert (event.subject, event.account_id, event.actor_user_id, event.facts) == (
        row.public_id, row.account_id, None, {},
    )  # fmt: skip


@pytest.mark.parametrize("code", ["7h3j-kpqrs-4tvx", " 7H3J KPQRS 4TVX ", "7H3JKPQRS4TVX"])
@pytest.mark.parametrize("born_on", ["03/14/1984", "1984-03-14", "3-14-1984"])
def test_ways_to_type_it(client: JudgingClient, statement: Statement, code: str, born_on: str) -> None:
    enter(client, code, born_on)


def test_any_patients_birth_date_on_the_account_will_do(
    client: JudgingClient, session: Session, clinic: Clinic
) -> None:
    issue(session, "JDC-1003")
    enter(client, born_on="5/9/2024")
    enter(client, born_on="7/21/1990")


def _refusals(session: Session, row: Statement) -> dict[str, tuple[str, str]]:
    """Every reason to be refused, as a code and a date; the statement's own code is good."""
    made = {name: issue(session, ref, code=code) for name, ref, code in (
        ("revoked", ACCOUNT, "REVQKED000000"), ("expired", ACCOUNT, "EXP1RED000000"),
        ("locked", ACCOUNT, "10CKED0000000"), ("sams", "JDC-1002", "SAMS000000000"),
    )}  # fmt: skip
    staff = session.execute(sa.text("SELECT id FROM \"user\" WHERE email = 'staff@example.com'")).scalar_one()
    revoke_code(session, statement_id=made["revoked"].id, revoked_by=staff)
    made["expired"].code_expires_at = clock.now() - timedelta(seconds=1)
    session.commit()
    for _ in range(service.MOST_WRONG_DATES):
        assert service.admit(session, code="10CKED0000000", born_on=date(1999, 1, 1), secret=SECRET) is None
    return {
        "unknown code": ("ZZZZZZZZZZZZZ", BORN),
        "wrong date": (CODE, "3/15/1984"),
        "another account's date": (CODE, "11/2/1951"),
        "right date of another account": ("SAMS000000000", BORN),
        "revoked": ("REVQKED000000", BORN),
        "expired": ("EXP1RED000000", BORN),
        "locked": ("10CKED0000000", BORN),
    }


def test_every_refusal_is_the_same_answer_after_the_same_work(
    app: Flask, session: Session, statement: Statement
) -> None:
    answers, work = {}, {}
    for name, (code, born_on) in _refusals(session, statement).items():
        client = app.test_client()
        assert isinstance(client, JudgingClient)
        client.get("/guest")
        with queries(app) as sent:
            answer = knock(client, code, born_on)
        html = answer.get_data(as_text=True)
        body = re.sub(r'(name="(?:csrf_token|code|born_on)"[^>]* value)="[^"]*"', r'\1=""', html)
        answers[name] = (answer.status_code, body, sorted(dict(answer.headers).keys() - {"Set-Cookie"}))
        work[name] = sent
        assert "guest" not in _session_of(client)
    assert len({repr(one) for one in answers.values()}) == 1, {name: one[0] for name, one in answers.items()}
    assert answers["unknown code"][0] == 403
    assert "open a bill" in answers["unknown code"][1]
    first = work["unknown code"]
    assert len(first) > 4
    for name, sent in work.items():
        assert sent == first, name
    # The trail knows which statement was tried, and neither a code nor a date.
    events = audited(session, Tag.GUEST_REFUSED)
    assert all(event.facts == {} for event in events)
    assert {event.subject for event in events} >= {"", statement.public_id}


def _session_of(client: JudgingClient) -> dict[str, Any]:
    with client.session_transaction() as kept:
        return dict(kept)


def test_only_what_is_not_written_right_gets_words_of_its_own(client: JudgingClient, statement: Statement) -> None:
    for code, born_on, words in (
        ("", BORN, "Type the code"),
        (CODE, "", "Type the date of birth"),
        ("7H3J", BORN, "13 letters and numbers"),
        (CODE + "A", BORN, "13 letters and numbers"),
        ("7H3JKPQRS4TV!", BORN, "13 letters and numbers"),
        (CODE, "3/14/84", "four digits"),
        (CODE, "2/30/1984", "month, day and year"),
        (CODE, "1/1/2999", "future"),
        (statement.number, BORN, "statement number"),
    ):
        answer = knock(client, code, born_on)
        assert (answer.status_code, words in as_page(answer).text("main")) == (422, True), (code, born_on)
    assert client.get("/guest/bill").status_code == 302


def test_a_code_ends_after_ten_wrong_dates_and_nobody_is_told(session: Session, statement: Statement) -> None:
    def come(born_on: date) -> str | None:
        return service.admit(session, code=CODE, born_on=born_on, secret=SECRET)

    right, wrong = date(1984, 3, 14), date(1984, 3, 15)
    for _turn in range(2):
        for _ in range(service.MOST_WRONG_DATES - 1):
            assert come(wrong) is None
        assert come(right)  # which starts the count anew
    for _ in range(service.MOST_WRONG_DATES):
        assert come(wrong) is None
    assert come(right) is None
    assert session.query(GuestPass).count() == 2


# --- Limits ---


def test_refusals_from_one_address_are_limited_and_nothing_else_is(
    app: Flask, client: JudgingClient, statement: Statement
) -> None:
    for _ in range(12):
        assert knock(client, "", "").status_code == 422
    for _ in range(12):
        enter(client)
    for _ in range(10):
        assert knock(client, OTHER_CODE).status_code == 403
    assert knock(client, OTHER_CODE).status_code == 429
    assert knock(client).status_code == 429  # the right one, too: otherwise the answer would tell
    elsewhere = app.test_client()
    assert isinstance(elsewhere, JudgingClient)
    assert knock(elsewhere, environ_overrides={"REMOTE_ADDR": "192.0.2.7"}).status_code == 302


def from_network(app: Flask, address: str) -> JudgingClient:
    client = app.test_client()
    assert isinstance(client, JudgingClient)
    return comes_from(client, address)


def test_many_refusals_from_everywhere_raise_an_alarm_and_lock_nobody_out(
    app: Flask, session: Session, statement: Statement, monkeypatch: pytest.MonkeyPatch, sign_in: Callable[..., Any]
) -> None:
    monkeypatch.setattr(views, "REFUSALS_ANYWHERE", "12 per hour")
    for number in range(12):
        assert knock(from_network(app, f"192.0.2.{number}"), OTHER_CODE).status_code == 403
    assert audited(session, Tag.GUESSING_MET) == []
    for number in (20, 21):  # the first one too many, and another
        assert knock(from_network(app, f"192.0.2.{number}"), OTHER_CODE).status_code == 403
    (event,) = audited(session, Tag.GUESSING_MET)
    assert event.facts == {"refusals": 12}

    # Slower: a network gets three tries a minute instead of ten. But it gets them, and the right code opens.
    somebody = from_network(app, "192.0.2.77")
    assert [knock(somebody, OTHER_CODE).status_code for _ in range(4)] == [403, 403, 403, 429]
    owner = from_network(app, "192.0.2.78")
    assert [knock(owner, OTHER_CODE).status_code for _ in range(2)] == [403, 403]
    enter(owner)
    enter(owner)
    assert len(audited(session, Tag.GUESSING_MET)) == 1

    desk = app.test_client()
    assert isinstance(desk, JudgingClient)
    sign_in(desk, "staff@example.com")
    text = desk.page("/desk/guest-payment").text("main")
    assert "Somebody is guessing codes of statements" in text
    assert "Nobody is locked out" in text
    assert "More than 12" in text

    with time_machine.travel(clock.now() + guessing.ON_FOR + timedelta(seconds=1), tick=False):
        later = from_network(app, "192.0.2.79")
        assert [knock(later, OTHER_CODE).status_code for _ in range(5)] == [403] * 5


def test_two_processes_that_count_to_the_same_number_raise_one_alarm(
    session: Session, clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert guessing.raise_alarm(session, refusals=12)
    monkeypatch.setattr(guessing, "is_on", lambda _session: False)
    assert not guessing.raise_alarm(session, refusals=12)
    assert len(audited(session, Tag.GUESSING_MET)) == 1


def test_one_ipv6_network_shuts_the_door_for_itself_alone(app: Flask, statement: Statement) -> None:
    """It has 2**64 addresses, and they are one."""
    got = [knock(from_network(app, f"2001:db8:1:2:{number}::1"), OTHER_CODE).status_code for number in range(1, 13)]
    assert got == [403] * 10 + [429] * 2
    enter(from_network(app, "2001:db8:1:3::1"))


def test_attempts_on_one_statement_are_limited_wherever_they_come_from(
    app: Flask, session: Session, statement: Statement
) -> None:
    issue(session, "JDC-1002", code=OTHER_CODE)
    got = []
    for number in range(6):
        client = app.test_client()
        assert isinstance(client, JudgingClient)
        page = enter(client)
        form = {"csrf_token": _token(page), "choice": "amount", "amount": "1.00", "seen": str(due(session).cents)}
        place = {"REMOTE_ADDR": f"192.0.2.{number}"}
        got.append(client.post("/guest/bill", data=form, environ_overrides=place).status_code)
    assert got == [302] * 5 + [429]
    other = app.test_client()
    assert isinstance(other, JudgingClient)
    enter(other, OTHER_CODE, "11/2/1951")
    assert choose(other, choice="amount", amount="1.00").status_code == 302


def _token(page: Page) -> str:
    return next(field.get("value", "") for field in page.all("input", name="csrf_token"))


# --- The pass ---


def _guest_rules(app: Flask) -> list[tuple[str, str]]:
    found = []
    for rule in app.url_map.iter_rules():
        if guard_of(app, rule.endpoint) is Guard.GUEST:
            address = rule.rule.replace("<pid:payment_id>", "0" * 32)
            found += [(method, address) for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})]
    assert len(found) == 7
    return found


def test_without_a_pass_nothing_opens_for_a_patient_either(
    app: Flask, client: JudgingClient, statement: Statement, sign_in: Callable[..., Any]
) -> None:
    stranger = app.test_client()
    assert isinstance(stranger, JudgingClient)
    sign_in(client, TESTA)
    for browser in (stranger, client):
        token = _token(browser.page("/guest"))
        for method, address in _guest_rules(app):
            answer = browser.open(address, method=method, data={"csrf_token": token} if method == "POST" else None)
            assert (answer.status_code, answer.location) == (302, "/guest"), (method, address)
    assert client.page("/").text("h1")  # Testa is still signed in


def test_without_the_function_that_looks_at_passes_nobody_is_let_in(app: Flask, guest: JudgingClient) -> None:
    assert guest.get("/guest/bill").status_code == 200
    del app.extensions[guards.GUEST_DOOR]
    assert guest.get("/guest/bill").status_code == 404


def test_nothing_is_changed_without_the_forms_token(app: Flask, guest: JudgingClient, session: Session) -> None:
    for method, address in [*_guest_rules(app), ("POST", "/guest")]:
        if method == "POST":
            assert guest.open(address, method=method, data={"csrf_token": "forged"}).status_code == 400, address
    session.rollback()
    assert session.query(Payment).count() == 0


def test_a_pass_signs_nobody_in(guest: JudgingClient, clinic: Clinic) -> None:
    assert guest.page("/guest/bill")
    for address in ("/", f"/accounts/{clinic.account(ACCOUNT)}/pay", "/payments", "/desk/accounts"):
        answer = guest.get(address)
        assert answer.status_code == 302, address
        assert "/sign-in" in answer.location, address


def test_done_ends_the_pass_and_every_copy_of_its_cookie(app: Flask, guest: JudgingClient, session: Session) -> None:
    copy = app.test_client()
    assert isinstance(copy, JudgingClient)
    with copy.session_transaction() as kept:
        kept[door.TOKEN] = _session_of(guest)[door.TOKEN]
    assert copy.get("/guest/bill").status_code == 200
    answer = guest.submit(guest.page("/guest/bill"), action="/guest/done", follow_redirects=True)
    assert "You are done" in as_page(answer).text("main")
    assert copy.get("/guest/bill").location == "/guest"
    assert guest.get("/guest/bill").location == "/guest"
    # The token itself is nowhere in the database.
    assert [row.token_hash for row in session.query(GuestPass)] != [_session_of(guest).get(door.TOKEN)]


def test_a_revoked_code_ends_the_passes_that_it_opened(
    guest: JudgingClient, session: Session, statement: Statement, clinic: Clinic
) -> None:
    pay = choose(guest, choice="amount", amount="5.00").location
    staff = clinic.user_id("staff@example.com")
    assert guest.get(pay).status_code == 200
    revoke_code(session, statement_id=statement.id, revoked_by=staff)
    session.commit()
    for address in ("/guest/bill", pay, f"{pay}/return"):
        assert guest.get(address).location == "/guest"


def test_another_code_ends_the_pass_before_it(guest: JudgingClient, session: Session) -> None:
    issue(session, "JDC-1002", code=OTHER_CODE)
    enter(guest, OTHER_CODE, "11/2/1951")
    session.rollback()
    assert [row.ended_at is not None for row in session.query(GuestPass).order_by(GuestPass.id)] == [True, False]


def test_a_pass_is_over_after_thirty_minutes_and_starting_to_pay_gives_time(
    client: JudgingClient, statement: Statement
) -> None:
    with time_machine.travel(clock.now(), tick=False) as hours:
        enter(client)
        hours.shift(timedelta(minutes=29, seconds=59))
        pay = choose(client, choice="amount", amount="5.00").location
        hours.shift(timedelta(minutes=29))  # at the bank
        assert client.get(pay).status_code == 200
        hours.shift(timedelta(minutes=1, seconds=2))
        answer = client.get(f"{pay}/return", follow_redirects=True)
        assert "your payment is not lost" in as_page(answer).text("main")
        assert not client.page("/guest").all("p", class_="notice-info")  # said once


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(client: JudgingClient, statement: Statement) -> None:
    kept = knock(client).headers["Set-Cookie"]
    assert "HttpOnly" in kept
    assert "SameSite=Lax" in kept


# --- What is seen ---


def secrets_of(session: Session) -> set[str]:
    """Everything on every account that a guest must not read."""
    words: set[str] = set()
    for account in session.query(Account):
        words |= {account.ref, account.guarantor_name}
        for line in lines_of_account(session, account.id):
            words |= {line.description, line.patient_name, line.code, line.public_id, line.visit_public_id}
    for patient in session.query(Patient):
        words |= {patient.given_name, patient.family_name, patient.member_id or ""}
    for visit in session.query(Visit):
        words |= {visit.ref, visit.provider_name}
    session.rollback()
    return {word for word in words if len(word or "") > 2}


def test_no_guest_page_says_whose_bill_it_is_or_what_for(
    app: Flask, client: JudgingClient, session: Session, statement: Statement, standin: StandIn
) -> None:
    secrets = secrets_of(session)
    assert {"Testa", "Demopatient", ACCOUNT} <= secrets
    assert len(secrets) > 30
    seen = [client.get("/guest"), knock(client, OTHER_CODE), knock(client)]
    seen.append(client.get("/guest/bill"))
    seen.append(choose(client, choice="amount", amount="0.00"))
    pay = choose(client, choice="amount", amount="5.00", email="guest@example.org").location
    seen.append(client.get(pay))
    seen.append(client.get(f"{pay}/return"))
    payment = payment_at(session, pay)
    confirm(standin, payment)
    seen += [client.get(f"{pay}/return"), client.get(f"{pay}/receipt"), client.get("/guest/bill")]
    seen.append(client.submit(client.page("/guest/bill"), action="/guest/done", follow_redirects=True))
    for answer in seen:
        html = answer.get_data(as_text=True)
        shown = [word for word in secrets if re.search(rf"\b{re.escape(word)}\b", html)]
        assert shown == [], answer.request.url


def test_the_amount_is_what_is_due_now(guest: JudgingClient, session: Session, statement: Statement) -> None:
    printed = due(session)
    line = payable_lines(session, statement.account_id, user_id=None)[0]
    place_hold(
        session, charge_id=line.charge_id, reason=HoldReason.STAFF, account_id=statement.account_id, actor_user_id=None
    )
    session.commit()
    now = due(session)
    assert Money.zero() < now < printed
    text = guest.page("/guest/bill").text("main")
    assert str(now) in text
    assert str(printed) not in text
    assert "The amount has changed since the statement was printed" in text
    assert as_page(choose(guest, choice="amount", amount=str(printed))).text("main").count(f"The most is {now}") >= 1
    session.rollback()  # the try above was counted in this database since this session read

    for line in payable_lines(session, statement.account_id, user_id=None):
        place_hold(
            session, charge_id=line.charge_id, reason=HoldReason.STAFF, account_id=statement.account_id,
            actor_user_id=None,
        )  # fmt: skip
    session.commit()
    page = guest.page("/guest/bill")
    assert "There is nothing to pay right now" in page.text("main")
    assert not page.all("input", name="choice")


# --- Paying ---


def test_a_guest_pays_and_gets_a_receipt(
    guest: JudgingClient,
    session: Session,
    standin: StandIn,
    statement: Statement,
    app: Flask,
    clinic: Clinic,
    sign_in: Callable[..., Any],
) -> None:
    whole = due(session)
    pay = choose(guest, choice="amount", amount="12.34", email=" guest@example.org ").location
    page = guest.page(pay)
    assert "$12.34" in page.text("main")
    assert "guest@example.org" in page.text("main")
    assert page.all("form", id="pay-form")
    assert not page.all("input", name="keep")
    payment = payment_at(session, pay)
    assert (payment.user_id, payment.source, payment.keep_method) == (None, "guest", False)
    confirm(standin, payment)
    receipt = guest.page(f"{pay}/return")
    text = receipt.text("main")
    assert "You paid $12.34" in text
    assert "Visa ending 4242" in text
    assert f"{payment.public_id[:4]}-{payment.public_id[4:8]}".upper() in text
    assert str(whole - Money(1234)) in text
    session.rollback()
    (mail,) = session.query(Notification).filter_by(to_email="guest@example.org").all()
    assert "$12.34" in mail.body
    assert "Sign in" not in mail.body
    bill = guest.page("/guest/bill").text("main")
    assert "You paid $12.34" in bill
    assert str(whole - Money(1234)) in bill

    # The history of whoever has the whole account shows it, and another pass for the same account does not.
    patient = app.test_client()
    assert isinstance(patient, JudgingClient)
    sign_in(patient, TESTA)
    assert "$12.34" in patient.page("/payments").text("main")
    assert "$12.34" in patient.page(f"/payments/{payment.public_id}/receipt").text("main")
    other = app.test_client()
    assert isinstance(other, JudgingClient)
    enter(other)
    for tail in ("", "/return", "/receipt"):
        assert other.get(f"{pay}{tail}").status_code == 404
    assert "$12.34" not in other.page("/guest/bill").text("main")
    token = _token(other.page("/guest/bill"))
    assert other.post(f"{pay}/cancel", data={"csrf_token": token}).status_code == 404


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"choice": "amount", "amount": ""}, "Write the amount"),
        ({"choice": "amount", "amount": "-5"}, "above $0.00"),
        ({"choice": "amount", "amount": "1e3"}, "numbers only"),
        ({"choice": "amount", "amount": "0.49"}, "at least $0.50"),
        ({"choice": "amount", "amount": "999999"}, "The most is"),
        ({"email": "nobody"}, "Check this email address"),
        ({"email": "a@b.c\nBcc: d@example.org"}, "Check this email address"),
        ({"email": "x" * 250 + "@example.org"}, "at most 254"),
        ({"choice": "lines"}, "Not a valid choice"),
        ({"seen": "1"}, "has changed since you opened this page"),
        ({"seen": "-1"}, "has changed since you opened this page"),
        ({"seen": "nine"}, "has changed since you opened this page"),
    ],
)
def test_what_cannot_be_paid_gets_words(
    guest: JudgingClient, session: Session, fields: dict[str, str], words: str
) -> None:
    answer = choose(guest, **fields)
    assert answer.status_code == 422
    assert words in as_page(answer).text("main")
    session.rollback()
    assert session.query(Payment).count() == 0


def test_a_double_click_two_tabs_a_reload_and_the_back_button_pay_once(
    guest: JudgingClient, session: Session, standin: StandIn, gateway: StripeGateway
) -> None:
    whole = due(session)
    bill = guest.page("/guest/bill")
    first, second = (guest.submit(bill, field="choice").location for _click in range(2))
    assert first != second
    guest.page(second)
    # The first click's attempt is closed; its page says so and leads back.
    answer = guest.get(first, follow_redirects=True)
    assert "You have not been charged for it" in as_page(answer).text("main")
    payment = payment_at(session, second)
    for _reload in range(3):
        guest.page(second)
    assert payment_at(session, second).stripe_intent_id == payment.stripe_intent_id
    confirm(standin, payment)
    # The second tab still shows the whole amount: its form starts nothing.
    stale = guest.submit(bill, field="choice")
    assert stale.status_code == 422
    # Back to the card page, and the return page over and over: always the one receipt.
    for address in (second, f"{second}/return", second, f"{second}/receipt"):
        assert f"You paid {whole}" in guest.page(address).text("main")
    assert taken(standin) == whole.cents
    session.rollback()
    assert session.query(Payment).filter_by(state=PaymentState.SUCCEEDED).count() == 1
    assert "There is nothing to pay right now" in guest.page("/guest/bill").text("main")


def test_part_paid_in_one_tab_is_not_paid_again_by_the_other(
    guest: JudgingClient, session: Session, standin: StandIn
) -> None:
    bill = guest.page("/guest/bill")
    fields = {"choice": "amount", "amount": "10.00"}
    pay = guest.submit(bill, fields, field="choice").location
    guest.page(pay)
    confirm(standin, payment_at(session, pay))
    guest.page(f"{pay}/return")
    answer = guest.submit(bill, fields, field="choice")
    assert answer.status_code == 422
    assert "has changed since you opened this page" in as_page(answer).text("main")
    assert taken(standin) == 1000


def test_two_guests_of_one_account_cannot_both_pay(
    app: Flask, guest: JudgingClient, session: Session, standin: StandIn
) -> None:
    mine = choose(guest).location
    guest.page(mine)
    first = payment_at(session, mine)
    other = app.test_client()
    assert isinstance(other, JudgingClient)
    enter(other)
    theirs = choose(other).location
    other.page(theirs)
    intent = client_of(standin).v1.payment_intents.retrieve(first.stripe_intent_id or "")
    assert intent.status == "canceled"
    whole = due(session)
    confirm(standin, payment_at(session, theirs))
    assert f"You paid {whole}" in other.page(f"{theirs}/return").text("main")
    assert taken(standin) == whole.cents


def test_a_charge_held_meanwhile_is_not_paid(
    guest: JudgingClient, session: Session, statement: Statement, standin: StandIn
) -> None:
    pay = choose(guest).location
    guest.page(pay)
    line = payable_lines(session, statement.account_id, user_id=None)[0]
    place_hold(
        session, charge_id=line.charge_id, reason=HoldReason.STAFF, account_id=statement.account_id, actor_user_id=None
    )
    session.commit()
    answer = guest.get(pay, follow_redirects=True)
    assert "Your bill has changed" in as_page(answer).text("main")
    intent_id = payment_at(session, pay).stripe_intent_id or ""
    assert client_of(standin).v1.payment_intents.retrieve(intent_id).status == "canceled"


def test_canceling_leads_back_to_the_amount(guest: JudgingClient, session: Session) -> None:
    pay = choose(guest, choice="amount", amount="5.00").location
    answer = guest.submit(guest.page(pay), action="/cancel", follow_redirects=True)
    assert "You have not been charged for it" in as_page(answer).text("main")
    assert payment_at(session, pay).state is PaymentState.CANCELED


def test_a_payment_and_its_pass_are_written_together(guest: JudgingClient, session: Session) -> None:
    choose(guest, choice="amount", amount="5.00")
    session.rollback()
    ((payment_id, pass_id),) = session.query(GuestPayment.payment_id, GuestPayment.guest_pass_id).all()
    assert session.query(Payment.id).all() == [(payment_id,)]
    assert session.query(GuestPass.id).all() == [(pass_id,)]


def test_stripe_out_of_reach_gets_words_and_no_charge(
    guest: JudgingClient, session: Session, standin: StandIn
) -> None:
    pay = choose(guest, choice="amount", amount="5.00").location
    standin.faults.add("drop_before", times=20)
    page = guest.page(pay)
    assert "You have not been charged. Wait a minute" in page.text("main")
    assert not page.all("form", id="pay-form")
    standin.faults.clear()
    assert guest.page(pay).all("form", id="pay-form")
    standin.faults.add("drop_before", times=20)
    page = guest.page(f"{pay}/return")
    assert "You don’t need to pay again" in page.text("main")
    standin.faults.clear()


def test_a_bank_debit_on_its_way_is_not_asked_for_again(
    app: Flask, guest: JudgingClient, session: Session, standin: StandIn
) -> None:
    whole = due(session)
    pay = choose(guest, choice="amount", amount="20.00").location
    guest.page(pay)
    payment = payment_at(session, pay)
    client_of(standin).v1.payment_intents.confirm(
        payment.stripe_intent_id or "",
        {
            "payment_method": "pm_usBankAccount_success",
            "return_url": "http://localhost/back",
            "mandate_data": {"customer_acceptance": {"type": "offline"}},
        },
    )
    text = guest.page(f"{pay}/return").text("main")
    assert "on its way" in text
    bill = guest.page("/guest/bill").text("main")
    assert str(whole - Money(2000)) in bill
    assert "$20.00 is on its way" in bill


