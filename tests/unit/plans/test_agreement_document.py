"""The agreement's PDF can be read aloud: tagged, in its language, with its headings and its tables in the structure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask_babel import force_locale, gettext

from portal.documents.models import Document
from portal.plans.agreeing.agreement import agreement
from portal.plans.kinds import ChangeKind
from portal.plans.rules.terms import Terms
from tests.unit.documents.test_render import read, tags_of, text_of
from tests.unit.plans.conftest import PlanWorld
from tests.unit.plans.test_agreement import terms

TITLE = "Payment plan agreement"
SCHEDULE, LINES, PROMISES = "Your payments", "What is on the plan", "What you agreed to"
DISCLOSURE = "Truth in Lending disclosure"


def document(app: Flask, found: Terms) -> bytes:
    with app.test_request_context():
        return agreement(found, clinic="Juniper Demo Clinic", phone="(555) 010-0199").document


def elements(pdf: bytes) -> list[Any]:
    """The structure elements, in the order of reading."""

    def walk(node: Any) -> Iterator[Any]:
        node = node.get_object()
        if isinstance(node, list):
            for child in node:
                yield from walk(child)
        elif isinstance(node, dict):
            yield node
            yield from walk(node.get("/K", []))

    return [one for one in walk(read(pdf).trailer["/Root"]["/StructTreeRoot"]) if "/S" in one]


def outline(pdf: bytes) -> list[tuple[str, str]]:
    """Headings with their words, and tables."""
    found = [one for one in elements(pdf) if one["/S"] in ("/H1", "/H2", "/Table")]
    return [(one["/S"], str(one.get("/T", ""))) for one in found]


def tables(pdf: bytes) -> list[list[list[str]]]:
    """The tables as rows of the cells' names."""
    found: list[list[list[str]]] = []
    for one in elements(pdf):
        if one["/S"] == "/Table":
            found.append([])
        elif one["/S"] == "/TR":
            found[-1].append([])
        elif one["/S"] in ("/TH", "/TD"):
            found[-1][-1].append(str(one["/S"]))
    return found


def judge(pdf: bytes, *, language: str = "en", title: str = TITLE) -> None:
    root = read(pdf).trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"] == True  # noqa: E712  pypdf's own boolean
    assert root["/Lang"] == language
    assert root["/ViewerPreferences"]["/DisplayDocTitle"] == True  # noqa: E712
    assert read(pdf).metadata["/Title"] == title  # type: ignore[index]
    assert b"<pdfuaid:part>1</pdfuaid:part>" in root["/Metadata"].get_data()
    assert len(root["/StructTreeRoot"]["/K"]) > 0
    assert all(page["/Tabs"] == "/S" for page in read(pdf).pages)


def test_it_is_tagged_titled_and_in_its_language(app: Flask) -> None:
    judge(document(app, terms(5_000, 5_000, 1_234)))
    with app.test_request_context(), force_locale("es"):
        made = agreement(terms(5_000), clinic="A clinic", phone="")
        judge(made.document, language="es", title=gettext(TITLE))


@pytest.mark.parametrize(
    ("cents", "disclosed"), [((5_000, 1_234), False), ((5_000,) * 6, True)], ids=["plain", "disclosed"]
)
def test_its_headings_and_tables_are_in_the_structure(app: Flask, cents: tuple[int, ...], disclosed: bool) -> None:
    pdf = document(app, terms(*cents))
    assert outline(pdf) == [
        ("/H1", TITLE),
        *([("/H2", DISCLOSURE)] if disclosed else []),
        ("/H2", SCHEDULE),
        ("/Table", ""),
        ("/H2", LINES),
        ("/Table", ""),
        ("/H2", PROMISES),
    ]
    head, total = ["/TH"] * 3, ["/TD"] * 2
    schedule, lines = tables(pdf)
    assert schedule == [head, *[["/TD"] * 3] * len(cents), total]
    assert lines == [head, *[["/TD"] * 3] * 2, total]


def test_the_schedules_cells_say_what_they_are_read_under(app: Flask) -> None:
    """A screen reader says the column's head with a cell, where the head has a scope and the cell names it."""
    cells = [one for one in elements(document(app, terms(5_000, 1_234))) if one["/S"] in ("/TH", "/TD")]
    table = [
        {key: value for part in one["/A"] for key, value in part.items() if part["/O"] == "/Table"} for one in cells
    ]
    heads = [str(one["/ID"]) for one in cells[:3]]
    assert [one["/Scope"] for one in table[:3]] == ["/Column"] * 3
    assert [[str(head) for head in one["/Headers"]] for one in table[3:9]] == [[one] for one in heads] * 2
    assert table[9]["/ColSpan"] == 2  # the total's name


def test_all_that_is_promised_is_read_as_paragraphs_in_its_place(app: Flask) -> None:
    found = terms(5_000, 1_234)
    with app.test_request_context():
        made = agreement(found, clinic="Juniper Demo Clinic", phone="(555) 010-0199")
    promises = made.text.split("\n\n")[2:]
    names = [one["/S"] for one in elements(made.document)]
    after = names[len(names) - 1 - names[::-1].index("/H2") + 1 :]
    assert after == ["/P"] * len(promises)
    shown = "".join(text_of(made.document).split())
    assert all("".join(one.split()) in shown for one in promises)


def test_a_change_with_nothing_to_come_has_no_empty_tables(app: Flask) -> None:
    pdf = document(app, terms(change=ChangeKind.METHOD_CHANGED))
    judge(pdf)
    assert outline(pdf) == [("/H1", TITLE), ("/H2", PROMISES)]


def test_a_long_schedule_is_one_table_over_its_pages(app: Flask) -> None:
    pdf = document(app, terms(*(5_000,) * 60))
    judge(pdf)
    assert len(read(pdf).pages) > 2
    assert len(tables(pdf)[0]) == 1 + 60 + 1
    assert tags_of(pdf).count("/Table") == 2


def test_what_is_kept_of_a_plan_is_that_document(world: PlanWorld) -> None:
    world.enrol()
    (first,) = world.changes()
    content = world.session.get_one(Document, first.document_id).content
    judge(content)
    assert len(tables(content)[0]) == 1 + len(world.coming()) + 1
