"""The one settle: what Stripe says of an intent becomes what the portal says of a payment, and what follows from it."""

from datetime import datetime

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.service import account_row
from portal.audit.service import record
from portal.audit.tags import Tag
from portal.billing.kinds import EntryKind
from portal.billing.queries import visit_refs
from portal.billing.service import NewEntry, queue_posting, write_entries
from portal.money import Money
from portal.payments import emails
from portal.payments.allocate import Part
from portal.payments.errors import IntentMismatch
from portal.payments.gateway import Intent
from portal.payments.models import Allocation, Payment
from portal.payments.state import FINAL, OPEN, PaymentState, may_move, of_stripe

log = structlog.get_logger(__name__)


def account_locked_payment(session: Session, payment_id: int) -> Payment:
    """The payment, with its account's row and its own held to the end of the transaction (always in that order)."""
    account_id = session.execute(sa.select(Payment.account_id).where(Payment.id == payment_id)).scalar_one()
    account_row(session, account_id, lock=True)
    return session.scalars(
        sa.select(Payment)
        .where(Payment.id == payment_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()


def by_charge(part: Part) -> int:
    """The order in which parts are compared."""
    return part.charge_id


def parts_of(session: Session, payment_id: int) -> list[Part]:
    """Which part of a payment is for which line, by charge id."""
    rows = session.execute(
        sa.select(Allocation.charge_id, Allocation.amount).where(Allocation.payment_id == payment_id)
    )
    return sorted((Part(*row) for row in rows), key=by_charge)


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
        record(session, Tag.PAYMENT_SURPRISING, account_id=payment.account_id, subject=payment.public_id)
        session.commit()
        log.error("payment.mismatch", payment=payment.public_id)
        raise IntentMismatch(payment.public_id)
    payment.checked_at = now
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
    if new is not payment.state and may_move(payment.state, new):
        payment.state = new
        if new is PaymentState.SUCCEEDED:
            _book(session, payment, intent, now)
        elif new is PaymentState.CANCELED:
            record(session, Tag.PAYMENT_CANCELED, account_id=payment.account_id, subject=payment.public_id)
    elif new is not payment.state and not (payment.state in FINAL and new in OPEN):
        # An older answer that arrives late is nothing; Stripe contradicting a final state is.
        record(session, Tag.PAYMENT_SURPRISING, account_id=payment.account_id, subject=payment.public_id)
        log.error("payment.contradicted", payment=payment.public_id, ours=payment.state, stripes=intent.status)
    state = payment.state
    session.commit()
    if state is PaymentState.SUCCEEDED:
        emails.wake_after_success()
    return state


def _book(session: Session, payment: Payment, intent: Intent, now: datetime) -> None:
    """A payment succeeded: everything that follows from it, in the settling transaction."""
    payment.settled_at = now
    payment.stripe_charge_id = intent.charge_id or None
    payment.method = intent.method[:40]
    payment.failure_code = ""
    parts = parts_of(session, payment.id)
    on = now.date()
    write_entries(
        session,
        [
            NewEntry(
                account_id=payment.account_id,
                charge_id=part.charge_id,
                kind=EntryKind.PATIENT_PAYMENT,
                insurer=Money.zero(),
                patient=-part.amount,
                source="payment",
                source_id=f"{payment.public_id}/{part.charge_id}",
                effective_on=on,
            )
            for part in parts
        ],
    )
    refs = visit_refs(session, [part.charge_id for part in parts])
    by_visit: dict[str, Money] = {}
    for part in parts:
        ref = refs[part.charge_id]
        by_visit[ref] = by_visit.get(ref, Money.zero()) + part.amount
    queue_posting(
        session,
        key=payment.public_id,
        account_id=payment.account_id,
        kind="patient_payment",
        amount=payment.amount,
        effective_on=on,
        lines=sorted(by_visit.items()),
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
