"""Every route says who may call it, and holds to it.

A new route is tested by being registered. One that names a record needs a sample of each id in ``SAMPLES``; the
test fails until it has one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import fields
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from flask import Flask, Response
from sqlalchemy.orm import Session
from werkzeug.routing import Rule

import portal.app
from portal import clock
from portal.accounts.access import grant
from portal.accounts.kinds import Relationship
from portal.accounts.models import Account, Patient
from portal.autopay.models import Autopay, AutopayCharge
from portal.billing.models import Charge, Posting, Visit
from portal.billing.service import queue_posting
from portal.cli import main
from portal.codes.models import UnknownCode
from portal.config import Settings
from portal.disputes.models import Dispute
from portal.disputes.state import DisputeState
from portal.documents.kinds import DocumentKind
from portal.documents.store import store
from portal.messages.models import Thread
from portal.money import Money
from portal.payments.kinds import ConsentKind
from portal.payments.models import Allocation, Consent, MethodSetup, Payment, PaymentShare, SavedMethod
from portal.payments.state import PaymentState
from portal.payouts.kinds import Match, Oddity
from portal.payouts.models import BalanceMovement, Payout
from portal.plans.kinds import ChangeKind, Frequency, PlanState, RequestKind
from portal.plans.models import ClauseState, Installment, Plan, PlanChange, PlanLine, PlanRequest
from portal.refunds.models import Refund
from portal.refunds.state import RefundReason, RefundState
from portal.remittances.models import RemittanceTransaction
from portal.statements.models import Statement
from portal.web import guards
from portal.web.guards import FOREIGN, Guard, guard_of
from tests.conftest import Clinic
from tests.pages import JudgingClient

TESTA, SAM = "testa@example.com", "sam@example.com"
STAFF, SUPERVISOR = "staff@example.com", "supervisor@example.com"
SAMS = "JDC-1002"

#: Converters that an address may use, and the rules that may use any other: a file's path, a signed token.
TYPED = re.compile(r"<(pid|int):[a-z_]+>")
EXCEPTIONS = {
    "static": "<path:filename>",
    "static_of_another_release": "<path:filename>",
    "security.static": "<path:filename>",
    "security.reset_password": "<token>",
}
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def rules_of(app: Flask, *allowed: Guard) -> list[Rule]:
    """Every rule in the order of the addresses, or those of some guards."""
    rules = sorted(app.url_map.iter_rules(), key=lambda rule: (rule.rule, rule.endpoint))
    found = [rule for rule in rules if not allowed or guard_of(app, rule.endpoint) in allowed]
    assert found
    return found


def _latest(session: Session, column: Any, where: Any) -> Any:
    value = session.execute(sa.select(column).where(where).limit(1)).scalar_one()
    session.commit()
    return value


def _account_id(session: Session) -> int:
    return int(_latest(session, Account.id, Account.ref == SAMS))


def _thread(clinic: Clinic) -> str:
    return str(_latest(clinic.session, Thread.public_id, Thread.account_id == _account_id(clinic.session)))


def _visit_id(session: Session) -> int:
    return int(_latest(session, Visit.id, Visit.account_id == _account_id(session)))


def _payment(clinic: Clinic) -> str:
    """A payment of Sam's that went through."""
    session, now = clinic.session, clock.now()
    known = session.scalar(sa.select(Payment.public_id).where(Payment.stripe_intent_id == "pi_sample"))
    if known is not None:
        return known
    charge_id = session.scalars(sa.select(Charge.id).where(Charge.visit_id == _visit_id(session)).limit(1)).one()
    payment = Payment(
        account_id=_account_id(session),
        user_id=clinic.user_id(SAM),
        amount=Money(500),
        state=PaymentState.SUCCEEDED,
        stripe_intent_id="pi_sample",
        stripe_charge_id="ch_sample",
        created_at=now,
        checked_at=now,
        settled_at=now,
    )
    session.add(payment)
    session.flush()
    session.add(
        PaymentShare(payment_id=payment.id, account_id=payment.account_id, amount=Money(500), is_open=False)
    )
    session.add(Allocation(payment_id=payment.id, charge_id=charge_id, amount=Money(500)))
    session.commit()
    return payment.public_id


