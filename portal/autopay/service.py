"""Autopay: announce, wait, charge once, never more than announced.

1. :func:`announce` finds an account with something to pay, writes the charge down and queues the notice.
2. Ten days later :func:`charge` turns it into a payment: the payment's row and the charge's link to it are one commit,
   made under the account's lock, so that any number of workers make one payment of it.
3. :func:`follow` notes what became of the payment.

The patient can stop at any time until the payment's row is written.
"""

from collections.abc import Callable
from datetime import date, timedelta

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.service import account_row
from portal.audit.service import record
from portal.audit.tags import Tag
from portal.autopay import emails
from portal.autopay.calendar import retry_day
from portal.autopay.debts import (
    audit_left_out,
    collectable,
    left_out,
    note_left_out,
    parts_to_present_again,
    payable_by,
)
from portal.autopay.errors import AutopayRuns, CapTooLow, MethodExpired
from portal.autopay.kinds import AutopayState, ChargeState
from portal.autopay.models import Autopay, AutopayCharge
from portal.autopay.words import VERSION
from portal.money import Money
from portal.payments.allocate import Payable
from portal.payments.errors import AnotherPaymentRuns
from portal.payments.gateway import MINIMUM, StripeGateway
from portal.payments.kinds import ConsentKind, PaymentSource
from portal.payments.methods.consents import keep_consent
from portal.payments.methods.queries import MethodRow, method_by_id, method_for
from portal.payments.presenting import BANK, is_for_lack_of_funds
from portal.payments.progress import waits_on
from portal.payments.queries import PaymentRow
from portal.payments.service import Payer
from portal.payments.settle import parts_of
from portal.payments.state import PaymentState
from portal.payments.unattended import Collected, collect_once, follow_up

#: How often an account with autopay is looked at for something new to announce.
CHECK_EVERY = timedelta(hours=1)
#: The address of the page that stops an autopay, by the charge's public id.
StopUrl = Callable[[str], str]


def start(
    session: Session,
    *,
    account_id: int,
    user_id: int,
    method_public_id: str,
    cap: Money,
    agreement: Callable[[MethodRow], str],
    language: str,
    address: str,
    today: date,
) -> str:
    """Turn autopay on for an account; commits, and returns its public id.

    ``agreement`` gives the exact text that was shown for a method. Raises :class:`RecordNotFound` (no such method of
    this person), :class:`MethodExpired`, :class:`CapTooLow` and :class:`AutopayRuns`.
    """
    method = method_for(session, user_id, method_public_id)
    if method.has_expired(today):
        raise MethodExpired
    if cap < MINIMUM:
        raise CapTooLow
    account_row(session, account_id, lock=True)
    text, now = agreement(method), clock.now()
    consent_id = keep_consent(
        session,
        user_id=user_id,
        kind=ConsentKind.AUTOPAY,
        version=VERSION,
        language=language,
        text=text,
        address=address,
    )
    autopay = Autopay(
        account_id=account_id,
        user_id=user_id,
        method_id=method.id,
        cap=cap,
        consent_id=consent_id,
        started_at=now,
        checked_at=now - CHECK_EVERY,
    )
    session.add(autopay)
    try:
        session.flush()
    except IntegrityError:
        session.rollback()
        raise AutopayRuns from None
    emails.queue_copy(session, user_id=user_id, autopay=autopay.public_id, text=text)
    record(
        session,
        Tag.AUTOPAY_STARTED,
        actor_user_id=user_id,
        account_id=account_id,
        subject=autopay.public_id,
        cap_cents=cap.cents,
    )
    public_id = autopay.public_id
    session.commit()
    return public_id


def stop(session: Session, *, autopay_id: int, actor_user_id: int | None, reason: str = "patient") -> bool:
    """Turn an autopay off, with the charge that is announced; commits. False when it is off already.

    A charge whose payment exists goes on: it may be with the bank.
    """
    account_id = session.execute(sa.select(Autopay.account_id).where(Autopay.id == autopay_id)).scalar_one()
    account_row(session, account_id, lock=True)
    stopped = end(session, autopay_id, actor_user_id=actor_user_id, reason=reason)
    session.commit()
    return stopped


