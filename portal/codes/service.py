"""Taking tables in, recording reviews, and opening and closing what has to be looked up."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from portal import clock
from portal.audit.service import record
from portal.audit.tags import Tag
from portal.codes.kinds import CodeSystem
from portal.codes.models import CodeText, TextReview, UnknownCode
from portal.codes.tables import Row
from portal.db import Base, RecordNotFound
from portal.explanations.texts import translations

_BATCH = 2000
LONGEST_NOTE = 300


@dataclass(frozen=True, slots=True)
class Loaded:
    """What taking a table in came to; ``kept`` codes were known and are not in the table any more."""

    new: int
    changed: int
    unchanged: int
    kept: int


class TextHasChanged(Exception):
    """The words are not those that were read: somebody changed them since the page was made."""


def load_table(session: Session, system: CodeSystem, rows: Sequence[Row]) -> Loaded:
    """Take a table in, in the caller's transaction. The same table again changes nothing.

    A code that is not in it any more is kept: older bills carry it.
    """
    known = {
        row[0]: (row[1], row[2], row[3])
        for row in session.execute(
            sa.select(CodeText.code, CodeText.short_text, CodeText.long_text, CodeText.billable).where(
                CodeText.system == system
            )
        )
    }
    texts = {row.code: (row.short_text, row.long_text, row.billable) for row in rows}
    different = [code for code, text in texts.items() if known.get(code) != text]
    new = sum(code not in known for code in different)
    statement = _upsert(session)
    for start in range(0, len(different), _BATCH):
        session.execute(
            statement,
            [
                {
                    "system": system,
                    "code": code,
                    "short_text": texts[code][0],
                    "long_text": texts[code][1],
                    "billable": texts[code][2],
                }
                for code in different[start : start + _BATCH]
            ],
        )
    record(session, Tag.CODE_TABLE_LOADED, subject=system, new=new, changed=len(different) - new, rows=len(texts))
    return Loaded(new, len(different) - new, len(texts) - len(different), len(set(known) - set(texts)))


def _upsert(session: Session) -> sa.Insert:
    columns = ("short_text", "long_text", "billable")
    if session.get_bind().dialect.name == "postgresql":
        on_postgresql = postgresql.insert(CodeText)
        return on_postgresql.on_conflict_do_update(
            index_elements=["system", "code"], set_={name: on_postgresql.excluded[name] for name in columns}
        )
    on_sqlite = sqlite.insert(CodeText)
    return on_sqlite.on_conflict_do_update(
        index_elements=["system", "code"], set_={name: on_sqlite.excluded[name] for name in columns}
    )


def _insert_once(session: Session, model: type[Base]) -> postgresql.Insert | sqlite.Insert:
    """An insert that a row which is there already turns into nothing."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    return insert(model).on_conflict_do_nothing()


def record_review(
    session: Session, *, language: str, key: str, fingerprint: str, staff_user_id: int
) -> bool:
    """Record that somebody read a translation; False when it was recorded before.

    Raises :class:`RecordNotFound` for a text that does not exist, :class:`TextHasChanged` when ``fingerprint`` is not
    that of the words as they are now.
    """
    try:
        text = translations(language)[key]
    except KeyError:
        raise RecordNotFound("text") from None
    if text.fingerprint != fingerprint:
        raise TextHasChanged(key)
    written = session.execute(
        _insert_once(session, TextReview).returning(TextReview.id),
        {
            "language": language,
            "key": key,
            "fingerprint": fingerprint,
            "reviewed_by": staff_user_id,
            "reviewed_at": clock.now(),
        },
    ).first()
    if written is None:
        return False
    record(
        session,
        Tag.TRANSLATION_REVIEWED,
        actor_user_id=staff_user_id,
        subject=key,
        language=language,
        fingerprint=fingerprint[:16],
    )
    return True


def open_unknown(session: Session, *, visit_id: int, codes: Iterable[str]) -> None:
    """Have somebody look codes up that a visit carries and that have no words; each once a visit."""
    statement = _insert_once(session, UnknownCode)
    for code in codes:
        session.execute(statement, {"visit_id": visit_id, "code": code[:28], "met_at": clock.now(), "note": ""})


def handle_unknown(session: Session, *, public_id: str, staff_user_id: int, note: str) -> bool:
    """Close a code that somebody looked up; False when it was closed before. Raises :class:`RecordNotFound`."""
    row = session.scalars(sa.select(UnknownCode).where(UnknownCode.public_id == public_id).with_for_update()).first()
    if row is None:
        raise RecordNotFound("unknown code")
    if row.handled_at is not None:
        return False
    row.handled_at, row.handled_by, row.note = clock.now(), staff_user_id, note[:LONGEST_NOTE]
    record(session, Tag.UNKNOWN_CODE_HANDLED, actor_user_id=staff_user_id, subject=public_id)
    return True
