"""Disputes: what a bank took back becomes what the books say, from Stripe's own record, fetched fresh.

A dispute's money moves at Stripe as balance transactions, whose sums only grow: so much was withdrawn, so much was
returned. What is booked follows these sums and never goes back, so that the same answer twice, or an older one that
arrives late, changes nothing.
"""

from collections.abc import Iterable, Mapping
from datetime import date, timedelta

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal import clock
from portal.audit.service import record
from portal.audit.tags import Tag
from portal.billing.kinds import HoldReason
from portal.billing.queries import accounts_of_charges, line_names
from portal.billing.service import end_holds, place_hold
from portal.disputes.models import Dispute, DisputePart
from portal.disputes.parts import returned_parts, withdrawn_parts
from portal.disputes.state import FINAL, SERIES, DisputeState, UnknownDisputeStatus, may_move, of_stripe
from portal.money import Money
from portal.payments.allocate import Part
from portal.payments.booking import book, booked_parts, left_of_parts, times_booked
from portal.payments.errors import IntentMismatch, StripeRefused
from portal.payments.gateway import StripeDispute, StripeGateway
from portal.payments.kinds import BookingKind
from portal.payments.locked import LockedPayment
from portal.payments.origin import origin_of
from portal.payments.presenting import BANK
from portal.payments.returns import note_return
from portal.payments.settle import locked_payment
from portal.payments.state import PaymentState
from portal.payments.stripe_events.cursors import note_read, take_turn

log = structlog.get_logger(__name__)

#: An open dispute is asked about again after so long without a webhook.
STALE_AFTER = timedelta(hours=1)
#: How often new ones are listed, and how far back again.
LISTED_EVERY = timedelta(minutes=15)
_OVERLAP = timedelta(days=2)
_LIST = "disputes"

_TAGS = {DisputeState.WON: Tag.DISPUTE_WON, DisputeState.LOST: Tag.DISPUTE_LOST}


def refresh_dispute(session: Session, gateway: StripeGateway, *, stripe_dispute_id: str) -> bool:
    """Fetch a dispute and settle what Stripe says; False when it is none of ours. Commits.

    Raises :class:`StripeUnreachable`, :class:`StripeRefused` and :class:`IntentMismatch`.
    """
    session.commit()
    return settle_dispute(session, gateway, gateway.disputes.retrieve(stripe_dispute_id))


def settle_dispute(session: Session, gateway: StripeGateway, found: StripeDispute) -> bool:
    """Project Stripe's dispute onto our books, under the locks of the payment's accounts; commits.

    What was withdrawn is booked over the payment's lines and these are held, so that nobody is asked for them while
    the bank decides; what was returned is booked back and ends the holds. Called any number of times, with any age of
    answer, it books each cent once. False for a dispute of a charge that is none of ours; one that bears our marks
    and that we know no payment of is kept for staff to look at. Raises as :func:`refresh_dispute`, and
    :class:`UnknownDisputeStatus`.
    """
    state = of_stripe(found.status)
    origin = origin_of(session, gateway, charge_id=found.charge_id, intent_id=found.intent_id)
    if not origin.ours:
        return False
    payment_id = None if origin.payment is None else origin.payment.id
    try:
        _project(session, payment_id, found, state)
    except IntegrityError:  # somebody else wrote the row a moment ago
        session.rollback()
        _project(session, payment_id, found, state)
    return True


