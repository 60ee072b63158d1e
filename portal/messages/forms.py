"""The forms a message is written in."""

import re
from typing import Any

from flask_babel import lazy_gettext as _l
from flask_babel import ngettext
from wtforms import HiddenField, StringField, TextAreaField
from wtforms.validators import Length, ValidationError

from portal.db import new_public_id
from portal.messages.errors import BodyTooLong, EmptyBody
from portal.messages.service import LONGEST_BODY, LONGEST_SUBJECT, tidy_body
from portal.web.forms import Form

_TOKEN = re.compile(r"[0-9a-f]{32}")


def _readable_body(_form: Any, field: Any) -> None:
    try:
        tidy_body(field.data or "")
    except EmptyBody:
        raise ValidationError(_l("Write your message first.")) from None
    except BodyTooLong as error:
        raise ValidationError(
            ngettext(
                "Your message is %(num)s character too long. Shorten it, or send the rest in a second message.",
                "Your message is %(num)s characters too long. Shorten it, or send the rest in a second message.",
                error.over,
            )
        ) from None


class MessageForm(Form):
    """A message; ``token`` is made when the form is first shown and sends one message."""

    body = TextAreaField(_l("Your message"), validators=[_readable_body], render_kw={"maxlength": LONGEST_BODY})
    token = HiddenField()

    def validate_token(self, field: Any) -> None:
        """A token of another make was not given out by us; the writer gets one that was."""
        if not _TOKEN.fullmatch(field.data or ""):
            self.renew_token()
            raise ValidationError(_l("Your message was not sent yet. Please send it again."))

    def renew_token(self) -> None:
        """Let this form send a message (again)."""
        self.token.data = new_public_id()


class NewThreadForm(MessageForm):
    """A question and what to call it; an empty subject gets the name of what the question is about."""

    subject = StringField(
        _l("Subject"),
        validators=[Length(max=LONGEST_SUBJECT, message=_l("Use at most %(max)d characters for the subject."))],
        render_kw={"maxlength": LONGEST_SUBJECT},
    )
