"""No page, job or load reads the whole of a table that grows.

Every statement they send is collected while they run on a small clinic, and PostgreSQL is asked for its plan on a
large one (``tests/large_database.py``: 100,000 entries, 10,000 accounts). The plans are those that a clinic gets, with
counted tables and PostgreSQL's own choice: with ``enable_seqscan`` off it would take an index from end to end instead
(``write_entries`` once did, by a unique index whose first column it did not name), and nothing would show. So a walk
through a whole index counts like one through the table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit
from xml.etree.ElementTree import Element

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask
from sqlalchemy.orm import Session
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect

import portal
import portal.worker
from portal import clock
from portal.audit.tags import Tag
from portal.billing.checks.front_office import import_rows
from portal.config import Settings
from portal.db import writing
from portal.ledger.adapters.embedded.ledger import EmbeddedLedger
from portal.ledger.push import deliver_due
from portal.money import Money
from portal.payments.gateway import StripeGateway
from portal.refunds.service import request_refund
from portal.refunds.state import RefundReason
from portal.sandbox.stripe import StandIn
from portal.schema import DemoData, require_ours
from portal.tables import metadata
from portal.web.database import db
from portal.web.guards import Guard, guard_of
from portal.why.command import trace_of
from portal.worker import timetable
from tests import large_database
from tests.architecture.test_routes import SAM, STAFF, SUPERVISOR, TESTA, Addresses, rules_of, token_of
from tests.conftest import Clinic, Database
from tests.pages import JudgingClient, Page, as_page, fields_of, sign_in
from tests.query_plans import Sent, Statement, whole_reads
from tests.unit.plans.conftest import PlanWorld
from tests.unit.remittances.books import claim, load, payment, remittance
from tests.web.guesting import account_id as _account_id
from tests.web.guesting import deliver, enter, issue
from tests.web.money_moves import Pay, gateway, pay

__all__ = ["gateway", "pay"]

PORTAL = Path(portal.__file__).parent

#: Tables that stay small however many patients there are.
STAYS_SMALL = {
    "role": "the portal's two roles",
    "schema_compatibility": "one row",
    "limit_counter": "what is counted in some minutes: a job clears all that has expired",
    "stripe_cursor": "one row for each list at Stripe that is read on from where it was left",
    "card_testing_alarm": "one row for each attack",
    "ledger_service_item": "the embedded ledger's price list",
    "plan_clause_state": "one row each time a supervisor takes a state away",
    "text_review": "one row for each of the portal's own translations",
}

_COUNTED = "how many pages the desk's list has, counted over the index alone"
_SUMS = "no index finds a sum: lines are asked for what all their entries come to"
_FOUND_BY_A_PART = (
    "what a caller says is found anywhere in a name: at 100,000 accounts 0.17 s at most; every other page asks by a key"
)
_ENDED_WITHOUT = "ended plans are looked at by what their agreement lacks: 0.33 s where all of 20,000 lack a clause"
_NEWS = "news is any of five moments: refunds and disputes are the few of all payments that went wrong"
#: Whole reads that are right, by table and a part of the statement that tells it from others: why.
ALLOWED: dict[tuple[str, str], str] = {
    ("dispute", "SELECT count(dispute.id)"): _COUNTED,
    ("payout", "SELECT count(payout.id)"): _COUNTED,
    ("remittance_transaction", "SELECT count(remittance_transaction.id)"): _COUNTED,
    ("thread", "SELECT thread.state, count(thread.id)"): "the numbers on the tabs of the desk's inbox",
    ("refund", "SELECT count(refund.id)"): "of the refunds nearly all are done, and this counts the done",
    ("refund", "ORDER BY refund.id DESC"): "the newest of those that are done, which nearly all are: it stops soon",
    ("dispute", "ORDER BY CASE WHEN (dispute.state"): "the desk's list in order of urgency; a clinic has tens a year",
    ("payment", "ORDER BY CASE WHEN (dispute.state"): "the same list, which names the payments",
    ("account", "ORDER BY CASE WHEN (dispute.state"): "the same list, which names the accounts",
    ("remittance_transaction", "ORDER BY CASE WHEN (remittance_transaction.state"): "the desk's list in order of "
    "urgency; insurers pay a clinic some thousand times a year, and the rows are small",
    ("remittance_file", "ORDER BY CASE WHEN (remittance_transaction.state"): "the same list, which names the files",
    ("entry", "entry.id > coalesce((SELECT entry.id FROM entry WHERE entry.created_at <"): "from the newest entry back "
    "to the first that is older: it stops there",
    ("account", "(lower(account.guarantor_name) LIKE"): _FOUND_BY_A_PART,
    ("account", "WHERE lower(account.guarantor_name) LIKE"): _FOUND_BY_A_PART,
    ("patient", "lower(account.guarantor_name) LIKE"): _FOUND_BY_A_PART,
    ("plan", "EXISTS (SELECT plan_line.plan_id, plan_line.charge_id, sum("): _ENDED_WITHOUT,
    ("plan_change", "EXISTS (SELECT plan_line.plan_id, plan_line.charge_id, sum("): _ENDED_WITHOUT,
    ("refund", "UNION SELECT visit.account_id"): _NEWS,
    ("dispute", "UNION SELECT visit.account_id"): _NEWS,
    # The desk's lines to check, and once a day (and on its page of refunds) the credits of all accounts.
    ("entry", "AS patient FROM entry GROUP BY entry.charge_id) AS anon_"): _SUMS,
    ("charge", "AS patient FROM entry GROUP BY entry.charge_id) AS anon_"): _SUMS,
    ("visit", "AS patient FROM entry GROUP BY entry.charge_id) AS anon_"): _SUMS,
    ("account", "AS patient FROM entry GROUP BY entry.charge_id) AS anon_"): _SUMS,
    ("entry", "SELECT entry.charge_id, min(entry.account_id) AS min_1"): _SUMS,
    ("booking_part", "SELECT entry.charge_id, min(entry.account_id) AS min_1"): _SUMS,
}


#: Queries that no page links to while there is little to choose from, by the page's name.
ASKED_BESIDES = {
    "staff.plans": ("list=charges&page=2",),
    "plans.method": ("method=another",),
}
#: Rows of the files that a front office sends, of the demo's accounts.
FRONT_OFFICE = {
    "estimates": ("account,visit,issued_on,amount", "JDC-1001,V-260604-1,2026-06-01,950.00"),
    "coverages": (
        "account,given_name,family_name,payer,starts_on,ends_on",
        "JDC-1001,Testa,Sample,Example Health Plan,2026-01-01,",
    ),
    "desk-payments": ("account,visit,reference,paid_on,amount", "JDC-1001,V-260604-1,DESK-1,2026-06-01,5.00"),
}


#: How ``write_entries`` once asked which entries are there.
_ENTRIES = "SELECT source, source_id, revision FROM entry WHERE source_id IN ('835/x', '835/y')"


@pytest.fixture
def postgres(database: Database) -> None:
    if database.kind != "postgres":
        pytest.skip("SQLite has no plans with costs; PostgreSQL's are what is looked at")


@pytest.fixture
def sent(postgres: None, engine: sa.Engine) -> Iterator[Sent]:
    with Sent(str(engine.url.database)) as sent:
        yield sent


def _live(sent: Sent, session: Session, app: Flask, settings: Settings, world: PlanWorld, pay: Pay) -> None:
    """Money moves for two months: payments, a refund, a dispute, a credit, payouts, a plan and autopay."""
    sent.doing = "payments"
    paid = pay("60")
    pay("20", card="pm_card_createDispute")
    sent.doing = "a refund"
    request_refund(
        session,
        payment_public_id=paid.public_id,
        amount=Money(1_000),
        reason=RefundReason.GOODWILL,
        actor=world.user_id,
        note="",
        today=world.today,
        limit=Money(5_000),
    )
    session.commit()
    sent.doing = "a plan"
    world.enrol()
    sent.doing = "autopay"
    other = replace(world, account_id=_account_id(session, "JDC-1003"))
    other.turn_on()
    # In the end the worker runs as it always does: some minutes after it ran before.
    for days in (1, 10, 10, 10, 10, 10, 10, 0.01):
        other.later(days=days)
        deliver(session, world.gateway, world.standin)
        session.commit()
        sent.doing = "insurance moves a share"
        world.adjust(world.lines()[0].charge_id, -500)
        _jobs(sent, app, settings)


class Visitor:
    """Somebody who opens pages, follows what they link to with a query, and sends their forms filled in."""

    def __init__(self, sent: Sent, app: Flask, client: JudgingClient) -> None:
        self._sent, self._app, self.client = sent, app, client
        #: The rules with the names in each query that was asked for, and the names alone.
        self._asked: set[tuple[str, tuple[tuple[str, str], ...]]] = set()
        self.names: set[str] = set()

    def open(self, address: str, query: str = "") -> Page | None:
        """Open a page of the portal's; None for what is none, or was looked at before with such a query."""
        path = urlsplit(address).path
        try:
            endpoint, _ids = self._app.url_map.bind("localhost").match(path, method="GET")
        except (HTTPException, RequestRedirect):
            return None
        # What differs in a public id alone sends the same statements.
        words = [(name, "" if len(value) > 15 else value) for name, value in parse_qsl(query, keep_blank_values=True)]
        if (endpoint, tuple(words)) in self._asked or endpoint == "security.logout":
            return None
        self._asked.add((endpoint, tuple(words)))
        self.names.update(name for name, _value in words)
        self._sent.doing = f"GET {endpoint} with {words}"
        response = self.client.get(f"{path}?{query}" if query else path)
        return as_page(response) if response.mimetype == "text/html" else None

    def look_around(self, page: Page) -> None:
        """Open what a page links to with a query, and everything that its forms ask for by GET."""
        links = [link.get("href", "") for link in page.all("a")] + [f"{urlsplit(page.url).path}?page=2"]
        today = clock.clinic_day(clock.now())
        links += [f"{link}&on={today}" for link in links if "list=charges" in link]
        for form in page.all("form", method="get"):
            links.append(f"{form.get('action') or urlsplit(page.url).path}?{urlencode(_filled_in(form), doseq=True)}")
        for link in links:
            if urlsplit(link).query and not urlsplit(link).netloc:
                self.open(link, urlsplit(link).query)

    def send_forms(self, page: Page) -> None:
        """Send every form of a page as somebody would who has something to say."""
        for form in page.all("form", method="post"):
            address = form.get("action") or urlsplit(page.url)._replace(scheme="", netloc="").geturl()
            if urlsplit(address).path not in LEFT_ALONE:
                self._sent.doing = f"the form at {address}"
                for words in ("Sample words", "JDC-1001") if form_has(form, "q") else ("Sample words",):
                    self.client.post(address, data=_filled_in(form, words), follow_redirects=True)


