"""One mailbox has one key, whatever spells it."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.auth.mailbox import LONGEST, canonical

SPELLINGS = [
    "ann.lee@bücher.example",
    "ANN.LEE@BÜCHER.EXAMPLE",
    " ann.lee@bücher.example ",
    "ann.lee@bücher.example.",
    "ann.lee@xn--bcher-kva.example",
    "ann.lee@XN--BCHER-KVA.example",
    "ann.lee@bu\u0308cher.example",
    "ａnn.lee@bücher.example",
    "ANN.LEE＠bücher.example",
    "ann.lee@bücher。example",
    "ann.lee@bücher．ｅxample",
    "ann.lee@b\u00adücher.example",
    "ann．lee@bücher.example",
    "\u00a0ann.lee@bücher.example\t",
    "ann.lee @ bücher.example",
]


@pytest.mark.parametrize("spelling", SPELLINGS, ids=ascii)
def test_spellings_of_one_mailbox(spelling: str) -> None:
    assert canonical(spelling) == "ann.lee@xn--bcher-kva.example"


NOTHING = [None, 7, 1.5, True, b"ann@example.com", [], ["ann@example.com"], {"a": 1}, "", " ", "ann", "ann@"]
NOTHING += ["@example.com", "ann@.", "ann@a b.example", "an\x00n@example.com", "ann@exa\x00mple.com"]
NOTHING += ["ann@\ud800.example", "\ud800@example.com", "a" * LONGEST + "@example.com", "ann@" + "ü" * 70 + ".example"]


@pytest.mark.parametrize(
    "nothing",
    NOTHING,
    ids=lambda value: ascii(value)[:30],
)
def test_what_is_no_address(nothing: object) -> None:
    assert canonical(nothing) is None


def test_different_mailboxes_stay_different() -> None:
    others = ["ann.lee@example.com", "annlee@example.com", "ann.lee@example.org", "ann.lee+x@example.com"]
    assert len({canonical(other) for other in others}) == len(others)


LETTERS = st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn", "Co"], exclude_characters="@")
LOCALS = st.text(LETTERS, min_size=1, max_size=20)


@given(local=LOCALS)
def test_case_and_form_never_make_another_mailbox(local: str) -> None:
    key = canonical(f"{local}@example.com")
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert canonical(unicodedata.normalize(form, f"{local}@example.com")) == key
    capitals = [local.upper()] if local.upper().casefold() == local.casefold() else []  # not so of the dotless i
    for changed in (local.lower(), local.casefold(), *capitals):
        assert canonical(f"{changed}@EXAMPLE.com") == key


@given(local=LOCALS)
def test_the_one_spelling_is_the_same_mailbox(local: str) -> None:
    key = canonical(f"{local}@example.com")
    if key is not None:
        assert canonical(key) == key


@given(typed=st.text(max_size=60) | st.binary() | st.none() | st.integers() | st.lists(st.text()))
def test_nothing_that_is_typed_breaks_it(typed: object) -> None:
    found = canonical(typed)
    assert found is None or "@" in found
