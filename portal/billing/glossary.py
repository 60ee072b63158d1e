"""The glossary one tap away: the ``terms`` filter marks words in a page, and the layout shows what they mean.

Patients' layouts put their whole content through the filter, so that a page need not do anything. A page of another
layout does it itself: ``{% filter terms %} … {% endfilter %}``.
"""

from flask import Blueprint, g
from flask_babel import get_locale
from markupsafe import Markup, escape

from portal.explanations.catalogue import Term
from portal.explanations.terms import mark, terms_named

#: A real button: the browser opens what it points at without a script, says so to screen readers, and takes the
#: focus there and back. Where a browser can't, the meanings stand at the end of the page.
_BUTTON = Markup('<button type="button" class="term" popovertarget="term-{slug}">{words}</button>')


def _language() -> str:
    return str(get_locale() or "en")


def _button(slug: str, words: str) -> str:
    # The words come out of finished HTML: they are escaped already.
    return _BUTTON.format(slug=slug, words=Markup(words))


def terms(html: object) -> Markup:
    """Finished HTML with the glossary's words marked; a plain text is escaped first."""
    marked, slugs = mark(str(escape(html)), button=_button, language=_language())
    g.setdefault("glossary_terms", {}).update(dict.fromkeys(slugs))
    return Markup(marked)


def marked_terms() -> list[Term]:
    """The words marked so far on this page."""
    return terms_named(list(g.get("glossary_terms", {})), _language())


def init_blueprint(bp: Blueprint) -> None:
    """Give the filter and the list to every template of the app that ``bp`` is put on."""
    bp.add_app_template_filter(terms, "terms")
    bp.add_app_template_global(marked_terms, "marked_terms")
