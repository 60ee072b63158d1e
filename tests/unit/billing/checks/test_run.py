"""What the checks find holds the line, once; a release is remembered; what is put right lets go. All of it audited."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import Session

from portal.accounts.models import Account
from portal.accounts.service import account_row
from portal.audit.models import AuditEvent
from portal.audit.tags import Tag
from portal.billing.balance import LineState
from portal.billing.checks import run as checking
from portal.billing.checks.front_office import BadRow, import_rows
from portal.billing.checks.run import check_accounts, check_due, check_if_due, is_checked
from portal.billing.kinds import Check, EntryKind, FindingState, HoldReason
from portal.billing.models import CheckFinding, Claim, Entry, Hold
from portal.billing.queries import Line, lines_of_account
from portal.billing.service import NewEntry, release_holds, write_entries
from portal.money import Money
from tests.unit.remittances.books import claim, load, payment, remittance


def late(number: str = "V-1", **facts: Any) -> bytes:
    """A remittance on which the patient is asked for $85 that the clinic asked its insurer for too late."""
    said = {"paid": 15, "contractual": 0, "share": 0, "stated": 85, "other": ["CAS*PR*29*85"], **facts}
    return remittance(payment(claim(number, **said), paid=15))


def fine() -> bytes:
    return remittance(payment(claim("V-1"), paid=60))


def line(session: Session) -> Line:
    account_id = session.scalars(sa.select(Account.id).order_by(Account.id)).first() or 0
    (found,) = lines_of_account(session, account_id)
    session.commit()
    return found


def findings(session: Session) -> list[tuple[Check, FindingState]]:
    rows = session.execute(sa.select(CheckFinding.check, CheckFinding.state).order_by(CheckFinding.id)).all()
    session.commit()
    return [(check, state) for check, state in rows]


def open_holds(session: Session) -> list[HoldReason]:
    found = session.scalars(sa.select(Hold.reason).where(Hold.released_at.is_(None)).order_by(Hold.id)).all()
    session.commit()
    return list(found)


def tags(session: Session) -> list[Tag]:
    wanted = (Tag.FINDING_OPENED, Tag.FINDING_RELEASED, Tag.FINDING_GONE, Tag.HOLD_PLACED, Tag.HOLD_RELEASED)
    found = session.scalars(sa.select(AuditEvent.tag).where(AuditEvent.tag.in_(wanted)).order_by(AuditEvent.id)).all()
    session.commit()
    return list(found)


def check_again(session: Session) -> int:
    ids = session.scalars(sa.select(Account.id)).all()
    opened = check_accounts(session, ids)
    session.commit()
    return opened


def books(session: Session, about: Line, amount: int, *, kind: EntryKind, source: str, name: str) -> None:
    """Something that is no remittance changes the line's patient side by ``amount`` cents."""
    change = Money(amount)
    write_entries(session, [NewEntry(about.account_id, about.charge_id, kind, Money(0), change, source, name)])
    session.commit()


def test_a_failing_line_is_never_payable_from_the_moment_it_is_loaded(session: Session) -> None:
    load(session, late())
    found = line(session)
    assert (found.state, found.payable, found.collectable) == (LineState.ON_HOLD, Money(0), Money(0))
    assert findings(session) == [(Check.PROVIDER_FAULT, FindingState.OPEN)]
    assert open_holds(session) == [HoldReason.CHECK]
    assert tags(session) == [Tag.FINDING_OPENED, Tag.HOLD_PLACED]
    assert is_checked(session, found.account_id)


def test_a_bill_that_is_right_is_left_alone(session: Session) -> None:
    load(session, fine())
    assert line(session).state is LineState.PAYABLE
    assert (findings(session), open_holds(session), tags(session)) == ([], [], [])


def test_checking_again_changes_nothing(session: Session) -> None:
    load(session, late())
    before = tags(session)
    assert check_again(session) == 0
    assert check_again(session) == 0
    assert (tags(session), len(findings(session)), open_holds(session)) == (before, 1, [HoldReason.CHECK])


def released(session: Session, user_id: int, note: str = "The payer was asked: it is owed.") -> Line:
    held = line(session)
    release_holds(session, charge_id=held.charge_id, account_id=held.account_id, actor_user_id=user_id, note=note)
    session.commit()
    return line(session)


@pytest.fixture
def staff_id(session: Session) -> int:
    """Somebody at the desk."""
    from portal import clock
    from portal.auth.models import User

    user = User(
        email="desk@example.com",
        password="x",
        display_name="Desk",
        active=True,
        created_at=clock.now(),
        fs_uniquifier="f",
    )
    session.add(user)
    session.commit()
    return user.id


