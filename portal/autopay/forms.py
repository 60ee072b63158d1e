"""What a patient says when turning autopay on: first what it shall do, then that they agree to the text of that."""

from flask_babel import lazy_gettext as _l
from wtforms import BooleanField, HiddenField, RadioField
from wtforms.validators import DataRequired, InputRequired
from wtforms.widgets import HiddenInput

from portal.web.forms import Form, MoneyField


class AutopayForm(Form):
    """A method, and the most that may be charged at a time."""

    method = RadioField(
        _l("Which card or bank account?"),
        validators=[InputRequired(_l("Choose a card or bank account."))],
        validate_choice=False,
    )
    cap = MoneyField(
        _l("The most we may charge at a time"), validators=[DataRequired(_l("Write the most we may charge at a time."))]
    )


class AgreementForm(AutopayForm):
    """Saying yes to the agreement to autopay; ``seen`` is the fingerprint of the text that was shown."""

    method = HiddenField(validators=[InputRequired(_l("Choose a card or bank account."))])
    cap = MoneyField(widget=HiddenInput(), validators=[DataRequired(_l("Write the most we may charge at a time."))])
    seen = HiddenField()
    agree = BooleanField(
        _l("I agree to this"),
        validators=[DataRequired(_l("Tick the box if you agree. Without it, autopay stays off."))],
    )


class StopForm(Form):
    """Nothing but the act."""
