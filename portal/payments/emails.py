"""What the portal writes to people about payments: an amount, a reference, and where to look. Nothing else."""

from flask_babel import gettext as _
from sqlalchemy.orm import Session

from portal.auth.queries import email_of
from portal.notifications.service import queue_email
from portal.payments.models import MethodSetup, Payment
from portal.payments.queries import reference
from portal.queue import wake


def queue_receipt(session: Session, payment: Payment) -> None:
    """The receipt's email, once a payment; a guest who left no address gets none."""
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


def queue_deposits_failed(session: Session, payment: Payment) -> None:
    """The small deposits came back, were named wrongly too often, or nobody named them: the payment was never made."""
    to = payment.receipt_email or (email_of(session, payment.user_id) if payment.user_id is not None else "")
    if not to:
        return
    queue_email(
        session,
        key=f"deposits/{payment.public_id}",
        to=to,
        subject=_("Your bank account could not be confirmed"),
        body=_(
            "Your payment of %(amount)s was waiting for you to confirm your bank account. The account can’t be "
            "confirmed any more, so the payment was not made. You have not been charged.\n\n"
            "Reference: %(reference)s\n\n"
            "Please look at your bill and pay again: with a card, or with your bank account by signing in to your "
            "bank. If you type the account number in again, please check it first.",
            amount=str(payment.amount),
            reference=reference(payment.public_id),
        ),
    )


def queue_setup_failed(session: Session, setup: MethodSetup) -> None:
    """Queue the email that a bank account could not be confirmed, and so was not saved."""
    queue_email(
        session,
        key=f"deposits/{setup.public_id}",
        to=email_of(session, setup.user_id),
        subject=_("Your bank account could not be confirmed"),
        body=_(
            "You wanted to save a bank account for later payments. It was waiting for you to confirm it, and can’t be "
            "confirmed any more, so it was not saved. Nothing was charged.\n\n"
            "To save it, sign in and add it again. If you type the account number in again, please check it first. "
            "You can also save a card."
        ),
    )


def wake_after_success() -> None:
    """Have the worker send the receipt and tell the back office now rather than at the next tick."""
    wake("notifications.send")
    wake("ledger.deliver_postings")