#: They would end what the others need.
LEFT_ALONE = {"/sign-out", "/change-password"}


def form_has(form: Element, name: str) -> bool:
    """Whether a form has a field of this name."""
    return name in fields_of(form)


def _filled_in(form: Element, words: str = "Sample words") -> dict[str, Any]:
    """What a form sends with every field filled in, each tick set, and the last of each choice taken."""
    data = fields_of(form)
    for field in (one for one in form.iter() if one.tag in ("input", "textarea")):
        name, kind = field.get("name", ""), field.get("type", "text")
        if kind in ("checkbox", "radio"):
            data[name] = field.get("value", "on")
        elif name in data and not data[name] and kind != "hidden":
            later = (clock.clinic_day(clock.now()) + timedelta(days=10)).isoformat()
            money = field.get("inputmode") == "decimal" or name in ("amount", "each")
            data[name] = later if kind == "date" else "1.00" if money else words
    for button in form.iter("button"):
        if button.get("name"):
            data[button.get("name", "")] = button.get("value", "")
    return data


def _pages(sent: Sent, app: Flask, clinic: Clinic) -> set[str]:
    """Everybody opens every page and what it links to with a query, sends every form empty, and then filled in.

    Returns the names of all that was asked for in queries.
    """
    addresses = Addresses(clinic)
    people: dict[Guard, JudgingClient] = {}
    for guards, email in (
        ((Guard.OWN_ACCOUNT, Guard.SIGNED_IN), SAM),
        ((Guard.STAFF,), STAFF),
        ((Guard.SUPERVISOR,), SUPERVISOR),
        ((Guard.PUBLIC, Guard.GUEST), ""),
    ):
        client = app.test_client()
        assert isinstance(client, JudgingClient)
        sent.doing = f"{email or 'a guest'} comes in"
        if email:
            sign_in(client, email, clinic.password)
        else:
            enter(client)
        people |= dict.fromkeys(guards, client)
    visitors = {client: Visitor(sent, app, client) for client in people.values()}
    found: list[tuple[Visitor, str]] = []
    for rule in rules_of(app, *people):
        if "GET" in (rule.methods or ()):
            visitor = visitors[people[guard_of(app, rule.endpoint) or Guard.CLOSED]]
            address = addresses.of(rule)
            page = visitor.open(address)
            if page is not None:
                visitor.look_around(page)
                for query in ASKED_BESIDES.get(rule.endpoint, ()):
                    visitor.open(address, query)
                found.append((visitor, address))
    for rule in rules_of(app, *people):
        if "POST" in (rule.methods or ()):
            client = people[guard_of(app, rule.endpoint) or Guard.CLOSED]
            sent.doing = f"POST {rule.rule}"
            client.post(addresses.of(rule), data={"csrf_token": token_of(client)})
    for visitor, address in found:
        response = visitor.client.get(address)
        if response.mimetype == "text/html" and response.status_code == 200:
            visitor.send_forms(as_page(response))
    return {name for visitor in visitors.values() for name in visitor.names}


