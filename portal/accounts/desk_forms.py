"""Where whoever pays an account lives."""


from flask_babel import lazy_gettext as _l
from wtforms import SelectField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import AnyOf

from portal.accounts.states import STATES
from portal.web.forms import Form


class HomeStateForm(Form):
    """The state in which whoever pays an account lives; nothing chosen is not known."""

    state = SelectField(
        _l("State of the mailing address"),
        choices=[SelectChoice("", _l("Not known")), *(SelectChoice(*one) for one in STATES.items())],
        validate_choice=False,
        validators=[AnyOf(["", *STATES], message=_l("Choose a state, or that it is not known."))],
    )
