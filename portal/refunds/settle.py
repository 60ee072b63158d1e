"""The one settle of refunds: what Stripe says of a refund becomes what the portal says, and what follows from it."""

from datetime import date
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from portal import clock
from portal.audit.service import record
from portal.audit.tags import Tag
from portal.billing.kinds import HoldReason
from portal.billing.queries import accounts_of_charges
from portal.billing.service import end_holds, place_hold
from portal.money import Money
from portal.notifications.service import wake_sender
from portal.payments.allocate import Part, Payable
from portal.payments.booking import book, left_of_parts
from portal.payments.errors import IntentMismatch
from portal.payments.gateway import StripeRefund
from portal.payments.kinds import BookingKind
from portal.payments.locked import LockedPayment
from portal.payments.queries import payment_of_stripe
from portal.payments.settle import locked_payment
from portal.payments.state import PaymentState
from portal.queue import wake
from portal.refunds import emails
from portal.refunds.allocate import take_amount
from portal.refunds.calendar import there_by
from portal.refunds.dealt_with import is_dealt_with
from portal.refunds.errors import AmountAboveLeft, NothingLeft
from portal.refunds.models import Refund, RefundPart
from portal.refunds.parts import dues, left_lines, parts_of_refund
from portal.refunds.state import BOOKED, FINAL, RefundReason, RefundState, may_move, of_stripe

log = structlog.get_logger(__name__)

#: After these, money that is due on a line again is simply due: it was paid twice, or above what is owed.
ASKED_AGAIN = frozenset({RefundReason.CREDIT_BALANCE, RefundReason.DUPLICATE})
#: What staff read of a refund that somebody made in Stripe's own dashboard.
MADE_AT_STRIPE = "Made at Stripe"
#: What they read of one that ended before anything went back.
NOTHING_CAME = "Its payment did not arrive, so nothing went back"
CANCELED_AT_STRIPE = "Canceled at Stripe before anything went back"
_TRIES = 3


def is_made_at_stripe(requested_by: int | None, note: str) -> bool:
    """Whether a refund with this asker and note was made in Stripe's dashboard."""
    return requested_by is None and note == MADE_AT_STRIPE


