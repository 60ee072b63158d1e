"""From a template and data to a tagged PDF (PDF/UA-1, so that screen readers read its tables and headings).

Templates are ``portal/templates/pdf/<feature>/<name>.typ``. They lay out; every word comes in with the data, so that
it passes gettext. Data reaches the template as one JSON string and is shown as text: what somebody typed can't become
markup, whatever it holds. Nothing outside is used: only the fonts that are built into typst, no packages, no network.
"""

import json
import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import structlog
import typst

#: What a template may be given: JSON, without floats (an amount is a string by the time it is printed).
Data = str | int | bool | None | Sequence["Data"] | Mapping[str, "Data"]

TEMPLATES = Path(__file__).resolve().parent.parent / "templates" / "pdf"
_NAME = re.compile(r"[a-z-]+/[a-z-]+")

#: Marks that turn the direction of the text around them: an amount could be made to read backwards. Letters that are
#: written from right to left need none of them.
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

log = structlog.get_logger(__name__)


def render(template: str, data: Mapping[str, Data], *, language: str) -> bytes:
    """The PDF of ``template`` (``payments/receipt``) filled with ``data``, in ``language`` (``en``).

    The same data give the same bytes. Letters that no built-in font has are shown as boxes, and the file then does not
    claim PDF/UA-1; its tags and the text that a screen reader speaks are right nevertheless. Raises
    :class:`typst.TypstError` for data that the template does not fit, ``TypeError`` for a float among them and
    ``ValueError`` for a name that no template can have.
    """
    try:
        return _compile(template, data, language, conforming=True)
    except typst.TypstError as error:
        if "could not be displayed with font" not in error.message:
            raise
    log.warning("document.letters_without_font", template=template)
    return _compile(template, data, language, conforming=False)


def _compile(template: str, data: Mapping[str, Data], language: str, *, conforming: bool) -> bytes:
    if not _NAME.fullmatch(template):
        raise ValueError(f"not a template's name: {template!r}")
    return typst.compile(
        str(TEMPLATES / f"{template}.typ"),
        root=str(TEMPLATES),
        font_paths=_fonts(),
        ignore_system_fonts=True,
        package_path=os.devnull,
        package_cache_path=os.devnull,
        sys_inputs={"data": json.dumps(_printable({**data, "language": language}))},
        format="pdf",
        pdf_standards=["ua-1"] if conforming else [],
    )


@cache
def _fonts() -> typst.Fonts:
    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=True)


def _printable(value: Data) -> Data:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        return {key: _printable(part) for key, part in value.items()}
    if isinstance(value, Sequence):
        return [_printable(part) for part in value]
    if value is None or isinstance(value, int):  # a bool is an int
        return value
    raise TypeError(f"{type(value).__name__} can't be printed")


def _text(text: str) -> str:
    """Without what no font has and no printer prints: control characters and halves of characters."""
    kept = (character for character in text if character not in _TURNING)
    return "".join(
        character if character == "\n" or unicodedata.category(character) not in ("Cc", "Cs") else "\N{SPACE}"
        for character in kept
    )
