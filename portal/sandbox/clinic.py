"""The demo clinic: invented people, and bills that come out of real X12 835 remittances by the import itself.

Nothing here writes a bill. The clinic registers accounts, patients and its words for codes, as a back office would;
then ``remittances/*.835`` is imported in the order of the files' dates.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path

import sqlalchemy as sa
from flask import current_app
from flask_security.utils import hash_password
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.access import grant
from portal.accounts.kinds import Relationship
from portal.accounts.models import Account
from portal.accounts.service import add_patient, find_patient, open_account, set_home_state
from portal.audit.models import AuditEvent
from portal.audit.service import record
from portal.audit.tags import Tag
from portal.auth.identity import users
from portal.billing.checks.front_office import import_rows
from portal.billing.models import Charge, Estimate, Visit
from portal.ledger.adapters.embedded.ledger import EmbeddedLedger, load_service_items
from portal.messages.emails import Email
from portal.messages.service import answer_thread, open_thread
from portal.payments.queries import reserved
from portal.remittances.service import import_stream
from portal.statements.codes import normal
from portal.statements.documents import statement_document
from portal.statements.queries import statements_of_account
from portal.statements.service import issue_statement

HERE = Path(__file__).parent
REMITTANCES = HERE / "remittances"

CLINIC_NAME = "Juniper Demo Clinic"
CLINIC_PHONE = "(555) 010-0199"
#: The code on each account's printed statement. A real one is drawn and nobody but its reader knows it.
STATEMENT_CODES = {"JDC-1001": "DEM0-1001A-B2C3", "JDC-1002": "DEM0-1002D-E4F5", "JDC-1003": "DEM0-1003G-H6J7"}

# (who asks, account, visit, code of the line or none, subject, question, answer or none)
THREADS = (
    (
        "paula@example.com",
        "JDC-1003",
        ("V-260712-1", "99283"),
        "Two amounts for one emergency visit",
        "My bill has a deductible and a copay for the same night. Are both right?",
        "",
    ),
    (
        "sam@example.com",
        "JDC-1002",
        None,
        "My second insurance",
        "Did you send the July hospital stay to my supplement plan?",
        "Yes. It paid on September 11, and your share went down. The visit page shows each step.",
    ),
)
#: What Carla Checkexample was told that her visit of October 13 would cost.
ESTIMATES = ("account,visit,issued_on,amount", "JDC-1004,V-261013-1,2026-10-01,950.00")
#: The same for everybody: the demo listens on this machine only, and nobody in it is real.
PASSWORD = "juniper-demo-2026"


@dataclass(frozen=True, slots=True)
class DemoPatient:
    """Somebody who was treated; the member id and the name are what remittances find them by."""

    given_name: str
    family_name: str
    born_on: date
    member_id: str


@dataclass(frozen=True, slots=True)
class DemoAccount:
    """A guarantor's account and the patients on it."""

    ref: str
    guarantor_name: str
    patients: tuple[DemoPatient, ...]
    home_state: str | None = None


@dataclass(frozen=True, slots=True)
class SignIn:
    """Somebody who can sign in; ``account`` and ``also`` are the accounts they see, ``role`` is for staff."""

    email: str
    name: str
    who: str
    account: str = ""
    relationship: Relationship = Relationship.SELF
    role: str = ""
    also: tuple[str, ...] = ()


ACCOUNTS = (
    DemoAccount(
        "JDC-1001", "Testa Demopatient", (DemoPatient("Testa", "Demopatient", date(1984, 3, 14), "EHP100001"),)
    ),
    DemoAccount("JDC-1002", "Sam Sampleman", (DemoPatient("Sam", "Sampleman", date(1951, 11, 2), "SSP200002"),), "IL"),
    DemoAccount(
        "JDC-1003",
        "Paula Pretendparent",
        (
            DemoPatient("Paula", "Pretendparent", date(1990, 7, 21), "EHP100003"),
            DemoPatient("Kit", "Pretendparent", date(2024, 5, 9), "EHP100003"),
        ),
        "CA",
    ),
    DemoAccount(
        "JDC-1004", "Carla Checkexample", (DemoPatient("Carla", "Checkexample", date(1979, 2, 3), "EHP100004"),)
    ),
)

SIGN_INS = (
    SignIn("testa@example.com", "Testa Demopatient", "a patient with bills of every kind", "JDC-1001"),
    SignIn("sam@example.com", "Sam Sampleman", "a patient with a hospital stay and two insurers", "JDC-1002"),
    SignIn(
        "paula@example.com",
        "Paula Pretendparent",
        "a guarantor with a child",
        "JDC-1003",
        Relationship.GUARANTOR,
    ),
    SignIn("carla@example.com", "Carla Checkexample", "a patient with bills that our checks stopped", "JDC-1004"),
    SignIn(
        "gail@example.com",
        "Gail Grandparentsample",
        "somebody who helps two people with their bills",
        "JDC-1001",
        Relationship.PROXY,
        also=("JDC-1003",),
    ),
    SignIn("staff@example.com", "Stella Staffexample", "billing staff", role="staff"),
    SignIn("supervisor@example.com", "Sid Supervisorexample", "a billing supervisor", role="supervisor"),
)


def remittance_files() -> list[Path]:
    """The clinic's 835 files, in the order they came."""
    return sorted(REMITTANCES.glob("*.835"))


def clinic_is_loaded(session: Session) -> bool:
    """Whether :func:`load_clinic` has run to its end on this database."""
    last = SIGN_INS[-1].email
    return users.find_user(email=last) is not None and bool(
        session.scalar(sa.select(Account.id).where(Account.ref == ACCOUNTS[-1].ref))
    )


