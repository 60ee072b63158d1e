"""The desk's forms."""

from flask_babel import lazy_gettext as _l
from wtforms import RadioField, StringField, TextAreaField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import AnyOf, DataRequired, Length

from portal.billing.hold_words import CHOSEN_REASONS
from portal.billing.kinds import HoldReason
from portal.web.desk_forms import LONGEST_NOTE
from portal.web.forms import Form

LONGEST_SEARCH = 80


class SearchForm(Form):
    """Looking for an account. It is sent by POST: names don't belong in addresses, which end up in logs."""

    q = StringField(
        _l("Account number, guarantor or patient"),
        validators=[Length(max=LONGEST_SEARCH, message=_l("Use at most %(max)d characters."))],
        render_kw={"maxlength": LONGEST_SEARCH},
    )


class HoldForm(Form):
    """Stopping to ask for a charge."""

    reason = RadioField(
        _l("Why"),
        choices=[SelectChoice(reason.value, words) for reason, words in CHOSEN_REASONS.items()],
        default=HoldReason.STAFF.value,
        validators=[AnyOf([reason.value for reason in CHOSEN_REASONS], message=_l("Choose a reason."))],
    )


class ReleaseForm(Form):
    """Asking for a charge again; the note stays with the hold."""

    note = TextAreaField(
        _l("What you found"),
        validators=[
            DataRequired(message=_l("Write what you found. It stays with the hold.")),
            Length(max=LONGEST_NOTE, message=_l("Use at most %(max)d characters.")),
        ],
        render_kw={"maxlength": LONGEST_NOTE, "rows": 3},
    )
