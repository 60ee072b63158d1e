"""The words that are agreed to as a page shows them, and nothing else than them being agreed to."""

import hashlib
from collections.abc import Callable

from portal.plans.agreeing.agreement import agreement, agreement_text, paragraphs
from portal.plans.errors import ScheduleMoved
from portal.plans.rules.terms import Agreement, Paragraph, Terms
from portal.web.context import the_settings


def the_words(terms: Terms) -> tuple[list[Paragraph], str]:
    """The paragraphs of what is agreed to, as they are shown and kept, and their fingerprint."""
    settings = the_settings()
    text = agreement_text(terms, clinic=settings.clinic_name, phone=settings.clinic_phone)
    return paragraphs(terms, clinic=settings.clinic_name, phone=settings.clinic_phone), _print(text)


def _print(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def agreeing_to(words: str) -> Callable[[Terms], Agreement]:
    """Makes the text and the document, and no other text than the one with the fingerprint ``words``.

    Raises :class:`ScheduleMoved` when it is called for another: the page has to be read again.
    """

    def agree(terms: Terms) -> Agreement:
        settings = the_settings()
        made = agreement(terms, clinic=settings.clinic_name, phone=settings.clinic_phone)
        if _print(made.text) != words:
            raise ScheduleMoved
        return made

    return agree
