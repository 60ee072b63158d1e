"""The texts: TOML files in ``data/``, read once per language and checked as they are read.

English holds the structure (which code belongs to which family, what a code does to a bill); another language
holds the same keys with its own words and ``reviewed = false`` until a person has read them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from string import Formatter
from typing import Any, Literal, cast, get_args

Effect = Literal["lowers_bill", "your_share", "not_yours", "information"]
#: Whom to ask: the clinic, the insurer, or one about the bill and the other about the plan.
Ask = Literal["us", "payer", "both"]

BASE_LANGUAGE = "en"
TRANSLATIONS = ("es",)

#: CO, PR, OA and PI are the groups in use; CR is found on older claims.
GROUP_CODES = ("CO", "PR", "OA", "PI", "CR")
#: What the texts call a group that is none of the above, and an amount of zero in any group.
OTHER_GROUP, NO_AMOUNT = "other", "all"

#: Placeholders a text of each kind may use.
TITLE: frozenset[str] = frozenset()
WHAT = frozenset({"payer"})
MONEY = frozenset({"payer", "amount"})
STORY = frozenset({"payer", "amount", "share", "parts", "discount", "code", "count", "decided", "until"})

Table = Mapping[str, Any]


class CatalogueError(ValueError):
    """A data file is missing, malformed or inconsistent; the message names the file, the entry and the fault."""


@dataclass(frozen=True, slots=True)
class Family:
    """What codes of one kind mean for a bill; ``bill``, ``next``, ``effect`` and ``ask`` are keyed by group code."""

    slug: str
    title: str
    what: str
    bill: Mapping[str, str]
    next: Mapping[str, str]
    effect: Mapping[str, Effect]
    ask: Mapping[str, Ask]
    reviewed: bool


@dataclass(frozen=True, slots=True)
class Reason:
    """One CARC. ``bill``, ``next`` and ``effect`` hold only what differs from its family, by group code.

    ``wants_note``: the code says little without a remark, and its lists ask for one.
    """

    code: str
    family: str
    title: str
    what: str
    bill: Mapping[str, str]
    next: Mapping[str, str]
    effect: Mapping[str, Effect]
    wants_note: bool
    reviewed: bool


@dataclass(frozen=True, slots=True)
class Group:
    """What the group of an adjustment says on its own; ``negative`` is the text for an amount below zero."""

    title: str
    what: str
    bill: str
    next: str
    negative: str
    reviewed: bool


@dataclass(frozen=True, slots=True)
class Remark:
    """One RARC. ``own_words`` is false where only its family has a text; ``effect`` overrides the group's."""

    code: str
    family: str
    what: str
    effect: Effect | None
    own_words: bool
    reviewed: bool


