"""What documents and docstrings name is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"`([\w./-]+\.(?:py|toml|html|md|json|css|js|typ))(?:[:.]\w+)?`|\]\(([\w./-]+)\)")
IN_CODE = re.compile(r"``([\w/]+\.(?:py|toml|html))``")
#: Names of files that are not ours.
OTHERS = {"/dahlia/stripe.js"}


def named() -> Iterator[tuple[str, str]]:
    """Every file that a document or a module's words name: (where, name)."""
    for document in [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")]:
        for found in NAMED.finditer(document.read_text(encoding="utf-8")):
            yield document.relative_to(ROOT).as_posix(), found.group(1) or found.group(2)
    for module in (ROOT / "portal").rglob("*.py"):
        for found in IN_CODE.finditer(module.read_text(encoding="utf-8")):
            yield module.relative_to(ROOT).as_posix(), found.group(1)


def test_every_file_that_a_document_names_is_there() -> None:
    kept = [
        path.relative_to(ROOT).as_posix()
        for folder in ("docs", "portal", "tests", "migrations", ".")
        for path in ((ROOT / folder).rglob("*") if folder != "." else ROOT.glob("*"))
    ]
    found = list(named())
    assert len(found) > 100
    missing = [
        f"{document} names {name}"
        for document, name in found
        if name not in OTHERS and not any(f"/{path}".endswith(f"/{name.lstrip('./')}") for path in kept)
    ]
    assert missing == []


def test_no_docstring_is_about_what_stands_elsewhere() -> None:
    """"The same for …" is read where it stands, without what it is the same as."""
    opens = re.compile(r'"""The same ')
    modules = (ROOT / "portal").rglob("*.py")
    assert [path.as_posix() for path in modules if opens.search(path.read_text(encoding="utf-8"))] == []
