"""The translated texts one by one, each with a key and a fingerprint, so that a person can review them. Pure.

A review is of the words as they are: the fingerprint covers the translation and the English it translates, so a text is
unreviewed again when either changes. Who reviewed what is kept by the caller; ``reviewed_keys`` says what still holds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from portal.explanations.catalogue import BASE_LANGUAGE, TRANSLATIONS, Catalogue, load

#: Kinds of texts, in the order in which they matter to a reader of bills.
KINDS = ("stories", "group", "family", "carc", "rarc", "remark-family", "term", "services")


@dataclass(frozen=True, slots=True)
class Text:
    """Everything that is said under one key: ``parts`` are (place, English, translation)."""

    key: str
    kind: str
    language: str
    parts: tuple[tuple[str, str, str], ...]
    fingerprint: str
    reviewed_in_file: bool


@cache
def translations(language: str) -> Mapping[str, Text]:
    """The texts of ``language`` by key, in reading order. Raises :class:`KeyError` for one without texts."""
    if language not in TRANSLATIONS:
        raise KeyError(language)
    own = load(language)
    english, translated = dict(_said(load(BASE_LANGUAGE))), dict(_said(own))
    found = {}
    for key in sorted(english, key=lambda key: KINDS.index(_kind(key))):
        parts = tuple((place, text, translated[key][place]) for place, text in english[key].items())
        digest = hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode()).hexdigest()
        found[key] = Text(key, _kind(key), language, parts, digest, key in own.reviewed)
    return found


def reviewed_keys(language: str, reviews: Iterable[tuple[str, str]]) -> frozenset[str]:
    """The keys whose review still holds; ``reviews`` are (key, fingerprint) as they were when somebody read them."""
    if language not in TRANSLATIONS:
        return frozenset()
    texts = translations(language)
    kept = {key for key, fingerprint in reviews if key in texts and texts[key].fingerprint == fingerprint}
    return frozenset(kept | load(language).reviewed)


def _kind(key: str) -> str:
    return key.partition("/")[0]


def _said(book: Catalogue) -> Iterator[tuple[str, dict[str, str]]]:
    """Every key with its texts by place."""
    for code, reason in book.reasons.items():
        said = {"title": reason.title, "what": reason.what}
        yield f"carc/{code}", said | _grouped("bill", reason.bill) | _grouped("next", reason.next)
    for slug, family in book.families.items():
        said = {"title": family.title, "what": family.what}
        yield f"family/{slug}", said | _grouped("bill", family.bill) | _grouped("next", family.next)
    for code, group in book.groups.items():
        yield (
            f"group/{code}",
            {
                "title": group.title,
                "what": group.what,
                "bill": group.bill,
                "next": group.next,
                "negative": group.negative,
            },
        )
    for code, remark in book.remarks.items():
        if remark.own_words:
            yield f"rarc/{code}", {"what": remark.what}
    for remark in book.remarks.values():
        if not remark.own_words:
            yield f"remark-family/{remark.family}", {"what": remark.what}
    for slug, term in book.glossary.items():
        yield f"term/{slug}", {"term": term.term, "text": term.text}
    yield "stories", _sections(words=book.words, sentences=book.sentences, protected=book.protected, ask=book.ask)
    yield "services", _sections(categories=book.categories, modifiers=book.modifiers)


def _grouped(name: str, texts: Mapping[str, str]) -> dict[str, str]:
    return {f"{name}.{group}": text for group, text in texts.items()}


def _sections(**sections: Mapping[str, str]) -> dict[str, str]:
    return {f"{name}.{key}": text for name, texts in sections.items() for key, text in texts.items()}
