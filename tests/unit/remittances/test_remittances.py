"""Importing 835 files: each payment whole or not at all, each one once, and the books agree afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from portal.accounts.models import Account, Patient
from portal.accounts.service import add_patient, open_account
from portal.billing.kinds import EntryKind, HoldReason
from portal.billing.models import Charge, Claim, Entry, Hold, Visit
from portal.db import normal_url
from portal.migrate import upgrade
from portal.money import Money
from portal.remittances.kinds import RemittanceState
from portal.remittances.models import QuarantineReason, RemittanceFile, RemittanceTransaction
from portal.remittances.x12.errors import NotA835
from tests.databases import Backend
from tests.shared_data import shared_path
from tests.unit.remittances.books import (
    accounts,
    assert_books_agree,
    claim,
    counts,
    load,
    payment,
    remittance,
)
from tests.unit.remittances.x12.builder import Segments

TWO = remittance(
    payment(claim("V-1"), paid=60, control="0001", trace="EFT-1"),
    payment(claim("V-2", member="MEM-2", given="BERT"), paid=60, control="0002", trace="EFT-2"),
)


def states(session: Session) -> list[str]:
    found = session.scalars(sa.select(RemittanceTransaction.state).order_by(RemittanceTransaction.id)).all()
    session.commit()
    return [state.value for state in found]


def test_a_payment_becomes_an_account_a_visit_and_a_bill(session: Session) -> None:
    report = load(session, remittance(payment(claim("V-1"), paid=60)))
    assert (report.transactions, report.loaded, report.claims, report.quarantined) == (1, 1, 1, 0)
    account = session.scalars(sa.select(Account)).one()
    patient, visit = session.scalars(sa.select(Patient)).one(), session.scalars(sa.select(Visit)).one()
    charge, decided = session.scalars(sa.select(Charge)).one(), session.scalars(sa.select(Claim)).one()
    assert (patient.name.upper(), patient.member_id, patient.account_id) == ("ANNA SAMPLESON", "MEM-1", account.id)
    assert (visit.ref, visit.started_on, visit.patient_id) == ("V-1", date(2025, 12, 10), patient.id)
    assert (charge.code, charge.billed, charge.service_on) == ("99213", Money(10000), date(2025, 12, 10))
    assert decided.payer_name.upper() == "EXAMPLE HEALTH PLAN"
    assert (decided.status_code, decided.trace_number) == ("1", "EFT-1")
    entries = session.scalars(sa.select(Entry).order_by(Entry.id)).all()
    assert [(one.kind, one.insurer.cents, one.patient.cents, one.reason_code) for one in entries] == [
        (EntryKind.CHARGE, 10000, 0, ""),
        (EntryKind.INSURER_PAYMENT, -6000, 0, ""),
        (EntryKind.ADJUSTMENT, -2500, 0, "45"),
        (EntryKind.SHARE_MOVED, -1500, 1500, "2"),
    ]
    assert {one.claim_id for one in entries} == {decided.id}
    session.commit()
    assert_books_agree(session)


def test_the_same_file_again_changes_nothing(session: Session) -> None:
    load(session, TWO)
    before = counts(session)
    again = load(session, TWO, name="another name.835")
    assert again.already_imported
    assert counts(session) == before
    assert before["entry"] == 8


def test_the_same_payment_in_another_file_is_known(session: Session) -> None:
    first, second = (
        payment(claim("V-1"), paid=60, control="0001", trace="EFT-1"),
        payment(claim("V-2", member="MEM-2"), paid=60, control="0002", trace="EFT-2"),
    )
    load(session, remittance(first, second))
    before = accounts(session)
    # Elsewhere in its file, under another envelope.
    report = load(session, remittance(second, control="000000010"), name="b.835")
    assert (report.duplicates, report.loaded, report.quarantined) == (1, 0, 0)
    assert accounts(session) == before
    assert states(session) == ["loaded", "loaded", "duplicate"]
    assert_books_agree(session)


def test_the_same_payment_twice_in_one_file_is_loaded_once(session: Session) -> None:
    one = payment(claim("V-1"), paid=60)
    report = load(session, remittance(one, one))
    assert (report.loaded, report.duplicates) == (1, 1)
    assert list(accounts(session).values()) == [(0, 1500)]


def test_another_payment_under_a_known_trace_is_quarantined(session: Session) -> None:
    load(session, remittance(payment(claim("V-1"), paid=60)))
    before = accounts(session)
    other = remittance(payment(claim("V-1", paid=50, share=25), paid=50))
    report = load(session, other, name="b.835")
    assert (report.quarantined, report.loaded) == (1, 0)
    assert "same trace" in report.reasons[0].reason
    assert accounts(session) == before
    assert_books_agree(session)


def test_what_does_not_add_up_is_quarantined_and_the_rest_loads(session: Session) -> None:
    wrong = payment(claim("V-1", paid=61), paid=61, control="0001", trace="EFT-1")
    right = payment(claim("V-2", member="MEM-2"), paid=60, control="0002", trace="EFT-2")
    report = load(session, remittance(wrong, right), name="mixed.835")
    assert (report.loaded, report.quarantined) == (1, 1)
    assert states(session) == ["quarantined", "loaded"]
    assert {visit.ref for visit in session.scalars(sa.select(Visit))} == {"V-2"}
    kept = session.execute(
        sa.select(RemittanceFile.name, QuarantineReason.place, QuarantineReason.reason, QuarantineReason.difference)
        .join(RemittanceTransaction, RemittanceTransaction.id == QuarantineReason.transaction_id)
        .join(RemittanceFile, RemittanceFile.id == RemittanceTransaction.file_id)
        .order_by(QuarantineReason.id)
    ).all()
    assert {name for name, *_rest in kept} == {"mixed.835"}
    assert {difference.cents for *_rest, difference in kept} == {-100}
    assert any("claim V-1" in place and "line 1" in place and "segment" in place for _name, place, *_rest in kept)
    assert [(one.transaction, one.difference) for one in report.reasons] == [("0001", Money(-100))] * len(kept)
    session.commit()
    assert_books_agree(session)


class Killed(BaseException):
    """The process ends here."""


def test_an_import_that_was_killed_is_finished_by_importing_again(
    session: Session, engine: sa.Engine, backend: Backend
) -> None:
    def kill(_report: Any) -> None:
        raise Killed

    with pytest.raises(Killed):
        load(session, TWO, progress=kill)
    session.close()
    with Session(engine) as fresh:
        assert states(fresh) == ["loaded"]
        report = load(fresh, TWO)
        assert (report.already_imported, report.transactions, report.loaded) == (False, 2, 2)
        ended, sums = counts(fresh), accounts(fresh)
        assert load(fresh, TWO).already_imported
        assert_books_agree(fresh)

    url = backend.copy(backend.template("empty", upgrade))
    undisturbed = sa.create_engine(normal_url(url))
    with Session(undisturbed) as other:
        load(other, TWO)
        assert (counts(other), accounts(other)) == (ended, sums)
    undisturbed.dispose()
    backend.drop(url)


def test_one_that_was_killed_within_a_payment_leaves_nothing_of_it(
    session: Session, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(*_args: Any, **_facts: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("portal.ledger.adapters.embedded.ledger.EmbeddedLedger.record_claim", kill)
        with pytest.raises(Killed):
            load(session, TWO)
    session.close()
    with Session(engine) as fresh:
        assert set(counts(fresh)) - {"remittance_file"} == set()
        load(fresh, TWO)
        assert states(fresh) == ["loaded", "loaded"]
        assert_books_agree(fresh)


def test_a_reversal_and_a_correction(session: Session) -> None:
    load(session, remittance(payment(claim("V-1"), paid=60, trace="EFT-1")))
    back = claim("V-1", status="22", billed=-100, paid=-60, contractual=-25, share=-15)
    right = claim("V-1", paid=70, contractual=25, share=5)
    load(session, remittance(payment(back, right, paid=10, trace="EFT-2")), name="b.835")
    assert list(accounts(session).values()) == [(0, 500)]
    assert session.execute(sa.select(sa.func.count()).select_from(Charge)).scalar_one() == 1
    session.commit()
    assert_books_agree(session)


def test_a_second_insurer_lowers_the_patients_share(session: Session) -> None:
    load(session, remittance(payment(claim("V-1"), paid=60, trace="EFT-1")))
    assert list(accounts(session).values()) == [(0, 1500)]
    second = claim("V-1", status="2", paid=10, contractual=0, share=5, other=["CAS*OA*23*85"])
    load(
        session,
        remittance(payment(second, paid=10, trace="SUP-1", payer="SAMPLE SUPPLEMENT", payer_id="1888888888")),
        name="b.835",
    )
    assert list(accounts(session).values()) == [(0, 500)]
    assert_books_agree(session)


def test_a_predetermination_leaves_no_trace_in_the_books(session: Session) -> None:
    report = load(session, remittance(payment(claim("V-1", status="25", paid=0, contractual=85), paid=0)))
    assert report.loaded == 1
    assert set(counts(session)) == {"remittance_file", "remittance_transaction", "audit_event"}


@pytest.mark.parametrize(("stated", "held"), [(14, 1), (15, 0), (16, 0)])
def test_a_share_above_what_the_remittance_states_is_held(session: Session, stated: int, held: int) -> None:
    load(session, remittance(payment(claim("V-1", share=15, stated=stated), paid=60)))
    holds = session.scalars(sa.select(Hold)).all()
    assert [hold.reason for hold in holds] == [HoldReason.SHARE_ABOVE_REMITTANCE] * held
    session.commit()


def who(session: Session) -> list[tuple[str, str, int]]:
    rows = session.execute(sa.select(Patient.given_name, Patient.member_id, Patient.account_id).order_by(Patient.id))
    found = [(name, member, account_id) for name, member, account_id in rows]
    session.commit()
    return found


def test_two_people_of_one_name_are_two_accounts(session: Session) -> None:
    load(
        session,
        remittance(
            payment(claim("V-1", member="MEM-1"), claim("V-2", member="MEM-2"), claim("V-3", member="MEM-1"), paid=180)
        ),
    )
    people = who(session)
    assert [(name.upper(), member) for name, member, _account in people] == [("ANNA", "MEM-1"), ("ANNA", "MEM-2")]
    assert len({account for _name, _member, account in people}) == 2
    assert_books_agree(session)


def test_people_without_a_member_id_are_not_taken_for_each_other(session: Session) -> None:
    load(session, remittance(payment(claim("V-1", member=""), claim("V-2", member=""), paid=120, trace="EFT-1")))
    assert len(who(session)) == 2
    # The same visit's number and name is the same person.
    load(session, remittance(payment(claim("V-1", member="", code="81002"), paid=60, trace="EFT-2")), name="b.835")
    assert len(who(session)) == 2
    assert_books_agree(session)


def test_a_family_that_shares_a_member_id_is_told_apart_by_name(session: Session) -> None:
    account = open_account(session, ref="ACC-1", guarantor_name="Anna Sampleson")
    for name in ("Anna", "Kit"):
        add_patient(session, account_id=account.id, given_name=name, family_name="Sampleson", member_id="MEM-1")
    session.commit()
    load(session, remittance(payment(claim("V-1"), claim("V-2", given="KIT"), paid=120)))
    assert [(name, member) for name, member, _account in who(session)] == [("Anna", "MEM-1"), ("Kit", "MEM-1")]
    rows = session.execute(
        sa.select(Visit.ref, Patient.given_name).join(Patient, Patient.id == Visit.patient_id).order_by(Visit.ref)
    ).all()
    assert [tuple(row) for row in rows] == [("V-1", "Anna"), ("V-2", "Kit")]
    session.commit()


@pytest.mark.parametrize("family", ["MÜLLERSAMPLE", "ŽIŽKASAMPLE", "O'SAMPLE", "ß-SAMPLE", "İSAMPLE"])
def test_a_name_is_known_again_in_any_script(session: Session, family: str) -> None:
    """Two payments for one person are one account, whatever letters the name has."""
    load(session, remittance(payment(claim("V-1", family=family), paid=60, trace="EFT-1")))
    load(session, remittance(payment(claim("V-2", family=family), paid=60, trace="EFT-2")), name="b.835")
    assert len(who(session)) == 1


def test_letter_case_does_not_matter(session: Session) -> None:
    load(session, remittance(payment(claim("V-1"), paid=60, trace="EFT-1")))
    again = payment(claim("V-2", family="Sampleson", given="anna"), paid=60, trace="EFT-2")
    load(session, remittance(again), name="b.835")
    assert len(who(session)) == 1


@pytest.mark.parametrize(
    "text", ["x" * 600, "A\x00B", "\x01\x7f", "é" * 300, "😀" * 100, " ", "'; DROP TABLE entry --"]
)
def test_what_stands_in_the_texts_breaks_nothing(session: Session, text: str) -> None:
    """PostgreSQL refuses NUL bytes and texts that are too long; SQLite takes anything."""
    one = claim(text, family=text, given=text, member=text, code=text.replace(":", ""))
    report = load(session, remittance(payment(one, paid=60, control=text, trace=text, payer=text)), name=text)
    assert report.loaded + report.quarantined == 1
    assert report.loaded == 1
    assert_books_agree(session)


@pytest.mark.parametrize("data", [b"", b"hello", b"\x00" * 300, b"%PDF-1.4 not this", b"ISA*00*"])
def test_what_is_no_remittance_stores_nothing(session: Session, data: bytes) -> None:
    with pytest.raises(NotA835):
        load(session, data)
    session.rollback()
    assert counts(session) == {}


def samples() -> Iterator[Path]:
    found = [path for path in sorted(shared_path("data/x12").rglob("*")) if path.is_file()]
    yield from found


def test_every_shared_sample_loads_or_is_quarantined_and_the_books_agree(session: Session) -> None:
    loaded = quarantined = 0
    for path in samples():
        try:
            with path.open("rb") as stream:
                report = load(session, stream.read(), name=path.name)
        except NotA835:
            session.rollback()
            continue
        if report.already_imported:
            continue
        assert report.transactions == report.loaded + report.duplicates + report.quarantined
        loaded, quarantined = loaded + report.loaded, quarantined + report.quarantined
    assert loaded > 5
    assert quarantined == sum(state == RemittanceState.QUARANTINED for state in states(session))
    assert_books_agree(session)


@st.composite
def remittances(draw: st.DrawFn) -> list[bytes]:
    """A few files of claims that balance, about few visits, so that payers decide the same lines again."""
    files, number = [], 0
    for file in range(draw(st.integers(1, 3))):
        payments: list[Segments] = []
        for _one in range(draw(st.integers(1, 2))):
            number += 1
            claims, paid_in_all = [], 0
            for _claim in range(draw(st.integers(1, 3))):
                contractual, share, paid = (draw(st.integers(0, 300)) for _part in range(3))
                sign = draw(st.sampled_from([1, 1, 1, -1]))
                prior = draw(st.integers(0, 50))
                other = ["CAS*OA*23*" + str(sign * prior)] if prior else []
                claims.append(
                    claim(
                        draw(st.sampled_from(["V-1", "V-2", "V-3"])),
                        status="22" if sign < 0 else draw(st.sampled_from(["1", "2", "3", "4", "25"])),
                        billed=sign * (contractual + share + paid + prior),
                        paid=sign * paid,
                        contractual=sign * contractual,
                        share=sign * share,
                        member=draw(st.sampled_from(["MEM-1", "MEM-2", ""])),
                        code=draw(st.sampled_from(["99213", "81002"])),
                        other=other,
                    )
                )
                paid_in_all += sign * paid
            payments.append(payment(*claims, paid=paid_in_all, control=f"{number:04}", trace=f"EFT-{number}"))
        files.append(remittance(*payments, control=f"{file + 1:09}"))
    return files


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(files=remittances())
def test_the_books_agree_whatever_balanced_remittances_say(backend: Backend, files: list[bytes]) -> None:
    url = backend.copy(backend.template("empty", upgrade))
    engine = sa.create_engine(normal_url(url))
    try:
        with Session(engine) as session:
            for number, data in enumerate(files):
                report = load(session, data, name=f"{number}.835")
                assert report.loaded == report.transactions, report.reasons
            assert_books_agree(session)
            before = counts(session)
            for data in files:
                load(session, data)
            assert counts(session) == before
    finally:
        engine.dispose()
        backend.drop(url)
