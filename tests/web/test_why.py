"""Why do I owe this: the pages' figures are the books', and nobody sees another's."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.access import grant
from portal.accounts.kinds import Relationship
from portal.accounts.models import Account, Patient
from portal.audit.models import AuditEvent
from portal.audit.tags import Tag
from portal.billing.kinds import EntryKind, HoldReason
from portal.billing.models import Charge, Claim, Entry, Visit
from portal.billing.queries import lines_of_account
from portal.billing.service import NewEntry, place_hold, write_entries
from portal.money import Money
from portal.payments.kinds import BookingKind
from portal.payments.models import Allocation, Payment, PaymentShare
from portal.payments.state import PaymentState
from portal.statements.models import Statement
from portal.web.database import db
from portal.why.command import as_text, trace_of
from tests.conftest import Clinic
from tests.pages import JudgingClient, Page, text_of

SignIn = Callable[..., Page]
TESTA, SAM, PAULA = "testa@example.com", "sam@example.com", "paula@example.com"
REFS = {TESTA: "JDC-1001", SAM: "JDC-1002", PAULA: "JDC-1003"}


def cents(text: str) -> int:
    """An amount as a page writes it."""
    found = re.fullmatch(r"([−-]?)\$([\d,]+)\.(\d\d)", text.strip())
    assert found, text
    size = int(found[2].replace(",", "")) * 100 + int(found[3])
    return -size if found[1] else size


def big(page: Page) -> int:
    return cents(page.text("p", class_="big-amount-value"))


def picture_of(page: Page) -> dict[str, int]:
    """The picture's amounts by what each row is."""
    rows = {}
    for row in page.all("tr", class_="flow-row"):
        kind = next(name for name in row.get("class", "").split()[1:] if name.startswith("flow-"))
        (amount,) = [cell for cell in row.iter("td") if "flow-amount" in cell.get("class", "")]
        rows[kind.removeprefix("flow-").replace("-", "_")] = cents(text_of(amount))
    return rows


def running_of(page: Page) -> list[int]:
    return [cents(text_of(one).split(" ")[0]) for one in page.all("div", class_="step-running")]


def account_id_of(session: Session, ref: str) -> int:
    found = session.scalars(sa.select(Account.id).where(Account.ref == ref)).one()
    session.commit()
    return found


@pytest.mark.parametrize("email", [TESTA, SAM, PAULA])
def test_every_figure_is_the_books(client: JudgingClient, clinic: Clinic, sign_in: SignIn, email: str) -> None:
    session = clinic.session
    account_id = account_id_of(session, REFS[email])
    lines = lines_of_account(session, account_id)
    session.rollback()
    assert lines
    sign_in(client, email)
    due_by_visit: dict[str, int] = {}
    for line in lines:
        page = client.page(f"/charges/{line.public_id}/why")
        assert big(page) == abs(line.sums.due.cents)
        assert running_of(page)[-1] == line.sums.due.cents
        due_by_visit[line.visit_public_id] = due_by_visit.get(line.visit_public_id, 0) + line.sums.due.cents
        rows = picture_of(page)
        assert (rows["billed"], rows["due"]) == (line.sums.billed.cents, abs(line.sums.due.cents))
        assert rows.get("insurer_paid", 0) == -line.sums.insurer_paid.cents
        assert rows["share"] == line.sums.share.cents
    for public_id, due in due_by_visit.items():
        for address in (f"/visits/{public_id}/why", f"/visits/{public_id}"):
            assert picture_of(client.page(address))["due"] == abs(due)
        page = client.page(f"/visits/{public_id}/why")
        assert big(page) == abs(due)
        totals = [text_of(one).split(" ")[0] for one in page.all("span", class_="added-total")]
        assert cents(totals[-1]) == due
    page = client.page(f"/accounts/{clinic.account(REFS[email])}/why")
    assert big(page) == sum(due_by_visit.values())
    totals = [text_of(one).split(" ")[0] for one in page.all("span", class_="added-total")]
    assert cents(totals[-1]) == big(page)
    rows = picture_of(page)
    taken = sum(rows.get(kind, 0) for kind in ("discount", "other_reduction", "insurer_paid", "with_insurer"))
    assert rows["billed"] + taken == rows["share"]