def _method_row(clinic: Clinic) -> SavedMethod:
    """A card that Sam keeps."""
    session, now = clinic.session, clock.now()
    known = session.scalar(sa.select(SavedMethod).where(SavedMethod.stripe_method_id == "pm_sample"))
    if known is not None:
        return known
    agreed = Consent(
        user_id=clinic.user_id(SAM),
        kind=ConsentKind.SAVE_METHOD,
        version="1",
        language="en",
        text="Keep it.",
        given_at=now,
    )
    session.add(agreed)
    session.flush()
    method = SavedMethod(
        user_id=clinic.user_id(SAM),
        stripe_method_id="pm_sample",
        kind="card",
        issuer="Visa",
        last4="4242",
        consent_id=agreed.id,
        saved_at=now,
    )
    session.add(method)
    session.commit()
    return method


def _setup(clinic: Clinic) -> str:
    """An attempt of Sam's to save a method."""
    session, now = clinic.session, clock.now()
    setup = MethodSetup(
        user_id=clinic.user_id(SAM), consent_id=_method_row(clinic).consent_id, created_at=now, checked_at=now
    )
    session.add(setup)
    session.commit()
    return setup.public_id


def _notice(clinic: Clinic) -> str:
    """A charge that was announced to Sam."""
    session, now = clinic.session, clock.now()
    method = _method_row(clinic)
    autopay = Autopay(
        account_id=_account_id(session),
        user_id=method.user_id,
        method_id=method.id,
        cap=Money(10_000),
        consent_id=method.consent_id,
        started_at=now,
        checked_at=now,
    )
    session.add(autopay)
    session.flush()
    charge = AutopayCharge(
        autopay_id=autopay.id, amount=Money(500), noticed_at=now, charge_on=clock.today("America/Chicago")
    )
    session.add(charge)
    session.commit()
    return charge.public_id


def _refund(clinic: Clinic) -> str:
    """A refund that waits for a supervisor."""
    session, now = clinic.session, clock.now()
    refund = Refund(
        payment_id=session.scalars(sa.select(Payment.id).where(Payment.public_id == _payment(clinic))).one(),
        amount=Money(500),
        reason=RefundReason.REQUESTED,
        state=RefundState.PROPOSED,
        needs_approval=True,
        requested_by=clinic.user_id(STAFF),
        send_on=clock.today("America/Chicago"),
        created_at=now,
        checked_at=now,
    )
    session.add(refund)
    session.commit()
    return refund.public_id


def _posting(clinic: Clinic) -> str:
    session, key = clinic.session, "5" * 32
    queue_posting(
        session,
        key=key,
        account_id=_account_id(session),
        kind="patient_payment",
        amount=Money(500),
        effective_on=date(2026, 11, 2),
        lines=[("V-1", Money(500))],
    )
    session.commit()
    return key


def _plan_row(clinic: Clinic) -> Plan:
    """A plan of Sam's with an agreement, and a pause that Sam asks for."""
    session, now, today = clinic.session, clock.now(), clock.today("America/Chicago")
    known = session.scalar(sa.select(Plan).where(Plan.account_id == _account_id(session)))
    if known is not None:
        return known
    method = _method_row(clinic)
    document_id = store(
        session, kind=DocumentKind.PLAN_AGREEMENT, content=b"%PDF-1.7 sample", account_id=_account_id(session)
    )
    plan = Plan(
        account_id=_account_id(session),
        user_id=method.user_id,
        method_id=method.id,
        state=PlanState.ACTIVE,
        frequency=Frequency.MONTHLY,
        day=15,
        each=Money(2_500),
        started_at=now,
        checked_at=now,
    )
    session.add(plan)
    session.flush()
    charge_id = session.scalars(sa.select(Charge.id).where(Charge.visit_id == _visit_id(session)).limit(1)).one()
    session.add_all(
        [
            PlanLine(
                plan_id=plan.id, charge_id=charge_id, agreed=Money(2_500), paid_before=Money.zero(), joined_at=now
            ),
            Installment(plan_id=plan.id, ordinal=1, due_on=today, charge_on=today, amount=Money(2_500)),
            PlanChange(
                plan_id=plan.id,
                version=1,
                kind=ChangeKind.ENROLLED,
                actor_user_id=plan.user_id,
                consent_id=method.consent_id,
                document_id=document_id,
                left=Money(2_500),
                schedule=[[today.isoformat(), 2_500]],
                changed_at=now,
            ),
            PlanRequest(plan_id=plan.id, kind=RequestKind.PAUSE, until=today + timedelta(days=30), asked_at=now),
        ]
    )
    session.commit()
    return plan


