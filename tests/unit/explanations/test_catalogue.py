"""The texts themselves: complete, in our own words, easy to read, and the same in each language."""

import csv
import re
from collections.abc import Iterator

import pytest

from portal.explanations import CatalogueError, catalogue, glossary, languages, reading, term
from portal.explanations.reading import english_grade, english_syllables, spanish_ease, spanish_syllables
from tests.shared_data import shared_path

OFFICIAL = "data/codes/carc_rarc_2024-06-18.csv"
HIGHEST_GRADE = 8.0
LOWEST_SPANISH_EASE = 65.0
LONGEST_SHARED_RUN = 5
#: An official text of this many words or more must not stand in ours as a whole.
SHORTEST_WHOLE = 4
FACTS = {
    "payer": "Blue Plan",
    "amount": "$123.45",
    "share": "$60.00",
    "discount": "$40.00",
    "code": "X999",
    "count": "2",
    "decided": "March 3, 2026",
    "until": "August 30, 2026",
    "parts": "$40.00 for your deductible and $20.00 for your coinsurance",
}
PARTS_ES = "$40.00 por su deducible y $20.00 por su coseguro"
DATES_ES = {"decided": "3 de marzo de 2026", "until": "30 de agosto de 2026"}


def texts(language: str) -> Iterator[tuple[str, str]]:
    """Every sentence-like text with its place. Titles, terms and list words are labels, not sentences."""
    book = catalogue.load(language)
    for kind, entries in (("carc", book.reasons), ("family", book.families)):
        for key, entry in entries.items():
            yield f"{kind} {key} what", entry.what
            for field in ("bill", "next"):
                for group, text in getattr(entry, field).items():
                    yield f"{kind} {key} {field}.{group}", text
    for key, group in book.groups.items():
        for field in ("what", "bill", "next", "negative"):
            yield f"group {key} {field}", getattr(group, field)
    for key, remark in book.remarks.items():
        yield f"rarc {key}", remark.what
    for key, entry in book.glossary.items():
        yield f"glossary {key}", entry.text
    for section in ("sentences", "protected", "ask", "modifiers"):
        for key, text in getattr(book, section).items():
            yield f"{section} {key}", text


def labels(language: str) -> Iterator[tuple[str, str]]:
    book = catalogue.load(language)
    yield from ((f"carc {key} title", entry.title) for key, entry in book.reasons.items())
    yield from ((f"family {key} title", entry.title) for key, entry in book.families.items())
    yield from ((f"group {key} title", entry.title) for key, entry in book.groups.items())
    yield from ((f"glossary {key} term", entry.term) for key, entry in book.glossary.items())
    yield from ((f"word {key}", text.strip()) for key, text in book.words.items())
    yield from ((f"category {key}", text) for key, text in book.categories.items())


def official() -> dict[tuple[str, str], dict[str, str]]:
    with shared_path(OFFICIAL).open(encoding="utf-8-sig", newline="") as file:
        return {(row["type"], row["code"]): row for row in csv.DictReader(file)}


def normalised(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower().replace("'", "").replace("\u2019", ""))


def longest_shared_run(ours: str, theirs: str) -> int:
    one, two = normalised(ours), normalised(theirs)
    best, before = 0, [0] * (len(two) + 1)
    for word in one:
        row = [0] * (len(two) + 1)
        for at, other in enumerate(two, 1):
            row[at] = before[at - 1] + 1 if word == other else 0
        best, before = max(best, *row), row
    return best


def is_copied(ours: str, theirs: str) -> bool:
    """Whether ``ours`` holds a long run of the official words, or a short official text as a whole."""
    run, whole = longest_shared_run(ours, theirs), len(normalised(theirs))
    return run > LONGEST_SHARED_RUN or (run == whole >= SHORTEST_WHOLE)


@pytest.mark.parametrize(
    ("ours", "theirs", "copied"),
    [
        ("We say: the time limit for filing has expired.", "The time limit for filing has expired.", True),
        ("It is not covered when considered routine.", "Not covered when considered routine.", True),
        ("It does not pay for routine care.", "Not covered when considered routine.", False),
        ("Your deductible", "Deductible Amount", False),
    ],
)
def test_copies_are_told_from_own_words(ours: str, theirs: str, copied: bool) -> None:
    assert is_copied(ours, theirs) is copied


