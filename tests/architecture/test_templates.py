"""Rules for every template: it compiles, its words can be translated, and nothing in it goes around the policy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from jinja2 import nodes

import portal

PORTAL = Path(portal.__file__).parent
#: The sandbox has templates of its own; they are a developer's tool in English.
FOLDER = PORTAL / "templates"
TEMPLATES = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.*") if path.suffix != ".typ")
#: Blocks that fill a class attribute.
CLASS_BLOCKS = frozenset({"body_class", "main_class"})
#: Attributes whose value people see or hear.
SHOWN = ("aria-label", "aria-description", "placeholder", "alt", "title", "label", "value", "content")
#: Not words: a field's value that is a code, and what meta tags carry.
CODES = re.compile(r"[a-z0-9_-]+|width=device-width, initial-scale=1(\.0)?|noindex.*|#[0-9a-f]{6}")
#: An expression or a statement, as it stands between two pieces of text.
HOLE = "\x00"


def test_there_are_templates() -> None:
    assert len(TEMPLATES) > 40


@pytest.fixture(scope="module")
def source() -> dict[str, str]:
    return {name: (FOLDER / name).read_text(encoding="utf-8") for name in TEMPLATES}


def data_of(node: nodes.Node) -> Iterator[str]:
    """The pieces of text of a template in its order, class blocks left out, with a hole where anything else stands."""
    for child in node.iter_child_nodes():
        if isinstance(child, nodes.Block) and child.name in CLASS_BLOCKS:
            continue
        if isinstance(child, nodes.TemplateData):
            yield child.data
        elif isinstance(child, nodes.Expr) and not isinstance(child, nodes.CondExpr):
            yield HOLE
        else:
            yield from data_of(child)


def markup(app: Flask, text: str) -> str:
    """A template's text as one piece of HTML."""
    return "".join(data_of(app.jinja_env.parse(text)))


def words_outside_gettext(html: str) -> list[str]:
    """Letters that people would see and translators would not."""
    html = re.sub(r"<!--.*?-->", "", html, flags=re.S)
    found = []
    for tag in re.findall(r"<[^>]+>", html, flags=re.S):
        for name, value in re.findall(r"([\w:-]+)\s*=\s*\"([^\"]*)\"", tag):
            bare = value.replace(HOLE, "").strip()
            if name in SHOWN and re.search(r"[^\W\d_]", bare) and not CODES.fullmatch(bare):
                found.append(f"{name}={value!r}")
    html = re.sub(r"<(script|style)\b.*?</\1>", "", html, flags=re.S)
    text = re.sub(r"<[^>]*>", "\n", html, flags=re.S)
    text = re.sub(r"&#?\w+;", "", text)
    lines = text.replace(HOLE, " ").splitlines()
    return found + [line.strip() for line in lines if re.search(r"[^\W\d_]", line)]


@pytest.mark.parametrize(
    ("template", "seen"),
    [
        ('<p class="lead">{{ _("Hello") }} 12 &middot; {{ name }}</p>', []),
        ("<p>Hello</p>", ["Hello"]),
        ("{% block body_class %}wide{% endblock %}{% block body %}oops{% endblock %}", ["oops"]),
        ('<a aria-label="Close" title="{{ _("Open") }}" class="btn">{{ x }}</a>', ["aria-label='Close'"]),
        ("{% if a %}Yes{% else %}{{ b }}{% endif %}", ["Yes"]),
        ("{% macro m() %}<b>bold</b>{% endmacro %}", ["bold"]),
        ('<input type="radio" value="all"><p>Größe</p>', ["Größe"]),
    ],
)
def test_the_search_for_words_finds_them(app: Flask, template: str, seen: list[str]) -> None:
    assert words_outside_gettext(markup(app, template)) == seen


def test_every_template_compiles(app: Flask, source: dict[str, str]) -> None:
    for name in source:
        app.jinja_env.get_template(name)


def test_every_word_goes_through_gettext(app: Flask, source: dict[str, str]) -> None:
    found = {name: words_outside_gettext(markup(app, text)) for name, text in source.items()}
    assert {name: words for name, words in found.items() if words} == {}


def test_nothing_is_inline_that_the_policy_forbids(app: Flask, source: dict[str, str]) -> None:
    wrong = []
    for name, text in source.items():
        html = markup(app, text)
        for tag in re.findall(r"<[a-zA-Z][^>]*>", html, flags=re.S):
            wrong += [f"{name}: {tag}" for attribute in re.findall(r"\s(style|on\w+)\s*=", tag) if attribute]
            wrong += [f"{name}: {tag}" for _ in re.findall(r"javascript:", tag, flags=re.I)]
        wrong += [f"{name}: a style element" for _ in re.findall(r"<style\b", html)]
        for script in re.findall(r"<script\b[^>]*>", text, flags=re.S):
            if "src=" not in script and "nonce=" not in script:
                wrong.append(f"{name}: {script}")
    assert wrong == []


def test_nothing_is_called_safe(source: dict[str, str]) -> None:
    """Markup comes from macros and from ``Markup``; what people wrote is always escaped."""
    loose = re.compile(r"\|\s*safe\b|\{%-?\s*autoescape\b|\bMarkup\(")
    assert [name for name, text in source.items() if loose.search(text)] == []


def test_what_people_wrote_is_escaped_in_every_kind_of_template(app: Flask, source: dict[str, str]) -> None:
    escapes = app.jinja_env.autoescape
    assert callable(escapes)
    assert [name for name in source if escapes(name) != name.endswith((".html", ".svg"))] == []


#: What the scripts of the pages with Stripe's form read of it: ``say("sayFailed")`` is ``data-say-failed``.
SCRIPTS = ("stripe-page.js", "pay.js", "save-method.js")


def test_the_pages_with_stripes_form_say_all_that_their_scripts_read(source: dict[str, str]) -> None:
    scripts = "".join((PORTAL / "static" / name).read_text(encoding="utf-8") for name in SCRIPTS)
    names = re.findall(r'say\("(\w+)"\)', scripts)
    asked = {"data-" + re.sub(r"([A-Z])", r"-\1", name).lower() for name in names}
    assert {"data-say-stopped-text", "data-business"} <= asked
    forms = {name: text for name, text in source.items() if 'id="pay-form"' in text}
    assert len(forms) == 3
    missing = {name: sorted(one for one in asked if f"{one}=" not in text) for name, text in forms.items()}
    assert {name: what for name, what in missing.items() if what} == {}


def test_the_name_in_wallets_and_mandates_is_the_clinics_setting(source: dict[str, str]) -> None:
    """``clinic_name`` is ``Settings.clinic_name`` on every page (portal/web/templating.py)."""
    for name, text in source.items():
        if 'id="pay-form"' in text:
            assert re.findall(r'data-business="([^"]*)"', text) == ["{{ clinic_name }}"], name
