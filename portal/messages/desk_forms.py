"""What staff do with a thread."""

from wtforms import HiddenField

from portal.messages.forms import MessageForm
from portal.web.forms import Form


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
