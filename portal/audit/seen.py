"""Noting what staff looked at."""

from datetime import datetime

from flask_babel import format_timedelta
from flask_login import current_user

from portal import clock
from portal.audit.service import record
from portal.audit.tags import Tag
from portal.db import writing
from portal.web.database import db


def note_seen(tag: Tag, *, account_id: int, subject: str) -> None:
    """Audit that the one who is signed in opened a page about ``subject`` (a public id).

    A page that is fetched only reads, so the note is a transaction of its own; call it when everything is read.
    """
    reader_id = current_user.id
    db.session.commit()
    with writing():
        record(db.session, tag, actor_user_id=reader_id, account_id=account_id, subject=subject)
        db.session.commit()


def age(since: datetime | None) -> str:
    """How long ago, in words: ``3 hours``; empty for never."""
    return format_timedelta(clock.now() - since, threshold=1.2) if since else ""