def _project(session: Session, payment_id: int | None, found: StripeDispute, state: DisputeState) -> None:
    payment = None if payment_id is None else locked_payment(session, payment_id)
    now = clock.now()
    dispute = session.scalars(
        sa.select(Dispute)
        .where(Dispute.stripe_dispute_id == found.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one_or_none()
    account_id = None if payment is None else payment.account_id
    is_new = dispute is None
    if dispute is None:
        dispute = Dispute(
            stripe_dispute_id=found.id,
            amount=found.amount,
            reason=found.reason[:60],
            state=state,
            opened_at=found.created_at,
            checked_at=now,
        )
        session.add(dispute)
    if dispute.payment_id is None and payment is not None:
        dispute.payment_id = payment.id
    dispute.stripe_charge_id = found.charge_id
    session.flush()
    if is_new:
        record(
            session,
            Tag.DISPUTE_OPENED,
            account_id=account_id,
            subject=dispute.public_id,
            cents=found.amount.cents,
            state=state.value,
            reason=dispute.reason,
        )

    moved = False
    if payment is not None and payment.state is PaymentState.SUCCEEDED:
        moved = _move_money(session, payment, dispute, found)
    elif payment is not None and found.withdrawn:
        record(session, Tag.PAYMENT_SURPRISING, account_id=account_id, subject=payment.public_id)
        log.error("dispute.of_unpaid_payment", dispute=dispute.public_id, payment=payment.public_id)

    dispute.checked_at = now
    if moved or state is dispute.state or may_move(dispute.state, state):
        dispute.amount, dispute.reason, dispute.answer_by = found.amount, found.reason[:60], found.answer_by
        if state is not dispute.state:
            tag = _TAGS.get(state, Tag.DISPUTE_CHANGED)
            record(session, tag, account_id=account_id, subject=dispute.public_id, state=state.value)
        dispute.state = state
        if state not in FINAL:
            dispute.closed_at = None
        elif dispute.closed_at is None:
            dispute.closed_at = now
            if is_new and state in _TAGS:  # a bank debit's dispute is lost as it opens
                record(session, _TAGS[state], account_id=account_id, subject=dispute.public_id, state=state.value)
    session.commit()


def _move_money(session: Session, payment: LockedPayment, dispute: Dispute, found: StripeDispute) -> bool:
    """Book what was withdrawn or returned since the last time; whether anything was."""
    payment_id = payment.id
    series = dispute.public_id[:SERIES]
    taken = booked_parts(session, payment_id, kind=BookingKind.DISPUTE, subject=series)
    given = booked_parts(session, payment_id, kind=BookingKind.DISPUTE_WON, subject=series)
    more_taken = found.withdrawn - Money.total(taken.values())
    more_given = found.returned - Money.total(given.values())

    def move(kind: BookingKind, parts: list[Part]) -> dict[int, int]:
        number = times_booked(session, payment_id, kind=kind, subject=series)
        # A bank may take a decided dispute up again: the same reference, and a key of its own.
        subject = f"{series}{number + 1:04d}" if number else dispute.public_id
        book(
            session,
            kind=kind,
            payment_id=payment_id,
            home_account_id=payment.account_id,
            subject=subject,
            parts=parts,
            at=clock.now(),
        )
        return accounts_of_charges(session, [part.charge_id for part in parts])

    if more_taken > Money.zero():
        left = _oldest_first(session, left_of_parts(session, payment_id))
        if more_taken > Money.total(amount for _charge, amount in left):
            record(session, Tag.PAYMENT_SURPRISING, account_id=payment.account_id, subject=payment.public_id)
            log.error("dispute.above_what_is_left", dispute=dispute.public_id)
        parts = withdrawn_parts(more_taken, left)
        accounts = move(BookingKind.DISPUTE, parts)
        for part in parts:
            taken[part.charge_id] = taken.get(part.charge_id, Money.zero()) + part.amount
            account_id = accounts[part.charge_id]
            place_hold(session, charge_id=part.charge_id, reason=HoldReason.CHARGEBACK, account_id=account_id)
            session.merge(
                DisputePart(dispute_id=dispute.id, charge_id=part.charge_id, amount=taken[part.charge_id])
            )
        dispute.withdrawn_at, dispute.returned_at = clock.now(), None
        if payment.method_kind == BANK:  # a return that came after the money had
            note_return(session, payment, code=found.reason)
    if more_given > Money.zero():
        still = {charge: amount - given.get(charge, Money.zero()) for charge, amount in taken.items()}
        parts = returned_parts(more_given, still)
        move(BookingKind.DISPUTE_WON, parts)
        for part in parts:
            still[part.charge_id] = still[part.charge_id] - part.amount
        dispute.returned_at = clock.now()
        session.flush()
        whole = [charge for charge, amount in still.items() if amount <= Money.zero()]
        free = set(whole) - _withheld_by_others(session, dispute.id, whole)
        end_holds(session, charge_ids=free, reason=HoldReason.CHARGEBACK)
    return more_taken > Money.zero() or more_given > Money.zero()


def _oldest_first(session: Session, left: Mapping[int, Money]) -> list[tuple[int, Money]]:
    days = {charge: day or date.min for charge, (_name, day, _who) in line_names(session, left).items()}
    return sorted(left.items(), key=lambda pair: (days[pair[0]], pair[0]))


def _withheld_by_others(session: Session, dispute_id: int, charge_ids: Iterable[int]) -> set[int]:
    """Those of the lines of which another dispute has withdrawn something and not returned it."""
    rows = session.scalars(
        sa.select(DisputePart.charge_id)
        .join(Dispute, Dispute.id == DisputePart.dispute_id)
        .where(
            DisputePart.charge_id.in_(list(charge_ids)),
            Dispute.id != dispute_id,
            Dispute.withdrawn_at.is_not(None),
            Dispute.returned_at.is_(None),
        )
    )
    return set(rows)


def sweep_disputes(session: Session, gateway: StripeGateway) -> int:
    """Make up for lost webhooks: ask about open disputes again, and list new ones; returns how many were looked at.

    Raises :class:`StripeUnreachable`; what was not looked at has its turn later.
    """
    done = 0
    while (stripe_dispute_id := _claim_stale(session)) is not None:
        done += _try(session, gateway, stripe_dispute_id, None)
    since = take_turn(session, _LIST, every=LISTED_EVERY, overlap=_OVERLAP)
    if since is not None:
        now = clock.now()
        for found in gateway.disputes.every(since=since):
            done += _try(session, gateway, found.id, found)
        note_read(session, _LIST, to=now)
    return done


def _claim_stale(session: Session) -> str | None:
    now = clock.now()
    row = session.execute(
        sa.select(Dispute.id, Dispute.stripe_dispute_id)
        .where(Dispute.state.in_(sorted(set(DisputeState) - FINAL)), Dispute.checked_at < now - STALE_AFTER)
        .order_by(Dispute.checked_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).first()
    if row is not None:
        # Claimed by its own time: another worker, or this one after dying, comes back to it later.
        session.execute(sa.update(Dispute).where(Dispute.id == row.id).values(checked_at=now))
    session.commit()
    return None if row is None else str(row.stripe_dispute_id)


def _try(session: Session, gateway: StripeGateway, stripe_dispute_id: str, found: StripeDispute | None) -> int:
    """Settle one of many: one that fails must not keep the others waiting."""
    try:
        if found is not None:
            settle_dispute(session, gateway, found)
        else:
            refresh_dispute(session, gateway, stripe_dispute_id=stripe_dispute_id)
    except (IntentMismatch, StripeRefused, UnknownDisputeStatus) as error:
        session.rollback()
        log.error("dispute.sweep_failed", dispute=stripe_dispute_id, error=type(error).__name__)
    return 1