def _of_plan(clinic: Clinic, model: Any) -> str:
    plan_id = _plan_row(clinic).id
    return str(_latest(clinic.session, model.public_id, model.plan_id == plan_id))


def _year(clinic: Clinic) -> int:
    """A year in which Sam paid."""
    paid = sa.select(Payment.id).where(Payment.account_id == _account_id(clinic.session))
    if clinic.session.scalar(paid) is None:
        _payment(clinic)
    return clock.today("America/Chicago").year


def _put(clinic: Clinic, record: Dispute | Payout | BalanceMovement | UnknownCode) -> str:
    clinic.session.rollback()  # a read that is still open would write on an old view of the database
    clinic.session.add(record)
    clinic.session.flush()
    public_id = record.public_id
    clinic.session.commit()
    return public_id


#: The id of a real record of Sam's, by the variable's name in the address.
SAMPLES: dict[str, Callable[[Clinic], Any]] = {
    "account_id": lambda clinic: clinic.account(SAMS),
    "visit_id": lambda clinic: _latest(
        clinic.session, Visit.public_id, Visit.account_id == _account_id(clinic.session)
    ),
    "charge_id": lambda clinic: _latest(
        clinic.session, Charge.public_id, Charge.visit_id == _visit_id(clinic.session)
    ),
    "thread_id": _thread,
    "plan_id": lambda clinic: _plan_row(clinic).public_id,
    "change_id": lambda clinic: _of_plan(clinic, PlanChange),
    "request_id": lambda clinic: _of_plan(clinic, PlanRequest),
    "left_out_id": lambda clinic: _put(
        clinic,
        ClauseState(state="CA", reason="Nobody.", left_out_by=clinic.user_id(SUPERVISOR), left_out_at=clock.now()),
    ),
    "payment_id": _payment,
    "key": _posting,
    "refund_id": _refund,
    "dispute_id": lambda clinic: _put(
        clinic,
        Dispute(
            stripe_dispute_id="du_sample",
            payment_id=_latest(clinic.session, Payment.id, Payment.public_id == _payment(clinic)),
            amount=Money(500),
            reason="fraudulent",
            state=DisputeState.NEEDS_RESPONSE,
            answer_by=clock.now(),
            opened_at=clock.now(),
            checked_at=clock.now(),
        ),
    ),
    "payout_id": lambda clinic: _put(
        clinic,
        Payout(
            stripe_payout_id="po_sample",
            amount=Money(500),
            status="paid",
            arrives_on=date(2026, 11, 2),
            created_at=clock.now(),
            checked_at=clock.now(),
        ),
    ),
    "exception_id": lambda clinic: _put(
        clinic,
        BalanceMovement(
            stripe_id="txn_sample",
            kind="charge",
            gross=Money(500),
            fee=Money(45),
            net=Money(455),
            created_at=clock.now(),
            available_on=date(2026, 11, 2),
            match=Match.NONE,
            exception=Oddity.PAYMENT_UNKNOWN,
        ),
    ),
    "unknown_id": lambda clinic: _put(
        clinic, UnknownCode(visit_id=_visit_id(clinic.session), code=f"PR-{uuid4().hex[:8]}", met_at=clock.now())
    ),
    "statement_id": lambda clinic: _latest(
        clinic.session, Statement.public_id, Statement.account_id == _account_id(clinic.session)
    ),
    "year": _year,
    "method_id": lambda clinic: _method_row(clinic).public_id,
    "notice_id": _notice,
    "installment_id": lambda clinic: _of_plan(clinic, Installment),
    "setup_id": _setup,
    "transaction_id": lambda clinic: _latest(clinic.session, RemittanceTransaction.id, sa.true()),
    "filename": lambda _clinic: "no-such-file.css",
    "token": lambda _clinic: "no-such-token",
}


