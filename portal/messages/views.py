"""Asking the billing staff, and reading what they answer."""

from dataclasses import replace
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import format_date
from flask_babel import gettext as _
from flask_login import current_user

from portal.accounts.access import VisibleAccount, account_for, accounts_of
from portal.billing.queries import Line, line_for
from portal.db import RecordNotFound, writing
from portal.messages import queries, service
from portal.messages.errors import TokenSpent
from portal.messages.forms import MessageForm, NewThreadForm
from portal.web import guards
from portal.web.database import db
from portal.web.limits import limiter

bp = Blueprint("messages", __name__, url_prefix="/messages")

#: Nobody writes faster; more is a script.
_PACE = "30 per minute"


@bp.route("/")
@guards.own_account
def inbox() -> Any:
    """Every conversation the reader may see."""
    threads = [_named(thread) for thread in queries.threads_of_user(db.session, current_user.id)]
    return render_template("messages/inbox.html", threads=threads, accounts=accounts_of(db.session, current_user.id))


@bp.route("/new", methods=["GET", "POST"])
@guards.own_account
@limiter.limit(_PACE, methods=["POST"])
def new() -> Any:
    """Ask about a charge (``?charge=``) or an account (``?account=``)."""
    topic = _topic()
    if topic is None:
        flash(_("Open the bill you have a question about, and choose “Ask about this”."), "info")
        return redirect(url_for("home.start"))
    about, account = topic
    form = NewThreadForm()
    if form.validate_on_submit():
        try:
            sent = service.open_thread(
                db.session,
                account_id=account.id,
                charge_id=about.charge_id if about else None,
                user_id=current_user.id,
                subject=(form.subject.data or "").strip() or _subject(about),
                body=form.body.data,
                token=form.token.data,
            )
        except TokenSpent:
            _say_spent(form)
        else:
            db.session.commit()
            flash(_("Your message was sent. We will email you when there is an answer."), "success")
            return redirect(url_for("messages.thread", thread_id=sent.thread_public_id))
    elif request.method == "GET":
        form.renew_token()
        form.subject.data = _subject(about) if about else ""
    return render_template("messages/new.html", form=form, about=about, account=account)


@bp.route("/<pid:thread_id>", methods=["GET", "POST"])
@guards.own_account
@limiter.limit(_PACE, methods=["POST"])
def thread(thread_id: str) -> Any:
    """Read a conversation, and write on in it."""
    form = MessageForm()
    thread = queries.thread_for(db.session, thread_id, user_id=current_user.id)
    if form.validate_on_submit():
        try:
            service.write_message(
                db.session,
                thread_public_id=thread_id,
                user_id=current_user.id,
                body=form.body.data,
                token=form.token.data,
            )
        except TokenSpent:
            _say_spent(form)
        else:
            db.session.commit()
            flash(_("Your message was sent. We will email you when there is an answer."), "success")
            return redirect(url_for("messages.thread", thread_id=thread_id))
    elif request.method == "GET":
        form.renew_token()
    messages = queries.messages_of(db.session, thread.id)
    if request.method == "GET":
        _note_read(thread)
    return render_template("messages/thread.html", thread=_named(thread), messages=messages, form=form)


def _topic() -> tuple[Line | None, VisibleAccount] | None:
    """What the question is about; None when the address does not say and there is a choice."""
    mine = accounts_of(db.session, current_user.id)
    if charge := request.args.get("charge"):
        line = line_for(db.session, charge, user_id=current_user.id)
        for account in mine:
            if account.id == line.account_id:
                return line, account
        raise RecordNotFound("account")
    if account_id := request.args.get("account"):
        return None, account_for(db.session, current_user.id, account_id)
    return (None, mine[0]) if len(mine) == 1 else None


def _subject(about: Line | None) -> str:
    name = (about.description or about.code) if about else ""
    return name[: service.LONGEST_SUBJECT] or _("A question about my bill")


def _named(thread: queries.ThreadView) -> queries.ThreadView:
    if thread.charge_public_id is None:
        return replace(thread, about=_("Account of %(name)s", name=thread.guarantor_name))
    name = thread.description or _("A charge")
    return replace(thread, about=f"{name}, {format_date(thread.service_on, 'medium')}" if thread.service_on else name)


def _say_spent(form: MessageForm) -> None:
    """The form was used before with another text (the back button); what is in it now is kept."""
    form.renew_token()
    form.body.errors = [_("You sent a message from this form before. Send this one too by choosing Send again.")]


def _note_read(thread: queries.ThreadView) -> None:
    """Note that the thread was seen. A page that is fetched only reads, so the note is a transaction of its own."""
    reader_id = current_user.id
    db.session.commit()
    with writing():
        service.note_seen(
            db.session, thread_public_id=thread.public_id, account_id=thread.account_id, user_id=reader_id
        )
        if thread.unread:
            service.mark_answers_read(db.session, thread_id=thread.id)
        db.session.commit()
