"""What insurers' remittances brought, what was refused and why, and bringing another one."""

from typing import IO, Any

from flask import flash, redirect, render_template, url_for
from flask_babel import gettext as _
from flask_babel import ngettext
from flask_login import current_user

from portal.ledger.registry import remittance_ledger
from portal.remittances import queries
from portal.remittances.desk_forms import UploadForm
from portal.remittances.service import ImportReport, import_stream
from portal.remittances.x12.errors import UnreadableX12
from portal.web import guards
from portal.web.context import the_settings
from portal.web.database import db
from portal.web.desk import bp
from portal.web.paging import PER_PAGE, Page, asked_page, offset

_LONGEST_NAME = 255
#: Old programs pad files with NUL bytes, but only around the text.
_PADDING = b"\x00\x1a \t\r\n\v\f"


@bp.route("/remittances", methods=["GET", "POST"])
@guards.staff
def remittances() -> Any:
    """Every imported payment, those that were refused first; and a form to bring a file."""
    form = UploadForm()
    if form.validate_on_submit():
        upload = form.file.data
        fault = upload_fault(upload.stream if upload else None)
        if fault is None:
            try:
                report = import_stream(
                    db.session,
                    upload.stream,
                    shown_name(upload.filename),
                    ledger=remittance_ledger(the_settings().ledger, db.session),
                    actor_user_id=current_user.id,
                )
            except UnreadableX12 as error:
                db.session.rollback()
                fault = _("Nothing was stored. %(why)s", why=str(error))
            else:
                _tell(report)
                return redirect(url_for("staff.remittances"))
        form.file.errors = [fault]
    number = asked_page()
    rows, total = queries.remittances(db.session, limit=PER_PAGE, offset=offset(number))
    return render_template(
        "staff/remittances.html",
        form=form,
        remittances=rows,
        page=Page(number, total),
        unfinished=queries.unfinished_files(db.session),
    )


@bp.route("/remittances/<int:transaction_id>")
@guards.staff
def remittance(transaction_id: int) -> Any:
    """One payment by one payer, and what does not add up in it."""
    return render_template("staff/remittance.html", remittance=queries.remittance(db.session, transaction_id))


def upload_fault(stream: IO[bytes] | None) -> str | None:
    """What is wrong with an upload before anybody reads it as X12; None for nothing. Leaves it at its start."""
    if stream is None:
        return _("Choose a file first.")
    empty, previous = True, b""
    while chunk := stream.read(1 << 16):
        if text := chunk.strip(_PADDING):
            # Padding between two stretches of text is no padding: NUL bytes in the middle are no text.
            if b"\x00" in text or b"\x00" in previous:
                stream.seek(0)
                return _("Nothing was stored. This file is not text, so it can’t be an 835 remittance.")
            empty = False
            previous = chunk[len(chunk.rstrip(_PADDING)) :]
        elif not empty:
            previous += chunk
    stream.seek(0)
    return _("Nothing was stored. The file is empty.") if empty else None


def shown_name(name: str | None) -> str:
    """A file's own name, without the folders some browsers send and without what can't be shown."""
    last = (name or "").replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(character for character in last if character.isprintable()).strip()[-_LONGEST_NAME:] or "upload.835"


def _tell(report: ImportReport) -> None:
    if report.already_imported:
        flash(_("This file was imported before. Nothing was changed."), "info")
        return
    parts = [ngettext("%(num)s payment loaded", "%(num)s payments loaded", report.loaded)]
    parts.append(ngettext("with %(num)s claim", "with %(num)s claims", report.claims))
    told = " ".join(parts)
    if report.duplicates:
        told += ", " + ngettext("%(num)s known already", "%(num)s known already", report.duplicates)
    if report.quarantined:
        told += ", " + ngettext("%(num)s quarantined", "%(num)s quarantined", report.quarantined)
    flash(told + ".", "warning" if report.quarantined else "success")
    if report.errors:
        flash(
            ngettext(
                "The file has %(num)s flaw: %(first)s. Check that all its payments are listed below.",
                "The file has %(num)s flaws, the first: %(first)s. Check that all its payments are listed below.",
                len(report.errors),
                first=report.errors[0].rstrip("."),
            ),
            "warning",
        )
