"""Asking for money to go back, and deciding about it. Row first: Stripe hears of a refund from ``sending`` alone.

How one refund goes:

1. :func:`request_refund` (staff) or ``credits.find_credits`` (the portal itself) writes the row. Above a limit it is
   PROPOSED until a supervisor who is someone else says yes; else it is APPROVED at once.
2. ``sending.send_due`` asks Stripe on its day, with the row's id as the idempotency key.
3. ``settle.settle_refund`` is the only place where money is booked, and booked back when the bank returns it.
4. A refund that failed is the desk's until somebody has dealt with it (:func:`handle`).
"""

from collections.abc import Collection
from datetime import date

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal import clock
from portal.audit.service import record
from portal.audit.tags import Tag
from portal.db import RecordNotFound, new_public_id
from portal.disputes.queries import disputed
from portal.money import Money
from portal.payments.allocate import Part, Payable
from portal.payments.joins import PAYMENT
from portal.payments.locked import LockedPayment
from portal.payments.settle import locked_payment
from portal.payments.state import PaymentState
from portal.refunds.allocate import take_amount, take_lines
from portal.refunds.errors import NotRefundable, OwnRequest, PaymentDisputed, TooLate
from portal.refunds.models import Refund, RefundPart
from portal.refunds.parts import LeftLine, are_left, left_lines, money_sum, parts_of_refund
from portal.refunds.settle import locked_refund
from portal.refunds.state import LIVE, RefundReason, RefundState, may_move


def request_refund(
    session: Session,
    *,
    payment_public_id: str,
    actor: int,
    reason: RefundReason,
    note: str,
    today: date,
    limit: Money,
    amount: Money | None = None,
    charge_ids: Collection[int] | None = None,
    public_id: str | None = None,
) -> Refund:
    """Write down that staff (``actor``) want ``amount``, the lines ``charge_ids``, or (both None) all of it to go back.

    In the caller's transaction, under the locks of the payment's accounts. ``public_id`` is the form's own token: the
    same form sent twice asks once. Sent ``today`` (at the clinic) when it needs nobody's approval. Raises
    :class:`RecordNotFound`, :class:`NotRefundable`, :class:`PaymentDisputed`, :class:`NothingLeft`,
    :class:`AmountAboveLeft`, :class:`AmountNotPositive` and :class:`LineNotRefundable`.
    """
    payment_id = session.scalar(sa.select(PAYMENT.c.id).where(PAYMENT.c.public_id == payment_public_id))
    if payment_id is None:
        raise RecordNotFound("payment")
    payment = locked_payment(session, payment_id)
    if public_id is not None:
        known = session.scalar(sa.select(Refund).where(Refund.public_id == public_id))
        if known is not None:
            if (known.payment_id, known.requested_by) != (payment.id, actor):
                raise RecordNotFound("refund")
            return known
    if payment.state is not PaymentState.SUCCEEDED:
        raise NotRefundable
    if disputed(session, payment.id):
        raise PaymentDisputed
    return write_refund(
        session,
        payment_id=payment.id,
        home_account_id=payment.account_id,
        parts=choose_parts(left_lines(session, payment.id), amount=amount, charge_ids=charge_ids),
        reason=reason,
        note=note,
        actor=actor,
        send_on=today,
        limit=limit,
        public_id=public_id,
    )


def choose_parts(
    lines: Collection[LeftLine], *, amount: Money | None = None, charge_ids: Collection[int] | None = None
) -> list[Part]:
    """From which lines (oldest first) ``amount``, the lines ``charge_ids``, or (both None) everything is taken.

    Raises :class:`NothingLeft`, :class:`AmountAboveLeft`, :class:`AmountNotPositive`, :class:`LineNotRefundable`.
    """
    left = [Payable(line.charge_id, line.amount) for line in lines]
    return take_lines(charge_ids, left) if charge_ids is not None else take_amount(amount, left)


def write_refund(
    session: Session,
    *,
    payment_id: int,
    home_account_id: int,
    parts: Collection[Part],
    reason: RefundReason,
    note: str,
    actor: int | None,
    send_on: date,
    limit: Money,
    public_id: str | None = None,
) -> Refund:
    """The row with its parts, in the caller's transaction. The caller holds the locks and has checked the parts.

    ``home_account_id`` is the payment's own account.
    """
    amount, now = Money.total(part.amount for part in parts), clock.now()
    must_ask = needs_approval(session, payment_id, amount, limit)
    refund = Refund(
        public_id=public_id or new_public_id(),
        payment_id=payment_id,
        amount=amount,
        reason=reason,
        note=note[:300],
        state=RefundState.PROPOSED if must_ask else RefundState.APPROVED,
        needs_approval=must_ask,
        requested_by=actor,
        send_on=send_on,
        created_at=now,
        checked_at=now,
    )
    session.add(refund)
    session.flush()
    session.add_all(RefundPart(refund_id=refund.id, charge_id=part.charge_id, amount=part.amount) for part in parts)
    record(
        session,
        Tag.REFUND_REQUESTED,
        actor_user_id=actor,
        account_id=home_account_id,
        subject=refund.public_id,
        cents=amount.cents,
        reason=reason.value,
        approval=int(must_ask),
    )
    session.flush()
    return refund


