"""What a payer sees of refunds."""

from flask import Blueprint, render_template
from flask_login import current_user

from portal.payments.queries import payment_for
from portal.refunds.queries import payments_with_refunds, refunds_of_payment
from portal.web import guards
from portal.web.context import the_day, the_settings
from portal.web.database import db

bp = Blueprint("refunds", __name__)


@bp.app_template_global("payments_with_refunds")
def with_refunds(payment_ids: list[int]) -> set[int]:
    """For the pages about payments, which lie below refunds: which of some payments have refunds to link to."""
    return payments_with_refunds(db.session, payment_ids)


@bp.get("/payments/<pid:payment_id>/refunds")
@guards.own_account
def of_payment(payment_id: str) -> str:
    """What went back of a payment, where each refund stands, and when it should be there."""
    timezone = the_settings().clinic_timezone
    return render_template(
        "refunds/payment.html",
        payment=payment_for(db.session, current_user.id, payment_id),
        refunds=refunds_of_payment(db.session, current_user.id, payment_id, timezone=timezone),
        today=the_day(),
    )
