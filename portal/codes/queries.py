"""What codes stand for, which translations were reviewed, and which codes wait for somebody."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from textwrap import shorten
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal.codes.kinds import CodeSystem
from portal.codes.models import CodeText, TextReview, UnknownCode
from portal.codes.tables import LEVEL_TWO
from portal.db import RecordNotFound
from portal.explanations.texts import reviewed_keys

#: Most codes asked for at once: SQLite takes no more parameters in a statement.
_BATCH = 500
#: The table's longest texts fill a page.
LONGEST_SHOWN = 240


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a public table says of a code."""

    code: str
    short_text: str
    long_text: str


def meanings(session: Session, system: CodeSystem, codes: Iterable[str]) -> dict[str, Meaning]:
    """The texts of ``codes`` by code as it was asked for; those the table has no text for are left out.

    Diagnosis codes may carry their point (``E11.9``), which the table writes without.
    """
    wanted = {code: code.replace(".", "").strip().upper() for code in codes}
    keys = sorted(set(wanted.values()) - {""})
    found: dict[str, Meaning] = {}
    for start in range(0, len(keys), _BATCH):
        rows = session.execute(
            sa.select(CodeText.code, CodeText.short_text, CodeText.long_text).where(
                CodeText.system == system, CodeText.code.in_(keys[start : start + _BATCH])
            )
        )
        found.update((row[0], Meaning(*row)) for row in rows)
    return {code: found[key] for code, key in wanted.items() if key in found}


@dataclass(frozen=True, slots=True)
class Wording:
    """What the database adds to the words of a page: texts of Level II codes by code, and reviewed translations."""

    texts: Mapping[str, str]
    reviewed: frozenset[str]


NO_WORDING = Wording({}, frozenset())


def wording(session: Session, codes: Iterable[str], language: str) -> Wording:
    """The wording for lines with these codes. Only Level II codes are looked up: no other table has public texts."""
    wanted = [code for code in codes if LEVEL_TWO.fullmatch(code.strip().upper())]
    found = meanings(session, CodeSystem.HCPCS, wanted) if wanted else {}
    return Wording(
        {code: shorten(one.long_text, LONGEST_SHOWN, placeholder="…") for code, one in found.items()},
        reviewed(session, language),
    )


def reviewed(session: Session, language: str) -> frozenset[str]:
    """The keys of the translations that a person has read as they are now; empty for English, which is ours."""
    if language.startswith("en"):
        return frozenset()
    primary = language.lower().replace("_", "-").split("-")[0]
    rows = session.execute(sa.select(TextReview.key, TextReview.fingerprint).where(TextReview.language == primary))
    return reviewed_keys(primary, [(row[0], row[1]) for row in rows])


@dataclass(frozen=True, slots=True)
class UnknownRow:
    """A code without words, and the visit it stands on."""

    public_id: str
    visit_id: int
    code: str
    met_at: datetime
    handled_at: datetime | None
    note: str


def unknown_code(session: Session, public_id: str) -> UnknownRow:
    """One code without words. Raises :class:`RecordNotFound`."""
    row = session.execute(_unknown().where(UnknownCode.public_id == public_id)).first()
    if row is None:
        raise RecordNotFound("unknown code")
    return UnknownRow(*row)


def _unknown() -> sa.Select[*tuple[Any, ...]]:
    return sa.select(
        UnknownCode.public_id,
        UnknownCode.visit_id,
        UnknownCode.code,
        UnknownCode.met_at,
        UnknownCode.handled_at,
        UnknownCode.note,
    )


def unknown_open(session: Session) -> int:
    """How many codes without words wait for somebody."""
    return int(session.scalar(sa.select(sa.func.count()).where(UnknownCode.handled_at.is_(None))) or 0)


def unknown_codes(session: Session, *, limit: int, offset: int = 0) -> tuple[Sequence[UnknownRow], int]:
    """The codes that wait, the longest wait first, and how many in all."""
    rows = session.execute(
        _unknown()
        .where(UnknownCode.handled_at.is_(None))
        .order_by(UnknownCode.met_at, UnknownCode.id)
        .limit(limit)
        .offset(offset)
    )
    return [UnknownRow(*row) for row in rows], unknown_open(session)
