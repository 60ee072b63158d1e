"""Forms that several features of the desk use."""

from flask_babel import lazy_gettext as _l
from wtforms import HiddenField, TextAreaField
from wtforms.validators import DataRequired, Length

from portal.web.forms import Form

LONGEST_NOTE = 300


class RetryForm(Form):
    """Nothing but the act."""


class HandledForm(Form):
    """Something that did not fit was looked into; the note stays with it."""

    note = TextAreaField(
        _l("What you found, and what was done"),
        validators=[
            DataRequired(message=_l("Write what you found. It stays with this.")),
            Length(max=LONGEST_NOTE, message=_l("Use at most %(max)d characters.")),
        ],
        render_kw={"maxlength": LONGEST_NOTE, "rows": 3},
    )


class EventForm(Form):
    """Which of Stripe's events is meant."""

    event_id = HiddenField(validators=[DataRequired(), Length(max=64)])