class Addresses:
    """Addresses of rules, with Sam's records in them."""

    def __init__(self, clinic: Clinic) -> None:
        self._clinic = clinic
        self._known: dict[str, Any] = {}

    def of(self, rule: Rule) -> str:
        """The address; fails for a variable without a sample."""
        values = {}
        for name in rule.arguments:
            assert name in SAMPLES, f"{rule.rule}: put a sample of {name!r} in SAMPLES"
            if name not in self._known:
                self._known[name] = SAMPLES[name](self._clinic)
            values[name] = self._known[name]
        built = rule.build(values)
        assert built is not None, rule.rule
        return built[1]


@pytest.fixture
def addresses(clinic: Clinic) -> Addresses:
    return Addresses(clinic)


@pytest.fixture
def browser(app: Flask, sign_in: Callable[..., Any]) -> Callable[[str], JudgingClient]:
    """``browser(email)``: a browser of its own in which somebody is signed in, nobody for an empty email."""

    def open_one(email: str) -> JudgingClient:
        client = app.test_client()
        assert isinstance(client, JudgingClient)
        if email:
            sign_in(client, email)
        return client

    return open_one


def token_of(client: JudgingClient) -> str:
    """A CSRF token that is good in this browser."""
    for address in ("/sign-in", "/change-password"):
        response = client.get(address)
        found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', response.get_data(as_text=True))
        if found:
            return found.group(1)
    raise AssertionError("no page with a form")


def faults(expected: dict[str, tuple[int, tuple[int, ...]]]) -> list[str]:
    """What is not as it should be: answers by what was asked, and the statuses that would be right."""
    return [f"{asked} is {got}, not {right}" for asked, (got, right) in expected.items() if got not in right]


def test_every_route_has_a_guard_from_the_closed_list(app: Flask) -> None:
    assert [rule.rule for rule in rules_of(app) if guard_of(app, rule.endpoint) not in list(Guard)] == []


def test_every_foreign_guard_is_for_a_view_that_is_there(app: Flask) -> None:
    assert set(FOREIGN) - {rule.endpoint for rule in app.url_map.iter_rules()} == set()


def test_what_needs_nobody_is_a_short_list(app: Flask) -> None:
    """A route that answers everybody is added here on purpose."""
    assert {rule.endpoint for rule in rules_of(app, Guard.PUBLIC, Guard.SIGNED_WEBHOOK)} == {
        # Behind the link of an autopay notice: it stops that autopay and can do no more.
        "autopay.stop_notice",
        "autopay.stop_from_notice",
        # Behind the link of a plan's notice: it pauses that plan and can do no more.
        "plans.stop_notice",
        "plans.stop_from_notice",
        # The code of a printed statement, and a date of birth.
        "guests.start",
        # What monitors ask; they tell of the portal and of nobody.
        "health.alive",
        "health.ready",
        "security.forgot_password",
        "security.login",
        "security.logout",
        "security.reset_password",
        "static",
        "static_of_another_release",
        "webhook.receive",
    }


def test_addresses_are_kebab_case_and_their_variables_typed(app: Flask) -> None:
    wrong = []
    for rule in rules_of(app):
        for part in rule.rule.strip("/").removesuffix(".pdf").split("/"):
            if part.startswith("<"):
                if not TYPED.fullmatch(part) and EXCEPTIONS.get(rule.endpoint) != part:
                    wrong.append(f"{rule.rule}: {part} is not typed")
            elif part and not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", part):
                wrong.append(f"{rule.rule}: {part} is not kebab-case")
    assert wrong == []