def addresses(clinic: Clinic) -> list[str]:
    """Testa's four pages."""
    session = clinic.session
    statement = session.scalars(
        sa.select(Statement.public_id).where(Statement.account_id == account_id_of(session, "JDC-1001"))
    ).one()
    session.commit()
    return [
        f"/charges/{clinic.charge('V-260604-1', '99213')}/why",
        f"/visits/{clinic.visit('V-260604-1')}/why",
        f"/statements/{statement}/why",
        f"/accounts/{clinic.account('JDC-1001')}/why",
    ]


def test_nobody_sees_anothers(app: Flask, client: JudgingClient, clinic: Clinic, sign_in: SignIn) -> None:
    wanted = addresses(clinic)
    sign_in(client, TESTA)
    assert [client.get(one).status_code for one in wanted] == [200] * 4
    for email in (SAM, "staff@example.com", "supervisor@example.com"):
        other = app.test_client()
        sign_in(other, email)
        assert [other.get(one).status_code for one in wanted] == [404] * 4
    assert {app.test_client().get(one).status_code for one in wanted} == {302}


def test_who_sees_one_patient_sees_that_patients_part(
    client: JudgingClient, clinic: Clinic, sign_in: SignIn, session: Session
) -> None:
    kit = session.scalars(sa.select(Patient).where(Patient.given_name == "Kit")).one()
    grant(
        session,
        user_id=clinic.user_id(SAM),
        account_id=kit.account_id,
        relationship=Relationship.PROXY,
        patient_id=kit.id,
    )
    due = sum(
        line.sums.due.cents for line in lines_of_account(session, kit.account_id) if line.patient_name.startswith("Kit")
    )
    statement = session.scalars(sa.select(Statement.public_id).where(Statement.account_id == kit.account_id)).one()
    session.commit()
    sign_in(client, SAM)
    page = client.page(f"/accounts/{clinic.account('JDC-1003')}/why")
    assert big(page) == due
    assert "Paula Pretendparent, seen" not in page.text("main")
    assert client.get(f"/statements/{statement}/why").status_code == 404


def test_who_looked_is_audited(client: JudgingClient, clinic: Clinic, sign_in: SignIn, session: Session) -> None:
    sign_in(client, TESTA)
    line, visit, statement, _account = addresses(clinic)
    for address in (line, visit, statement):
        client.page(address)
    seen = session.execute(
        sa.select(AuditEvent.tag, AuditEvent.subject)
        .where(AuditEvent.tag.in_([Tag.VISIT_SEEN, Tag.STATEMENT_SEEN]), AuditEvent.actor_user_id.is_not(None))
        .order_by(AuditEvent.id)
    ).all()
    assert [tuple(row) for row in seen] == [
        (Tag.VISIT_SEEN, clinic.visit("V-260604-1")),
        (Tag.VISIT_SEEN, clinic.visit("V-260604-1")),
        (Tag.STATEMENT_SEEN, statement.split("/")[2]),
    ]


def pay(clinic: Clinic, ref: str, visit_ref: str, code: str, amount: int, state: PaymentState) -> Payment:
    """A payment of a line, in some state; one that succeeded is in the books."""
    from portal.payments.allocate import Part
    from portal.payments.booking import book

    session, now = clinic.session, clock.now()
    account_id = account_id_of(session, ref)
    charge_id = session.scalars(sa.select(Charge.id).where(Charge.public_id == clinic.charge(visit_ref, code))).one()
    payment = Payment(
        account_id=account_id,
        user_id=clinic.user_id(TESTA),
        amount=Money(amount),
        state=state,
        stripe_intent_id=f"pi_{state.value}",
        method="Visa ending in 4242",
        created_at=now,
        checked_at=now,
        settled_at=now,
    )
    session.add(payment)
    session.flush()
    session.add(PaymentShare(payment_id=payment.id, account_id=account_id, amount=Money(amount), is_open=False))
    session.add(Allocation(payment_id=payment.id, charge_id=charge_id, amount=Money(amount)))
    if state is PaymentState.SUCCEEDED:
        book(
            session,
            kind=BookingKind.PAYMENT,
            payment_id=payment.id,
            home_account_id=account_id,
            subject=payment.public_id,
            parts=[Part(charge_id, Money(amount))],
            at=clock.now(),
        )
    session.commit()
    return payment