def test_a_release_is_remembered_for_the_same_finding(session: Session, staff_id: int) -> None:
    load(session, late())
    assert released(session, staff_id).payable == Money(8500)
    # Some of it is paid, and everything is checked again: still the same finding.
    books(session, line(session), -1000, kind=EntryKind.PATIENT_PAYMENT, source="payment", name="p1")
    check_again(session)
    assert line(session).payable == Money(7500)
    row = session.scalars(sa.select(CheckFinding)).one()
    assert (row.state, row.released_by, row.release_note) == (
        FindingState.RELEASED, staff_id, "The payer was asked: it is owed."
    )  # fmt: skip
    session.commit()
    assert tags(session)[2:] == [Tag.HOLD_RELEASED, Tag.FINDING_RELEASED]


def test_another_finding_holds_the_line_again(session: Session, staff_id: int) -> None:
    load(session, late())
    released(session, staff_id)
    # The desk's own note of a payment: another check, another finding.
    import_rows(session, "desk-payments", ["account,visit,reference,paid_on,amount", "V-1,V-1,R-1,2025-12-10,20.00"])
    check_due(session)
    assert line(session).state is LineState.ON_HOLD
    assert findings(session) == [
        (Check.PROVIDER_FAULT, FindingState.RELEASED), (Check.PAID_AT_DESK, FindingState.OPEN)
    ]  # fmt: skip


def test_what_is_put_right_lets_go_of_its_own_hold(session: Session) -> None:
    load(session, late())
    undone = claim("V-1", status="22", billed=-100, paid=-15, contractual=0, share=0, other=["CAS*PR*29*-85"])
    again = claim("V-1", paid=60)
    load(session, remittance(payment(undone, again, paid=45, trace="EFT-2"), control="2"), name="b.835")
    assert line(session).payable == Money(1500)
    assert findings(session) == [(Check.PROVIDER_FAULT, FindingState.GONE)]
    assert open_holds(session) == []
    assert tags(session)[2:] == [Tag.FINDING_GONE, Tag.HOLD_RELEASED]


def test_what_comes_back_is_held_again(session: Session) -> None:
    load(session, late())
    held = line(session)
    books(session, held, -8500, kind=EntryKind.PATIENT_PAYMENT, source="desk", name="d1")
    check_due(session)
    assert findings(session) == [(Check.PROVIDER_FAULT, FindingState.GONE)]
    books(session, held, 8500, kind=EntryKind.PATIENT_REFUND, source="desk", name="d2")
    check_due(session)
    assert findings(session) == [(Check.PROVIDER_FAULT, FindingState.OPEN)]
    assert line(session).state is LineState.ON_HOLD


def test_somebody_elses_hold_stays(session: Session) -> None:
    from portal.billing.service import place_hold

    load(session, late())
    held = line(session)
    place_hold(session, charge_id=held.charge_id, reason=HoldReason.STAFF, account_id=held.account_id)
    session.commit()
    books(session, held, -8500, kind=EntryKind.PATIENT_PAYMENT, source="desk", name="d1")
    check_due(session)
    assert open_holds(session) == [HoldReason.STAFF]


def test_a_change_waits_for_the_job_and_no_longer(session: Session) -> None:
    load(session, fine())
    about = line(session)
    books(session, about, 4000, kind=EntryKind.ADJUSTMENT, source="desk", name="slip")
    assert not is_checked(session, about.account_id)
    assert check_due(session) == 1
    assert is_checked(session, about.account_id)
    assert findings(session) == [(Check.ABOVE_REMITTANCE, FindingState.OPEN)]
    assert check_due(session) == 0


