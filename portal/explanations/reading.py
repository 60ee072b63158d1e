"""Reading level of short texts: the published formulas over a plain count of sentences, words and syllables. Pure.

English: Flesch-Kincaid grade (Kincaid et al. 1975): 0.39 words/sentence + 11.8 syllables/word - 15.59.
Spanish: Fernández Huerta ease (1959): 206.84 - 60 syllables/word - 1.02 words/sentence. Many copies of that formula
take sentences per 100 words in place of words per sentence; this is the corrected one (Law 2011, legible.es).
Numbers and amounts count as one word of one syllable, as in common tools.

Counting syllables is what goes wrong: over every word of the catalogue the English count agrees with the CMU
Pronouncing Dictionary (the words that rules can't tell are listed), and the Spanish one with the rules of spelling.
"""

import re
import unicodedata
from functools import lru_cache

_WORD = re.compile(r"\$?\d[\d,.]*\d%?|\d%?|[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
_VOWELS_ES = "aeiouáéíóúü"

#: Words that spelling does not tell: counted as they are said, after the CMU Pronouncing Dictionary.
_SAID = dict.fromkeys(
    ["being", "beyond", "bundle", "bundled", "business", "doing", "handled", "handles", "lifetime", "likely", "matches",
     "muscles", "payer", "paying", "safety", "settle", "settled", "someone", "something", "statement", "statements",
     "staying", "surgeon", "surgeons", "tv", "undoes", "va"], 2,
) | dict.fromkeys(
    ["anyone", "area", "employer", "employers", "eob", "fda", "fsa", "guarantor", "hra", "hsa", "opinion", "pacemaker",
     "premium", "premiums", "quality"], 3,
) | {"terrorism": 4, "coordination": 5}  # fmt: skip


def sentences(text: str) -> int:
    """How many sentences: they end at . ! ? or : before a space or the end (a full stop inside an amount is none)."""
    return max(1, len(re.findall(r"[.!?:](?=\s|$)", text)))


def words(text: str) -> list[str]:
    """The words of ``text``, a number or an amount being one."""
    return _WORD.findall(text)


@lru_cache(maxsize=8192)
def english_syllables(word: str) -> int:
    """Vowel groups, less a silent final e or ed, plus a spoken final le; at least one."""
    if any(character.isdigit() for character in word):
        return 1
    total = 0
    for part in re.split(r"['\u2019-]", word.lower()):
        if part in {"", "s", "t", "d", "ll", "re", "ve"}:
            continue
        if part in _SAID:
            total += _SAID[part]
            continue
        groups = len(re.findall(r"[aeiouy]+", part))
        groups += len(re.findall(r"i[ao](?!u)|ua|eo(?!p)|ie[tr]|(?<=^c)oi(?=n[^s]*s)", part))
        groups -= len(re.findall(r"[tcsg]i[ao]|lian", part))
        if re.search(r"[^aeiouyl]e$|[aeiouy]le$|[^aeiouytd]ed$|[^aeiouyszcxg]es$", part) and groups > 1:
            groups -= 1
        total += max(1, groups)
    return max(1, total)


@lru_cache(maxsize=8192)
def spanish_syllables(word: str) -> int:
    """Vowel groups, where two strong vowels or an accented weak one next to another vowel part."""
    if any(character.isdigit() for character in word):
        return 1
    word = unicodedata.normalize("NFC", word.lower())
    word = re.sub(r"qu(?=[eiéí])", "q", re.sub(r"gu(?=[eiéí])", "g", word))
    word = re.sub(r"y$", "i", word)
    total = 0
    for group in re.findall(f"[{_VOWELS_ES}]+", word):
        total += 1 + len(re.findall(r"(?<=[aeoáéó])[aeoáéó]|(?<=[aeoáéó])[íú]|[íú](?=[aeoáéó])", group))
    return max(1, total)


def english_grade(text: str) -> float:
    """The US school grade of ``text``: lower is easier. Raises :class:`ZeroDivisionError` for a text without words."""
    found = words(text)
    syllables = sum(map(english_syllables, found))
    return 0.39 * len(found) / sentences(text) + 11.8 * syllables / len(found) - 15.59


def spanish_ease(text: str) -> float:
    """How easy ``text`` is, 100 being very easy. Raises :class:`ZeroDivisionError` for a text without words."""
    found = words(text)
    syllables = sum(map(spanish_syllables, found))
    return 206.84 - 60 * syllables / len(found) - 1.02 * len(found) / sentences(text)