def end(session: Session, autopay_id: int, *, actor_user_id: int | None, reason: str) -> bool:
    """Turn an autopay off in the caller's transaction, which holds its account. False when it is off already."""
    autopay = session.get_one(Autopay, autopay_id, populate_existing=True)
    if autopay.state is AutopayState.STOPPED:
        return False
    now = clock.now()
    autopay.state, autopay.stopped_at, autopay.stop_reason = AutopayState.STOPPED, now, reason
    session.execute(
        sa.update(AutopayCharge)
        .where(AutopayCharge.autopay_id == autopay_id, AutopayCharge.state == ChargeState.NOTICED)
        .values(state=ChargeState.STOPPED, ended_at=now)
    )
    emails.queue_stopped(session, user_id=autopay.user_id, autopay=autopay.public_id)
    record(
        session,
        Tag.AUTOPAY_STOPPED,
        actor_user_id=actor_user_id,
        account_id=autopay.account_id,
        subject=autopay.public_id,
        reason=reason,
    )
    return True


def charge(session: Session, gateway: StripeGateway, *, charge_id: int) -> None:
    """Make the payment of an announced charge, once; commits. What Stripe's answer means is for :func:`follow`.

    A patient's payment that waits for their bank goes first: the charge waits, or, where the bank takes days, is
    skipped. That its notice has gone out, the caller has seen to (``announcing.announce_again``).

    Raises :class:`StripeUnreachable` and :class:`AnotherPaymentRuns`: then it is tried again later.
    """
    row, autopay = session.execute(
        sa.select(AutopayCharge, Autopay)
        .join(Autopay, Autopay.id == AutopayCharge.autopay_id)
        .where(AutopayCharge.id == charge_id)
        .execution_options(populate_existing=True)
    ).one()
    method = method_by_id(session, autopay.method_id)
    account_id, user_id, autopay_id, noticed = autopay.account_id, autopay.user_id, autopay.id, row.amount
    bounced = row.tries > 0
    if method.removed_at is not None:
        stop(session, autopay_id=autopay_id, actor_user_id=None, reason="method_removed")
        return

    def gone() -> bool:
        state = session.execute(
            sa.select(AutopayCharge.state, Autopay.state)
            .join(Autopay, Autopay.id == AutopayCharge.autopay_id)
            .where(AutopayCharge.id == charge_id)
            .with_for_update(of=AutopayCharge)
        ).one()
        return tuple(state) != (ChargeState.NOTICED, AutopayState.ACTIVE)

    def link(payment_id: int) -> None:
        session.execute(
            sa.update(AutopayCharge)
            .where(AutopayCharge.id == charge_id)
            .values(state=ChargeState.CHARGING, payment_id=payment_id)
        )

    def narrow(lines: list[Payable]) -> list[Payable]:
        return collectable(session, session.get_one(Autopay, autopay_id), lines, bounced=bounced)

    owed = Money.total(line.amount for line in payable_by(session, autopay, bounced=bounced))
    session.commit()
    try:
        charged = collect_once(
            session,
            gateway,
            account_id=account_id,
            payer=Payer(user_id, PaymentSource.AUTOPAY, method.stripe_method_id),
            amount=min(noticed, owed),
            narrow=narrow,
            unless=gone,
            along=link,
        )
    except AnotherPaymentRuns:
        session.rollback()
        if not _waits_for_deposits(session, account_id):
            raise
        charged = Collected.TOO_LITTLE  # the patient pays it themselves: what is left after that is announced anew
    if charged is Collected.TOO_LITTLE:
        _close_charge(session, charge_id, ChargeState.NOTICED, ChargeState.SKIPPED, Tag.AUTOPAY_SKIPPED)


def _waits_for_deposits(session: Session, account_id: int) -> bool:
    waits = waits_on(session, None, [account_id])
    session.commit()
    return waits


def _close_charge(session: Session, charge_id: int, before: ChargeState, state: ChargeState, tag: Tag) -> None:
    row, account_id = session.execute(
        sa.select(AutopayCharge, Autopay.account_id)
        .join(Autopay, Autopay.id == AutopayCharge.autopay_id)
        .where(AutopayCharge.id == charge_id, AutopayCharge.state == before)
        .with_for_update(of=AutopayCharge)
    ).one_or_none() or (None, None)
    if row is not None:
        row.state, row.ended_at = state, clock.now()
        record(session, tag, account_id=account_id, subject=row.public_id)
    session.commit()


