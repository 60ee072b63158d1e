"""The one settle: what Stripe says of an intent becomes what the portal says of a payment, and what follows from it."""

from collections.abc import Iterable
from datetime import datetime

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.service import account_row
from portal.audit.queries import facts_of
from portal.audit.service import record
from portal.audit.tags import Tag
from portal.payments import emails
from portal.payments.allocate import Part
from portal.payments.booking import book
from portal.payments.errors import IntentMismatch
from portal.payments.gateway import Intent
from portal.payments.kinds import UNATTENDED, BookingKind
from portal.payments.locked import LockedPayment, as_locked
from portal.payments.models import Allocation, Payment, PaymentShare
from portal.payments.presenting import BANK
from portal.payments.returns import note_return
from portal.payments.state import DEPOSITS, DEPOSITS_FAILED, FINAL, OPEN, PaymentState, may_move, of_stripe
from portal.queue import wake

log = structlog.get_logger(__name__)

#: The patient's side is done.
_CONFIRMED = frozenset({PaymentState.PROCESSING, PaymentState.SUCCEEDED})


def lock_accounts(session: Session, account_ids: Iterable[int]) -> None:
    """Hold the accounts' rows to the end of the transaction, always in the same order."""
    for account_id in sorted(set(account_ids)):
        account_row(session, account_id, lock=True)


