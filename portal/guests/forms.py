"""What a guest types."""

from typing import Any

from flask_babel import lazy_gettext as _l
from wtforms import HiddenField, RadioField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import Email, Length, Optional, ValidationError

from portal.guests.dates import NotADay, NotYet, ShortYear, read_day
from portal.money import Money
from portal.statements.codes import ALPHABET, LENGTH, normal
from portal.web.context import the_day
from portal.web.forms import Form, MoneyField

#: A statement's number is twelve digits, and the most likely thing to be taken for the code.
_DIGITS_OF_NUMBER = 12


class CodeForm(Form):
    """The code of a statement and a date of birth. It says what is not written like one, and nothing else."""

    code = StringField(_l("Code from your statement"), render_kw={"maxlength": 40})
    born_on = StringField(_l("Date of birth of a patient on this bill"), render_kw={"maxlength": 20})
    day: Any = None

    def validate_code(self, field: Any) -> None:
        """Thirteen letters and digits, however they are grouped."""
        code = normal(field.data or "")
        if not code:
            raise ValidationError(_l("Type the code from your statement."))
        if len(code) == _DIGITS_OF_NUMBER and code.isdigit():
            raise ValidationError(
                _l(
                    "This looks like the statement number. The code is next to the square QR code: "
                    "13 letters and numbers."
                )
            )
        if len(code) != LENGTH or set(code) - set(ALPHABET):
            raise ValidationError(
                _l("The code has 13 letters and numbers, like ABCD-12345-EFGH. Check that none is missing.")
            )

    def validate_born_on(self, field: Any) -> None:
        """A day of the calendar that has been."""
        if not (field.data or "").strip():
            raise ValidationError(_l("Type the date of birth."))
        try:
            self.day = read_day(
                field.data, today=the_day()
            )
        except ShortYear:
            raise ValidationError(_l("Write the year with four digits, like 4/7/1980.")) from None
        except NotYet:
            raise ValidationError(_l("This date is in the future. Check the year.")) from None
        except NotADay:
            raise ValidationError(
                _l("Write the date as month, day and year, like 4/7/1980. You can also write 1980-04-07.")
            ) from None


class GuestPayForm(Form):
    """All that is due or another amount, and where the receipt goes."""

    choice = RadioField(
        _l("How much would you like to pay?"),
        choices=[
            SelectChoice("all", _l("The full amount")),
            SelectChoice("amount", _l("Another amount")),
        ],
        default="all",
    )
    amount = MoneyField(_l("Amount"))
    email = StringField(
        _l("Email for your receipt"),
        filters=[lambda text: (text or "").strip()],
        validators=[
            Optional(),
            Length(max=254, message=_l("Use at most %(max)d characters.")),
            Email(message=_l("Check this email address. It should look like name@example.com."), allow_smtputf8=False),
        ],
        render_kw={"maxlength": 254},
    )
    #: What the page said was due, in cents: nobody pays on an old page without having seen the new amount.
    seen = HiddenField()

    @property
    def seen_due(self) -> Money:
        """``seen`` as money; what is not a number of cents is an amount that is never due."""
        text = self.seen.data or ""
        return Money(int(text) if text.isascii() and text.isdecimal() and len(text) < 12 else -1)

    def validate_amount(self, field: Any) -> None:
        """An amount is asked for only where one was to be written."""
        if self.choice.data == "amount" and not (field.data or "").strip():
            raise ValidationError(_l("Write the amount you would like to pay."))
