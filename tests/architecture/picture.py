"""Draws which package stands on which, for docs/architecture.md: ``python -m tests.architecture.picture`` writes it."""

from __future__ import annotations

from pathlib import Path

from tests.architecture.test_imports import IMPORTS, MODULES, ROOT, layers

DOCUMENT = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- picture: python -m tests.architecture.picture -->\n", "<!-- end of the picture -->\n"


def packages() -> list[str]:
    """The packages and top modules in the order of the contract, from the top down to ``web``."""
    names = [name for layer in layers() for name in layer]
    return names[: names.index("web") + 1]


def arrows() -> list[tuple[str, str]]:
    """Who imports whom, without what follows from two other arrows."""
    names = packages()
    direct: dict[str, set[str]] = {name: set() for name in names}
    for module in MODULES:
        above = next((name for name in names if f"{module}.".startswith(f"portal.{name}.")), None)
        for seen in IMPORTS[module] if above else ():
            below = next((name for name in names if f"{seen}.".startswith(f"portal.{name}.")), None)
            if below is not None and below != above:
                direct[above or ""].add(below)
    far: dict[str, set[str]] = {}
    for name in reversed(names):
        far[name] = direct[name].union(*(far.get(one, set()) for one in direct[name]))
    return [
        (name, below)
        for name in names
        for below in names
        if below in direct[name] and not any(below in far[other] for other in direct[name])
    ]


def picture() -> str:
    """The picture as Mermaid draws it, between its two marks."""
    drawn = "\n".join(f"  {above} --> {below}" for above, below in arrows())
    return f"{BEGIN}\n```mermaid\ngraph TD\n{drawn}\n```\n\n{END}"


def drawn_in(document: Path = DOCUMENT) -> str:
    """The picture that a document holds."""
    text = document.read_text(encoding="utf-8")
    return text[text.index(BEGIN) : text.index(END) + len(END)]


if __name__ == "__main__":
    DOCUMENT.write_text(DOCUMENT.read_text(encoding="utf-8").replace(drawn_in(), picture()), encoding="utf-8")
