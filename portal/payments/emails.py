"""What the portal writes to people about payments: an amount, a reference, and where to look. Nothing else."""

from flask_babel import gettext as _
from sqlalchemy.orm import Session

from portal.auth.queries import email_of
from portal.notifications.service import queue_email
from portal.payments.models import Payment
from portal.payments.queries import reference
from portal.queue import wake


def queue_receipt(session: Session, payment: Payment) -> None:
    """The receipt's e-mail, once a payment."""
    queue_email(
        session,
        key=f"receipt/{payment.public_id}",
        to=email_of(session, payment.user_id),
        subject=_("Your payment was received"),
        body=_(
            "Thank you. We received your payment of %(amount)s.\n\n"
            "Reference: %(reference)s\n\n"
            "Sign in to see and print your receipt. You don’t need to do anything else.",
            amount=str(payment.amount),
            reference=reference(payment.public_id),
        ),
    )


def wake_after_success() -> None:
    """Have the worker send the receipt and tell the back office now rather than at the next tick."""
    wake("notifications.send")
    wake("ledger.deliver_postings")
