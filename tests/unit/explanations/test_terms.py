"""Marking the glossary's words in a page: each once a section, nowhere it does harm, and nothing else is touched."""

from __future__ import annotations

import re

import html5lib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import escape

from portal.explanations import glossary, languages
from portal.explanations.terms import mark, terms_named

BUTTON = '<button type="button" class="term" popovertarget="term-{}">{}</button>'
MARKED = re.compile(
    r'(?:<span class="term-end">)?<button type="button" class="term" popovertarget="term-[\w-]+">(.*?)</button>'
    r"(?:([.,:;?!)]+)</span>)?",
    re.S,
)


def marked(html: str, language: str = "en") -> str:
    return mark(html, button=lambda slug, words: f"[{slug}:{words}]", language=language)[0]


@pytest.mark.parametrize(
    ("html", "told"),
    [
        ("Your deductible.", 'Your <span class="term-end">[deductible:deductible].</span>'),
        ("Deductibles apply", "[deductible:Deductibles] apply"),
        ("a good faith estimate", "a [good-faith-estimate:good faith estimate]"),
        ("a good-faith  estimate", "a [good-faith-estimate:good-faith  estimate]"),
        ("out of\n network", "[out-of-network:out of\n network]"),
        ("not in network", "not [network:in network]"),
        ("a credit balance", "a [credit:credit balance]"),
        ("a credit of $5.00", "a [credit:credit] of $5.00"),
        ("credit card, debit or credit card", "credit card, debit or credit card"),
        ("your bank statement, our statement", "your bank statement, our [statement:statement]"),
        ("It is on hold; please hold on", 'It is <span class="term-end">[hold:on hold];</span> please hold on'),
        ("3 installments, installment", '3 <span class="term-end">[installment:installments],</span> installment'),
        ("a visit, a charge, a payer", "a visit, a charge, a payer"),
        ("the claims-based copayment", "the claims-based copayment"),
        ("&lt;copay&gt;", "&lt;[copay:copay]&gt;"),
        ("&copay; &#copay;", "&copay; &#copay;"),
    ],
)
def test_words_are_found_as_they_are_written(html: str, told: str) -> None:
    assert marked(f"<p>{html}</p>") == f"<p>{told}</p>"


@pytest.mark.parametrize("slug", [entry.slug for entry in glossary("en")])
def test_every_word_is_found_but_those_that_everybody_knows(slug: str) -> None:
    (entry,) = terms_named([slug])
    found = mark(f"<p>{entry.term}</p>", button=lambda slug, words: f"[{slug}]")[1]
    assert found == ([] if slug in ("charge", "payer", "visit") else [slug])


@pytest.mark.parametrize("language", languages())
def test_every_language_has_its_forms(language: str) -> None:
    known = {entry.slug for entry in glossary(language)}
    text = ". ".join(entry.term for entry in glossary(language))
    slugs = mark(text, button=lambda slug, words: words, language=language)[1]
    assert set(slugs) <= known
    assert len(slugs) >= len(known) - 4


@pytest.mark.parametrize(
    "html",
    [
        '<a href="/x">deductible</a>',
        '<a href="/x"><span>the <b>deductible</b></span></a>',
        "<h2>deductible</h2>",
        "<button>deductible</button>",
        "<label>deductible</label>",
        "<summary>deductible</summary>",
        "<option>deductible",
        '<p title="deductible" data-x="a > deductible">x</p>',
        "<svg><title>deductible</title></svg>",
        "<script>deductible</script>",
        "<table><thead><tr><th>deductible</th></tr></thead></table>",
        '<span aria-hidden="true">deductible</span>',
        '<span class="a visually-hidden">deductible</span>',
        "<div hidden>deductible</div>",
        '<p role="alert">deductible</p>',
        '<dl data-terms="off"><dd>deductible</dd></dl>',
        "<!-- deductible -->",
        "<!doctype deductible>",
    ],
)
def test_some_places_are_left_alone_and_what_follows_is_not(html: str) -> None:
    closing = "" if "option" not in html else "</option>"
    assert marked(html + closing + "<p>deductible</p>") == html + closing + "<p>[deductible:deductible]</p>"


def test_a_class_that_only_looks_like_hidden_is_not() -> None:
    assert marked('<p class="not-visually-hidden-at-all">copay</p>').count("[copay") == 1


def test_each_section_marks_a_word_once() -> None:
    html = "<p>copay copay</p><section><p>copay</p><p>copay</p></section><p>copay</p><section><i>copay</i></section>"
    told = marked(html)
    assert told == (
        "<p>[copay:copay] copay</p><section><p>[copay:copay]</p><p>copay</p></section><p>copay</p>"
        "<section><i>[copay:copay]</i></section>"
    )


WORDS = st.sampled_from(["copay", "deductible", "out of network", "credit", "<b>", "&", '"', "'", ">", "<script>", "x"])
TAGS = st.sampled_from(["p", "div", "section", "a", "h3", "span", "li", "button", "label"])


@st.composite
def pages(draw: st.DrawFn, depth: int = 3) -> str:
    """Well-formed pages whose texts and attributes hold anything, escaped as Jinja does."""
    text = str(escape(" ".join(draw(st.lists(WORDS, max_size=5)))))
    if depth == 0:
        return text
    parts = [text]
    for _one in range(draw(st.integers(0, 2))):
        tag, value = draw(TAGS), escape(" ".join(draw(st.lists(WORDS, max_size=3))))
        parts.append(f'<{tag} title="{value}">{draw(pages(depth - 1))}</{tag}>{text}')
    return "".join(parts)


@settings(deadline=None)
@given(pages())
def test_taking_the_buttons_away_gives_the_page_back(html: str) -> None:
    told, slugs = mark(html, button=BUTTON.format)
    assert MARKED.sub(r"\1\2", told) == html
    tree = html5lib.parse(told, namespaceHTMLElements=False)
    assert not tree.findall(".//script")
    for name in ("a", "h3", "label", "button"):
        for element in tree.iter(name):
            inner = [one for one in element.iter("button") if one is not element and one.get("class") == "term"]
            assert not inner, told
    assert {one.get("popovertarget") for one in tree.iter("button") if one.get("class") == "term"} == {
        f"term-{slug}" for slug in slugs
    }
    for element in tree.iter():
        assert "popovertarget" not in (element.get("title") or "")


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_goes_through(text: str) -> None:
    told, _slugs = mark(str(escape(text)), button=BUTTON.format)
    assert MARKED.sub(r"\1", told) == str(escape(text))
