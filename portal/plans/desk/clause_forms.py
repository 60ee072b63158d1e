"""Taking away a state whose clauses no agreement needs."""

from collections.abc import Iterable

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import SelectField, TextAreaField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import AnyOf, DataRequired, Length

from portal.accounts.states import STATES
from portal.web.forms import Form

LONGEST_REASON = 300


class LeaveOutForm(Form):
    """A state to take away, and why."""

    state = SelectField(_l("State"), validate_choice=False)
    reason = TextAreaField(
        _l("Why nobody of your patients lives there"),
        validators=[
            DataRequired(message=_l("Write why. It is kept, and auditors read it.")),
            Length(max=LONGEST_REASON, message=_l("Use at most %(max)d characters.")),
        ],
        render_kw={"maxlength": LONGEST_REASON, "rows": 3},
    )

    def offer(self, states: Iterable[str]) -> None:
        """Fill in what can be taken away."""
        states = list(states)
        self.state.choices = [
            SelectChoice("", _("Choose a state")),
            *(SelectChoice(one, STATES[one]) for one in states),
        ]
        self.state.validators = [AnyOf(states, message=_l("Choose a state."))]
