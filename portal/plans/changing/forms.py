"""What a patient says about a plan that runs."""

from flask_babel import lazy_gettext as _l
from wtforms import BooleanField, DateField, HiddenField, TextAreaField
from wtforms.validators import DataRequired, InputRequired, Length

from portal.web.forms import Form


class ConsentForm(Form):
    """The tick under a change as it was shown, and what was on the page."""

    agree = BooleanField(
        _l("I agree to this change"),
        validators=[DataRequired(_l("Tick the box if you agree. Without it, nothing changes."))],
    )
    seen = HiddenField()


class PauseForm(Form):
    """The day, asked for with GET."""

    class Meta(Form.Meta):
        csrf = False

    until = DateField(
        _l("Until when?"), validators=[InputRequired(_l("Choose the day on which payments can go on."))]
    )


class PauseNoteForm(Form):
    """Why, sent once the payments after it were shown."""

    note = TextAreaField(
        _l("What happened?"), validators=[Length(max=500, message=_l("Use 500 letters or fewer."))]
    )


class ActForm(Form):
    """Nothing but the act."""
