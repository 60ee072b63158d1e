"""The clauses of states' laws as data: the law's words to the letter, and what an operator's file can do to them."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from portal.accounts.states import STATES
from portal.plans.rules.clauses import MARKS, Clause, Place, read_clauses, that_stand
from portal.plans.rules.policy import SHIPPED, PolicyIsWrong, load, parse, shipped_clauses

#: Cal. Civ. Code § 1785.27(c)(1), to the letter. It is the law's, so this is no place to improve it.
CALIFORNIA = (
    "A holder of this medical debt contract is prohibited by Section 1785.27 of the Civil Code from furnishing any "
    "information related to this debt to a consumer credit reporting agency. In addition to any other penalties "
    "allowed by law, if a person knowingly violates that section by furnishing information regarding this debt to a "
    "consumer credit reporting agency, the debt shall be void and unenforceable."
)
TODAY = date(2026, 12, 1)


def row(**changed: Any) -> dict[str, Any]:
    """A clause as a file says it, of two states that want words in two languages."""
    return {
        "id": "or-wa-collection",
        "states": ["OR", "WA"],
        "places": ["agreement", "document"],
        "since": date(2026, 1, 1),
        "words": {"en": "Nobody may take your house for this.", "es": "Nadie le puede quitar la casa por esto."},
        "source": "An invented law § 1",
        "url": "https://example.com/law",
        "read_on": date(2026, 11, 30),
        **changed,
    }


def clause(**changed: Any) -> Clause:
    (found,), problems = read_clauses([row(**changed)])
    assert problems == []
    return found


def test_californias_words_are_shipped_to_the_letter() -> None:
    (found,) = shipped_clauses()
    assert dict(found.words) == {"en": CALIFORNIA}
    assert (found.states, found.places) == (("CA",), (Place.AGREEMENT, Place.DOCUMENT, Place.MAIL))
    assert (found.source, found.since) == ("Cal. Civ. Code § 1785.27(c)", date(2025, 7, 1))
    assert date(2025, 7, 1) < found.read_on <= TODAY
    assert found.url.startswith("https://")


def test_an_agreement_in_spanish_has_both_and_says_which_is_ours() -> None:
    (found,) = shipped_clauses()
    assert [one.text for one in found.parts("en")] == [CALIFORNIA]
    law, mark, ours = found.parts("es")
    assert (law.language, law.text, law.is_translation) == ("en", CALIFORNIA, False)
    assert (mark.language, mark.text) == ("es", MARKS["es"])
    assert "Traducción nuestra" in mark.text
    assert (ours.language, ours.is_translation, ours.text[:27]) == ("es", True, "El artículo 1785.27 del Cód")
    assert [one.text for one in found.parts("fr")] == [CALIFORNIA]  # none of ours is better than none of the law's


def test_what_a_law_prescribes_in_spanish_is_no_translation() -> None:
    parts = clause().parts("es")
    assert [(one.language, one.is_translation) for one in parts] == [("en", False), ("es", False)]
    assert [one.language for one in clause().parts("en")] == ["en"]


@pytest.mark.parametrize(
    ("home_state", "left_out", "ids"),
    [
        (None, (), ["ca", "or-wa"]),
        (None, ("CA",), ["or-wa"]),
        (None, ("OR",), ["ca", "or-wa"]),  # somebody may live in Washington
        (None, ("OR", "WA"), ["ca"]),
        (None, ("CA", "OR", "WA"), []),
        ("CA", (), ["ca"]),
        ("CA", ("CA", "OR"), ["ca"]),  # whoever is known to live there gets it
        ("WA", ("OR", "WA"), ["or-wa"]),
        ("TX", (), []),
    ],
)
def test_which_clauses_stand(home_state: str | None, left_out: tuple[str, ...], ids: list[str]) -> None:
    both = [*shipped_clauses(), clause()]
    stand = that_stand(both, home_state=home_state, left_out=left_out, today=TODAY)
    assert [one.id.rsplit("-", 1)[0].removesuffix("-credit") for one in stand] == ids


def test_a_law_that_is_not_in_force_yet_stands_from_its_day_on() -> None:
    new = clause(since=date(2027, 1, 1))
    assert that_stand([new], home_state="OR", left_out=(), today=date(2026, 12, 31)) == ()
    assert that_stand([new], home_state="OR", left_out=(), today=date(2027, 1, 1)) == (new,)


def test_the_digest_is_of_the_laws_words_alone() -> None:
    assert clause().digest == replace(clause(), source="elsewhere", states=("NY",)).digest
    assert clause().digest != clause(words={"en": "Nobody may take your house for that."}).digest


def policy(*rows: dict[str, Any], shipped: bool = False) -> tuple[Clause, ...]:
    """The clauses that hold with an operator's file that has these; without the shipped ones unless it says so."""
    found = tomllib.loads(SHIPPED.read_text())
    own = found.pop("clause") if shipped else []
    return parse({**found, "clause": [*own, *rows]}).clauses


