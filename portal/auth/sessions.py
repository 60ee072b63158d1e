"""Sign-in sessions that end when they are ended.

Flask keeps the session in a signed cookie, so a copy of the cookie would outlive signing out. Each sign-in is
therefore a row; the cookie carries its token, and a request whose row has ended is nobody's.
"""

import secrets
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from flask import Flask, request, session
from flask_login import current_user, logout_user, user_logged_out
from flask_security.signals import user_authenticated

from portal import clock
from portal.audit.service import record
from portal.audit.tags import Tag
from portal.auth.models import SignInSession, User
from portal.db import writing
from portal.web.database import db
from portal.web.guards import IMPERSONAL, is_staff

TOKEN = "sid"
#: NIST SP 800-63B-4 section 2.2.3 (AAL2): re-authenticate after at most 24 h, and after 1 h without activity.
#: Staff, who see many people's bills, get half of that idle time.
LONGEST = timedelta(hours=24)
IDLE = timedelta(minutes=60)
STAFF_IDLE = timedelta(minutes=30)
#: ``seen_at`` is written at most this often, so that reading a page does not write each time.
_RESOLUTION = timedelta(minutes=2)


def _open(_app: Flask, user: User, **_facts: Any) -> None:
    now = clock.wall()
    token = secrets.token_urlsafe(32)
    db.session.add(SignInSession(token=token, user_id=user.id, opened_at=now, seen_at=now))
    record(db.session, Tag.SIGNED_IN, actor_user_id=user.id)
    db.session.commit()
    session[TOKEN] = token


def close() -> None:
    """End the sign-in this request came with."""
    token = session.pop(TOKEN, None)
    if token is None:
        return
    now = clock.wall()
    db.session.commit()
    with writing():
        _end(token, now)


def _end(token: str, now: datetime) -> None:
    ended = db.session.execute(
        sa.update(SignInSession)
        .where(SignInSession.token == token, SignInSession.ended_at.is_(None))
        .values(ended_at=now)
        .returning(SignInSession.user_id)
    ).scalar()
    if ended is not None:
        record(db.session, Tag.SIGNED_OUT, actor_user_id=ended)
    db.session.commit()


def _closed(_app: Flask, **_facts: Any) -> None:
    close()


def end_all(user_id: int, *, but: str | None = None) -> None:
    """End every sign-in of a user (after a new password), except the one whose token is ``but``."""
    db.session.execute(
        sa.update(SignInSession)
        .where(SignInSession.user_id == user_id, SignInSession.ended_at.is_(None), SignInSession.token != (but or ""))
        .values(ended_at=clock.wall())
    )


def _check() -> None:
    if request.endpoint in IMPERSONAL or not current_user.is_authenticated:
        return
    now = clock.wall()
    row = db.session.execute(
        sa.select(SignInSession.id, SignInSession.opened_at, SignInSession.seen_at).where(
            SignInSession.token == session.get(TOKEN, ""),
            SignInSession.user_id == current_user.id,
            SignInSession.ended_at.is_(None),
        )
    ).first()
    idle = STAFF_IDLE if is_staff() else IDLE
    if row is None or now - row.opened_at > LONGEST or now - row.seen_at > idle:
        logout_user()
        session.clear()
    elif now - row.seen_at > _RESOLUTION:
        db.session.commit()  # what was read so far; on SQLite a reader that turns writer may be refused
        with writing():
            db.session.execute(sa.update(SignInSession).where(SignInSession.id == row.id).values(seen_at=now))
            db.session.commit()


def init_app(app: Flask) -> None:
    """Open a row at sign-in and check it before every request (before the guards)."""
    user_authenticated.connect(_open, app)
    user_logged_out.connect(_closed, app)
    app.before_request(_check)