@dataclass(frozen=True, slots=True)
class Term:
    """A glossary entry: ``slug`` is stable across languages and fit for a URL fragment."""

    slug: str
    term: str
    text: str
    reviewed: bool


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Everything that can be said in one language.

    ``reviewed`` are the keys of the texts whose file says that a person has read them; see
    :mod:`portal.explanations.texts` for the keys.
    """

    language: str
    reasons: Mapping[str, Reason]
    families: Mapping[str, Family]
    groups: Mapping[str, Group]
    remarks: Mapping[str, Remark]
    glossary: Mapping[str, Term]
    words: Mapping[str, str]
    sentences: Mapping[str, str]
    protected: Mapping[str, str]
    ask: Mapping[str, str]
    categories: Mapping[str, str]
    modifiers: Mapping[str, str]
    reviewed: frozenset[str]


def languages() -> tuple[str, ...]:
    """The language codes that texts exist for, English first."""
    return (BASE_LANGUAGE, *TRANSLATIONS)


def load(language: str) -> Catalogue:
    """The catalogue of ``language`` (``es``, ``es-MX`` and ``ES_us`` are all Spanish); any other is English.

    Raises :class:`CatalogueError` when the shipped data are not sound.
    """
    primary = language.strip().lower().replace("_", "-").split("-")[0]
    return _load(primary if primary in TRANSLATIONS else BASE_LANGUAGE)


def glossary(language: str = BASE_LANGUAGE) -> list[Term]:
    """All glossary entries, sorted as a reader of ``language`` would look for them."""
    return sorted(load(language).glossary.values(), key=lambda entry: entry.term.casefold())


def term(slug: str, language: str = BASE_LANGUAGE) -> Term:
    """The glossary entry named ``slug``. Raises :class:`KeyError` for a slug that does not exist."""
    return load(language).glossary[slug]


def placeholders(text: str) -> frozenset[str]:
    """The names in braces that ``text`` uses. Raises :class:`ValueError` for unbalanced braces."""
    return frozenset(name for _, name, _, _ in Formatter().parse(text) if name is not None)


def read_table(name: str) -> Table:
    """One data file as it stands. Raises :class:`CatalogueError` when it is absent or not TOML."""
    source = resources.files("portal.explanations").joinpath("data", name)
    try:
        return tomllib.loads(source.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CatalogueError(f"{name}: the file is missing") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise CatalogueError(f"{name}: not readable as TOML: {fault}") from None


@cache
def _load(language: str) -> Catalogue:
    families, groups, terms = _families(language), _groups(language), _glossary(language)
    reasons, remarks = _reasons(language, families), _remarks(language)
    stories = f"stories.{language}.toml"
    services = f"services.{language}.toml"
    reviewed = {f"carc/{code}" for code, reason in reasons.items() if reason.reviewed}
    reviewed |= {f"family/{slug}" for slug, family in families.items() if family.reviewed}
    reviewed |= {f"group/{code}" for code, group in groups.items() if group.reviewed}
    reviewed |= {f"term/{slug}" for slug, entry in terms.items() if entry.reviewed}
    reviewed |= {
        f"rarc/{remark.code}" if remark.own_words else f"remark-family/{remark.family}"
        for remark in remarks.values()
        if remark.reviewed
    }
    reviewed |= {
        name
        for name, file in (("stories", stories), ("services", services))
        if _reviewed(file, name, read_table(file), language)
    }
    return Catalogue(
        language=language,
        reasons=reasons,
        families=families,
        groups=groups,
        remarks=remarks,
        glossary=terms,
        words=_texts(stories, "words", MONEY),
        sentences=_texts(stories, "sentences", STORY),
        protected=_texts(stories, "protected", MONEY),
        ask=_texts(stories, "ask", WHAT),
        categories=_texts(services, "categories", TITLE),
        modifiers=_texts(services, "modifiers", TITLE),
        reviewed=frozenset(reviewed),
    )


def _text(file: str, entry: str, table: Table, field: str, allowed: frozenset[str]) -> str:
    text = table.get(field)
    if not isinstance(text, str) or not text.strip():
        raise CatalogueError(f"{file} [{entry}]: {field} must be a text")
    try:
        strange = placeholders(text) - allowed
    except ValueError as fault:
        raise CatalogueError(f"{file} [{entry}]: {field}: {fault}") from None
    if strange:
        raise CatalogueError(f"{file} [{entry}]: {field} uses unknown placeholders {sorted(strange)}")
    return text


def _by_group(file: str, entry: str, table: Table, field: str) -> Mapping[str, str]:
    texts = table.get(field, {})
    if not isinstance(texts, dict) or not set(texts) <= set(GROUP_CODES):
        raise CatalogueError(f"{file} [{entry}]: {field} must be texts by group {GROUP_CODES}")
    return {group: _text(file, f"{entry}.{field}", texts, group, MONEY) for group in texts}


def _effects(file: str, entry: str, table: Table) -> Mapping[str, Effect]:
    effects = table.get("effect", {})
    if not isinstance(effects, dict) or not set(effects) <= set(GROUP_CODES):
        raise CatalogueError(f"{file} [{entry}]: effect must be given by group {GROUP_CODES}")
    return {group: _effect(file, entry, value) for group, value in effects.items()}


def _asks(file: str, entry: str, table: Table) -> Mapping[str, Ask]:
    asks = table.get("ask", {})
    if not isinstance(asks, dict) or not set(asks) <= set(GROUP_CODES) or not set(asks.values()) <= set(get_args(Ask)):
        raise CatalogueError(f"{file} [{entry}]: ask must be one of {get_args(Ask)} by group {GROUP_CODES}")
    return cast(Mapping[str, Ask], asks)


def _effect(file: str, entry: str, value: object) -> Effect:
    if value not in get_args(Effect):
        raise CatalogueError(f"{file} [{entry}]: {value!r} is not one of {get_args(Effect)}")
    return cast(Effect, value)


def _reviewed(file: str, entry: str, table: Table, language: str) -> bool:
    if language == BASE_LANGUAGE:
        return True
    reviewed = table.get("reviewed")
    if not isinstance(reviewed, bool):
        raise CatalogueError(f"{file} [{entry}]: reviewed must say true or false")
    return reviewed


def _entries(stem: str, language: str) -> tuple[str, dict[str, tuple[Table, Table]]]:
    """The file's name and, by key, the entry in ``language`` with the English entry that holds its structure."""
    file = f"{stem}.{language}.toml"
    base, own = read_table(f"{stem}.{BASE_LANGUAGE}.toml"), read_table(file)
    if set(base) != set(own):
        raise CatalogueError(f"{file}: entries differ from English: {sorted(set(base) ^ set(own))[:10]}")
    for key, table in own.items():
        if not isinstance(table, dict):
            raise CatalogueError(f"{file} [{key}]: must be a table")
    return file, {key: (own[key], base[key]) for key in base}


