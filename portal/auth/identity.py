"""Flask-Security, set up for Plainbill: argon2, our templates, our outbox, no email address oracle."""

from typing import Any

from flask import Flask, session
from flask_security.core import Security
from flask_security.datastore import FSQLALiteUserDatastore
from flask_security.forms import LoginForm
from flask_security.mail_util import MailUtil
from flask_security.signals import password_changed, password_reset, user_authenticated

from portal import clock
from portal.audit.service import record
from portal.audit.tags import Tag
from portal.auth import devices, sessions, tries
from portal.auth.forgetting import ForgottenPasswordForm
from portal.auth.models import Role, User
from portal.config import Settings
from portal.db import new_public_id
from portal.notifications.service import queue_email
from portal.web.database import db

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
    """A new password ends every sign-in made with the old one, but the one that changed it; and it ends a lock.

    The browser is one of theirs from now on; with the old password's, the marks of all others are worth nothing.
    """
    user_id = user.id
    record(db.session, Tag.PASSWORD_CHANGED, actor_user_id=user_id)
    sessions.end_all(user_id, but=session.get(sessions.TOKEN))
    db.session.commit()
    tries.begin_anew(user_id)
    devices.remember(user)


def _signed_in(_app: Flask, user: User, **_facts: Any) -> None:
    devices.remember(user)


class SignInForm(LoginForm):
    """Notes every refusal, of unknown addresses too: the library tells of known users only, and that takes time.

    Without "remember me": a bill on a shared computer is not to be remembered.
    """

    remember = None

    def validate(self, **kwargs: Any) -> bool:
        if super().validate(**kwargs):
            return True
        if self.ifield is not None and not self.user_authenticated:  # somebody was looked up
            record(db.session, Tag.SIGN_IN_FAILED, actor_user_id=self.user.id if self.user else None)
            db.session.commit()
        return False


def init_app(app: Flask, settings: Settings) -> None:
    """Register sign-in, sign-out and password recovery, and their limits."""
    app.config.update(
        SECURITY_BLUEPRINT_NAME="security",
        # argon2 salts each password by itself; a second hash keyed with the secret key would make rotating that key
        # lock everybody out.
        SECURITY_PASSWORD_SINGLE_HASH=True,
        SECURITY_PASSWORD_SALT=settings.secret_key,
        SECURITY_PASSWORD_HASH="argon2",
        SECURITY_PASSWORD_SCHEMES=["argon2"],
        SECURITY_DEPRECATED_PASSWORD_SCHEMES=[],
        SECURITY_PASSWORD_HASH_PASSLIB_OPTIONS=ARGON2,
        # For what the library puts in the links it signs. A slow hash would keep nothing secret there, and since it is
        # made for known people only, the time it takes would tell who is known.
        SECURITY_HASHING_SCHEMES=["hex_sha256"],
        SECURITY_DEPRECATED_HASHING_SCHEMES=[],
        SECURITY_PASSWORD_LENGTH_MIN=12,
        SECURITY_LOGIN_URL="/sign-in",
        SECURITY_LOGOUT_URL="/sign-out",
        SECURITY_LOGOUT_CSRF=True,
        SECURITY_RESET_URL="/forgot-password",
        SECURITY_CHANGE_URL="/change-password",
        SECURITY_RECOVERABLE=True,
        SECURITY_CHANGEABLE=True,
        SECURITY_API_ENABLED_METHODS=["session"],
        SECURITY_POST_LOGIN_VIEW="home.start",
        SECURITY_POST_LOGOUT_VIEW="/sign-in",
        SECURITY_RETURN_GENERIC_RESPONSES=True,
        # Whether an address takes mail is found out by mailing it, not by asking the DNS while somebody waits.
        SECURITY_EMAIL_VALIDATOR_ARGS={"check_deliverability": False},
        SECURITY_EMAIL_SENDER=settings.mail_from,
        SECURITY_EMAIL_HTML=False,
        SECURITY_DATETIME_FACTORY=clock.wall,
        SECURITY_AUTO_LOGIN_AFTER_RESET=False,
        SECURITY_FLASH_MESSAGES=True,
    )
    app.extensions["plainbill_security"] = Security(
        app,
        users,
        mail_util_cls=OutboxMail,
        login_form=SignInForm,
        forgot_password_form=ForgottenPasswordForm,
        change_password_form=tries.ChangeForm,
    )
    # Nobody signs in with a token of the library's: looking for one would read the body of every request. Nor does
    # anything ask its needs-and-roles: it would load whoever is signed in for every file and error page.
    app.login_manager._request_callback = None  # type: ignore[attr-defined]
    app.extensions["plainbill_security"].principal.identity_loaders.clear()
    password_changed.connect(_password_was_changed, app)
    password_reset.connect(_password_was_changed, app)
    user_authenticated.connect(_signed_in, app)
    tries.init_app(app)
