"""What the law of a state wants to stand in a plan agreement, word for word, as data of the policy. Pure.

Read from ``[[clause]]`` of policy.toml, which explains each value. What is shipped stands whatever file an operator
names: theirs can add clauses, and can neither reword nor drop one.
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

from portal.accounts.states import STATES

#: The words of the law that count in an agreement in any language.
FIRST = "en"
#: What stands before a translation of ours, in its language: the law's own words are those above it.
MARKS = {
    "es": "Traducción nuestra, solo para su información. Valen las palabras en inglés de arriba, que exige la ley:",
}
_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class Place(StrEnum):
    """Where a clause stands."""

    AGREEMENT = "agreement"  # the page that is agreed to, and the text that is kept of it
    DOCUMENT = "document"
    MAIL = "mail"


@dataclass(frozen=True, slots=True)
class Part:
    """Words of a clause in a language; a translation is ours and not the law's."""

    language: str
    text: str
    is_translation: bool = False


@dataclass(frozen=True, slots=True)
class Clause:
    """A clause. ``words`` are the law's and ``translations`` ours, each as (language, text)."""

    id: str
    states: tuple[str, ...]
    places: tuple[Place, ...]
    since: date  # of agreements from this day on
    words: tuple[tuple[str, str], ...]
    translations: tuple[tuple[str, str], ...]
    source: str
    url: str
    read_on: date

    @property
    def digest(self) -> str:
        """A fingerprint of the law's words (SHA-256, hex): other words have another one."""
        return hashlib.sha256(repr(sorted(self.words)).encode()).hexdigest()

    @property
    def states_named(self) -> str:
        """Its states' names."""
        return ", ".join(STATES[one] for one in self.states)

    def parts(self, language: str) -> list[Part]:
        """What stands in an agreement in ``language`` (``es``): the English words of the law always come first.

        Then, for another language, the words that the law prescribes in it, or our translation, marked as one.
        """
        law, ours = dict(self.words), dict(self.translations)
        parts = [Part(FIRST, law[FIRST])]
        if language == FIRST:
            return parts
        if language in law:
            return [*parts, Part(language, law[language])]
        if language in ours:
            return [*parts, Part(language, MARKS[language], True), Part(language, ours[language], True)]
        return parts


def that_stand(
    clauses: Iterable[Clause], *, home_state: str | None, left_out: Collection[str], today: date
) -> tuple[Clause, ...]:
    """The clauses of an agreement with somebody who lives in ``home_state``.

    Where nobody knows that (None), it is every clause but those whose states were all taken away (``left_out``).
    Who is known to live in a state gets its clauses, whatever was taken away.
    """
    return tuple(
        one
        for one in clauses
        if one.since <= today
        and (home_state in one.states if home_state is not None else not set(one.states) <= set(left_out))
    )


def read_clauses(rows: Any) -> tuple[list[Clause], list[str]]:
    """The clauses of a parsed file, and everything that is wrong with them."""
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return [], ["[[clause]] has to be a list of tables"]
    found, problems = list[Clause](), list[str]()
    for place, row in enumerate(rows, start=1):
        wrong = list(_faults(row))
        name = row.get("id") if isinstance(row.get("id"), str) and row.get("id") else str(place)
        problems += [f"[[clause]] {name}: {one}" for one in wrong]
        if not wrong:
            found.append(_clause(row))
    ids = [one.id for one in found]
    problems += [f"[[clause]] {one}: is there twice" for one in sorted({one for one in ids if ids.count(one) > 1})]
    return found, problems


def with_shipped(own: Sequence[Clause], shipped: Sequence[Clause]) -> tuple[list[Clause], list[str]]:
    """The shipped clauses and those that a file adds, and what is wrong: none of the shipped may be reworded."""
    known = {one.id: one for one in shipped}
    problems = [
        f"[[clause]] {one.id}: is not as it is shipped; take it out of this file, it holds without"
        for one in own
        if one.id in known and one != known[one.id]
    ]
    return [*shipped, *(one for one in own if one.id not in known)], problems


_KEYS = ("id", "states", "places", "since", "words", "translations", "source", "url", "read_on")


def _faults(row: Mapping[str, Any]) -> Iterable[str]:
    yield from (f"{name} is not known" for name in row if name not in _KEYS)
    if not isinstance(row.get("id"), str) or not _ID.fullmatch(row["id"]) or len(row["id"]) > 60:
        yield "id has to be small letters, digits and dashes, at most 60"
    if not _texts(row.get("states")) or not set(row["states"]) <= set(STATES):
        yield "states has to list states by their two capital letters"
    if not _texts(row.get("places")) or not set(row["places"]) <= set(Place):
        yield f"places has to name some of {', '.join(Place)}"
    for name in ("since", "read_on"):
        if type(row.get(name)) is not date:  # a moment is a date, too
            yield f"{name} has to be a day like 2026-12-01"
    if not isinstance(row.get("source"), str) or not row["source"].strip():
        yield "source is missing: where the law says so"
    if not isinstance(row.get("url"), str) or not row["url"].startswith("https://"):
        yield "url has to begin with https://"
    words, ours = row.get("words", {}), row.get("translations", {})
    if not _are_words(words) or FIRST not in words:
        yield f"words has to hold the law's own words, in one line each, by language, with {FIRST} among them"
    if not _are_words(ours) or not set(ours) <= set(MARKS):
        yield f"translations may hold ours, in one line each, into {', '.join(MARKS)}"
    elif isinstance(words, dict) and set(ours) & set(words):
        yield "translations may not be into a language that the law's own words are in"


def _texts(value: Any) -> bool:
    """Whether it is a list of some texts, each there once."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(one, str) for one in value)
        and len(set(value)) == len(value)
    )


def _are_words(value: Any) -> bool:
    return isinstance(value, dict) and all(
        re.fullmatch(r"[a-z]{2}", language) and isinstance(text, str) and text and text == " ".join(text.split())
        for language, text in value.items()
    )


def _clause(row: Mapping[str, Any]) -> Clause:
    return Clause(
        id=row["id"],
        states=tuple(row["states"]),
        places=tuple(Place(one) for one in row["places"]),
        since=row["since"],
        words=tuple(row["words"].items()),
        translations=tuple(row.get("translations", {}).items()),
        source=row["source"],
        url=row["url"],
        read_on=row["read_on"],
    )