def load_clinic(session: Session, *, told: Callable[[str], None] = lambda _what: None) -> None:
    """Put the demo clinic in a migrated database; what is there already is left as it is.

    Needs an application context whose session is ``session``. ``told`` hears each step. The sign-ins come last, so
    that a load that was cut short is known to be incomplete.
    """
    told("Accounts and patients")
    if not session.scalar(sa.select(AuditEvent.id).where(AuditEvent.tag == Tag.DEMO_LOADED).limit(1)):
        record(session, Tag.DEMO_LOADED)  # so that no live key ever opens this database
    for account in ACCOUNTS:
        _register(session, account)
    session.commit()
    told("Words for services")
    _describe_services(session)
    if not session.scalar(sa.select(sa.func.count(Estimate.id))):
        import_rows(session, "estimates", ESTIMATES)
    session.commit()
    for path in remittance_files():
        told(path.name)
        with path.open("rb") as stream:
            import_stream(session, stream, path.name, ledger=EmbeddedLedger(session))
        session.commit()
    told("Sign-ins")
    _open_sign_ins(session, SIGN_INS[:-1])
    session.commit()
    told("Statements")
    _print_statements(session)
    session.commit()
    told("Messages")
    _write_messages(session)
    _open_sign_ins(session, SIGN_INS[-1:])
    session.commit()


def _register(session: Session, account: DemoAccount) -> None:
    row = open_account(session, ref=account.ref, guarantor_name=account.guarantor_name)
    if row.home_state is None and account.home_state is not None:
        set_home_state(session, row.id, account.home_state)
    for patient in account.patients:
        known = find_patient(
            session,
            member_id=patient.member_id,
            family_name=patient.family_name,
            given_name=patient.given_name,
        )
        if known is None:
            add_patient(
                session,
                account_id=row.id,
                given_name=patient.given_name,
                family_name=patient.family_name,
                member_id=patient.member_id,
                born_on=patient.born_on,
            )


def _describe_services(session: Session) -> None:
    words: dict[str, str] = tomllib.loads((HERE / "services.toml").read_text())["descriptions"]
    load_service_items(session, words)


def _open_sign_ins(session: Session, sign_ins: Iterable[SignIn]) -> None:
    # One hash for all: argon2 is slow by design, and they share the password anyway.
    password = hash_password(PASSWORD)
    for sign_in in sign_ins:
        user = users.find_user(email=sign_in.email)
        if user is None:
            now = clock.now()
            user = users.create_user(
                email=sign_in.email,
                password=password,
                display_name=sign_in.name,
                confirmed_at=now,
                created_at=now,
            )
            if sign_in.role:
                users.add_role_to_user(user, users.find_or_create_role(sign_in.role))
            session.flush()
        for ref in filter(None, (sign_in.account, *sign_in.also)):
            account_id = session.scalars(sa.select(Account.id).where(Account.ref == ref)).one()
            grant(session, user_id=user.id, account_id=account_id, relationship=sign_in.relationship)


def _print_statements(session: Session) -> None:
    """One statement an account, as the desk would issue it, with a code that the README can name."""
    settings = current_app.extensions["plainbill_settings"]
    staff = _user_id("staff@example.com")
    for ref, code in STATEMENT_CODES.items():
        account_id = session.scalars(sa.select(Account.id).where(Account.ref == ref)).one()
        if statements_of_account(session, account_id):
            continue
        issue_statement(
            session,
            account_id=account_id,
            issued_by=staff,
            secret=settings.secret_key,
            timezone=settings.clinic_timezone,
            on_its_way=reserved,
            to_pdf=partial(
                statement_document,
                clinic_name=settings.clinic_name,
                clinic_phone=settings.clinic_phone,
                base_url=settings.base_url,
            ),
            code=normal(code),
        )


def paper_bills() -> list[tuple[str, date, str]]:
    """Who may pay as a guest: the code on the paper, a date of birth that goes with it, and whose bill it is."""
    return [
        (STATEMENT_CODES[account.ref], account.patients[0].born_on, account.guarantor_name)
        for account in ACCOUNTS
        if account.ref in STATEMENT_CODES
    ]


def _write_messages(session: Session) -> None:
    """A question that waits for an answer, and one that has it. A token sends one message, however often it is used."""
    staff = _user_id("staff@example.com")
    for number, (email, account_ref, line, subject, question, answer) in enumerate(THREADS, 1):
        account_id = session.scalars(sa.select(Account.id).where(Account.ref == account_ref)).one()
        sent = open_thread(
            session,
            account_id=account_id,
            charge_id=None if line is None else _charge_id(session, *line),
            user_id=_user_id(email),
            subject=subject,
            body=question,
            token=f"{number:032x}",
        )
        if answer:
            answer_thread(
                session,
                thread_public_id=sent.thread_public_id,
                staff_user_id=staff,
                body=answer,
                token=f"{number:031x}a",
                seen=1,
                close=False,
                notice=Email(
                    subject=f"You have an answer from {CLINIC_NAME} billing",
                    body="Our billing staff answered your message. Sign in to read it.\n",
                ),
            )


def _user_id(email: str) -> int:
    user = users.find_user(email=email)
    if user is None:
        raise LookupError(f"{email} has no sign-in yet")
    return int(user.id)


def _charge_id(session: Session, visit_ref: str, code: str) -> int:
    query = sa.select(Charge.id).join(Visit, Visit.id == Charge.visit_id)
    return session.scalars(query.where(Visit.ref == visit_ref, Charge.code == code)).one()
