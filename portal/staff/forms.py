"""The desk's forms."""

from flask_babel import lazy_gettext as _l
from flask_wtf.file import FileField
from wtforms import HiddenField, RadioField, StringField, TextAreaField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import AnyOf, DataRequired, Length

from portal.billing.kinds import HoldReason
from portal.messages.forms import MessageForm
from portal.web.forms import Form

LONGEST_SEARCH = 80
LONGEST_NOTE = 300

#: Every reason needs words here; the form's test compares the two lists.
HOLD_REASONS = {
    HoldReason.CHECK: _l("Our safety check found something"),
    HoldReason.STAFF: _l("We need to look into this charge"),
    HoldReason.SHARE_ABOVE_REMITTANCE: _l("The patient’s share is above what the insurer’s remittance says"),
    HoldReason.CHARGEBACK: _l("The patient’s bank called a payment of this charge back"),
    HoldReason.REFUNDED: _l("A payment of this charge was refunded: is it still owed?"),
    HoldReason.NEXT_PAYER: _l("Another insurer has yet to decide"),
    HoldReason.DECISION_UNMATCHED: _l("A later decision could not be matched with the charges of this visit"),
}
#: What a person can choose: the safety check places its own holds, and takes them off.
CHOSEN_REASONS = {reason: words for reason, words in HOLD_REASONS.items() if reason is not HoldReason.CHECK}


class AnswerForm(MessageForm):
    """An answer to a patient; ``seen`` is how many messages stood above the form."""

    seen = HiddenField()

    @property
    def seen_count(self) -> int:
        """``seen`` as a number; what is not one has seen nothing."""
        text = self.seen.data or ""
        return int(text) if text.isdecimal() and len(text) < 9 else 0


class CloseForm(Form):
    """Nothing but the act, and what stood on the page when it was chosen."""

    seen = HiddenField()

    seen_count = AnswerForm.seen_count


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


class UploadForm(Form):
    """One 835 file."""

    file = FileField(_l("835 file"))


class RetryForm(Form):
    """Nothing but the act."""


class HandledForm(Form):
    """Something that did not fit was looked into; the note stays with it."""

    note = TextAreaField(
        _l("What you found, and what was done"),
        validators=[
            DataRequired(message=_l("Write what you found. It stays with this.")),
            Length(max=LONGEST_NOTE, message=_l("Use at most %(max)d characters.")),
        ],
        render_kw={"maxlength": LONGEST_NOTE, "rows": 3},
    )


class ReviewForm(Form):
    """Which words of a translation were read."""

    key = HiddenField(validators=[DataRequired(), Length(max=60)])
    fingerprint = HiddenField(validators=[DataRequired(), Length(max=64)])


class EventForm(Form):
    """Which of Stripe's events is meant."""

    event_id = HiddenField(validators=[DataRequired(), Length(max=64)])