def test_what_is_on_its_way_is_shown_apart(client: JudgingClient, clinic: Clinic, sign_in: SignIn) -> None:
    sign_in(client, TESTA)
    wanted = addresses(clinic)
    before = [big(client.page(one)) for one in wanted]
    pay(clinic, "JDC-1001", "V-260604-1", "99213", 1200, PaymentState.PROCESSING)
    for address, due in zip(wanted, before, strict=True):
        page = client.page(address)
        assert big(page) == due
        text = page.text("main")
        assert "Your payment of $12.00 has not arrived yet" in text
        assert f"When it has arrived, you owe {Money(due - 1200)}." in text
        assert picture_of(page)["due"] == due


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (HoldReason.CHARGEBACK, "A bank took back a payment for this."),
        (HoldReason.REFUNDED, "A payment for this was given back."),
        (HoldReason.NEXT_PAYER, "Another insurer may have a part in this"),
        (HoldReason.STAFF, "We are checking this."),
    ],
)
def test_why_a_line_is_on_hold_is_said_where_its_patient_knows_what_happened(
    client: JudgingClient, clinic: Clinic, sign_in: SignIn, reason: HoldReason, words: str
) -> None:
    sign_in(client, TESTA)
    account_id = account_id_of(clinic.session, "JDC-1001")
    line = next(one for one in lines_of_account(clinic.session, account_id) if one.payable)
    for one in (HoldReason.STAFF, reason):  # of several, the latest
        place_hold(clinic.session, charge_id=line.charge_id, account_id=account_id, reason=one)
    clinic.session.commit()
    for address in (f"/charges/{line.public_id}/why", f"/visits/{line.visit_public_id}"):
        text = client.page(address).text("main")
        assert words in text, address
        assert "You don’t need to pay it" in text


def test_a_statement_tells_what_changed_since(client: JudgingClient, clinic: Clinic, sign_in: SignIn) -> None:
    sign_in(client, TESTA)
    session = clinic.session
    account_id = account_id_of(session, "JDC-1001")
    statement = session.scalars(sa.select(Statement).where(Statement.account_id == account_id)).one()
    address, printed = f"/statements/{statement.public_id}/why", statement.amount_due
    session.commit()
    page = client.page(address)
    assert (big(page), running_of(page)) == (printed.cents, [printed.cents])
    assert "the same as when it was printed" in page.text("main")

    payment = pay(clinic, "JDC-1001", "V-260604-1", "99213", 1000, PaymentState.SUCCEEDED)
    charge_id = session.scalars(
        sa.select(Charge.id).where(Charge.public_id == clinic.charge("V-260604-1", "99213"))
    ).one()
    claim_id = session.scalars(sa.select(Entry.claim_id).where(Entry.charge_id == charge_id).limit(1)).one()
    write_entries(
        session,
        [
            NewEntry(account_id, charge_id, EntryKind.SHARE_MOVED, Money(2000), Money(-2000), "remittance", "later/1",
                     claim_id=claim_id),
            NewEntry(account_id, charge_id, EntryKind.INSURER_PAYMENT, Money(-1500), Money(0), "remittance", "later/2",
                     claim_id=claim_id),
            NewEntry(account_id, charge_id, EntryKind.SHARE_MOVED, Money(-500), Money(500), "remittance", "later/3",
                     claim_id=claim_id, group_code="PR", reason_code="2"),
        ],
    )  # fmt: skip
    session.commit()
    page = client.page(address)
    due = printed.cents - 1000 - 1500
    assert (big(page), running_of(page)) == (due, [printed.cents, printed.cents - 1000, due])
    text = page.text("main")
    reference = f"{payment.public_id[:4]}-{payment.public_id[4:8]}".upper()
    for words in (f"reference {reference}", "Visa ending in 4242", "decided again", "This lowered your share.",
                  f"When it was printed, it was {printed}"):  # fmt: skip
        assert words in text, words
    assert client.page(f"/accounts/{clinic.account('JDC-1001')}/statements").links()[
        f"What changed since, and why {statement.number}"
    ].endswith(address)


