"""Asking for a new password, with the same work whether the address is somebody's or not.

The library mails whom it knows and hashes something for whom it doesn't; how long the answer took then told the two
apart. Here both go the one way: a link is made, a message is written, and the outbox throws away what is for nobody.
"""

from dataclasses import dataclass
from typing import Any

from flask_babel import lazy_gettext as _l
from flask_security.forms import EmailValidation, ForgotPasswordForm, IsString, email_required
from flask_security.proxies import _datastore
from wtforms import EmailField

from portal.db import new_public_id
from portal.notifications.kinds import NOBODY


@dataclass(frozen=True, slots=True)
class _Addressee:
    """Whom the link is for, as far as the library needs to know.

    Without the password: the library would put a slow hash of it in the link and never look at it. The link works once
    since ``fs_uniquifier`` is new after every change of the password.
    """

    email: str
    fs_uniquifier: str
    password: None = None


class ForgottenPasswordForm(ForgotPasswordForm):
    """Takes every address that is written like one; whose it is, if anybody's, changes nothing that can be measured."""

    email = EmailField(_l("Email"), validators=[IsString(), email_required, EmailValidation(verify=True)])

    def validate(self, **kwargs: Any) -> bool:
        """Look the address up as sign-in does; somebody who may not sign in is nobody, with a link to nothing."""
        if not super(ForgotPasswordForm, self).validate(**kwargs):
            return False
        found = _datastore.find_user(case_insensitive=True, email=self.email.data)
        known = found is not None and found.is_active
        self.user: Any = _Addressee(
            email=found.email if known else NOBODY,
            fs_uniquifier=found.fs_uniquifier if known else new_public_id(),
        )
        return True