def test_one_that_goes_wrong_keeps_no_other_from_its_turn(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(session, remittance(payment(claim("V-1"), claim("V-2", member="MEM-2", family="OTHER"), paid=120)))
    first, second = session.scalars(sa.select(Account.id).order_by(Account.id)).all()
    session.execute(sa.update(Account).values(check_due=True))
    session.commit()

    def wrong(session: Session, ids: list[int]) -> None:
        if ids == [first]:
            raise ArithmeticError
        check_if_due(session, ids)

    monkeypatch.setattr(checking, "check_if_due", wrong)
    assert check_due(session) == 2
    assert (is_checked(session, first), is_checked(session, second)) == (False, True)


def test_the_last_look_before_anybody_is_asked(session: Session) -> None:
    load(session, fine())
    about = line(session)
    books(session, about, 4000, kind=EntryKind.ADJUSTMENT, source="desk", name="slip")
    account_row(session, about.account_id, lock=True)
    check_if_due(session, [about.account_id])
    session.commit()
    assert line(session).payable == Money(0)


def test_a_credit_that_was_looked_at_stops_no_other_line(session: Session, staff_id: int) -> None:
    load(session, remittance(payment(claim("V-1"), paid=60)))
    first = line(session)
    books(session, first, -5500, kind=EntryKind.PATIENT_PAYMENT, source="desk", name="d1")
    second, third = claim("V-2", paid=60, code="99214"), claim("V-3", paid=60, code="99215")
    load(session, remittance(payment(second, third, paid=120, trace="EFT-2"), control="2"), name="b.835")
    found = lines_of_account(session, first.account_id)
    assert [one.state for one in found] == [LineState.CREDIT, LineState.ON_HOLD, LineState.ON_HOLD]
    release_holds(
        session, charge_id=found[1].charge_id, account_id=first.account_id, actor_user_id=staff_id, note="Send it back."
    )
    session.commit()
    check_again(session)
    states = [one.state for one in lines_of_account(session, first.account_id)]
    assert states == [LineState.CREDIT, LineState.PAYABLE, LineState.PAYABLE]


def test_what_the_portal_took_goes_back_and_holds_nothing(session: Session) -> None:
    load(session, remittance(payment(claim("V-1"), paid=60)))
    first = line(session)
    books(session, first, -5500, kind=EntryKind.PATIENT_PAYMENT, source="payment", name="p1")
    load(session, remittance(payment(claim("V-2", code="99214"), paid=60, trace="EFT-2"), control="2"), name="b.835")
    assert findings(session) == []


@pytest.mark.parametrize(
    ("kind", "rows", "check"),
    [
        ("estimates", ["account,visit,issued_on,amount", "V-1,V-1,2025-12-01,100.00"], Check.ABOVE_ESTIMATE),
        (
            "coverages",
            ["account,given_name,family_name,payer,starts_on,ends_on", "V-1,Anna,SAMPLESON,Other Plan,2025-01-01,"],
            Check.INSURER_PENDING,
        ),
        (
            "desk-payments",
            ["account,visit,reference,paid_on,amount", "V-1,V-1,R-1,2025-12-10,20"],
            Check.PAID_AT_DESK,
        ),
    ],
)
def test_what_the_front_office_knows_is_checked(session: Session, kind: str, rows: list[str], check: Check) -> None:
    big = claim("V-1", billed=700, paid=60, contractual=40, share=600)
    load(session, remittance(payment(big, paid=60)))
    assert findings(session) == []
    for _ in range(2):
        assert import_rows(session, kind, rows) == 1
        check_due(session)
        assert findings(session) == [(check, FindingState.OPEN)]


@pytest.mark.parametrize(
    ("kind", "rows", "why"),
    [
        ("estimates", ["account,visit,amount", "A,V,1"], "line 1: no column issued_on"),
        ("estimates", [], "line 1: no column account"),
        ("estimates", ["account,visit,issued_on,amount", "A,V,2026-13-01,1"], "line 2: issued_on"),
        ("estimates", ["account,visit,issued_on,amount", "A,V,2026-01-01,1.005"], "line 2: amount"),
        ("estimates", ["account,visit,issued_on,amount", "A,V,2026-01-01,-1"], "line 2: amount"),
        ("estimates", ["account,visit,issued_on,amount", ",V,2026-01-01,1"], "line 2: account is empty"),
        ("estimates", ["account,visit,issued_on,amount", "A" * 65 + ",V,2026-01-01,1"], "line 2: account is longer"),
        ("estimates", ["account,visit,issued_on,amount", "A,V"], "line 2: issued_on"),
    ],
)
def test_a_bad_row_stores_nothing(session: Session, kind: str, rows: list[str], why: str) -> None:
    with pytest.raises(BadRow, match=why):
        import_rows(session, kind, rows)
    assert not session.new


def test_what_the_claim_said_is_kept(session: Session) -> None:
    said = claim("V-1")
    said[0] = "CLP*V-1*1*100*60*15*MB*PAYER-V-1*23*7"
    said.insert(2, "MOA***MA07*N830")
    said.insert(3, "AMT*F5*15")
    load(session, remittance(payment(said, paid=60)))
    row = session.scalars(sa.select(Claim)).one()
    assert (row.filing_indicator, row.facility_code, row.frequency) == ("MB", "23", "7")
    assert (row.stated_share, row.patient_paid, row.remark_codes) == (Money(1500), Money(1500), "MA07 N830")
    session.commit()
    # Sent on to Medicaid, and the copay was taken at the desk.
    assert {check for check, _state in findings(session)} == {Check.INSURER_PENDING, Check.PAID_AT_DESK}


def test_the_number_of_queries_does_not_grow_with_the_bill(session: Session, engine: sa.Engine) -> None:
    def queries(numbers: range) -> int:
        claims = [claim(f"V-{n}", paid=60, code=f"992{n:02}") for n in numbers]
        trace = f"EFT-{numbers.start}"
        load(
            session,
            remittance(payment(*claims, paid=60 * len(numbers), trace=trace), control=str(numbers.start)),
            trace,
        )
        seen: list[str] = []

        def count(*args: Any) -> None:
            seen.append(args[2])

        event.listen(engine, "before_cursor_execute", count)
        check_again(session)
        event.remove(engine, "before_cursor_execute", count)
        return len(seen)

    assert queries(range(10, 11)) == queries(range(11, 41))


def test_entries_of_the_checks_are_none(session: Session) -> None:
    """Checking moves no money."""
    load(session, late())
    before = session.scalar(sa.select(sa.func.count(Entry.id)))
    check_again(session)
    assert session.scalar(sa.select(sa.func.count(Entry.id))) == before