def follow(session: Session, gateway: StripeGateway, *, charge_id: int, today: date, stop_url: StopUrl) -> None:
    """Note what became of a charge's payment; commits.

    A decline ends the attempt, since nobody is there to enter another card; a bank debit that bounced for lack of
    funds is announced again, as often as its debts may be presented (``debts.py``). Two failed charges in a row end
    the autopay. A request whose answer was lost is made good here, since no browser comes back to ask. Raises
    :class:`StripeAway`.
    """
    payment_id, autopay = session.execute(
        sa.select(AutopayCharge.payment_id, Autopay)
        .join(Autopay, Autopay.id == AutopayCharge.autopay_id)
        .where(AutopayCharge.id == charge_id)
    ).one()
    if payment_id is None:
        return

    def goes_on() -> bool:
        out = left_out(session, autopay)
        return autopay.state is AutopayState.ACTIVE and not any(
            part.charge_id in out for part in parts_of(session, payment_id)
        )

    payment = follow_up(session, gateway, payment_id=payment_id, goes_on=goes_on)
    if payment is None:
        return
    if payment.state is PaymentState.SUCCEEDED:
        _close_charge(session, charge_id, ChargeState.CHARGING, ChargeState.PAID, Tag.AUTOPAY_CHARGED)
    if payment.state is PaymentState.CANCELED:
        _fail(session, charge_id, payment, today=today, stop_url=stop_url)


def _fail(session: Session, charge_id: int, payment: PaymentRow, *, today: date, stop_url: StopUrl) -> None:
    account_row(session, payment.account_id, lock=True)
    row, autopay = session.execute(
        sa.select(AutopayCharge, Autopay)
        .join(Autopay, Autopay.id == AutopayCharge.autopay_id)
        .where(AutopayCharge.id == charge_id)
        .execution_options(populate_existing=True)
    ).one()
    if row.state is not ChargeState.CHARGING or row.payment_id != payment.id:
        session.commit()
        return
    if not payment.failure_code:
        # Closed before any bank was asked: it never reached Stripe, or less is owed now. Its day has come already.
        if autopay.state is AutopayState.ACTIVE:
            row.state, row.payment_id = ChargeState.NOTICED, None
        else:
            row.state, row.ended_at = ChargeState.STOPPED, clock.now()
        session.commit()
        return
    row.failure_code = payment.failure_code
    is_debit = payment.method_kind == BANK
    left, stopped = parts_to_present_again(session, autopay, payment)
    again = (
        is_debit
        and is_for_lack_of_funds(payment.failure_code)
        and left >= MINIMUM
        and autopay.state is AutopayState.ACTIVE
    )
    if again:
        row.state, row.payment_id, row.tries = ChargeState.NOTICED, None, row.tries + 1
        row.charge_on, row.amount = retry_day(today), min(row.amount, left)
        emails.queue_notice(
            session,
            user_id=autopay.user_id,
            charge=row.public_id,
            amount=row.amount,
            on=row.charge_on,
            stop_url=stop_url(row.public_id),
            retry=True,
        )
        if stopped:
            note_left_out(
                session,
                autopay,
                reference_id=payment.public_id,
                amount=Money.total(part.amount for part in stopped),
            )
    else:
        before = session.scalar(
            sa.select(AutopayCharge.state)
            .where(
                AutopayCharge.autopay_id == autopay.id,
                AutopayCharge.id < row.id,
                AutopayCharge.state.in_([ChargeState.PAID, ChargeState.FAILED]),
            )
            .order_by(AutopayCharge.id.desc())
            .limit(1)
        )
        row.state, row.ended_at = ChargeState.FAILED, clock.now()
        session.flush()
        ended = before is ChargeState.FAILED and autopay.state is AutopayState.ACTIVE
        emails.queue_failed(
            session,
            user_id=autopay.user_id,
            charge=row.public_id,
            amount=payment.amount,
            ended=ended,
            left_out=is_debit and bool(stopped),
        )
        if stopped:
            audit_left_out(session, autopay, Money.total(part.amount for part in stopped))
        if ended:
            end(session, autopay.id, actor_user_id=None, reason="failed_twice")
    record(
        session,
        Tag.AUTOPAY_FAILED,
        account_id=autopay.account_id,
        subject=row.public_id,
        code=payment.failure_code,
        again=int(again),
    )
    session.commit()
