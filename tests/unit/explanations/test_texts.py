"""Translations one by one: what a review covers, and when it no longer holds."""

import pytest

from portal.explanations import AdjustmentFact, catalogue, explain
from portal.explanations.texts import KINDS, reviewed_keys, translations
from portal.money import Money

FACT = AdjustmentFact("PR", "1", Money(3000), "Plan Azul", ("N14",))
KEYS = {"carc/1", "family/deductible", "group/PR", "rarc/N14", "stories"}


def test_every_text_of_the_catalogue_is_in_the_list() -> None:
    texts, book = translations("es"), catalogue.load("es")
    assert {text.kind for text in texts.values()} == set(KINDS)
    assert len([key for key in texts if key.startswith("carc/")]) == len(book.reasons)
    own = [code for code, remark in book.remarks.items() if remark.own_words]
    assert len([key for key in texts if key.startswith("rarc/")]) == len(own) >= 300
    assert all(parts and english and spanish for text in texts.values() for parts, english, spanish in text.parts)
    assert len({text.fingerprint for text in texts.values()}) >= len(texts) - 40  # a few codes share their words


def test_a_translation_is_reviewed_when_every_part_of_it_is() -> None:
    assert not explain(FACT, language="es").reviewed
    assert explain(FACT, language="es", reviewed=KEYS).reviewed
    for key in KEYS:
        assert not explain(FACT, language="es", reviewed=KEYS - {key}).reviewed, key
    assert explain(FACT).reviewed


def test_a_review_holds_for_the_words_that_were_read() -> None:
    texts = translations("es")
    reviews = [(key, texts[key].fingerprint) for key in KEYS]
    assert reviewed_keys("es", reviews) == KEYS
    changed = [(key, "0" * 64 if key == "carc/1" else fingerprint) for key, fingerprint in reviews]
    assert reviewed_keys("es", changed) == KEYS - {"carc/1"}
    assert reviewed_keys("es", [("carc/none", "x")]) == frozenset()
    assert reviewed_keys("en", reviews) == frozenset()


def test_the_fingerprint_covers_both_languages(monkeypatch: pytest.MonkeyPatch) -> None:
    before = translations("es")["rarc/N14"].fingerprint
    english = catalogue.load("en").remarks
    changed = {**english, "N14": catalogue.Remark("N14", "pricing", "Other words.", None, True, True)}
    monkeypatch.setattr(catalogue.load("en").__class__, "remarks", property(lambda book: changed), raising=False)
    translations.cache_clear()
    try:
        assert translations("es")["rarc/N14"].fingerprint != before
    finally:
        monkeypatch.undo()
        translations.cache_clear()


def test_a_language_without_texts_has_none() -> None:
    with pytest.raises(KeyError):
        translations("de")
