"""The base of every form, and the fields that the library does not have."""

from typing import Any

from flask_babel import gettext, ngettext
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import StringField
from wtforms.validators import ValidationError

from portal.money import Money, NotMoney


class _Translations:
    """WTForms' own messages through our gettext."""

    def gettext(self, text: str) -> str:
        return gettext(text)

    def ngettext(self, one: str, many: str, count: int) -> str:
        return ngettext(one, many, count)


def without_nul(text: str | None) -> str | None:
    """NUL bytes can't be stored by PostgreSQL and nobody types them."""
    return text.replace("\x00", "") if text else text


class Form(FlaskForm):
    """CSRF-protected, with text cleaned before anything looks at it."""

    class Meta(FlaskForm.Meta):
        def bind_field(self, form: Any, unbound_field: Any, options: dict[str, Any]) -> Any:
            field = unbound_field.bind(form=form, **options)
            if isinstance(field, StringField):
                field.filters = [without_nul, *field.filters]
            return field

        def get_translations(self, form: Any) -> _Translations:
            return _Translations()


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