def test_every_official_reason_and_remark_has_words() -> None:
    codes = official()
    book = catalogue.load("en")
    assert {code for kind, code in codes if kind == "CARC"} == set(book.reasons)
    active = {code for (kind, code), row in codes.items() if kind == "RARC" and not row["end"]}
    assert active <= set(book.remarks)
    assert {code for kind, code in codes if kind == "Group"} == set(catalogue.GROUP_CODES)


@pytest.mark.parametrize(
    ("ours", "theirs", "run"),
    [
        ("You do not owe this.", "Something else", 0),
        ("the time limit for filing has expired", "The time limit for filing has expired.", 7),
        ("a b c X d e", "a b c d e", 3),
    ],
)
def test_shared_runs_are_measured(ours: str, theirs: str, run: int) -> None:
    assert longest_shared_run(ours, theirs) == run


def test_no_text_repeats_the_official_one() -> None:
    codes = official()
    book = catalogue.load("en")
    copied = []
    for kind, entries in (("CARC", book.reasons), ("RARC", book.remarks)):
        for code, entry in entries.items():
            row = codes.get((kind, code))
            if row is None:
                assert code == "X999"  # the mark of masked files, in no list
                continue
            own = [entry.what, getattr(entry, "title", "")]
            own += [text for field in ("bill", "next") for text in getattr(entry, field, {}).values()]
            copied += [
                (code, text)
                for text in own
                for source in (row["description"], row["usage"], row["notes"])
                if is_copied(text, source)
            ]
    assert not copied


def test_english_is_easy_to_read() -> None:
    grades = {place: english_grade(text.format_map(FACTS)) for place, text in texts("en")}
    assert not {place: round(grade, 1) for place, grade in grades.items() if grade > HIGHEST_GRADE}


def test_spanish_is_easy_to_read() -> None:
    facts = {**FACTS, "payer": "Plan Azul", "parts": PARTS_ES} | DATES_ES
    ease = {place: spanish_ease(text.format_map(facts)) for place, text in texts("es")}
    assert not {place: round(score) for place, score in ease.items() if score < LOWEST_SPANISH_EASE}


@pytest.mark.parametrize(
    ("word", "count"),
    [("the", 1), ("insurer", 3), ("coinsurance", 4), ("deductible", 4), ("plan's", 1), ("$1,234.50", 1),
     ("claim", 1), ("emergency", 4), ("people", 2), ("asked", 1), ("added", 2), ("paid", 1), ("period", 3),
     ("decided", 3), ("approved", 2), ("services", 3)],
)  # fmt: skip
def test_english_syllables(word: str, count: int) -> None:
    assert english_syllables(word) == count


@pytest.mark.parametrize(
    ("word", "count"),
    [("seguro", 3), ("día", 2), ("cuenta", 2), ("aéreo", 4), ("que", 1), ("guerra", 2), ("oído", 3), ("ley", 1)],
)
def test_spanish_syllables(word: str, count: int) -> None:
    assert spanish_syllables(word) == count


@pytest.mark.parametrize(
    ("text", "words", "syllables", "grade"),
    [
        # 0.39 * 6 + 11.8 - 15.59.
        ("The cat sat on the mat.", 6, 6, -1.45),
        # Published (Wikipedia, "Flesch–Kincaid readability tests"): 13 words, 24 syllables, "is an 11.3".
        ("The Australian platypus is seemingly a hybrid of a mammal and reptilian creature.", 13, 24, 11.3),
        # Published there too, with a reading ease of 69, which 16 words have at 23 syllables; the grade of that.
        ("This sentence, taken as a reading passage unto itself, is being used to prove a point.", 16, 23, 7.61),
    ],
)
def test_grade_of_published_sentences(text: str, words: int, syllables: int, grade: float) -> None:
    assert len(reading.words(text)) == words
    assert sum(map(english_syllables, reading.words(text))) == syllables
    assert english_grade(text) == pytest.approx(grade, abs=0.05)


@pytest.mark.parametrize(
    ("text", "words", "syllables", "sentences", "ease"),
    [
        # el-sol-sa-le-ca-da-dí-a: 1+1+2+2+2.
        ("El sol sale cada día.", 5, 8, 1, 206.84 - 60 * 8 / 5 - 1.02 * 5),
        # Two sentences: the mean length counts, not how many there are.
        ("En un lugar de la Mancha vivía un hidalgo. Era pobre.", 11, 19, 2, 206.84 - 60 * 19 / 11 - 1.02 * 11 / 2),
    ],
)
def test_ease_of_sentences_counted_by_hand(
    text: str, words: int, syllables: int, sentences: int, ease: float
) -> None:
    assert len(reading.words(text)) == words
    assert sum(map(spanish_syllables, reading.words(text))) == syllables
    assert reading.sentences(text) == sentences
    assert spanish_ease(text) == pytest.approx(ease)