def _names_of_queries() -> set[str]:
    """Every name that the portal reads from a query, as it is written in the code."""
    pattern = re.compile(r"""request\.args(?:\.get|\.getlist)?[\[(]["'](\w+)|["'](\w+)["'] (?:not )?in request\.args""")
    texts = (path.read_text(encoding="utf-8") for path in PORTAL.rglob("*.py") if "sandbox" not in path.parts)
    return {one or other for text in texts for one, other in pattern.findall(text)}


def _commands(sent: Sent, session: Session, clinic: Clinic) -> None:
    """What an operator types. ``portal reconcile`` is left out: to compare all of the books it reads all of them."""
    for kind, lines in FRONT_OFFICE.items():
        sent.doing = f"portal ledger import-{kind}"
        with writing():
            import_rows(session, kind, lines)
            session.commit()
    sent.doing = "portal trace"
    for asked in ({"visit": ""}, {"visit": clinic.visit("V-260604-1")}):
        trace_of(session, "JDC-1001", statement="", **asked)
    session.rollback()
    for loaded in ("another", Tag.DEMO_LOADED.value):  # who signs in where nothing tells a demo, and what does
        sent.doing = "portal web starts"
        with pytest.MonkeyPatch.context() as patch, suppress(DemoData):
            patch.setattr("portal.schema._DEMO_LOADED", loaded)
            require_ours(session.connection(), live=True)
        session.rollback()


