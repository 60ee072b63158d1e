"""What a patient says when paying and when keeping a method."""

from typing import Any

from flask_babel import lazy_gettext as _l
from wtforms import RadioField, SelectMultipleField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import Length, ValidationError

from portal.web.forms import Form, MoneyField

#: The choice of method that is none of the saved ones.
ANOTHER = "another"


class PayForm(Form):
    """All that is payable, chosen visits and lines, or an amount; and with what."""

    choice = RadioField(
        _l("How much would you like to pay?"),
        choices=[
            SelectChoice("all", _l("Everything I can pay now")),
            SelectChoice("lines", _l("Choose visits or charges")),
            SelectChoice("amount", _l("Another amount")),
        ],
        default="all",
    )
    visits = SelectMultipleField(_l("Visits"), validate_choice=False)
    lines = SelectMultipleField(_l("Charges"), validate_choice=False)
    amount = MoneyField(_l("Amount"))
    #: A saved method's public id, or :data:`ANOTHER`; whose it is, the view asks.
    method = StringField(_l("How would you like to pay?"), default=ANOTHER)

    def validate_lines(self, field: Any) -> None:
        """Charges are asked for only where they were to be chosen."""
        if self.choice.data == "lines" and not field.data and not self.visits.data:
            raise ValidationError(_l("Choose at least one visit or charge."))

    def validate_amount(self, field: Any) -> None:
        """An amount is asked for only where one was to be written."""
        if self.choice.data == "amount" and not (field.data or "").strip():
            raise ValidationError(_l("Write the amount you would like to pay."))


class LabelForm(Form):
    """What a person calls a saved method."""

    label = StringField(
        _l("Name"), validators=[Length(max=40, message=_l("Use 40 letters or fewer."))]
    )


class Confirm(Form):
    """A press of a button, protected from other sites."""
