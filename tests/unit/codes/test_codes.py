"""Codes in the database: tables taken in, reviews that hold while the words do, and codes nobody has words for."""

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal.audit.models import AuditEvent
from portal.audit.tags import Tag
from portal.billing.models import Entry, Visit
from portal.cli import main
from portal.codes import queries
from portal.codes.kinds import CodeSystem
from portal.codes.models import CodeText, TextReview, UnknownCode
from portal.codes.service import TextHasChanged, handle_unknown, load_table, open_unknown, record_review
from portal.codes.tables import Row
from portal.db import RecordNotFound
from portal.explanations.texts import translations
from tests.conftest import Clinic, Database
from tests.unit.remittances.books import claim, load, payment, remittance

RIDE, CANE = Row("A0021", "Ride", "A ride by ambulance"), Row("E0100", "Cane", "A cane of any kind")


def test_a_table_is_taken_in_and_the_same_again_changes_nothing(session: Session) -> None:
    first = load_table(session, CodeSystem.HCPCS, [RIDE, CANE])
    assert (first.new, first.changed, first.unchanged, first.kept) == (2, 0, 0, 0)
    again = load_table(session, CodeSystem.HCPCS, [RIDE, CANE])
    assert (again.new, again.changed, again.unchanged, again.kept) == (0, 0, 2, 0)
    table = [Row("A0021", "Ride", "Another text"), Row("J1100", "Drug", "A drug")]
    newer = load_table(session, CodeSystem.HCPCS, table)
    assert (newer.new, newer.changed, newer.unchanged, newer.kept) == (1, 1, 0, 1)
    found = queries.meanings(session, CodeSystem.HCPCS, ["a0021 ", "E0100", "Z9999"])
    texts = {code: one.long_text for code, one in found.items()}
    assert texts == {"a0021 ": "Another text", "E0100": "A cane of any kind"}
    session.commit()


@pytest.mark.parametrize("code", ["99213", "0001U", "D0120"])
def test_the_database_itself_refuses_cpt_and_cdt(session: Session, code: str) -> None:
    session.add(CodeText(system=CodeSystem.HCPCS, code=code, short_text="x", long_text="x"))
    with pytest.raises(IntegrityError, match="only_level_two"):
        session.flush()
    session.rollback()


def test_diagnoses_are_found_with_and_without_their_point(session: Session) -> None:
    load_table(session, CodeSystem.ICD10CM, [Row("E119", "Type 2 diabetes", "Type 2 diabetes without complications")])
    found = queries.meanings(session, CodeSystem.ICD10CM, ["E11.9", "E119", "99213"])
    assert set(found) == {"E11.9", "E119"}
    assert queries.meanings(session, CodeSystem.HCPCS, ["E119"]) == {}
    session.commit()


def test_only_level_two_codes_get_a_text_on_a_line(session: Session) -> None:
    load_table(session, CodeSystem.HCPCS, [Row("A0021", "Ride", "A very long text " * 40), CANE])
    wording = queries.wording(session, ["99213", "A0021", "E0100", "", "J0000"], "en")
    assert set(wording.texts) == {"A0021", "E0100"}
    assert len(wording.texts["A0021"]) <= queries.LONGEST_SHOWN
    assert wording.texts["A0021"].endswith("…")
    assert wording.reviewed == frozenset()
    session.commit()


def test_a_review_holds_for_the_words_that_were_read(clinic: Clinic) -> None:
    session, text = clinic.session, translations("es")["carc/45"]
    staff = clinic.user_id("staff@example.com")
    facts = {"language": "es", "key": text.key, "staff_user_id": staff}
    assert record_review(session, fingerprint=text.fingerprint, **facts)
    assert not record_review(session, fingerprint=text.fingerprint, **facts)
    assert queries.reviewed(session, "es") == queries.reviewed(session, "es-US") == {"carc/45"}
    assert queries.reviewed(session, "en") == frozenset()
    (event,) = session.scalars(sa.select(AuditEvent).where(AuditEvent.tag == Tag.TRANSLATION_REVIEWED))
    assert (event.actor_user_id, event.subject, event.facts["language"]) == (staff, "carc/45", "es")
    with pytest.raises(TextHasChanged):
        record_review(session, fingerprint="0" * 64, **facts)
    with pytest.raises(RecordNotFound):
        record_review(session, language="es", key="carc/none", fingerprint="x", staff_user_id=staff)
    with pytest.raises(RecordNotFound):
        record_review(session, language="de", key="carc/45", fingerprint="x", staff_user_id=staff)
    session.commit()
    # Another wording, later: the review is of words that are gone.
    session.add(TextReview(language="es", key="carc/97", fingerprint="0" * 64, reviewed_by=staff, reviewed_at=event.at))
    session.flush()
    assert queries.reviewed(session, "es") == {"carc/45"}
    session.commit()


