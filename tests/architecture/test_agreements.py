"""Where somebody agrees to a plan, they read all that is agreed to; no template shows a part of it only."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import portal
from portal.plans.rules.terms import Terms

TEMPLATES = Path(portal.__file__).parent / "templates"


def source(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def test_every_page_with_the_tick_shows_the_agreement() -> None:
    """What is agreed to comes as paragraphs (``the_words``), and the law's clauses are among them."""
    ticked = [path.name for path in sorted((TEMPLATES / "plans").glob("*.html")) if "form.agree()" in path.read_text()]
    assert set(ticked) >= {"agree.html", "change.html", "method.html"}
    assert [name for name in ticked if "{{ agreement(words) }}" not in source(f"plans/{name}")] == []


def test_the_agreements_paragraphs_are_shown_without_exception() -> None:
    macro = re.search(r"\{% macro agreement\(words\).*?endmacro", source("plans/pieces.html"), flags=re.S)
    assert macro is not None
    body = macro.group()
    assert "{% for paragraph in words %}" in body  # all of them, and no condition on the loop
    assert body.count("{% else %}") == 1  # whatever the kind, it is shown
    assert 'lang="{{ paragraph.language }}"' in body


def test_every_document_of_a_plan_prints_the_clauses() -> None:
    made = sorted((TEMPLATES / "pdf" / "plans").glob("*.typ"))
    assert made
    assert [path.name for path in made if "for clause in data.clauses" not in path.read_text()] == []


def test_nobody_can_make_terms_and_forget_the_clauses() -> None:
    """They have no default: terms without clauses say so."""
    (clauses,) = [one for one in fields(Terms) if one.name == "clauses"]
    assert "MISSING" in repr(clauses.default)