@pytest.mark.parametrize("language", languages())
def test_texts_are_tidy(language: str) -> None:
    for place, text in (*texts(language), *labels(language)):
        assert text == " ".join(text.split()), place
    for place, text in texts(language):
        assert text.endswith((".", "!", "?")), place
        assert text[0] in "{$¿" or text[0].isupper() or text[0].isdigit(), place
    for place, text in labels(language):
        assert not text.endswith("."), place


@pytest.mark.parametrize("language", [code for code in languages() if code != "en"])
def test_translations_keep_places_placeholders_and_numbers(language: str) -> None:
    english = dict([*texts("en"), *labels("en")])
    own = dict([*texts(language), *labels(language)])
    assert own.keys() == english.keys()
    for place, text in own.items():
        assert catalogue.placeholders(text) == catalogue.placeholders(english[place]), place
        numbers = re.findall(r"\d+", re.sub(r"\{\w+\}", "", text))
        assert sorted(numbers) == sorted(re.findall(r"\d+", re.sub(r"\{\w+\}", "", english[place]))), place


@pytest.mark.parametrize("language", [code for code in languages() if code != "en"])
def test_translations_differ_from_english(language: str) -> None:
    english, own = dict(texts("en")), dict(texts(language))
    assert not [place for place, text in own.items() if text == english[place]]


@pytest.mark.parametrize("language", languages())
def test_glossary(language: str) -> None:
    terms = glossary(language)
    assert {"allowed-amount", "deductible", "coinsurance", "copay", "claim", "remittance", "network",
            "explanation-of-benefits", "prior-authorization", "coordination-of-benefits", "adjustment",
            "patient-responsibility", "visit", "balance", "guarantor"} <= {one.slug for one in terms}  # fmt: skip
    assert [one.term.casefold() for one in terms] == sorted(one.term.casefold() for one in terms)
    assert term("copay", language) in terms
    with pytest.raises(KeyError):
        term("no-such-term", language)


@pytest.mark.parametrize("language", ["de", "", "EN-us", "x" * 500, "\ud800"])
def test_languages_without_texts_are_answered_in_english(language: str) -> None:
    assert catalogue.load(language) is catalogue.load("en")


BROKEN = [
    ('["1"]\nfamily = "deductible"\ntitle = "T"\n', "what must be a text"),
    ('["1"]\nfamily = "nowhere"\ntitle = "T"\nwhat = "W"\n', "no family named 'nowhere'"),
    ('["1"]\nfamily = "deductible"\ntitle = "T"\nwhat = "{name} paid"\n', "unknown placeholders"),
    ('["1"]\nfamily = "deductible"\ntitle = "T"\nwhat = "{payer paid"\n', "what:"),
    ('["1"]\nfamily = "deductible"\ntitle = "T"\nwhat = "W"\nbill.XX = "B"\n', "texts by group"),
    ('["1"]\nfamily = "deductible"\ntitle = "T"\nwhat = "W"\neffect.PR = "free"\n', "'free' is not one of"),
    ("not toml", "not readable as TOML"),
]


@pytest.mark.parametrize(("content", "fault"), BROKEN)
def test_faults_in_a_file_are_named(content: str, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import tomllib

    families = catalogue.load("en").families

    def read(name: str) -> catalogue.Table:
        try:
            return tomllib.loads(content)
        except tomllib.TOMLDecodeError as error:
            raise CatalogueError(f"{name}: not readable as TOML: {error}") from None

    monkeypatch.setattr(catalogue, "read_table", read)
    with pytest.raises(CatalogueError, match=re.escape(fault)) as caught:
        catalogue._reasons("en", families)
    assert "carc.en.toml" in str(caught.value)


def test_a_missing_or_unreadable_file_is_named(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CatalogueError, match=r"nothing\.toml: the file is missing"):
        catalogue.read_table("nothing.toml")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "bad.toml").write_text("not toml", encoding="utf-8")
    monkeypatch.setattr(catalogue.resources, "files", lambda package: tmp_path)
    with pytest.raises(CatalogueError, match=r"bad\.toml: not readable as TOML"):
        catalogue.read_table("bad.toml")