def test_reviews_are_never_changed(clinic: Clinic) -> None:
    session, text = clinic.session, translations("es")["carc/45"]
    staff = clinic.user_id("staff@example.com")
    record_review(session, language="es", key=text.key, fingerprint=text.fingerprint, staff_user_id=staff)
    session.commit()
    with pytest.raises(sa.exc.DBAPIError, match="append-only"):
        session.execute(sa.delete(TextReview))
    session.rollback()


def test_a_code_without_words_opens_a_task_once_a_visit(session: Session) -> None:
    strange = claim("V-1", contractual=0, other=["CAS*CO*9999*25", "LQ*HE*N9999", "LQ*HE*M51"])
    data = remittance(payment(strange, paid=60))
    assert load(session, data).loaded == 1
    rows = session.execute(sa.select(UnknownCode.code, Visit.ref).join(Visit, Visit.id == UnknownCode.visit_id)).all()
    assert sorted(tuple(row) for row in rows) == [("CO-9999", "V-1"), ("N9999", "V-1")]
    visit_id = session.scalars(sa.select(UnknownCode.visit_id)).first()
    assert visit_id is not None
    open_unknown(session, visit_id=visit_id, codes=["CO-9999"])
    assert queries.unknown_open(session) == 2
    session.commit()


def test_known_codes_open_no_task(session: Session) -> None:
    load(session, remittance(payment(claim("V-1"), paid=60)))
    assert queries.unknown_open(session) == 0
    session.commit()


def test_what_is_noted_about_the_whole_claim_reaches_its_lines(session: Session) -> None:
    noted = claim("V-1")
    noted.insert(2, "MOA***N781*MA01")
    load(session, remittance(payment(noted, paid=60)))
    remarks = set(session.scalars(sa.select(Entry.remark_codes).where(Entry.reason_code != "")))
    session.commit()
    assert remarks == {"N781 MA01"}


def test_a_task_is_closed_once(clinic: Clinic) -> None:
    session, staff = clinic.session, clinic.user_id("staff@example.com")
    visit_id = session.scalars(sa.select(Visit.id)).first()
    assert visit_id is not None
    open_unknown(session, visit_id=visit_id, codes=["PR-9999", "N9999"])
    found, total = queries.unknown_codes(session, limit=10)
    assert (total, [one.code for one in found]) == (2, ["PR-9999", "N9999"])
    assert handle_unknown(session, public_id=found[0].public_id, staff_user_id=staff, note="A local code.")
    assert not handle_unknown(session, public_id=found[0].public_id, staff_user_id=staff, note="Again.")
    assert queries.unknown_code(session, found[0].public_id).note == "A local code."
    assert queries.unknown_open(session) == 1
    with pytest.raises(RecordNotFound):
        handle_unknown(session, public_id="0" * 32, staff_user_id=staff, note="x")
    session.commit()


@pytest.fixture
def codes(database: Database, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setenv("DATABASE_URL", database.url)
    return lambda *words: CliRunner().invoke(main, ["codes", "load", *map(str, words)])


def test_the_command_loads_counts_and_refuses(codes: Callable[..., Result], session: Session, tmp_path: Path) -> None:
    table = tmp_path / "hcpcs.csv"
    rows = "code,long_description,short_description\nA0021,A ride,Ride\n99213,Not ours,No\n"
    table.write_text(rows, encoding="utf-8-sig")
    told = codes("hcpcs", table)
    assert (told.exit_code, told.stdout) == (
        0, "hcpcs.csv: 1 codes, 1 new, 0 changed, 0 unchanged, 0 kept that are not in it\n"
    )  # fmt: skip
    assert "1 codes, the first 99213" in told.stderr
    assert "1 unchanged" in codes("hcpcs", table).stdout
    assert session.scalars(sa.select(CodeText.code)).all() == ["A0021"]
    session.commit()
    for words, fault in (
        (("icd10cm", table), "not an ICD-10-CM order file"),
        (("hcpcs", tmp_path / "none.csv"), "no such file"),
        (("cpt", table), "'cpt' is not one of"),
    ):
        refused = codes(*words)
        assert refused.exit_code == 2
        assert fault in refused.stderr
