"""The desk's page of translations and of codes without words, and what patients see of both."""

import pytest
import sqlalchemy as sa

from portal.billing.models import Charge, Visit
from portal.codes.desk_views import KIND_NAMES
from portal.codes.kinds import CodeSystem
from portal.codes.models import TextReview
from portal.codes.queries import unknown_open
from portal.codes.service import load_table, open_unknown
from portal.codes.tables import Row
from portal.explanations.texts import KINDS, translations
from tests.conftest import Clinic
from tests.pages import JudgingClient, Page, as_page
from tests.web.test_staff import PATIENT, STAFF, SignIn

VISIT = "V-260604-1"


@pytest.fixture
def desk(client: JudgingClient, clinic: Clinic, sign_in: SignIn) -> JudgingClient:
    sign_in(client, STAFF)
    return client


def review(desk: JudgingClient, page: Page, url: str, key: str, fingerprint: str) -> Page:
    """Send the form of one of the page's texts."""
    token = next(field.get("value") for field in page.all("input", name="csrf_token"))
    data = {"csrf_token": token, "key": key, "fingerprint": fingerprint}
    return as_page(desk.post(url, data=data, follow_redirects=True))


def test_every_kind_of_text_has_a_name() -> None:
    assert set(KIND_NAMES) == set(KINDS)


def test_texts_stand_beside_the_english_and_are_reviewed(desk: JudgingClient, clinic: Clinic) -> None:
    page = desk.page("/desk/texts?kind=carc")
    text = translations("es")["carc/1"]
    shown = page.text("main")
    assert all(english in shown and own in shown for _, english, own in text.parts)
    assert f"{len([one for one in translations('es').values() if one.kind == 'carc'])} of" in shown
    after = review(desk, page, "/desk/texts/reviewed?kind=carc", text.key, text.fingerprint)
    assert "Noted as reviewed." in after.text("main")
    assert "Reasons (CARC): 1 Not reviewed" not in after.text("main")
    assert "Reasons (CARC): 1 Reviewed" in desk.page("/desk/texts?kind=carc&show=all").text("main")
    with clinic.session as session:
        (row,) = session.scalars(sa.select(TextReview))
        assert (row.language, row.key, row.fingerprint) == ("es", text.key, text.fingerprint)
        session.commit()


def test_words_that_changed_meanwhile_are_not_marked(desk: JudgingClient, clinic: Clinic) -> None:
    page = desk.page("/desk/texts")
    after = review(desk, page, "/desk/texts/reviewed", "carc/1", "0" * 64)
    assert "changed meanwhile" in after.text("main")
    assert desk.get("/desk/texts?lang=de").status_code == 404
    assert clinic.session.scalar(sa.select(sa.func.count()).select_from(TextReview)) == 0
    clinic.session.commit()


def test_a_key_that_is_no_key_is_said_to_be_none(desk: JudgingClient, clinic: Clinic) -> None:
    page = desk.page("/desk/texts")
    for key, fingerprint in (("x" * 500, "0" * 64), ("carc/1", "0" * 500)):
        review(desk, page, "/desk/texts/reviewed", key, fingerprint)
    assert clinic.session.scalar(sa.select(sa.func.count()).select_from(TextReview)) == 0
    clinic.session.commit()


def test_a_code_without_words_is_looked_up_and_noted(desk: JudgingClient, clinic: Clinic) -> None:
    visit_id = clinic.session.scalars(sa.select(Visit.id).where(Visit.ref == VISIT)).one()
    open_unknown(clinic.session, visit_id=visit_id, codes=["PR-9999"])
    clinic.session.commit()
    assert "Codes of insurers that we have no words for" in desk.page("/desk/").text("main")
    page = desk.page("/desk/unknown-codes")
    code = desk.page(page.links()["PR-9999"])
    after = as_page(desk.submit(code, {"note": "A code of their own."}, field="note", follow_redirects=True))
    assert "We have words for every code" in after.text("main")
    assert unknown_open(clinic.session) == 0
    clinic.session.commit()
    assert "A code of their own." in desk.page(page.links()["PR-9999"]).text("main")


def test_a_line_says_what_its_code_and_modifiers_stand_for(
    client: JudgingClient, clinic: Clinic, sign_in: SignIn
) -> None:
    session = clinic.session
    charge = session.scalars(
        sa.select(Charge).join(Visit, Visit.id == Charge.visit_id).where(Visit.ref == VISIT).limit(1)
    ).one()
    charge.code, charge.modifiers = "E0100", "RT 25"
    load_table(session, CodeSystem.HCPCS, [Row("E0100", "Cane", "A cane of any kind")])
    session.commit()
    sign_in(client, PATIENT)
    shown = client.page(f"/visits/{clinic.visit(VISIT)}").text("main")
    assert "Code E0100: A cane of any kind" in shown
    assert "RT: Right side of the body." in shown
    assert "From the answer of" in shown