def test_a_statement_that_does_not_name_its_charges_finds_them(
    client: JudgingClient, clinic: Clinic, sign_in: SignIn
) -> None:
    session = clinic.session
    statement = session.scalars(
        sa.select(Statement).where(Statement.account_id == account_id_of(session, "JDC-1001"))
    ).one()
    lines = [{name: value for name, value in line.items() if name != "charge"} for line in statement.lines]
    lines[0] = {**lines[0], "description": "Nothing we know"}
    lost = Money(lines[0]["cents"])
    address, rest = f"/statements/{statement.public_id}/why", statement.amount_due - lost
    session.execute(sa.update(Statement).where(Statement.id == statement.id).values(lines=lines))
    session.commit()
    sign_in(client, TESTA)
    page = client.page(address)
    assert big(page) == rest.cents
    assert f"{lost} of the statement is for charges that were changed since" in page.text("main")


@contextmanager
def counted(app: Flask) -> Iterator[list[str]]:
    """The statements that the app sends to its database."""
    told: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.startswith("SELECT"):
            told.append(statement)

    with app.app_context():
        engine = db.engine
    sa.event.listen(engine, "before_cursor_execute", note)
    yield told
    sa.event.remove(engine, "before_cursor_execute", note)


def long_account(session: Session, ref: str, visits: int, lines: int) -> None:
    """Many more visits on an account, each with lines that an insurer decided."""
    account_id = account_id_of(session, ref)
    patient_id = session.scalars(sa.select(Patient.id).where(Patient.account_id == account_id).limit(1)).one()
    now, zero = clock.now(), Money.zero()
    for number in range(visits):
        visit = Visit(account_id=account_id, patient_id=patient_id, ref=f"LONG-{number}", started_on=date(2025, 1, 1))
        session.add(visit)
        session.flush()
        claim = Claim(
            visit_id=visit.id, source_key=f"LONG-{number}", payer_name="Long Plan", status_code="1", loaded_at=now
        )
        charges = [Charge(visit_id=visit.id, ordinal=one, billed=Money(10000)) for one in range(lines)]
        session.add_all([claim, *charges])
        session.flush()
        rows = [
            NewEntry(account_id, charge.id, kind, Money(insurer), Money(patient), "remittance", f"{charge.id}/{place}",
                     claim_id=claim.id, group_code=code[:2], reason_code=code[3:])
            for charge in charges
            for place, (kind, insurer, patient, code) in enumerate(
                [
                    (EntryKind.CHARGE, 10000, 0, ""),
                    (EntryKind.ADJUSTMENT, -4000, 0, "CO-45"),
                    (EntryKind.INSURER_PAYMENT, -5000, 0, ""),
                    (EntryKind.SHARE_MOVED, -1000, 1000, "PR-2"),
                ]
            )
        ]  # fmt: skip
        assert zero == Money(0)
        write_entries(session, rows)
    session.commit()


def test_a_long_account_is_paged_and_asks_the_database_no_more_often(
    app: Flask, client: JudgingClient, clinic: Clinic, sign_in: SignIn
) -> None:
    sign_in(client, TESTA)
    address = f"/accounts/{clinic.account('JDC-1001')}/why"
    client.page(address)
    with counted(app) as few:
        before = big(client.page(address))
    long_account(clinic.session, "JDC-1001", visits=60, lines=2)
    with counted(app) as many:
        first = client.page(address)
    assert len(many) == len(few)
    assert big(first) == before + 60 * 2 * 1000
    pages = [first, client.page(f"{address}?page=2"), client.page(f"{address}?page=3")]
    assert [len(page.all("li", class_="added-item")) for page in pages] == [25, 25, 17]
    totals = [cents(text_of(page.all("span", class_="added-total")[-1]).split(" ")[0]) for page in pages]
    assert totals[-1] == big(first)
    assert f"The pages before come to {Money(totals[1])}." in pages[2].text("main")
    assert [client.get(f"{address}?page={bad}").status_code for bad in ("0", "4", "-1")] == [404] * 3


