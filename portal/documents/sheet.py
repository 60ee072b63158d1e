"""What is on every document: the clinic, the title, and the number of the page."""

from flask_babel import get_locale
from flask_babel import gettext as _

from portal.documents.render import Data, render


def sheet(template: str, *, title: str, clinic_name: str, clinic_phone: str, **data: Data) -> bytes:
    """The PDF of a template in the reader's language; ``data`` is what this template needs besides."""
    frame: dict[str, Data] = {
        "title": title,
        "clinic": {"name": clinic_name, "phone_words": _("Billing questions: %(phone)s", phone=clinic_phone)},
        # The braces are filled in by the template, which alone knows how many pages it takes.
        "page_words": _("Page {page} of {pages}"),
    }
    return render(template, {**frame, **data}, language=str(get_locale() or "en"))