def needs_approval(session: Session, payment_id: int, amount: Money, limit: Money) -> bool:
    """Whether giving ``amount`` of a payment back takes a second person.

    What went back of the same payment without one counts too, so that a large refund can't be cut into small ones.
    """
    alone = session.execute(
        sa.select(money_sum(Refund.amount)).where(
            Refund.payment_id == payment_id,
            Refund.state.in_(sorted(LIVE)),
            Refund.needs_approval.is_(False),
        )
    ).scalar_one()
    return bool(alone + amount > limit)


def _found(session: Session, public_id: str) -> tuple[Refund, LockedPayment]:
    refund_id = session.scalar(sa.select(Refund.id).where(Refund.public_id == public_id))
    if refund_id is None:
        raise RecordNotFound("refund")
    return locked_refund(session, refund_id)


def _decide(session: Session, public_id: str, actor: int, state: RefundState) -> tuple[Refund, LockedPayment]:
    refund, payment = _found(session, public_id)
    if refund.state is not RefundState.PROPOSED or not may_move(refund.state, state):
        raise TooLate
    if refund.requested_by == actor:
        raise OwnRequest
    refund.state, refund.approved_by, refund.decided_at = state, actor, clock.now()
    return refund, payment


def _note(
    session: Session, tag: Tag, refund: Refund, payment: LockedPayment, actor: int | None, **facts: str | int
) -> None:
    record(
        session,
        tag,
        actor_user_id=actor,
        account_id=payment.account_id,
        subject=refund.public_id,
        cents=refund.amount.cents,
        **facts,
    )
    session.flush()


def approve(session: Session, *, public_id: str, actor: int, today: date) -> Refund:
    """A supervisor (``actor``) says yes, in the caller's transaction; it is sent on its day, ``today`` at the earliest.

    Raises :class:`RecordNotFound`, :class:`OwnRequest` (also from another device: it is the person that counts),
    :class:`TooLate`, :class:`PaymentDisputed` and :class:`NotRefundable` when the money is not with us any more.
    """
    refund, payment = _decide(session, public_id, actor, RefundState.APPROVED)
    if disputed(session, payment.id):
        raise PaymentDisputed
    if not are_left(session, payment.id, parts_of_refund(session, refund.id)):
        raise NotRefundable
    refund.send_on = max(refund.send_on, today)
    _note(session, Tag.REFUND_APPROVED, refund, payment, actor)
    return refund


def refuse(session: Session, *, public_id: str, actor: int, note: str) -> Refund:
    """A supervisor says no and why. Raises :class:`RecordNotFound`, :class:`OwnRequest` and :class:`TooLate`."""
    refund, payment = _decide(session, public_id, actor, RefundState.REFUSED)
    refund.ended_at, refund.handled_note = clock.now(), note[:300]
    _note(session, Tag.REFUND_REFUSED, refund, payment, actor)
    return refund


def withdraw(session: Session, *, public_id: str, actor: int, note: str) -> Refund:
    """Staff take back a refund that Stripe has not heard of. Raises :class:`RecordNotFound` and :class:`TooLate`."""
    refund, payment = _found(session, public_id)
    withdraw_row(session, refund, payment, actor=actor, note=note)
    return refund


def withdraw_row(session: Session, refund: Refund, payment: LockedPayment, *, actor: int | None, note: str) -> None:
    """Take back a refund whose row the caller holds; ``actor`` None is the portal, which may propose anew."""
    if refund.requested_at is not None or not may_move(refund.state, RefundState.WITHDRAWN):
        raise TooLate
    refund.state, refund.ended_at = RefundState.WITHDRAWN, clock.now()
    refund.handled_note = note[:300]
    if actor is not None:
        refund.handled_by, refund.handled_at = actor, refund.ended_at
    _note(session, Tag.REFUND_WITHDRAWN, refund, payment, actor)


def send_today(session: Session, *, public_id: str, actor: int, today: date) -> Refund:
    """Have an approved refund sent today instead of on its day. Raises :class:`RecordNotFound`, :class:`TooLate`."""
    refund, payment = _found(session, public_id)
    if refund.state is not RefundState.APPROVED or refund.requested_at is not None or refund.send_on <= today:
        raise TooLate
    refund.send_on = today
    _note(session, Tag.REFUND_APPROVED, refund, payment, actor, send="today")
    return refund


def handle(session: Session, *, public_id: str, actor: int, note: str) -> Refund:
    """Somebody has dealt with a failed refund. Raises :class:`RecordNotFound` and :class:`TooLate`."""
    refund, payment = _found(session, public_id)
    if refund.state not in (RefundState.FAILED, RefundState.CANCELED) or refund.handled_at is not None:
        raise TooLate
    refund.handled_at, refund.handled_by, refund.handled_note = clock.now(), actor, note[:300]
    _note(session, Tag.REFUND_HANDLED, refund, payment, actor)
    return refund