def locked_refund(session: Session, refund_id: int) -> tuple[Refund, LockedPayment]:
    """A refund and its payment, with the accounts' rows and both of theirs held to the end of the transaction."""
    payment_id = session.execute(sa.select(Refund.payment_id).where(Refund.id == refund_id)).scalar_one()
    payment = locked_payment(session, payment_id)
    refund = session.scalars(
        sa.select(Refund)
        .where(Refund.id == refund_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()
    return refund, payment


def project(session: Session, found: StripeRefund) -> bool:
    """Write down a refund as Stripe has it now, whoever made it; commits. False when its payment is not ours (yet).

    ``learning.learn`` has the payment settled first. One that no row of ours stands for (made in Stripe's dashboard, or
    a second one under our id) is imported, so that the books say what happened. May raise :class:`IntentMismatch`.
    """
    for _turn in range(_TRIES):
        refund_id = _row_of(session, found)
        if refund_id is not None:
            session.commit()
            settle_refund(session, refund_id=refund_id, found=found)
            return True
        done = _import(session, found)
        if done is not None:
            return done
    raise IntentMismatch(found.id)


def _row_of(session: Session, found: StripeRefund) -> int | None:
    """Our row for Stripe's refund: the one that knows its id, else the one that asked and has had no answer."""
    known = session.scalar(sa.select(Refund.id).where(Refund.stripe_refund_id == found.id))
    if known is not None or not found.refund_id:
        return known
    return session.scalar(
        sa.select(Refund.id).where(
            Refund.public_id == found.refund_id,
            Refund.stripe_refund_id.is_(None),
            Refund.state.not_in(sorted(FINAL)),
        )
    )


def settle_refund(session: Session, *, refund_id: int, found: StripeRefund) -> RefundState:
    """Project Stripe's refund onto ours, under the accounts' locks; commits and returns where ours stands.

    Called any number of times, by anybody, with any age of answer: money that left is booked once, and money that
    came back is booked back once. Raises :class:`IntentMismatch` when it is of another amount, payment or request than
    ours; nothing is booked then and the audit trail says so.
    """
    refund, payment = locked_refund(session, refund_id)
    wrong = (
        found.amount != refund.amount
        or found.intent_id != payment.stripe_intent_id
        or refund.stripe_refund_id not in (None, found.id)
        or (refund.stripe_refund_id is None and found.refund_id != refund.public_id)
    )
    if wrong:
        record(session, Tag.REFUND_SURPRISING, account_id=payment.account_id, subject=refund.public_id)
        session.commit()
        log.error("refund.mismatch", refund=refund.public_id)
        raise IntentMismatch(refund.public_id)
    told = _apply(session, refund, payment, found)
    state = refund.state
    session.commit()
    if told:
        wake_sender()
        wake("ledger.deliver_postings")
    return state


def _apply(session: Session, refund: Refund, payment: LockedPayment, found: StripeRefund) -> bool:
    """Move the refund to what Stripe says, with all that follows; returns whether anything moved."""
    new, now = of_stripe(found.status), clock.now()
    refund.checked_at = now
    unheard_of = refund.stripe_refund_id is None and refund.state not in FINAL
    if unheard_of:
        refund.stripe_refund_id = found.id
    if new is refund.state:
        return False
    if new in BOOKED and refund.booked_at is None and is_dealt_with(session, found.id):
        # Staff have entered it while the answer was lost. It stays as it is, so that it is not sent anew.
        if unheard_of:
            record(session, Tag.REFUND_SURPRISING, account_id=payment.account_id, subject=refund.public_id)
            log.error("refund.entered_by_staff", refund=refund.public_id)
        return False
    if refund.state is RefundState.WAITING:
        if new not in BOOKED:
            return _end_waiting(session, refund, payment, new)
        if payment.state is not PaymentState.SUCCEEDED:
            return _go_on_waiting(session, refund, payment, new)
        _write_parts(session, refund, _parts_left(session, payment, found))
        # Stripe has sent it when its payment arrived.
        refund.send_on = clock.clinic_day(max(found.created_at, payment.settled_at or now))
    if not may_move(refund.state, new):
        # An answer that was on its way while a newer one was taken in is nothing; anything else is.
        if new not in BOOKED:
            record(session, Tag.REFUND_SURPRISING, account_id=payment.account_id, subject=refund.public_id)
            log.error("refund.contradicted", refund=refund.public_id, ours=refund.state, stripes=found.status)
        return False
    refund.state = new
    facts: dict[str, Any] = {"account_id": payment.account_id, "subject": refund.public_id}
    if new in BOOKED:
        if refund.booked_at is None:
            _book(session, refund, payment)
            record(session, Tag.REFUND_SENT, **facts, actor_user_id=refund.requested_by, cents=refund.amount.cents)
        if new is RefundState.SUCCEEDED:
            refund.ended_at = now
            record(session, Tag.REFUND_SUCCEEDED, **facts, cents=refund.amount.cents)
        return True
    refund.ended_at = now
    refund.failure_code = (found.failure_code or new.value)[:60]
    record(session, Tag.REFUND_FAILED, **facts, cents=refund.amount.cents, code=refund.failure_code)
    if refund.booked_at is not None:
        _book_back(session, refund, payment)
    return True


def _end_waiting(session: Session, refund: Refund, payment: LockedPayment, new: RefundState) -> bool:
    """Stripe has ended a refund before anything moved: nobody was told, and nothing is to be booked.

    Only one that failed although its payment arrived is for somebody to look at.
    """
    now, arrived = clock.now(), payment.state is PaymentState.SUCCEEDED
    refund.state, refund.ended_at, refund.failure_code = new, now, new.value
    if not arrived or new is RefundState.CANCELED:
        refund.handled_at, refund.handled_note = now, CANCELED_AT_STRIPE if arrived else NOTHING_CAME
    record(
        session,
        Tag.REFUND_WITHDRAWN,
        account_id=payment.account_id,
        subject=refund.public_id,
        cents=refund.amount.cents,
        source="stripe",
    )
    return True


def _go_on_waiting(session: Session, refund: Refund, payment: LockedPayment, new: RefundState) -> bool:
    """Money that has not come in does not go back. That Stripe says it went all the same is marked once."""
    gone = payment.state is PaymentState.CANCELED and new is RefundState.SUCCEEDED
    if gone and not refund.failure_code:
        refund.failure_code = "charge_failed"
        record(session, Tag.REFUND_SURPRISING, account_id=payment.account_id, subject=refund.public_id)
        log.error("refund.of_unpaid_payment", refund=refund.public_id)
    return False


def _book(session: Session, refund: Refund, payment: LockedPayment) -> None:
    """The money has left: everything that follows from it, in the settling transaction."""
    now = clock.now()
    parts = parts_of_refund(session, refund.id)
    book(
        session,
        kind=BookingKind.REFUND,
        payment_id=payment.id,
        home_account_id=payment.account_id,
        subject=refund.public_id,
        parts=parts,
        at=now,
    )
    refund.booked_at = now
    if refund.reason not in ASKED_AGAIN:
        accounts = accounts_of_charges(session, [part.charge_id for part in parts])
        owed = dues(session, accounts)
        for charge_id in sorted(accounts):
            if owed[charge_id] > Money.zero():
                place_hold(
                    session,
                    charge_id=charge_id,
                    reason=HoldReason.REFUNDED,
                    account_id=accounts[charge_id],
                    actor_user_id=refund.requested_by,
                )
    # One made at Stripe may be learned of long after it was there: nothing is on its way then.
    today = clock.clinic_day(now)
    sent_on: date = refund.send_on if is_made_at_stripe(refund.requested_by, refund.note) else today
    if there_by(sent_on) >= today:
        emails.queue_on_its_way(session, refund, payment, before_today=sent_on if sent_on < today else None)


def _book_back(session: Session, refund: Refund, payment: LockedPayment) -> None:
    """The money came back: it pays what it paid before, and what was held for the refund alone is not held."""
    parts = parts_of_refund(session, refund.id)
    book(
        session,
        kind=BookingKind.REFUND_RETURNED,
        payment_id=payment.id,
        home_account_id=payment.account_id,
        subject=refund.public_id,
        parts=parts,
        at=clock.now(),
    )
    owed = dues(session, [part.charge_id for part in parts])
    paid = [charge_id for charge_id, due in owed.items() if due <= Money.zero()]
    end_holds(session, charge_ids=paid, reason=HoldReason.REFUNDED)
    emails.queue_failed(session, refund, payment)


def _import(session: Session, found: StripeRefund) -> bool | None:
    """Write down a refund that the portal did not ask for, and settle it; commits.

    False when its payment is not ours. None when it was written meanwhile. One that staff have entered in the back
    office and marked as dealt with is left to them. Where the payment is under way, the refund
    waits for it; where it ended without money, nothing went back.
    """
    ours = payment_of_stripe(session, intent_id=found.intent_id)
    if ours is None:
        session.commit()
        return False
    payment = locked_payment(session, ours.id)
    if _row_of(session, found) is not None:  # written while we waited for the lock
        session.commit()
        return None
    if is_dealt_with(session, found.id):
        session.commit()
        return True
    arrived = payment.state is PaymentState.SUCCEEDED
    if not arrived and of_stripe(found.status) not in BOOKED:
        session.commit()
        return True
    parts = _parts_left(session, payment, found) if arrived else []
    refund = Refund(
        payment_id=payment.id,
        amount=found.amount,
        reason=RefundReason.REQUESTED,
        note=MADE_AT_STRIPE,
        state=RefundState.APPROVED if arrived else RefundState.WAITING,
        send_on=clock.clinic_day(found.created_at),
        created_at=found.created_at,
        requested_at=found.created_at,
        checked_at=clock.now(),
        stripe_refund_id=found.id,
    )
    session.add(refund)
    session.flush()
    _write_parts(session, refund, parts)
    if found.refund_id:
        # It carries an id of ours and is not the one we know of: somebody has to look how that came.
        record(session, Tag.REFUND_SURPRISING, account_id=payment.account_id, subject=refund.public_id)
    record(
        session,
        Tag.REFUND_REQUESTED,
        account_id=payment.account_id,
        subject=refund.public_id,
        cents=refund.amount.cents,
        source="stripe",
    )
    told = _apply(session, refund, payment, found)
    session.commit()
    if told:
        wake_sender()
        wake("ledger.deliver_postings")
    return True


def _parts_left(session: Session, payment: LockedPayment, found: StripeRefund) -> list[Part]:
    """From which lines a refund is taken that was made at Stripe: the newest first.

    What other refunds are promised is not spared: this money has left, they have not. Raises :class:`IntentMismatch`,
    audited, where less than that is left of the payment.
    """
    left = left_of_parts(session, payment.id)
    order = [line.charge_id for line in left_lines(session, payment.id)]
    try:
        return take_amount(found.amount, [Payable(charge_id, left[charge_id]) for charge_id in order])
    except (NothingLeft, AmountAboveLeft):
        if of_stripe(found.status) not in BOOKED:
            return []  # it failed before we heard of it: nothing has moved
        record(session, Tag.REFUND_SURPRISING, account_id=payment.account_id, subject=payment.public_id)
        session.commit()
        log.error("refund.above_payment", payment=payment.public_id)
        raise IntentMismatch(found.id) from None


def _write_parts(session: Session, refund: Refund, parts: list[Part]) -> None:
    session.add_all(RefundPart(refund_id=refund.id, charge_id=part.charge_id, amount=part.amount) for part in parts)
    session.flush()
