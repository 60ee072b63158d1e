"""What the portal writes to people about their messages: that there is something to read, and where."""

from dataclasses import dataclass

from flask_babel import gettext as _


@dataclass(frozen=True, slots=True)
class Email:
    """Plain text, ready for the outbox."""

    subject: str
    body: str


def answer_waiting(*, clinic_name: str, base_url: str) -> Email:
    """Tell a patient that there is an answer.

    Mail is read on shared screens and kept by strangers: no name, no subject and nothing of the question or the
    answer is in it, and its address leads to the front door, not to the thread (design, "Always true" 8).
    """
    return Email(
        subject=_("You have an answer from %(clinic)s billing", clinic=clinic_name),
        body="\n\n".join(
            (
                _("Hello,"),
                _("Our billing staff answered your message. To read the answer, sign in here and open Messages:"),
                base_url,
                _(
                    "For your privacy, the answer is not in this email. Please don’t reply to it: nobody reads "
                    "replies."
                ),
                clinic_name,
            )
        )
        + "\n",
    )
