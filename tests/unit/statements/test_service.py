"""Issuing statements, and who a code lets in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.service import add_patient, open_account
from portal.audit.models import AuditEvent
from portal.audit.tags import Tag
from portal.auth.models import User
from portal.billing.kinds import EntryKind, HoldReason
from portal.billing.service import NewEntry, add_charge, place_hold, visit_of, write_entries
from portal.db import RecordNotFound
from portal.documents.store import content_of
from portal.money import Money
from portal.statements import service
from portal.statements.errors import NothingToAskFor
from portal.statements.models import Statement
from portal.statements.service import CODE_LIVES, Draft, StatementPass, find_by_code, issue_statement, revoke_code
from tests.statements import CODE, SECRET, statement_of

GAIL, KIT = date(1984, 3, 14), date(2016, 5, 9)


@dataclass(frozen=True)
class Family:
    account_id: int
    other_id: int
    charges: tuple[int, int]
    staff_id: int


def _owe(session: Session, account_id: int, given_name: str, born_on: date, cents: int) -> int:
    patient = add_patient(
        session, account_id=account_id, given_name=given_name, family_name="Sample", born_on=born_on
    )
    visit = visit_of(
        session,
        account_id=account_id,
        patient_id=patient.id,
        ref=f"V-{given_name}-{account_id}",
        started_on=date(2026, 3, 4),
        ended_on=None,
        provider_name="Dr. Placeholder",
    )
    charge_id = add_charge(
        session,
        visit_id=visit.id,
        ordinal=1,
        billed=Money(cents),
        description=f"Visit #{given_name}",
        service_on=date(2026, 3, 4),
    )
    amount = Money(cents)
    moves = ((EntryKind.CHARGE, amount, Money(0)), (EntryKind.SHARE_MOVED, -amount, amount))
    write_entries(
        session,
        [
            NewEntry(
                account_id=account_id,
                charge_id=charge_id,
                kind=kind,
                insurer=insurer,
                patient=patients,
                source="test",
                source_id=f"{charge_id}/{kind}",
            )
            for kind, insurer, patients in moves
        ],
    )
    return charge_id


@pytest.fixture
def family(session: Session) -> Family:
    """Gail ($100.00 due) and Kit ($25.00 due) on one account, and a stranger on another."""
    account, other = (
        open_account(session, ref=ref, guarantor_name=f"{name} Sample")
        for ref, name in (("A-1", "Gail"), ("A-2", "Otto"))
    )
    charges = (_owe(session, account.id, "Gail", GAIL, 10000), _owe(session, account.id, "Kit", KIT, 2500))
    _owe(session, other.id, "Otto", date(1970, 1, 1), 700)
    staff = User(email="dana@example.test", display_name="Dana Sample", created_at=clock.now())
    session.add(staff)
    session.flush()
    family = Family(account.id, other.id, charges, staff.id)
    session.commit()
    return family


def _issue(session: Session, family: Family, **changed: Any) -> tuple[Statement, Draft]:
    drafts: list[Draft] = []

    def to_pdf(draft: Draft) -> bytes:
        drafts.append(draft)
        return f"%PDF {draft.number}".encode()

    wanted: dict[str, Any] = {
        "account_id": family.account_id,
        "issued_by": family.staff_id,
        "secret": SECRET,
        "timezone": "America/Chicago",
        "on_its_way": lambda _session, _account_id: {},
        "to_pdf": to_pdf,
        **changed,
    }
    statement = issue_statement(session, **wanted)
    session.commit()
    return statement, drafts[0]


def _events(session: Session) -> list[tuple[Tag, int | None, int | None, str]]:
    query = sa.select(AuditEvent.tag, AuditEvent.actor_user_id, AuditEvent.account_id, AuditEvent.subject)
    return [tuple(row) for row in session.execute(query.order_by(AuditEvent.id))]


@time_machine.travel("2026-12-01T03:00:00Z", tick=False)
def test_a_statement_keeps_what_it_asked_for(session: Session, family: Family) -> None:
    statement, draft = _issue(session, family)
    # Three in the morning in London is still yesterday in Chicago.
    assert (statement.issued_on, statement.due_on) == (date(2026, 11, 30), date(2026, 12, 21))
    assert (statement.amount_due, draft.amount_due) == (Money(12500), Money(12500))
    assert [(line["patient"], line["description"], line["service_on"], line["cents"]) for line in statement.lines] == [
        ("Gail Sample", "Visit #Gail", "2026-03-04", 10000),
        ("Kit Sample", "Visit #Kit", "2026-03-04", 2500),
    ]
    assert [(ask.provider, ask.visit_from, ask.amount) for ask in draft.asks] == [
        ("Dr. Placeholder", date(2026, 3, 4), Money(10000)),
        ("Dr. Placeholder", date(2026, 3, 4), Money(2500)),
    ]
    assert content_of(session, statement.document_id) == f"%PDF {statement.number}".encode()
    assert statement.number.startswith("2026-")
    assert statement.code_expires_at == clock.now() + CODE_LIVES
    assert _events(session) == [(Tag.STATEMENT_ISSUED, family.staff_id, family.account_id, statement.public_id)]


def test_the_code_itself_is_not_in_the_row(session: Session, family: Family) -> None:
    statement, draft = _issue(session, family)
    row = session.execute(sa.select(sa.text("*")).select_from(Statement.__table__)).one()
    assert len(draft.code) == 13
    assert draft.code not in " ".join(map(str, row))
    assert statement.code_hash in " ".join(map(str, row))


def test_only_what_may_be_asked_for_is_asked_for(session: Session, family: Family) -> None:
    gails, kits = family.charges
    held = {gails: Money(4000), kits: Money(2500)}
    statement, _draft = _issue(session, family, on_its_way=lambda _session, _id: held)
    assert (statement.amount_due, [line["cents"] for line in statement.lines]) == (Money(6000), [6000])
    place_hold(
        session, charge_id=gails, reason=HoldReason.STAFF, account_id=family.account_id, actor_user_id=family.staff_id
    )
    session.commit()
    assert _issue(session, family)[0].amount_due == Money(2500)
    with pytest.raises(NothingToAskFor):
        _issue(session, family, on_its_way=lambda _session, _id: {kits: Money(2500)})


def test_numbers_are_drawn_until_one_is_free(session: Session, family: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter([7, 7, 7, 12345678])
    monkeypatch.setattr(service.secrets, "randbelow", lambda _limit: next(drawn))
    numbers = [_issue(session, family)[0].number[5:] for _time in range(2)]
    assert numbers == ["0000-0007", "1234-5678"]


@pytest.mark.parametrize("typed", [CODE, "7h3j-kpqrs-4tvx", " 7H3J KPQRS 4TVX "])
@pytest.mark.parametrize("born_on", [GAIL, KIT])
def test_a_code_and_any_patients_date_of_birth_open_the_account(
    session: Session, family: Family, typed: str, born_on: date
) -> None:
    statement = statement_of(session, family.account_id)
    found = find_by_code(session, typed, born_on, secret=SECRET)
    assert found == StatementPass(statement.id, statement.public_id, family.account_id, statement.number)
    assert _events(session)[-1] == (Tag.GUEST_ADMITTED, None, family.account_id, statement.public_id)


def _tries(statement: Statement) -> dict[str, tuple[str, date | None, str]]:
    """What opens nothing."""
    return {
        "another code": ("0" * 13, GAIL, SECRET),
        "no code": ("", GAIL, SECRET),
        "a long text": ("x" * 100_000, GAIL, SECRET),
        "an odd text": ("\ud800\x00’ß", GAIL, SECRET),
        "the number": (statement.number, GAIL, SECRET),
        "the public id": (statement.public_id, GAIL, SECRET),
        "the hash": (statement.code_hash, GAIL, SECRET),
        "a stranger's date of birth": (CODE, date(1970, 1, 1), SECRET),
        "no date of birth": (CODE, None, SECRET),
        "another secret": (CODE, GAIL, "another secret"),
    }


def test_nothing_else_opens_it(session: Session, family: Family) -> None:
    statement = statement_of(session, family.account_id)
    statement_of(session, family.other_id, code="ZZZZZZZZZZZZZ")
    for what, (code, born_on, secret) in _tries(statement).items():
        assert find_by_code(session, code, born_on, secret=secret) is None, what
    tags = [event[0] for event in _events(session) if event[0] in (Tag.GUEST_REFUSED, Tag.GUEST_ADMITTED)]
    assert tags == [Tag.GUEST_REFUSED] * len(_tries(statement))
    # The trail tells an attack on one account from noise.
    known = [event[2:] for event in _events(session) if event[0] is Tag.GUEST_REFUSED and event[2]]
    assert known == [(family.account_id, statement.public_id)] * 2


def test_a_code_ends_when_it_is_old_and_when_it_is_revoked(session: Session, family: Family) -> None:
    old, revoked = statement_of(session, family.account_id), statement_of(session, family.account_id, code="Z" * 13)
    with time_machine.travel(old.code_expires_at - timedelta(seconds=1), tick=False):
        assert find_by_code(session, CODE, GAIL, secret=SECRET)
    with time_machine.travel(old.code_expires_at, tick=False):
        assert find_by_code(session, CODE, GAIL, secret=SECRET) is None
    assert revoke_code(session, statement_id=revoked.id, revoked_by=family.staff_id) is True
    assert _events(session)[-1] == (Tag.STATEMENT_CODE_REVOKED, family.staff_id, family.account_id, revoked.public_id)
    first = revoked.code_revoked_at
    assert revoke_code(session, statement_id=revoked.id, revoked_by=family.staff_id) is False
    assert revoked.code_revoked_at == first
    assert find_by_code(session, "Z" * 13, GAIL, secret=SECRET) is None
    assert find_by_code(session, CODE, GAIL, secret=SECRET)
    with pytest.raises(RecordNotFound):
        revoke_code(session, statement_id=0, revoked_by=family.staff_id)


@contextmanager
def _counted(session: Session, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The work that is done meanwhile: statements sent, by their first words, and comparisons in constant time."""
    done: list[str] = []
    compare = service.hmac.compare_digest

    def counting(one: str, other: str) -> bool:
        done.append("compare")
        return compare(one, other)

    def heard(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        done.append(" ".join(statement.split()[:2]))

    engine = session.get_bind()
    sa.event.listen(engine, "before_cursor_execute", heard)
    with monkeypatch.context() as patch:
        patch.setattr(service.hmac, "compare_digest", counting)
        yield done
    sa.event.remove(engine, "before_cursor_execute", heard)


def test_right_and_wrong_take_the_same_work(
    session: Session, family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    statement = statement_of(session, family.account_id)
    expired, revoked = statement_of(session, family.account_id, code="E" * 13), statement_of(
        session, family.account_id, code="R" * 13
    )
    expired.code_expires_at = clock.now() - timedelta(days=1)
    revoked.code_revoked_at = clock.now()
    session.commit()
    tries = {
        **_tries(statement),
        "right": (CODE, GAIL, SECRET),
        "expired": ("E" * 13, GAIL, SECRET),
        "revoked": ("R" * 13, GAIL, SECRET),
    }
    work = {}
    for what, (code, born_on, secret) in tries.items():
        session.rollback()
        session.connection()
        with _counted(session, monkeypatch) as done:
            assert (find_by_code(session, code, born_on, secret=secret) is not None) is (what == "right")
        work[what] = sorted(done)
    assert set(map(tuple, work.values())) == {tuple(work["right"])}
    assert work["right"].count("compare") == 1
    assert len(work["right"]) == 4
