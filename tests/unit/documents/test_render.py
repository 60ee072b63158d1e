"""PDFs: tagged, in a language, with what people typed as text whatever it holds, and from nothing but what is here."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from typing import Any

import pypdf
import pytest
import typst

from portal.documents.qr import qr_svg
from portal.documents.render import TEMPLATES, render

HOSTILE = [
    "#panic() $x$ *bold* _low_ ] [ } { `raw` <label> @ref = heading",
    "quotes \" ' \\ and \\u{41} backslashes",
    "//no comment /* either",
    "#read(\"../../../config.py\")",
    "\"}); #import \"@preview/x:1.0.0\"",
    "José Ñandú, Đặng Ệ, Łukasz",
]


def data(**changed: Any) -> dict[str, Any]:
    """A receipt's data."""
    return {
        "title": "Receipt 1A2B-3C4D",
        "clinic": {"name": "Juniper Demo Clinic", "phone_words": "Call (555) 010-0199"},
        "page_words": "Page {page} of {pages}",
        "lead": "Thank you.",
        "facts": [["Paid on", "Mar 4, 2026"]],
        "lines_title": "What was paid for",
        "lines_head": ["Day", "Patient", "What", "Amount"],
        "lines": [["Mar 1, 2026", "Testa Demopatient", "Office visit", "$12.50"]],
        "total": ["Total", "$12.50"],
        "refunds_title": "Refunds",
        "refunds_head": ["Day", "Reference", "Amount"],
        "refunds": [],
        "kept": ["Paid after refunds", "$12.50"],
        "notes": ["Keep this."],
        **changed,
    }


def read(pdf: bytes) -> pypdf.PdfReader:
    return pypdf.PdfReader(io.BytesIO(pdf))


def text_of(pdf: bytes) -> str:
    """What the pages say, white space folded."""
    return " ".join(" ".join(page.extract_text() for page in read(pdf).pages).split())


def tags_of(pdf: bytes) -> list[str]:
    """The names of the structure elements, in the order of reading."""

    def walk(node: Any) -> Iterator[str]:
        node = node.get_object()
        if isinstance(node, list):
            for child in node:
                yield from walk(child)
        elif isinstance(node, dict):
            if "/S" in node:
                yield str(node["/S"])
            if "/K" in node:
                yield from walk(node["/K"])

    return list(walk(read(pdf).trailer["/Root"]["/StructTreeRoot"]))


def test_a_document_is_tagged_titled_and_in_its_language() -> None:
    pdf = render("payments/receipt", data(), language="es")
    root = read(pdf).trailer["/Root"]
    assert root["/Lang"] == "es"
    assert root["/MarkInfo"]["/Marked"] == True  # noqa: E712  pypdf's own boolean
    assert root["/ViewerPreferences"]["/DisplayDocTitle"] == True  # noqa: E712
    assert read(pdf).metadata["/Title"] == "Receipt 1A2B-3C4D"  # type: ignore[index]
    assert b"<pdfuaid:part>1</pdfuaid:part>" in root["/Metadata"].get_data()
    tags = tags_of(pdf)
    assert tags.count("/TH") == 4
    assert tags.index("/H1") < tags.index("/H2") < tags.index("/Table") < tags.index("/TH") < tags.index("/TD")


def test_only_fonts_that_are_built_in_are_used() -> None:
    fonts = {
        str(font.get_object()["/BaseFont"]).split("+")[-1]
        for page in read(render("payments/receipt", data(), language="en")).pages
        for font in page["/Resources"]["/Font"].values()
    }
    assert fonts
    assert all(font.startswith("LibertinusSerif") for font in fonts)


def test_a_long_table_repeats_its_head_and_pages_are_numbered() -> None:
    lines = [["Mar 1, 2026", "Testa Demopatient", f"Visit {number}", "$1.00"] for number in range(90)]
    pages = [page.extract_text() for page in read(render("payments/receipt", data(lines=lines), language="en")).pages]
    assert len(pages) > 2
    for number, page in enumerate(pages, 1):
        assert f"Page {number} of {len(pages)}" in page
        assert ("Patient" in page) is ("Visit" in page)


