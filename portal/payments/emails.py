"""What the portal writes to people about payments: an amount, a reference, and where to look. Nothing else."""

from flask_babel import gettext as _
from sqlalchemy.orm import Session

from portal.auth.queries import email_of
from portal.notifications.service import queue_email
from portal.payments.models import Payment
from portal.payments.queries import reference
from portal.queue import wake


def queue_receipt(session: Session, payment: Payment) -> None:
    """The receipt's e-mail, once a payment; a guest who left no address gets none."""
    to = payment.receipt_email or (email_of(session, payment.user_id) if payment.user_id is not None else "")
    if not to:
        return
    queue_email(
        session,
        key=f"receipt/{payment.public_id}",
        to=to,
        subject=_("Your payment was received"),
        body=_(
            "Thank you. We received your payment of %(amount)s.\n\n"
            "Reference: %(reference)s\n\n"
            "%(next)s",
            amount=str(payment.amount),
            reference=reference(payment.public_id),
            next=_("Sign in to see and print your receipt. You don’t need to do anything else.")
            if payment.user_id is not None
            else _("Keep this email as your receipt. You don’t need to do anything else."),
        ),
    )


def queue_returned(session: Session, payment: Payment) -> None:
    """A bank debit came back days after it was confirmed: somebody who thinks they have paid has to know."""
    to = payment.receipt_email or (email_of(session, payment.user_id) if payment.user_id is not None else "")
    if not to:
        return
    queue_email(
        session,
        key=f"returned/{payment.public_id}",
        to=to,
        subject=_("Your payment did not go through"),
        body=_(
            "Your bank sent your payment of %(amount)s back, so it is not paid.\n\n"
            "Reference: %(reference)s\n\n"
            "Please look at your bill to see why, and to pay another way. We do not try again by ourselves.",
            amount=str(payment.amount),
            reference=reference(payment.public_id),
        ),
    )


def wake_after_success() -> None:
    """Have the worker send the receipt and tell the back office now rather than at the next tick."""
    wake("notifications.send")
    wake("ledger.deliver_postings")
