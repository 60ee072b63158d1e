"""What a patient says who pays an installment, or more, by hand."""

from flask_babel import lazy_gettext as _l
from wtforms import HiddenField
from wtforms.validators import DataRequired

from portal.web.forms import Form, MoneyField


class AmountForm(Form):
    """An amount, asked for with GET."""

    class Meta(Form.Meta):
        csrf = False

    amount = MoneyField(_l("Amount"), validators=[DataRequired(_l("Write an amount."))])


class PayForm(Form):
    """The press of the button, with the amount that was on the page."""

    seen = HiddenField()
