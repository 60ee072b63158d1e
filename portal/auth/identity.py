"""Flask-Security, set up for Plainbill: argon2, our templates, our outbox, no e-mail address oracle."""

from typing import Any

from flask import Flask
from flask_security.core import Security
from flask_security.datastore import FSQLALiteUserDatastore
from flask_security.mail_util import MailUtil
from flask_security.signals import password_changed, password_reset, user_unauthenticated

from portal import clock
from portal.audit.service import record
from portal.audit.tags import Tag
from portal.auth import sessions
from portal.auth.models import Role, User
from portal.config import Settings
from portal.db import new_public_id
from portal.notifications.service import queue_email
from portal.web.database import db
from portal.web.limits import limiter

users = FSQLALiteUserDatastore(db, User, Role)

#: OWASP's Password Storage Cheat Sheet: argon2id, 19 MiB, 2 passes, 1 lane.
ARGON2 = {"argon2__memory_cost": 19456, "argon2__time_cost": 2, "argon2__parallelism": 1}


class OutboxMail(MailUtil):
    """Flask-Security's messages through the portal's outbox, so that a dead mail server loses none."""

    def send_mail(
        self,
        template: str,
        subject: str,
        recipient: str,
        sender: Any,
        body: str | None,
        html: str | None,
        **kwargs: Any,
    ) -> None:
        """Queue the text part; ``template`` only names the message."""
        queue_email(
            db.session, key=f"{template}/{new_public_id()}", to=str(recipient), subject=str(subject), body=body or ""
        )
        db.session.commit()


def _password_was_changed(_app: Flask, user: User, **_facts: Any) -> None:
    """A new password ends every sign-in made with the old one."""
    record(db.session, Tag.PASSWORD_CHANGED, actor_user_id=user.id)
    sessions.end_all(user.id)
    db.session.commit()


def _refused(_app: Flask, **_facts: Any) -> None:
    record(db.session, Tag.SIGN_IN_FAILED)
    db.session.commit()


def init_app(app: Flask, settings: Settings) -> None:
    """Register sign-in, sign-out and password recovery, and their limits."""
    app.config.update(
        SECURITY_BLUEPRINT_NAME="security",
        SECURITY_PASSWORD_SALT=settings.secret_key,
        SECURITY_PASSWORD_HASH="argon2",
        SECURITY_PASSWORD_SCHEMES=["argon2"],
        SECURITY_DEPRECATED_PASSWORD_SCHEMES=[],
        SECURITY_PASSWORD_HASH_PASSLIB_OPTIONS=ARGON2,
        SECURITY_PASSWORD_LENGTH_MIN=12,
        SECURITY_LOGIN_URL="/sign-in",
        SECURITY_LOGOUT_URL="/sign-out",
        SECURITY_LOGOUT_CSRF=True,
        SECURITY_RESET_URL="/forgot-password",
        SECURITY_CHANGE_URL="/change-password",
        SECURITY_RECOVERABLE=True,
        SECURITY_CHANGEABLE=True,
        SECURITY_POST_LOGIN_VIEW="home.start",
        SECURITY_POST_LOGOUT_VIEW="/sign-in",
        SECURITY_RETURN_GENERIC_RESPONSES=True,
        SECURITY_EMAIL_SENDER=settings.mail_from,
        SECURITY_EMAIL_HTML=False,
        SECURITY_DATETIME_FACTORY=clock.now,
        SECURITY_AUTO_LOGIN_AFTER_RESET=False,
        SECURITY_FLASH_MESSAGES=True,
    )
    app.extensions["plainbill_security"] = Security(app, users, mail_util_cls=OutboxMail)
    password_changed.connect(_password_was_changed, app)
    password_reset.connect(_password_was_changed, app)
    user_unauthenticated.connect(_refused, app)
    for endpoint, limit in (
        ("security.login", "10 per minute; 60 per hour"),
        ("security.forgot_password", "5 per minute; 20 per hour"),
    ):
        view: Any = app.view_functions[endpoint]
        app.view_functions[endpoint] = limiter.limit(limit, methods=["POST"])(view)