@pytest.mark.parametrize("bad", ["0" * 31, "0" * 33, "G" * 32, "A" * 32, "1", "..", "%00"])
def test_what_is_no_public_id_reaches_no_view(app: Flask, bad: str) -> None:
    assert app.test_client().get(f"/visits/{bad}").status_code == 404


def test_a_view_without_a_guard_answers_nobody(
    new_app: Flask, clinic: Clinic, sign_in: Callable[..., None]
) -> None:
    new_app.add_url_rule("/unguarded", "unguarded", lambda: "secret")
    new_app.add_url_rule("/guarded", "guarded", guards.supervisor(lambda: Response("open", mimetype="text/plain")))
    supervisor, staff = new_app.test_client(), new_app.test_client()
    for client, email in ((supervisor, SUPERVISOR), (staff, STAFF)):
        sign_in(client, email)
    assert (supervisor.get("/unguarded").status_code, supervisor.get("/guarded").status_code) == (404, 200)
    assert staff.get("/guarded").status_code == 404


def test_the_command_lists_every_route_with_its_guard(
    app: Flask, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(portal.app, "create_app", lambda _settings: app)
    env = {
        field.name.upper(): getattr(settings, field.name)
        for field in fields(settings)
        if isinstance(getattr(settings, field.name), str)
    }
    result = CliRunner().invoke(main, ["routes", "--guards", "--json"], env=env)
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)
    assert {frozenset(row) for row in rows} == {frozenset({"rule", "methods", "endpoint", "guard"})}
    assert {(row["rule"], row["endpoint"], tuple(row["methods"])) for row in rows} == {
        (rule.rule, rule.endpoint, tuple(sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})))
        for rule in app.url_map.iter_rules()
    }
    assert {row["guard"] for row in rows} <= {guard.value for guard in Guard}
    assert {row["guard"] for row in rows if row["rule"].startswith("/desk")} == {"staff", "supervisor"}


def _readable(app: Flask, *allowed: Guard) -> Iterator[Rule]:
    return (rule for rule in rules_of(app, *allowed) if "GET" in (rule.methods or ()))


def test_nobody_sees_what_needs_a_sign_in(app: Flask, addresses: Addresses, browser: Callable[..., Any]) -> None:
    client, got = browser(""), {}
    token = token_of(client)
    for rule in rules_of(app, Guard.SIGNED_IN, Guard.OWN_ACCOUNT, Guard.STAFF, Guard.SUPERVISOR):
        address = addresses.of(rule)
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            data = {} if method == "GET" else {"csrf_token": token}
            response = client.open(address, method=method, data=data)
            to_sign_in = response.status_code == 302 and response.location.split("?")[0].endswith("/sign-in")
            got[f"{method} {rule.rule}"] = (200 if to_sign_in else response.status_code + 1000, (200,))
    assert faults(got) == []


def test_patients_do_not_learn_that_the_desk_exists(
    app: Flask, addresses: Addresses, browser: Callable[..., Any]
) -> None:
    client, got = browser(SAM), {}
    token = token_of(client)
    for rule in rules_of(app, Guard.STAFF, Guard.SUPERVISOR):
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            data = {} if method == "GET" else {"csrf_token": token}
            response = client.open(addresses.of(rule), method=method, data=data)
            got[f"{method} {rule.rule}"] = (response.status_code, (404,))
    assert faults(got) == []


def test_staff_see_every_page_of_the_desk_and_none_of_the_patients(
    app: Flask, addresses: Addresses, browser: Callable[..., Any]
) -> None:
    client, got = browser(STAFF), {}
    for rule in _readable(app, Guard.STAFF):
        got[rule.rule] = (client.get(addresses.of(rule)).status_code, (200,))
    for rule in _readable(app, Guard.OWN_ACCOUNT):
        got[rule.rule] = (client.get(addresses.of(rule)).status_code, (404,))
    assert faults(got) == []


