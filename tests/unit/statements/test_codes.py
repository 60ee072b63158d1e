"""Codes: how they are drawn, printed, typed and kept."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.statements.codes import ALPHABET, LENGTH, code_hash, grouped, new_code, normal

CODES = st.text(alphabet=ALPHABET, min_size=LENGTH, max_size=LENGTH)


def test_a_code_has_at_least_sixty_bits_and_no_look_alikes() -> None:
    assert len(set(ALPHABET)) == 32
    assert 5 * LENGTH >= 60
    assert set(string.digits + string.ascii_uppercase) - set(ALPHABET) == set("ILOU")
    codes = {new_code() for _time in range(500)}
    assert len(codes) == 500
    assert all(len(code) == LENGTH and set(code) <= set(ALPHABET) for code in codes)
    assert {character for code in codes for character in code} == set(ALPHABET)


@given(CODES)
def test_however_a_code_is_typed_it_is_that_code(code: str) -> None:
    shown = grouped(code)
    assert [len(group) for group in shown.split("-")] == [4, 5, 4]
    look_alikes = shown.replace("0", "o").replace("1", "l")
    spaced = (f" {shown} ", shown.replace("-", " – "))
    for typed in (code, shown, shown.lower(), *spaced, look_alikes, code.replace("1", "I")):
        assert normal(typed) == code


@given(st.text())
def test_anything_may_be_typed(text: str) -> None:
    assert len(code_hash(normal(text), secret="s")) == 64
    assert len(normal(text * 100)) <= 3 * 64  # a letter may become up to three when it is made large


@given(CODES, CODES)
def test_hashes_are_of_one_code_and_one_secret(one: str, other: str) -> None:
    assert (code_hash(one, secret="s") == code_hash(other, secret="s")) is (one == other)
    assert code_hash(one, secret="s") != code_hash(one, secret="another")


@pytest.mark.parametrize("wrong", ["", "7H3JKPQRS4TV", "7H3JKPQRS4TVXX", "7H3JKPQRS4TVU"])
def test_what_is_no_code_is_none(wrong: str) -> None:
    assert normal(wrong) != "7H3JKPQRS4TVX"
