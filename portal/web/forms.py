"""The base of every form, and the fields that the library does not have."""

from typing import Any

from flask import g
from flask_babel import get_translations
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import IntegerField, StringField
from wtforms.csrf.core import CSRF
from wtforms.validators import ValidationError

from portal.money import Money, NotMoney
from portal.web.csrf import csrf_token


class _Translations:
    """WTForms' own messages in our catalogs' words, as they stand there.

    The library puts the numbers in itself: flask_babel's own functions would put theirs in first, and fail.
    """

    def gettext(self, text: str) -> str:
        return str(get_translations().gettext(text))

    def ngettext(self, one: str, many: str, count: int) -> str:
        return str(get_translations().ngettext(one, many, count))


class _MaskedCSRF(CSRF):
    """The hidden field's token; that it came back right, is seen before any form is read (``csrf.py``)."""

    def generate_csrf_token(self, csrf_token_field: Any) -> str:
        return csrf_token()

    def validate_csrf_token(self, form: Any, field: Any) -> None:
        if not g.get("csrf_valid", False):
            raise ValidationError(_l("Reload the page and try again."))


class Form(FlaskForm):
    """CSRF-protected; what is sent is known to be text (``edge.py``)."""

    class Meta(FlaskForm.Meta):
        csrf_class = _MaskedCSRF

        def get_translations(self, form: Any) -> _Translations:
            return _Translations()


class WholeNumberField(IntegerField):
    """A whole number that a computer counts with; a longer one is read as no number."""

    def process_formdata(self, valuelist: list[str]) -> None:
        super().process_formdata(["" if len(one.strip()) > 18 else one for one in valuelist])


class MoneyField(StringField):
    """An amount as a person types it; ``amount`` is the :class:`Money` read, or None."""

    amount: Money | None = None

    def pre_validate(self, form: Any) -> None:
        self.amount = None
        if not (self.data or "").strip():
            return
        try:
            self.amount = Money.parse(self.data)
        except NotMoney:
            raise ValidationError(
                _l("Write the amount in dollars and cents, like 25.00, with numbers only.")
            ) from None
