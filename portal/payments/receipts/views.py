"""Receipts as PDF."""

from typing import Any

from flask import Blueprint, Response
from flask_login import current_user

from portal.audit.service import record
from portal.audit.tags import Tag
from portal.clock import day_at
from portal.payments.progress import progress_of
from portal.payments.queries import receipt_for
from portal.payments.receipts.documents import RefundLine, receipt_document, year_document
from portal.payments.receipts.years import receipts_of_year
from portal.web import guards
from portal.web.context import the_settings
from portal.web.database import begin_writing, db
from portal.web.pdf import pdf_answer

bp = Blueprint("receipts", __name__)


def _clinic() -> dict[str, Any]:
    settings = the_settings()
    return {
        "clinic_name": settings.clinic_name,
        "clinic_phone": settings.clinic_phone,
        "timezone": settings.clinic_timezone,
    }


@bp.get("/payments/<pid:payment_id>/receipt.pdf")
@guards.own_account
def receipt_pdf(payment_id: str) -> Response:
    """Proof of a payment, to print, to keep, and for the administrator of an HSA or FSA."""
    begin_writing()
    receipt = receipt_for(db.session, current_user.id, payment_id)
    clinic = _clinic()
    record(db.session, Tag.RECEIPT_SEEN, actor_user_id=current_user.id, subject=payment_id)
    refunds = _refunds(payment_id, clinic["timezone"])
    db.session.commit()
    return pdf_answer(receipt_document(receipt, refunds=refunds, **clinic), f"receipt-{receipt.reference}")


@bp.get("/payments/year/<int:year>.pdf")
@guards.own_account
def year_pdf(year: int) -> Response:
    """All receipts of a calendar year in one document; a year without any is not there."""
    clinic = _clinic()
    begin_writing()
    receipts = receipts_of_year(db.session, current_user.id, year, timezone=clinic["timezone"])
    refunds = [refund for one in receipts for refund in _refunds(one.public_id, clinic["timezone"])]
    record(db.session, Tag.RECEIPT_SEEN, actor_user_id=current_user.id, year=year)
    db.session.commit()
    return pdf_answer(year_document(receipts, year=year, refunds=refunds, **clinic), f"receipts-{year}")


def _refunds(payment_id: str, timezone: str) -> list[RefundLine]:
    """What went back of a payment: refunds, less those that the bank returned, and what a bank took back for good or
    until it has decided. Nobody shall have an expense paid by an HSA that they did not have.
    """
    progress = progress_of(db.session, payment_id)
    return [
        RefundLine(day_at(back.at, timezone), back.amount, back.reference, by_bank=by_bank)
        for by_bank, moved in ((False, progress.refunds), (True, progress.taken_back))
        for back in moved
    ]