def _families(language: str) -> dict[str, Family]:
    file, entries = _entries("families", language)
    return {
        slug: Family(
            slug=slug,
            title=_text(file, slug, own, "title", TITLE),
            what=_text(file, slug, own, "what", WHAT),
            bill=_by_group(file, slug, own, "bill"),
            next=_by_group(file, slug, own, "next"),
            effect=_effects(file, slug, base),
            ask=_asks(file, slug, base),
            reviewed=_reviewed(file, slug, own, language),
        )
        for slug, (own, base) in entries.items()
    }


def _reasons(language: str, families: Mapping[str, Family]) -> dict[str, Reason]:
    file, entries = _entries("carc", language)
    reasons = {}
    for code, (own, base) in entries.items():
        if base.get("family") not in families:
            raise CatalogueError(f"{file} [{code}]: no family named {base.get('family')!r}")
        reasons[code] = Reason(
            code=code,
            family=base["family"],
            title=_text(file, code, own, "title", TITLE),
            what=_text(file, code, own, "what", WHAT),
            bill=_by_group(file, code, own, "bill"),
            next=_by_group(file, code, own, "next"),
            effect=_effects(file, code, base),
            wants_note=base.get("note") is True,
            reviewed=_reviewed(file, code, own, language),
        )
    return reasons


def _groups(language: str) -> dict[str, Group]:
    file, entries = _entries("groups", language)
    missing = {*GROUP_CODES, OTHER_GROUP, NO_AMOUNT} - set(entries)
    if missing:
        raise CatalogueError(f"{file}: no entry for {sorted(missing)}")
    return {
        code: Group(
            title=_text(file, code, own, "title", TITLE),
            what=_text(file, code, own, "what", WHAT),
            bill=_text(file, code, own, "bill", MONEY),
            next=_text(file, code, own, "next", MONEY),
            negative=_text(file, code, own, "negative", MONEY),
            reviewed=_reviewed(file, code, own, language),
        )
        for code, (own, _) in entries.items()
    }


def _remarks(language: str) -> dict[str, Remark]:
    file, entries = _entries("rarc", language)
    family_file, family_entries = _entries("rarc_families", language)
    remarks: dict[str, Remark] = {}
    for family, codes in read_table("rarc_by_family.toml").items():
        if family not in family_entries:
            raise CatalogueError(f"rarc_by_family.toml: no family named {family!r}")
        own = family_entries[family][0]
        what = _text(family_file, family, own, "what", WHAT)
        reviewed = _reviewed(family_file, family, own, language)
        for code in codes:
            if code in entries or code in remarks:
                raise CatalogueError(f"rarc_by_family.toml: {code} is given twice")
            remarks[code] = Remark(code, family, what, None, own_words=False, reviewed=reviewed)
    for code, (own, base) in entries.items():
        if base.get("family") not in family_entries:
            raise CatalogueError(f"{file} [{code}]: no family named {base.get('family')!r}")
        remarks[code] = Remark(
            code,
            base["family"],
            _text(file, code, own, "what", WHAT),
            _effect(file, code, base["effect"]) if "effect" in base else None,
            own_words=True,
            reviewed=_reviewed(file, code, own, language),
        )
    return remarks


def _glossary(language: str) -> dict[str, Term]:
    file, entries = _entries("glossary", language)
    return {
        slug: Term(
            slug,
            _text(file, slug, own, "term", TITLE),
            _text(file, slug, own, "text", TITLE),
            _reviewed(file, slug, own, language),
        )
        for slug, (own, _) in entries.items()
    }


def _texts(file: str, section: str, allowed: frozenset[str]) -> dict[str, str]:
    stem = file.split(".")[0]
    base, own = read_table(f"{stem}.{BASE_LANGUAGE}.toml").get(section), read_table(file).get(section)
    if not isinstance(base, dict) or not isinstance(own, dict) or set(base) != set(own):
        raise CatalogueError(f"{file} [{section}]: entries are missing or differ from English")
    return {key: _text(file, f"{section}.{key}", own, key, allowed) for key in own}