@pytest.mark.parametrize("name", HOSTILE)
def test_what_somebody_typed_is_text(name: str) -> None:
    pdf = render(
        "payments/receipt", data(lines=[["Mar 1, 2026", name, name, "$1.00"]], facts=[[name, name]]), language="en"
    )
    shown = re.sub(r"\s", "", text_of(pdf))
    assert shown.count(re.sub(r"\s", "", name)) == 4
    assert "Marked" not in shown


def test_what_can_not_be_printed_is_left_out() -> None:
    text = text_of(render("payments/receipt", data(lead="Nul\x00 bell\x07 half\ud800 new\nline end"), language="en"))
    assert "Nul bell half new line end" in text


def test_an_amount_can_not_be_turned_around() -> None:
    """U+202E would show "1.00" as "00.1"."""
    plain = render("payments/receipt", data(lead="Pay $1.00 now"), language="en")
    assert render("payments/receipt", data(lead="Pay \u202e$1.00\u202c\u2067 now"), language="en") == plain


@pytest.mark.parametrize("name", ["محمد علي", "שרה כהן"])
def test_names_from_right_to_left_are_printed(name: str) -> None:
    pdf = render("payments/receipt", data(lead=name), language="en")
    assert b"pdfuaid" in read(pdf).trailer["/Root"]["/Metadata"].get_data()


def test_letters_that_no_font_has_do_not_stop_a_receipt() -> None:
    pdf = render("payments/receipt", data(lead="李小龙"), language="en")
    assert "/TH" in tags_of(pdf)
    assert b"pdfuaid" not in read(pdf).trailer["/Root"]["/Metadata"].get_data()


def test_the_same_data_are_the_same_bytes() -> None:
    assert render("payments/receipt", data(), language="en") == render("payments/receipt", data(), language="en")


def test_data_that_do_not_fit_are_an_error() -> None:
    with pytest.raises(typst.TypstError):
        render("payments/receipt", {"title": "x"}, language="en")
    with pytest.raises(TypeError, match="float"):
        render("payments/receipt", data(lead=1.5), language="en")
    for name in ("../config", "payments/../payments/receipt", "/etc/passwd", "payments/receipt.typ"):
        with pytest.raises(ValueError, match="not a template"):
            render(name, data(), language="en")


def test_no_template_fetches_anything() -> None:
    """A package would be downloaded when it is first used; nothing is read but the layout."""
    found = {
        (path.name, what)
        for path in TEMPLATES.rglob("*.typ")
        for what in re.findall(r"(?:#import|#include|read\(|plugin\(|image\()\s*(\"[^\"]*\"|\w+)", path.read_text())
    }
    assert {what for _name, what in found} == {'"../layout.typ"', "bytes"}


#: What a template may quote: names of things, an address's pattern, and the holes in the words for page numbers.
NAMES = {
    *("", "bold", "svg", "us-letter", "{page}", "{pages}", "../layout.typ", "../../layout.typ"),
    *("Libertinus Serif", "New Computer Modern", "DejaVu Sans Mono", r"https?://[^\s]+"),
}


def test_a_templates_words_all_come_with_the_data() -> None:
    """What stands in a template is markup; words for people pass gettext first."""
    sources = [re.sub(r"^\s*//.*$", "", path.read_text(), flags=re.M) for path in TEMPLATES.rglob("*.typ")]
    assert len(sources) >= 4
    assert {quoted for source in sources for quoted in re.findall(r"\"([^\"]*)\"", source)} <= NAMES


def test_a_qr_code_is_one_path_with_a_quiet_zone() -> None:
    root = ElementTree.fromstring(qr_svg("https://pay.example/guest#7H3JKPQRS4TVX"))
    paths = root.findall("{http://www.w3.org/2000/svg}path")
    assert len(paths) == 1
    starts = {float(x) for x in re.findall(r"M([\d.]+),", paths[0].get("d", ""))}
    box = [float(value) for value in root.get("viewBox", "").split()]
    assert min(starts) > 0
    assert max(starts) < box[2]
    assert qr_svg("one") != qr_svg("two")