def _jobs(sent: Sent, app: Flask, settings: Settings) -> None:
    for name, job in timetable(app, settings).items():
        sent.doing = f"job {name}"
        with app.app_context(), writing():
            job()
            db.session.rollback()


def _load(sent: Sent, session: Session) -> None:
    sent.doing = "a remittance"
    with writing():
        load(session, remittance(payment(claim("V-1"), paid=60)))
        load(session, remittance(payment(claim("V-1", paid=40, share=35, status="22"), paid=60, trace="EFT-2")))
        deliver_due(session, EmbeddedLedger(session))


# Half a minute where nothing else runs; beside other tests that keep the machine busy, some.
@pytest.mark.timeout(600)
def test_no_statement_reads_the_whole_of_a_table_that_grows(
    sent: Sent,
    app: Flask,
    clinic: Clinic,
    settings: Settings,
    session: Session,
    engine: sa.Engine,
    standin: StandIn,
    gateway: StripeGateway,
    pay: Pay,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(portal.worker, "smtp", lambda _url, _sender: lambda **_mail: None)
    account_id = _account_id(session, "JDC-1001")
    user_id = clinic.user_id(TESTA)
    issue(session)
    with time_machine.travel(clock.now(), tick=False) as travel:
        with app.test_request_context():
            _live(sent, session, app, settings, PlanWorld(session, gateway, standin, travel, account_id, user_id), pay)
        session.rollback()
        asked = _pages(sent, app, clinic)
        session.rollback()
        with app.test_request_context():
            _commands(sent, session, clinic)
        _load(sent, session)
        session.rollback()
        made = large_database.fill(engine, until=clock.now(), besides=STAYS_SMALL)
    assert made["entry"] == 100_000
    assert not [table for table, rows in made.items() if rows < 500]
    assert _names_of_queries() - asked == set(), "no page that was opened links to these"
    assert len(sent.statements) > 400
    growing, used, found = set(metadata.tables) - set(STAYS_SMALL), set(), []
    with engine.connect() as connection:
        for statement in sent.statements.values():
            for read in whole_reads(connection, statement, growing):
                why = [key for key in ALLOWED if key[0] == read.table and key[1] in statement.one_line]
                used.update(why)
                if not why:
                    found.append(f"{statement.doing} reads all of {read.table}: {read.how}\n    {statement.one_line}")
    assert not found, "\n".join(found)
    assert not set(ALLOWED) - used, "nothing needs to be allowed this any more"


@pytest.mark.parametrize(
    ("statement", "reads"),
    [
        (_ENTRIES, ["entry"]),
        (f"{_ENTRIES} AND source IN ('835')", []),
        ("SELECT max(patient_cents) FROM entry", ["entry"]),
        ("SELECT id FROM entry ORDER BY id DESC LIMIT 1", []),
        ("SELECT id FROM entry WHERE claim_id = 7 AND reason_code = '45'", []),
        ("UPDATE charge SET on_plan = true WHERE description = 'Office visit'", ["charge"]),
    ],
)
def test_a_whole_read_is_seen(postgres: None, engine: sa.Engine, statement: str, reads: list[str]) -> None:
    """By the table, or by an index whose first column is not named."""
    with engine.begin() as connection:
        large_database.fill_table(connection, "entry", until=clock.now())
        connection.exec_driver_sql("ANALYZE entry")
        found = whole_reads(connection, Statement(statement, (), ""), {"entry", "charge"})
    assert [one.table for one in found] == reads


@pytest.mark.parametrize(("rows", "reads"), [(100, []), (50_000, ["entry"])])
def test_a_walk_through_a_large_partial_index_is_seen(
    postgres: None, engine: sa.Engine, rows: int, reads: list[str]
) -> None:
    few = f"patient_cents <= {rows}"
    statement = Statement(f"SELECT max(patient_cents) FROM entry WHERE {few}", (), "")
    with engine.begin() as connection:
        large_database.fill_table(connection, "entry", until=clock.now())
        connection.exec_driver_sql(
            f"CREATE INDEX part ON entry (charge_id, patient_cents) WHERE {few}"
        )
        connection.exec_driver_sql("ANALYZE entry")
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        found = whole_reads(connection, statement, {"entry"})
    assert [one.table for one in found] == reads