EVIL = '<script>alert(1)</script> "copay" & Deductible Plan'


def test_a_payers_name_is_text_wherever_it_stands(client: JudgingClient, clinic: Clinic, sign_in: SignIn) -> None:
    session = clinic.session
    session.execute(sa.update(Claim).values(payer_name=EVIL, payer_claim_ref="<b>1</b>", file_name="<i>.835"))
    session.commit()
    sign_in(client, TESTA)
    for address in [*addresses(clinic), f"/visits/{clinic.visit('V-260604-1')}"]:
        page = client.page(address)
        assert not [one for one in page.all("script") if "alert" in text_of(one)]
        assert not page.all("i")
        assert "&lt;script&gt;" in page.html or "/accounts/" in address or "/statements/" in address
    # The words in the name are marked like any other, and the name still reads as it is.
    page = client.page(addresses(clinic)[0])
    assert EVIL in page.text("main")


def test_words_open_their_meaning(client: JudgingClient, clinic: Clinic, sign_in: SignIn) -> None:
    sign_in(client, TESTA)
    page = client.page(f"/visits/{clinic.visit('V-260604-1')}")
    targets = {one.get("popovertarget") for one in page.all("button", class_="term")}
    assert "term-copay" in targets
    assert targets == {one.get("id") for one in page.all("div", class_="term-card")}
    assert "/glossary#copay" in [link.get("href") for link in page.all("a")]
    assert client.page("/glossary").all("button", class_="term") == []


def test_json_and_page_say_the_same(app: Flask, client: JudgingClient, clinic: Clinic, sign_in: SignIn) -> None:
    pay(clinic, "JDC-1001", "V-260604-1", "99213", 1000, PaymentState.SUCCEEDED)
    line, visit, statement, account = addresses(clinic)
    with app.app_context():
        whole = trace_of(db.session, "JDC-1001")
        by_id = trace_of(db.session, clinic.account("JDC-1001"), visit="V-260604-1")
        paper = trace_of(db.session, "JDC-1001", statement=statement.split("/")[2])
        db.session.rollback()
    assert json.loads(json.dumps(whole)) == whole
    sign_in(client, TESTA)

    def same(page: Page, facts: dict[str, Any]) -> None:
        rows = picture_of(page)
        told = {one["kind"]: one["cents"] for one in facts["picture"]["segments"]}
        assert {kind: abs(rows[kind]) for kind in told} == {kind: abs(amount) for kind, amount in told.items()}
        assert sum(told.values()) == facts["billed_cents"] == rows["billed"]
        assert sum(one["cents"] for one in facts["picture"]["share"]) == facts["share_cents"] == rows["share"]
        assert big(page) == abs(facts["due_cents"])

    same(client.page(account), whole)
    same(client.page(visit), by_id)
    (found,) = [one for one in whole["visits"] if one["ref"] == "V-260604-1"]
    (mine,) = [one for one in found["lines"] if f"/charges/{one['public_id']}/why" == line]
    page = client.page(line)
    same(page, mine)
    assert [step["running_cents"] for step in mine["steps"]] == running_of(page)
    assert [step["title"] for step in mine["steps"]] == [text_of(one) for one in page.all("h3", class_="step-title")]
    sources = [text_of(one) for one in page.all("p", class_="step-source")]
    for step, shown in zip([one for one in mine["steps"] if one["source"]], sources, strict=True):
        assert shown.endswith(step["source"]["text"])
    assert mine["steps"][-1]["source"]["stripe_id"] == "pi_succeeded"
    # The running amount of the whole ends at what is due, and so does each part's.
    assert [one["total_cents"] for one in whole["visits"]][-1] == whole["due_cents"]
    for one in whole["visits"]:
        assert one["lines"][-1]["steps"][-1]["total_cents"] == one["total_cents"]
    page = client.page(statement)
    assert (paper["printed_cents"], paper["due_cents"]) == (running_of(page)[0], big(page))
    assert [step["running_cents"] for step in paper["changes"]] == running_of(page)[1:]
    for facts in (whole, by_id, paper):
        text = "\n".join(as_text(facts))
        assert str(Money(facts["due_cents"])) in text