def account_locked_payment(session: Session, payment_id: int) -> Payment:
    """The payment, with its accounts' rows and its own held to the end of the transaction (always in that order)."""
    lock_accounts(
        session,
        session.scalars(sa.select(PaymentShare.account_id).where(PaymentShare.payment_id == payment_id)),
    )
    return session.scalars(
        sa.select(Payment)
        .where(Payment.id == payment_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()


def locked_payment(session: Session, payment_id: int) -> LockedPayment:
    """What other features may know of a payment, held as :func:`account_locked_payment` holds it."""
    return as_locked(account_locked_payment(session, payment_id))


def move(session: Session, payment: Payment, state: PaymentState) -> None:
    """Put a payment into a state; its accounts are free for another attempt when it is no longer open."""
    payment.state = state
    session.execute(
        sa.update(PaymentShare).where(PaymentShare.payment_id == payment.id).values(is_open=state in OPEN)
    )


def by_charge(part: Part) -> int:
    """The order in which parts are compared."""
    return part.charge_id


def parts_of(session: Session, payment_id: int) -> list[Part]:
    """Which part of a payment is for which line, by charge id."""
    rows = session.execute(
        sa.select(Allocation.charge_id, Allocation.amount).where(Allocation.payment_id == payment_id)
    )
    return sorted((Part(*row) for row in rows), key=by_charge)


def surprise(session: Session, payment: Payment, what: str) -> None:
    """Mark once, in the caller's transaction, that Stripe says ``what`` of a payment that can't be.

    However often it is looked at again, the desk sees one thing to look at.
    """
    told = facts_of(session, tag=Tag.PAYMENT_SURPRISING, subject=payment.public_id)
    if all(facts.get("what") != what for facts in told):
        record(
            session, Tag.PAYMENT_SURPRISING, account_id=payment.account_id, subject=payment.public_id, what=what
        )


def _contradicts(payment: Payment, new: PaymentState) -> bool:
    """Whether Stripe's answer, to which the payment can't move, is more than an older answer that arrives late."""
    if {payment.state, new} == FINAL:
        return True
    # What was never confirmed here and is over must not be on its way at Stripe.
    return (
        payment.state is PaymentState.CANCELED and new is PaymentState.PROCESSING and payment.confirmed_at is None
    )


def is_failed_debit(intent: Intent) -> bool:
    """Whether the latest charge of the intent is a bank debit that came back, though nobody may have seen it go out.

    Deposits that did not confirm an account are none.
    """
    return intent.method_kind == BANK and bool(intent.failure_code) and intent.failure_code not in DEPOSITS_FAILED


def _came_back(payment: Payment, intent: Intent, new: PaymentState) -> bool:
    """Whether the intent says that a bank debit went to the bank and came back.

    Deposits that did not confirm an account are none. What had been on its way and ended without a word is one, of
    which nobody knows why.
    """
    if payment.method_kind != BANK or new in _CONFIRMED or intent.failure_code in DEPOSITS_FAILED:
        return False
    return bool(intent.failure_code) or (new is PaymentState.CANCELED and payment.confirmed_at is not None)


def settle(session: Session, *, payment_id: int, intent: Intent) -> PaymentState:
    """Project Stripe's intent onto the payment, under the account's lock; commits.

    Called any number of times, by anybody, with any age of intent, it books a success once: entries, the posting to
    the back office, the receipt and the audit mark are one commit. Raises :class:`IntentMismatch` when the intent
    is not this payment's or took another amount; nothing is booked then and the audit trail says so.
    """
    payment = account_locked_payment(session, payment_id)
    now = clock.now()
    new = of_stripe(intent.status)
    wrong = (
        intent.attempt_id != payment.public_id
        or intent.amount != payment.amount
        or payment.stripe_intent_id not in (None, intent.id)
        or (new is PaymentState.SUCCEEDED and intent.received != payment.amount)
    )
    if wrong:
        surprise(session, payment, "mismatch")
        session.commit()
        log.error("payment.mismatch", payment=payment.public_id)
        raise IntentMismatch(payment.public_id)
    payment.checked_at = now
    if new is not payment.state and not may_move(payment.state, new):
        # An older answer that a newer one has overtaken is nothing; Stripe contradicting what is final is.
        if _contradicts(payment, new):
            surprise(session, payment, f"{payment.state.value}/{new.value}")
            log.error("payment.contradicted", payment=payment.public_id, ours=payment.state, stripes=intent.status)
        state = payment.state
        session.commit()
        return state
    waited = payment.state is PaymentState.ACTION and payment.action == DEPOSITS
    payment.action = intent.action[:40] if new is PaymentState.ACTION else ""
    if waited and new in (PaymentState.OPEN, PaymentState.CANCELED) and intent.failure_code in DEPOSITS_FAILED:
        emails.queue_deposits_failed(session, payment)
    if intent.method_kind:
        payment.method, payment.method_kind = intent.method[:40], intent.method_kind[:20]
    if payment.stripe_intent_id is None and payment.state not in FINAL:
        payment.stripe_intent_id = intent.id
    if intent.failure_code and intent.failure_code != payment.failure_code and new is not PaymentState.SUCCEEDED:
        payment.failure_code = intent.failure_code[:60]
        record(
            session,
            Tag.PAYMENT_FAILED,
            account_id=payment.account_id,
            subject=payment.public_id,
            code=payment.failure_code,
        )
    if _came_back(payment, intent, new):
        note_return(session, payment, code=intent.failure_code)
        if new is PaymentState.CANCELED and payment.confirmed_at is None:
            # It went out and came back before anybody looked. The patient confirmed it all the same, and is told.
            payment.confirmed_at = payment.created_at
    if new is not payment.state:
        move(session, payment, new)
        if new in _CONFIRMED and payment.confirmed_at is None:
            payment.confirmed_at = now
        if new is PaymentState.SUCCEEDED:
            _book(session, payment, intent, now)
        elif new is PaymentState.CANCELED:
            record(session, Tag.PAYMENT_CANCELED, account_id=payment.account_id, subject=payment.public_id)
            # Autopay and plans tell of their own charges, and try some again.
            if payment.confirmed_at is not None and payment.source not in UNATTENDED:
                emails.queue_returned(session, payment)
    state, keeps = payment.state, payment.keep_method and payment.kept_at is None
    session.commit()
    if state is PaymentState.SUCCEEDED:
        emails.wake_after_success()
        if keeps:
            wake("payments.look_after_methods")
    return state


def _book(session: Session, payment: Payment, intent: Intent, now: datetime) -> None:
    """A payment succeeded: everything that follows from it, in the settling transaction."""
    payment.settled_at = now
    payment.stripe_charge_id = intent.charge_id or None
    payment.failure_code = ""
    book(
        session,
        kind=BookingKind.PAYMENT,
        payment_id=payment.id,
        home_account_id=payment.account_id,
        subject=payment.public_id,
        parts=parts_of(session, payment.id),
        at=now,
    )
    emails.queue_receipt(session, payment)
    record(
        session,
        Tag.PAYMENT_SUCCEEDED,
        actor_user_id=payment.user_id,
        account_id=payment.account_id,
        subject=payment.public_id,
        cents=payment.amount.cents,
    )
