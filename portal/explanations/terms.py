"""Finding the glossary's words in a page, so that each opens its meaning where it stands. Pure.

:func:`mark` takes finished HTML and puts a button around words in its text, and a ``span.term-end`` around the two
where punctuation follows, which must not begin a line. It adds nothing else and takes nothing away: what was escaped
stays escaped, tags and attributes are passed on as they are, and no word is looked for in links, buttons, headings,
labels, or where a page says ``data-terms="off"``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from portal.explanations.catalogue import BASE_LANGUAGE, CatalogueError, Term, glossary, load, read_table

#: A comment, a tag with its attributes (a quoted value may hold ``>``), or a doctype.
_TAG = re.compile(r"<!--.*?-->|<(/?)([a-zA-Z][^\s/>]*)((?:\"[^\"]*\"|'[^']*'|[^'\">])*)>|<![^>]*>", re.S)

#: Elements whose text is left alone: what acts or names already, what is hidden, and what is no prose.
_LEFT_ALONE = frozenset(
    {"a", "button", "h1", "h2", "h3", "h4", "h5", "h6", "label", "legend", "summary", "select", "option", "textarea"}
    | {"script", "style", "svg", "title", "code", "pre", "noscript", "template", "thead"}
)
#: Elements that are left alone whatever they are, by an attribute: hidden from sight or from readers, or on request.
_OFF = re.compile(
    r"""\s(?:aria-hidden="true"|data-terms="off"|role="(?:alert|status)"|hidden(?=[\s/]|$|=)"""
    r"""|class="[^"]*(?<![\w-])visually-hidden(?![\w-])[^"]*")"""
)
#: Elements that begin anew: a word is marked once in each.
_SECTIONS = frozenset({"section", "article", "main"})
_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
)


@dataclass(frozen=True, slots=True)
class _Words:
    """A language's words: one pattern for all of them, and the slug by the word in lower case."""

    pattern: re.Pattern[str]
    slugs: dict[str, str]
    before: dict[str, frozenset[str]]
    after: dict[str, frozenset[str]]


@cache
def _words(language: str) -> _Words:
    name = f"glossary_forms.{load(language).language}.toml"
    table = read_table(name)
    terms = {entry.slug: entry for entry in glossary(language)}
    if not set(table) <= set(terms):
        raise CatalogueError(f"{name}: no such words: {sorted(set(table) - set(terms))}")
    slugs: dict[str, str] = {}
    before: dict[str, frozenset[str]] = {}
    after: dict[str, frozenset[str]] = {}
    for slug, entry in terms.items():
        own = table.get(slug, {})
        for form in own.get("forms", (entry.term, f"{entry.term}s")):
            slugs[form.casefold()] = slug
        before[slug], after[slug] = frozenset(own.get("never_before", ())), frozenset(own.get("never_after", ()))
    # The longest first: "credit balance" before "credit". Any white space may stand between two words.
    longest_first = sorted(slugs, key=len, reverse=True)
    choices = "|".join(re.escape(form).replace(r"\ ", r"\s+") for form in longest_first)
    pattern = rf"(?<![\w&#-])(?P<word>{choices})(?![\w-])(?P<tail>[.,:;?!)]*)"
    return _Words(re.compile(pattern, re.I), slugs, before, after)


def mark(html: str, *, button: Callable[[str, str], str], language: str = BASE_LANGUAGE) -> tuple[str, list[str]]:
    """Put ``button(slug, words)`` in place of the first appearance of each glossary word in each section of ``html``.

    ``html`` is finished, escaped HTML; ``words`` are as they stand in it, and what ``button`` returns must be safe.
    Returns the HTML and the slugs of the words it found, in order.
    """
    words = _words(language)
    out: list[str] = []
    found: dict[str, None] = {}
    #: The open elements; how many of them are left alone; and what each open section has shown.
    open_tags: list[tuple[str, bool]] = []
    silent = 0
    shown: list[set[str]] = [set()]
    place = 0

    def text(part: str) -> str:
        if silent or not part.strip():
            return part

        def replace(match: re.Match[str]) -> str:
            said, tail = match["word"], match["tail"]
            slug = words.slugs[" ".join(said.split()).casefold()]
            if slug in shown[-1] or _means_something_else(words, slug, part, match):
                return match[0]
            shown[-1].add(slug)
            found[slug] = None
            marked = button(slug, said)
            # A button may part from what follows it: the full stop must not begin the next line.
            return f'<span class="term-end">{marked}{tail}</span>' if tail else marked

        return words.pattern.sub(replace, part)

    for tag in _TAG.finditer(html):
        out += [text(html[place : tag.start()]), tag[0]]
        place = tag.end()
        name = (tag[2] or "").lower()
        if not name or name in _VOID or (not tag[1] and tag[3].endswith("/")):
            continue
        if not tag[1]:
            off = name in _LEFT_ALONE or _OFF.search(tag[3]) is not None
            open_tags.append((name, off))
            silent += off
            if name in _SECTIONS:
                shown.append(set())
            continue
        # An end tag closes what is open up to its own start; one without a start closes nothing.
        if any(name == one for one, _off in open_tags):
            while open_tags:
                closed, off = open_tags.pop()
                silent -= off
                if closed in _SECTIONS and len(shown) > 1:
                    shown.pop()
                if closed == name:
                    break
    out.append(text(html[place:]))
    return "".join(out), list(found)


def _means_something_else(words: _Words, slug: str, part: str, match: re.Match[str]) -> bool:
    """Whether the word beside it gives a word another meaning: "credit card"."""
    following = re.match(r"[\s-]+([\w-]+)", part[match.end("word") :])
    leading = re.search(r"([\w-]+)\s+$", part[: match.start()])
    return bool(
        (following and following[1].casefold() in words.before[slug])
        or (leading and leading[1].casefold() in words.after[slug])
    )


def terms_named(slugs: list[str], language: str = BASE_LANGUAGE) -> list[Term]:
    """The glossary's entries of these slugs, in their order."""
    book = load(language).glossary
    return [book[slug] for slug in slugs]
