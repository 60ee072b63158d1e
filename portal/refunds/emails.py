"""What the portal writes to payers about refunds: an amount, a reference, and what happens next. Nothing else."""

from datetime import date

from babel.dates import format_date
from flask_babel import get_locale
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from portal.auth.queries import email_of
from portal.notifications.service import queue_email
from portal.payments.locked import LockedPayment
from portal.payments.queries import reference
from portal.refunds.models import Refund


def _tell(session: Session, refund: Refund, payment: LockedPayment, what: str, subject: str, body: str) -> None:
    """Once a refund and kind of news; a guest who left no address is told by the desk."""
    to = payment.receipt_email or (email_of(session, payment.user_id) if payment.user_id is not None else "")
    if to:
        queue_email(session, key=f"refund/{refund.public_id}/{what}", to=to, subject=subject, body=body)


def queue_on_its_way(session: Session, refund: Refund, payment: LockedPayment, *, before_today: date | None) -> None:
    """The refund was sent; ``before_today`` is the clinic's day on which, where that is not today."""
    day = format_date(before_today, "MMMM d, y", locale=get_locale() or "en") if before_today else ""
    _tell(
        session,
        refund,
        payment,
        "sent",
        _("Your refund is on its way"),
        _(
            "On %(day)s we sent %(amount)s back to the card or bank account you paid with.\n\n"
            "Payment reference: %(reference)s\n\n"
            "Banks take 5 to 10 business days to show it. You don’t need to do anything.",
            day=day,
            amount=str(refund.amount),
            reference=reference(payment.public_id),
        )
        if day
        else _(
            "We sent %(amount)s back to the card or bank account you paid with.\n\n"
            "Payment reference: %(reference)s\n\n"
            "Banks take 5 to 10 business days to show it. You don’t need to do anything.",
            amount=str(refund.amount),
            reference=reference(payment.public_id),
        ),
    )


def queue_failed(session: Session, refund: Refund, payment: LockedPayment) -> None:
    """The bank sent the refund back."""
    _tell(
        session,
        refund,
        payment,
        "failed",
        _("Your refund did not arrive"),
        _(
            "We sent %(amount)s back to you, and your bank did not take it. This happens when a card or an account "
            "was closed.\n\n"
            "Payment reference: %(reference)s\n\n"
            "The money is still yours. Our billing staff will get in touch to find another way.",
            amount=str(refund.amount),
            reference=reference(payment.public_id),
        ),
    )
