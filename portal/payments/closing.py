"""Closing an attempt: at Stripe first, so that nobody can pay it any more, then here.

Also where Stripe has nothing to close, has it no longer, or has something else than was asked for: an attempt that can
take no money must not keep its accounts from being paid.
"""

from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session

from portal import clock
from portal.audit.service import record
from portal.audit.tags import Tag
from portal.payments.errors import IntentMismatch, StripeRefused, StripeUnreachable
from portal.payments.gateway import Intent, StripeGateway
from portal.payments.kinds import UNATTENDED
from portal.payments.settle import account_locked_payment, move, settle, surprise
from portal.payments.state import FINAL, OPEN, PaymentState

#: A lost answer is asked for again with the same key for so long; later it is looked up. Stripe keeps keys for at
#: least 24 h, but also keeps a failure under them (https://docs.stripe.com/api/idempotent_requests).
RESEND_WITHIN = timedelta(minutes=10)


def close(session: Session, gateway: StripeGateway, *, payment_id: int) -> PaymentState:
    """Make an open attempt unpayable, or settle it when it was paid meanwhile; returns where it stands then.

    Raises :class:`StripeUnreachable`: then it may still be payable, and nothing else may be started. Raises
    :class:`IntentMismatch` when Stripe took money for it that it was not asked to take: the desk gives it back at
    Stripe, and the next try closes the attempt.
    """
    payment = account_locked_payment(session, payment_id)
    if payment.state not in OPEN:
        session.commit()
        return payment.state
    if payment.stripe_intent_id is None and payment.requested_at is None:
        return close_row(session, payment_id=payment_id)
    intent_id, attempt_id, customer_id = payment.stripe_intent_id, payment.public_id, payment.customer_id
    unattended, asked_at = payment.source in UNATTENDED, payment.requested_at
    session.commit()
    if intent_id is None:
        # Stripe was asked and the answer was lost: learn whether it made anything. A request that is still under way
        # makes an intent that no browser gets to see (prepare looks at the row again before it answers).
        found = look_up(gateway, customer_id=customer_id or "", attempt_id=attempt_id)
        if found is None:
            if unattended and asked_at is not None and abs(clock.now() - asked_at) <= RESEND_WITHIN:
                # Nobody has to confirm this one: a request still under way takes the money when it arrives.
                raise StripeUnreachable("under way")
            return close_row(session, payment_id=payment_id)
        intent_id = found.id
    try:
        intent = gateway.cancel_intent(intent_id)
    except StripeRefused as refused:
        if not refused.is_missing:
            raise
        return close_missing(session, payment_id=payment_id)
    try:
        return settle(session, payment_id=payment_id, intent=intent)
    except IntentMismatch:
        if not _has_no_money(gateway, intent):
            raise
        return _close(session, payment_id, surprising="mismatch")


def look_up(gateway: StripeGateway, *, customer_id: str, attempt_id: str) -> Intent | None:
    """The intent that Stripe made for an attempt, where the answer was lost; None when it has none.

    Of a customer that was deleted at Stripe there is none to be found.
    """
    try:
        return gateway.find_intent(customer_id=customer_id, attempt_id=attempt_id)
    except StripeRefused as refused:
        if not refused.is_missing:
            raise
        return None


def close_row(session: Session, *, payment_id: int, code: str = "", why: str = "") -> PaymentState:
    """Close an attempt of which Stripe has no intent; commits, and returns where it stands.

    ``code`` is Stripe's reason for refusing it, where it did; ``why`` is one that is not about the payment, for the
    audit trail alone.
    """
    payment = account_locked_payment(session, payment_id)
    if payment.stripe_intent_id is not None:
        state = payment.state
        session.commit()
        return state
    return _close(session, payment_id, code=code, why=why)


def close_missing(session: Session, *, payment_id: int) -> PaymentState:
    """Stripe no longer knows an attempt's intent: nobody can pay it any more. Commits, and returns where it stands.

    One whose money was on its way stays: somebody has to find out what became of it.
    """
    return _close(session, payment_id, surprising="missing")


def _has_no_money(gateway: StripeGateway, intent: Intent) -> bool:
    """Whether nothing that Stripe took for an intent that is not what was asked for is still with us."""
    if intent.status == "canceled":
        return not intent.received
    return intent.status == "succeeded" and bool(intent.charge_id) and not gateway.charge(intent.charge_id).net


def _close(
    session: Session, payment_id: int, *, code: str = "", why: str = "", surprising: str = ""
) -> PaymentState:
    payment = account_locked_payment(session, payment_id)
    if surprising and payment.state not in FINAL:
        surprise(session, payment, surprising)
    if payment.state in OPEN:
        move(session, payment, PaymentState.CANCELED)
        payment.failure_code = code[:60] or payment.failure_code
        facts: dict[str, Any] = {"why": why} if why else {}
        record(session, Tag.PAYMENT_CANCELED, account_id=payment.account_id, subject=payment.public_id, **facts)
    state = payment.state
    session.commit()
    return state
