"""The words we use: translations to review."""

from typing import Any

from flask import abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user

from portal.codes import queries
from portal.codes.desk_forms import ReviewForm
from portal.codes.service import TextHasChanged, record_review
from portal.explanations.catalogue import TRANSLATIONS
from portal.explanations.texts import KINDS, translations
from portal.web import guards
from portal.web.database import db
from portal.web.desk import bp
from portal.web.paging import PER_PAGE, Page, asked_page, offset

#: What each kind of text is called; the page's test compares the two lists.
KIND_NAMES = {
    "stories": _l("Sentences that join codes"),
    "group": _l("Groups"),
    "family": _l("Kinds of reasons"),
    "carc": _l("Reasons (CARC)"),
    "rarc": _l("Notes (RARC)"),
    "remark-family": _l("Kinds of notes"),
    "term": _l("Glossary"),
    "services": _l("Services and modifiers"),
}


def _chosen_kind() -> str:
    kind = request.args.get("kind", "")
    return kind if kind in KINDS else ""


def _chosen_language() -> str:
    lang = request.args.get("lang", TRANSLATIONS[0])
    if lang not in TRANSLATIONS:
        abort(404)
    return lang


@bp.route("/texts")
@guards.staff
def texts() -> str:
    """A language's texts with the English beside each: those that nobody has reviewed, or all."""
    lang = _chosen_language()
    kind, everything = _chosen_kind(), request.args.get("show") == "all"
    done = queries.reviewed(db.session, lang)
    of_kind = [text for text in translations(lang).values() if not kind or text.kind == kind]
    listed = [text for text in of_kind if everything or text.key not in done]
    page = Page(asked_page(), len(listed))
    start = offset(page.number)
    return render_template(
        "staff/texts.html",
        language_code=lang,
        texts=listed[start : start + PER_PAGE],
        page=page,
        kind=kind,
        everything=everything,
        kinds=KIND_NAMES,
        reviewed=done,
        left=sum(text.key not in done for text in of_kind),
        total=len(of_kind),
        form=ReviewForm(formdata=None),
    )


@bp.route("/texts/reviewed", methods=["POST"])
@guards.staff
def review_text() -> Any:
    """Record that somebody read a text and found it right."""
    lang = _chosen_language()
    form = ReviewForm()
    if form.validate_on_submit():
        try:
            new = record_review(
                db.session,
                language=lang,
                key=form.key.data,
                fingerprint=form.fingerprint.data,
                staff_user_id=current_user.id,
            )
        except TextHasChanged:
            flash(_("These words were changed meanwhile. Please read them again."), "warning")
        else:
            db.session.commit()
            flash(_("Noted as reviewed.") if new else _("This was reviewed before."), "success" if new else "info")
    show = "all" if request.args.get("show") == "all" else None
    return redirect(url_for("staff.texts", lang=lang, page=asked_page(), kind=_chosen_kind() or None, show=show))