def test_another_patients_records_are_not_there(
    app: Flask, addresses: Addresses, browser: Callable[..., Any], session: Session
) -> None:
    """Testa asks for Sam's records; that Sam gets them shows that the ids are real."""
    testa, sam, got = browser(TESTA), browser(SAM), {}
    token = token_of(testa)
    for rule in rules_of(app, Guard.OWN_ACCOUNT, Guard.SIGNED_IN):
        if not rule.arguments:
            continue
        address = addresses.of(rule)
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            data = {} if method == "GET" else {"csrf_token": token, "choice": "all", "body": "Hello", "token": "a" * 32}
            got[f"{method} {rule.rule}"] = (testa.open(address, method=method, data=data).status_code, (404,))
        if "GET" in (rule.methods or ()):
            got[f"its owner: {rule.rule}"] = (sam.get(address).status_code, (200, 302))
    assert faults(got) == []


@pytest.mark.parametrize(
    ("address", "variable"),
    [("/messages/new?charge={}", "charge_id"), ("/messages/new?account={}", "account_id")],
)
def test_another_patients_records_are_not_there_as_parameters_either(
    clinic: Clinic, browser: Callable[..., Any], address: str, variable: str
) -> None:
    asked = address.format(SAMPLES[variable](clinic))
    assert (browser(SAM).get(asked).status_code, browser(TESTA).get(asked).status_code) == (200, 404)


def test_who_may_see_one_patient_of_an_account_sees_no_other(
    app: Flask, clinic: Clinic, session: Session, browser: Callable[..., Any]
) -> None:
    """Sam is given Kit's bills, and not those of the parent on the same account."""
    visits = {
        name: (patient_id, visit, charge)
        for name, patient_id, visit, charge in session.execute(
            sa.select(Patient.given_name, Patient.id, Visit.public_id, Charge.public_id)
            .join(Visit, Visit.patient_id == Patient.id)
            .join(Charge, Charge.visit_id == Visit.id)
            .where(Patient.family_name == "Pretendparent")
        )
    }
    patient_id = visits["Kit"][0]
    account_id = session.scalars(sa.select(Patient.account_id).where(Patient.id == patient_id)).one()
    grant(
        session,
        user_id=clinic.user_id(SAM),
        account_id=account_id,
        relationship=Relationship.PROXY,
        patient_id=patient_id,
    )
    session.commit()
    client, got = browser(SAM), {}
    for name, right in (("Kit", 200), ("Paula", 404)):
        _patient, visit, charge = visits[name]
        for address in (f"/visits/{visit}", f"/charges/{charge}/why", f"/messages/new?charge={charge}"):
            got[f"{name}: {address}"] = (client.get(address).status_code, (right,))
    assert faults(got) == []


def test_nothing_is_changed_without_the_forms_token(
    app: Flask, addresses: Addresses, browser: Callable[..., Any], session: Session
) -> None:
    clients = {
        Guard.STAFF: browser(STAFF),
        Guard.SUPERVISOR: browser(SUPERVISOR),
        Guard.OWN_ACCOUNT: browser(SAM),
        Guard.SIGNED_IN: browser(SAM),
        Guard.PUBLIC: browser(""),
        Guard.CLOSED: browser(SAM),
    }
    got = {}
    for rule in rules_of(app, *clients):
        for method in sorted((rule.methods or set()) - SAFE):
            client = clients[guard_of(app, rule.endpoint) or Guard.CLOSED]
            for data in ({}, {"csrf_token": "forged"}):
                response = client.open(addresses.of(rule), method=method, data=data)
                got[f"{method} {rule.rule} {data}"] = (response.status_code, (400,))
    assert len(got) > 20
    assert faults(got) == []
    session.rollback()
    assert session.query(Posting.tries).all() == [(0,)]


def test_only_the_signed_webhook_needs_no_token(app: Flask) -> None:
    exempt = portal.app.csrf._exempt_views | portal.app.csrf._exempt_blueprints
    assert {str(name) for name in exempt} == {"portal.payments.stripe_events.webhook.receive"}
    assert [rule.endpoint for rule in rules_of(app, Guard.SIGNED_WEBHOOK)] == ["webhook.receive"]
