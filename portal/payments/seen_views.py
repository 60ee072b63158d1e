"""What became of payments: the list, a receipt, and a bank debit that came back."""

from typing import Any

from flask import redirect, render_template, url_for
from flask_login import current_user

from portal.accounts.access import account_for
from portal.money import Money
from portal.payments.blueprint import bp
from portal.payments.decline import what_happened
from portal.payments.progress import given_back, is_failed_debit, progress_of, spread_of
from portal.payments.queries import payment_for, payments_of, receipt_for
from portal.payments.receipts.years import years_of
from portal.payments.service import payable_lines
from portal.web import guards
from portal.web.context import the_settings
from portal.web.database import db


@bp.get("/payments/<pid:payment_id>/receipt")
@guards.own_account
def receipt(payment_id: str) -> str:
    """Proof of a payment, and how far it has come."""
    found = receipt_for(db.session, current_user.id, payment_id)
    payment = payment_for(db.session, current_user.id, payment_id)
    account = account_for(db.session, current_user.id, found.account_public_id)
    left = Money.total(
        line.amount for line in payable_lines(db.session, account.id, user_id=current_user.id)
    )
    return render_template(
        "payments/receipt.html",
        receipt=found,
        payment=payment,
        spread=spread_of(db.session, payment.id),
        progress=progress_of(db.session, payment_id),
        account=account,
        left_due=left,
    )


@bp.get("/payments/<pid:payment_id>/returned")
@guards.own_account
def returned(payment_id: str) -> Any:
    """A bank debit that the patient had confirmed and the bank sent back; any other payment is where it is paid."""
    payment = payment_for(db.session, current_user.id, payment_id)
    if not is_failed_debit(payment):
        return redirect(url_for("payments.pay", payment_id=payment_id))
    return render_template(
        "payments/returned.html",
        payment=payment,
        spread=spread_of(db.session, payment.id),
        progress=progress_of(db.session, payment_id),
        why=what_happened(payment.failure_code, payment.method_kind),
    )


@bp.get("/payments")
@guards.signed_in
def history() -> str:
    """What was paid."""
    payments = payments_of(db.session, current_user.id)
    return render_template(
        "payments/history.html",
        payments=payments,
        given_back=given_back(db.session, [payment.id for payment in payments]),
        years=years_of(payments, timezone=the_settings().clinic_timezone),
    )