def test_an_operators_file_can_drop_none_and_add_some() -> None:
    found = tomllib.loads(SHIPPED.read_text())
    del found["clause"]
    assert parse(found).clauses == shipped_clauses()
    assert policy() == policy(shipped=True) == shipped_clauses()
    assert policy(row()) == policy(row(), shipped=True) == (*shipped_clauses(), clause())


@pytest.mark.parametrize(
    "change",
    [
        {"words": {"en": CALIFORNIA.replace("shall be", "is")}},
        {"states": ["OR"]},
        {"places": ["agreement"]},
        {"since": date(2099, 1, 1)},
        {"translations": {"es": "Nada."}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_an_operators_file_can_reword_none(change: dict[str, Any]) -> None:
    (shipped,) = tomllib.loads(SHIPPED.read_text())["clause"]
    with pytest.raises(PolicyIsWrong, match="ca-credit-reporting: is not as it is shipped") as caught:
        policy({**shipped, **change})
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"id": "No Good"}, "id has to be small letters"),
        ({"id": None}, "id has to be small letters"),
        ({"states": ["XX"]}, "states has to list states"),
        ({"states": []}, "states has to list states"),
        ({"states": "CA"}, "states has to list states"),
        ({"states": ["CA", "CA"]}, "states has to list states"),
        ({"places": ["wall"]}, "places has to name some of agreement, document, mail"),
        ({"places": []}, "places has to name some of"),
        ({"since": "2026-01-01"}, "since has to be a day"),
        ({"read_on": None}, "read_on has to be a day"),
        ({"read_on": datetime(2026, 1, 1)}, "read_on has to be a day"),
        ({"source": " "}, "source is missing"),
        ({"url": "http://example.com"}, "url has to begin with https://"),
        ({"words": {"es": "Solo español."}}, "words has to hold the law's own words"),
        ({"words": {"en": ""}}, "words has to hold"),
        ({"words": {"en": "Two\n\nparagraphs."}}, "words has to hold"),
        ({"words": "Words."}, "words has to hold"),
        ({"translations": {"fr": "Rien."}}, "translations may hold ours"),
        ({"translations": {"es": "Otra vez."}}, "translations may not be into a language"),
        ({"wrods": {}}, "wrods is not known"),
    ],
)
def test_what_is_wrong_with_a_clause_is_said(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(PolicyIsWrong) as caught:
        policy(row(**change))
    assert len(caught.value.problems) == 1
    assert problem in caught.value.problems[0]


def test_every_fault_is_listed_at_once(tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    text = SHIPPED.read_text().replace("notice_days = 3", "notice_days = 99").replace("shall be void", "is void")
    file.write_text(text + '\n[[clause]]\nid = "other"\nstates = ["ZZ"]\nplaces = ["agreement"]\n')
    with pytest.raises(PolicyIsWrong) as caught:
        load(file)
    found = "\n".join(caught.value.problems)
    for part in ("notice_days", "is not as it is shipped", "states has", "since has", "read_on has", "source", "url"):
        assert part in found, found
    with pytest.raises(PolicyIsWrong, match="is there twice"):
        policy(row(), row())
    with pytest.raises(PolicyIsWrong, match="has to be a list of tables"):
        parse({**tomllib.loads(SHIPPED.read_text()), "clause": {"id": "one"}})


def test_the_list_of_states_is_the_postal_services() -> None:
    assert len(STATES) == 50 + 1 + 5  # with the District of Columbia and the inhabited territories
    assert {"CA", "DC", "PR", "GU", "VI", "AS", "MP"} <= set(STATES)
    assert len(set(STATES.values())) == len(STATES)
