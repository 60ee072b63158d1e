"""What a patient says when paying."""

from typing import Any

from flask_babel import lazy_gettext as _l
from wtforms import RadioField, SelectMultipleField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import ValidationError

from portal.web.forms import Form, MoneyField


class PayForm(Form):
    """All that is payable, chosen lines, or an amount."""

    choice = RadioField(
        _l("How much would you like to pay?"),
        choices=[
            SelectChoice("all", _l("Everything I can pay now")),
            SelectChoice("lines", _l("Choose charges")),
            SelectChoice("amount", _l("Another amount")),
        ],
        default="all",
    )
    lines = SelectMultipleField(_l("Charges"), validate_choice=False)
    amount = MoneyField(_l("Amount"))

    def validate_lines(self, field: Any) -> None:
        """Charges are asked for only where they were to be chosen."""
        if self.choice.data == "lines" and not field.data:
            raise ValidationError(_l("Choose at least one charge."))

    def validate_amount(self, field: Any) -> None:
        """An amount is asked for only where one was to be written."""
        if self.choice.data == "amount" and not (field.data or "").strip():
            raise ValidationError(_l("Write the amount you would like to pay."))
