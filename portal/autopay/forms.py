"""What a patient says when turning autopay on."""

from flask_babel import lazy_gettext as _l
from wtforms import BooleanField, RadioField
from wtforms.validators import DataRequired, InputRequired

from portal.web.forms import Form, MoneyField


class AutopayForm(Form):
    """A method, the most that may be charged at a time, and the agreement."""

    method = RadioField(
        _l("Which card or bank account?"),
        validators=[InputRequired(_l("Choose a card or bank account."))],
        validate_choice=False,
    )
    cap = MoneyField(
        _l("The most we may charge at a time"), validators=[DataRequired(_l("Write the most we may charge at a time."))]
    )
    agree = BooleanField(
        _l("I agree to this"),
        validators=[DataRequired(_l("Tick the box if you agree. Without it, autopay stays off."))],
    )


class StopForm(Form):
    """Nothing but the act."""
