"""A thread with a patient: reading it beside the charge it is about, answering and closing it."""

from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask_babel import get_locale
from flask_babel import gettext as _
from flask_login import current_user

from portal.audit.seen import age, note_seen
from portal.audit.tags import Tag
from portal.billing.queries import entries_of_charge, line_for
from portal.billing.story.visit_lines import visit_lines
from portal.codes.queries import wording
from portal.messages import queries as messages
from portal.messages import service
from portal.messages.desk_forms import AnswerForm, CloseForm
from portal.messages.emails import answer_waiting
from portal.messages.errors import NewerMessage, TokenSpent
from portal.notifications.service import wake_sender
from portal.web import guards
from portal.web.context import the_settings
from portal.web.database import db
from portal.web.desk import bp


@bp.route("/threads/<pid:thread_id>", methods=["GET", "POST"])
@guards.staff
def thread(thread_id: str) -> Any:
    """Read a thread beside the charge it is about, and answer."""
    form = AnswerForm()
    if form.validate_on_submit():
        close = "close" in request.form
        settings = the_settings()
        try:
            sent = service.answer_thread(
                db.session,
                thread_public_id=thread_id,
                staff_user_id=current_user.id,
                body=form.body.data,
                token=form.token.data,
                seen=form.seen_count,
                close=close,
                notice=answer_waiting(clinic_name=settings.clinic_name, base_url=settings.base_url),
            )
        except NewerMessage:
            form.body.errors = [
                _("The patient wrote again while you were writing. Read the new message above, then send your answer.")
            ]
        except TokenSpent:
            form.renew_token()
            form.body.errors = [_("This form sent another answer before. Send this one too by choosing Send again.")]
        else:
            db.session.commit()
            wake_sender()
            flash(_("Answer sent and thread closed.") if close else _("Answer sent."), "success")
            return redirect(url_for("staff.thread", thread_id=sent.thread_public_id))
    elif request.method == "GET":
        form.renew_token()
    thread = messages.thread_for(db.session, thread_id, user_id=None)
    written = messages.messages_of(db.session, thread.id)
    form.seen.data = str(len(written))
    about = None
    if thread.charge_public_id is not None:
        line = line_for(db.session, thread.charge_public_id, user_id=None)
        entries = entries_of_charge(db.session, line.charge_id)
        language = str(get_locale() or "en")
        found = wording(db.session, [line.code], language)
        about = visit_lines([line], entries, language=language, wording=found)[0]
    close_form = CloseForm(formdata=None, seen=form.seen.data)
    if request.method == "GET":
        note_seen(Tag.THREAD_SEEN, account_id=thread.account_id, subject=thread.public_id)
    return render_template(
        "staff/thread.html", thread=thread, messages=written, form=form, close_form=close_form, age=age, about=about
    )


@bp.route("/threads/<pid:thread_id>/close", methods=["POST"])
@guards.staff
def close_thread(thread_id: str) -> Any:
    """Mark a thread as done without writing."""
    form = CloseForm()
    if form.validate_on_submit():
        try:
            service.close_thread(
                db.session, thread_public_id=thread_id, staff_user_id=current_user.id, seen=form.seen_count
            )
        except NewerMessage:
            flash(_("The patient wrote again. Read the new message before you close the thread."), "warning")
        else:
            db.session.commit()
            flash(_("Thread closed. A new message from the patient opens it again."), "success")
    return redirect(url_for("staff.thread", thread_id=thread_id))
