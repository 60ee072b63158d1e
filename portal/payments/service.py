"""Paying: row first, network second, and one settle.

How one payment goes:

1. :func:`start_payment` holds the account, decides what is payable, writes the :class:`Payment` and commits.
2. :func:`prepare` asks Stripe for the intent, with the row's id as the idempotency key. A lost answer is asked for
   again with the same key for some minutes; after that it is looked up, and where Stripe has nothing the attempt is
   closed, since a new one has a key of its own.
3. The patient confirms in the browser, with Stripe.
4. The return page, the webhook's job and the sweep all call :func:`refresh`, which fetches the intent and hands it
   to :func:`settle`: the only place where a payment becomes paid.

No transaction is open while Stripe is asked. Any of these steps may die and be done again.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal import clock
from portal.audit.service import record
from portal.audit.tags import Tag
from portal.billing.checks.run import check_if_due
from portal.billing.queries import Line, accounts_of_charges, lines_of_account
from portal.money import Money
from portal.payments import emails
from portal.payments.allocate import Part, Payable, allocate_amount, allocate_lines
from portal.payments.closing import RESEND_WITHIN, close, close_missing, close_row, look_up
from portal.payments.errors import (
    AmountAboveBalance,
    AmountBelowMinimum,
    AnotherPaymentRuns,
    PaymentIsOver,
    StripeRefused,
    StripeUnreachable,
)
from portal.payments.gateway import MAXIMUM, MINIMUM, Intent, StripeGateway
from portal.payments.kinds import UNATTENDED, PaymentSource
from portal.payments.methods.customers import customer_of, forget_customer
from portal.payments.models import Allocation, Payment, PaymentShare
from portal.payments.queries import reserved
from portal.payments.settle import account_locked_payment, by_charge, is_failed_debit, lock_accounts, parts_of, settle
from portal.payments.state import DEPOSITS, FINAL, PaymentState, of_stripe

log = structlog.get_logger(__name__)

#: How often a new attempt tries to take the place of another.
_TURNS = 4


def payable_lines(session: Session, account_id: int, *, user_id: int | None) -> list[Payable]:
    """What may be paid on an account now, oldest first: payable, less what payments on their way hold.

    ``user_id`` None is a guest, who pays for the whole account without seeing its lines.
    """
    return left_to_pay(lines_of_account(session, account_id, user_id=user_id), reserved(session, account_id))


def family_lines(session: Session, account_ids: Iterable[int], *, user_id: int | None) -> list[Line]:
    """The lines of several accounts, oldest first over all of them."""
    lines = [line for one in sorted(set(account_ids)) for line in lines_of_account(session, one, user_id=user_id)]
    return sorted(lines, key=lambda line: line.service_on or date.min)


def left_to_pay(lines: Iterable[Line], held: Mapping[int, Money], *, on_plan: bool = False) -> list[Payable]:
    """What may still be asked for on each line, with what is on its way for it taken off; lines of nothing left out.

    ``on_plan`` counts lines that are paid in installments, too: they are not asked for, but they may be paid.
    """
    left = (
        Payable(
            line.charge_id,
            (line.collectable if on_plan else line.payable) - held.get(line.charge_id, Money.zero()),
        )
        for line in lines
    )
    return [one for one in left if one.amount > Money.zero()]


def held_on(session: Session, account_ids: Iterable[int]) -> dict[int, Money]:
    """What payments on their way hold of each line of the accounts, by charge id."""
    held: dict[int, Money] = {}
    for account_id in set(account_ids):
        for charge_id, amount in reserved(session, account_id).items():
            # All that is held of a line is known on its own account; another one knows only what they share.
            held[charge_id] = max(held.get(charge_id, Money.zero()), amount)
    return held


@dataclass(frozen=True, slots=True)
class Payer:
    """Who pays, and how: all that an attempt needs to know besides what it is for."""

    user_id: int | None
    source: PaymentSource = PaymentSource.PATIENT
    #: A saved method's Stripe id; empty lets the payer enter one.
    method_id: str = ""
    receipt_email: str = ""


def start_payment(
    session: Session,
    gateway: StripeGateway,
    *,
    account_ids: Collection[int],
    payer: Payer,
    amount: Money | None = None,
    charge_ids: Collection[int] | None = None,
    only: Mapping[int, Money] | None = None,
    narrow: Callable[[list[Payable]], list[Payable]] = lambda lines: lines,
    unless: Callable[[], bool] = lambda: False,
    along: Callable[[int], None] = lambda _payment_id: None,
) -> Payment:
    """Write down an attempt to pay ``amount``, or the lines ``charge_ids``, or (both None) all that is payable.

    ``only`` holds it to some lines, and to the most that is paid of each; lines on a payment plan are paid when they
    are named by it or by ``charge_ids``. ``narrow`` is given what may be paid, under the accounts' locks, and leaves
    lines out.

    Commits. ``unless`` is asked under the accounts' locks, and :class:`PaymentIsOver` is raised when it says so;
    ``along`` is given the attempt's id and writes more in the same transaction. An open attempt of the same payer for
    exactly the same parts is taken up again; any other of these accounts is closed at Stripe first, so that two tabs
    can't both pay. Raises :class:`NothingToPay`,
    :class:`AmountNotPositive`, :class:`AmountAboveBalance`, :class:`AmountBelowMinimum`, :class:`LineNotPayable`,
    :class:`AnotherPaymentRuns` and, when the earlier attempt can't be closed, :class:`StripeUnreachable`.
    """
    for turn in range(_TURNS):
        lock_accounts(session, account_ids)
        if unless():
            raise PaymentIsOver
        check_if_due(session, account_ids)
        lines = left_to_pay(
            family_lines(session, account_ids, user_id=payer.user_id),
            held_on(session, account_ids),
            on_plan=only is not None or charge_ids is not None,
        )
        if only is not None:
            named = [one for one in lines if one.charge_id in only]
            lines = [Payable(one.charge_id, min(one.amount, only[one.charge_id])) for one in named]
        parts = _choose(narrow(lines), amount, charge_ids)
        total = Money.total(part.amount for part in parts)
        if total < MINIMUM:
            raise AmountBelowMinimum(MINIMUM)
        if total > MAXIMUM:
            raise AmountAboveBalance(MAXIMUM)
        sums = _by_account(session, parts)
        earlier = session.scalars(
            sa.select(Payment).where(
                Payment.id.in_(
                    sa.select(PaymentShare.payment_id).where(
                        PaymentShare.account_id.in_(sums), PaymentShare.is_open
                    )
                )
            )
        ).all()
        if not earlier:
            try:
                return _write_attempt(session, payer=payer, sums=sums, total=total, parts=parts, along=along)
            except IntegrityError:  # somebody else's attempt came first on a database without the lock
                session.rollback()
                continue
        if len(earlier) == 1 and _is_the_same(session, earlier[0], payer, parts):
            session.commit()
            return earlier[0]
        if payer.source in UNATTENDED and any(
            one.state is PaymentState.ACTION and one.source not in UNATTENDED for one in earlier
        ):
            session.rollback()  # somebody is at their bank with it: nothing that nobody waits for takes its place
            raise AnotherPaymentRuns
        ids = {
            one.id: one.action == DEPOSITS and (one.user_id is None or one.user_id != payer.user_id) for one in earlier
        }
        session.commit()
        if turn == _TURNS - 1:
            break  # closing one without taking its place would leave nobody to pay
        for earlier_id, is_awaited in ids.items():
            with suppress(PaymentIsOver):
                ended = close(session, gateway, payment_id=earlier_id)
                if is_awaited and ended is PaymentState.CANCELED:
                    # Somebody else believes that it waits for them to confirm small deposits.
                    emails.queue_deposits_failed(session, _payment(session, earlier_id))
                    session.commit()
    raise AnotherPaymentRuns


def _by_account(session: Session, parts: Sequence[Part]) -> dict[int, Money]:
    """What of the parts is for which account, in the order of the accounts' ids."""
    accounts = accounts_of_charges(session, [part.charge_id for part in parts])
    sums: dict[int, Money] = {}
    for part in parts:
        account_id = accounts[part.charge_id]
        sums[account_id] = sums.get(account_id, Money.zero()) + part.amount
    return dict(sorted(sums.items()))


def _is_the_same(session: Session, earlier: Payment, payer: Payer, parts: Sequence[Part]) -> bool:
    return (
        earlier.user_id == payer.user_id
        and earlier.source is payer.source
        and (earlier.method_id or "") == payer.method_id
        and earlier.receipt_email == payer.receipt_email
        # A guest's attempt belongs to one browser and an autopay's to one notice: neither is taken up by another.
        and payer.source is PaymentSource.PATIENT
        and parts_of(session, earlier.id) == sorted(parts, key=by_charge)
    )


def _choose(lines: Sequence[Payable], amount: Money | None, charge_ids: Collection[int] | None) -> list[Part]:
    if charge_ids is not None:
        return allocate_lines(charge_ids, lines)
    return allocate_amount(Money.total(line.amount for line in lines) if amount is None else amount, lines)


def _write_attempt(
    session: Session,
    *,
    payer: Payer,
    sums: Mapping[int, Money],
    total: Money,
    parts: Sequence[Part],
    along: Callable[[int], None],
) -> Payment:
    now = clock.now()
    payment = Payment(
        account_id=next(iter(sums)),
        user_id=payer.user_id,
        source=payer.source,
        method_id=payer.method_id or None,
        receipt_email=payer.receipt_email,
        amount=total,
        currency=total.currency,
        state=PaymentState.CREATED,
        created_at=now,
        checked_at=now,
    )
    session.add(payment)
    session.flush()
    session.add_all(
        PaymentShare(payment_id=payment.id, account_id=account_id, amount=amount, is_open=True)
        for account_id, amount in sums.items()
    )
    session.add_all(
        Allocation(payment_id=payment.id, charge_id=part.charge_id, amount=part.amount) for part in parts
    )
    for account_id, amount in sums.items():
        record(
            session,
            Tag.PAYMENT_STARTED,
            actor_user_id=payer.user_id,
            account_id=account_id,
            subject=payment.public_id,
            cents=amount.cents,
            source=payer.source.value,
        )
    along(payment.id)
    session.commit()
    return payment


def prepare(session: Session, gateway: StripeGateway, *, payment_id: int) -> Intent:
    """See to it that Stripe has the attempt's intent, and settle whatever it says.

    An autopay's is confirmed in the same call. Raises :class:`StripeUnreachable`, after which asking again is safe;
    :class:`StripeRefused`, after which the attempt is closed and a new one may be started; and
    :class:`PaymentIsOver` when it was closed meanwhile.
    """
    payment = _payment(session, payment_id)
    if payment.stripe_intent_id is not None:
        wanted = payment.keep_method
        session.commit()
        intent = refresh(session, gateway, payment_id=payment_id)
        if wanted is not intent.keeps_method and of_stripe(intent.status) is PaymentState.OPEN:
            intent = gateway.keep_method(intent.id, wanted=wanted)  # the answer was lost the first time
        return intent
    account_id, public_id = payment.account_id, payment.public_id
    try:
        customer_id = payment.customer_id or customer_of(
            session, gateway, user_id=payment.user_id, account_id=account_id
        )
    except StripeRefused as refused:
        if refused.is_about_our_key:  # the attempt stays, and the desk is told
            record(session, Tag.PAYMENT_FAILED, account_id=account_id, subject=public_id, why=refused.code)
            session.commit()
        raise
    try:
        intent = _create_or_find(session, gateway, payment_id=payment_id, customer_id=customer_id)
    except StripeRefused as refused:
        # A definite no: nothing was made under this key and nothing will be.
        log.error("payment.refused", payment=payment_id, code=refused.code)
        if refused.is_about_our_key or refused.lost_customer:
            close_row(session, payment_id=payment_id, why=refused.code)
        else:
            close_row(session, payment_id=payment_id, code=refused.code)
        if refused.lost_customer:
            forget_customer(session, customer_id)
        raise
    if settle(session, payment_id=payment_id, intent=intent) is PaymentState.CANCELED and intent.status != "canceled":
        # Closed while Stripe was asked: nobody has seen this intent, and nobody shall pay it.
        gateway.cancel_intent(intent.id)
        raise PaymentIsOver
    return intent


def _create_or_find(
    session: Session, gateway: StripeGateway, *, payment_id: int, customer_id: str
) -> Intent:
    # Under the lock: whoever closes an attempt that Stripe has not heard of closes the row alone, so from here on it
    # must be seen that Stripe may have heard, and a row that is closed already must never reach Stripe.
    payment = account_locked_payment(session, payment_id)
    if payment.state in FINAL:
        session.commit()
        raise PaymentIsOver
    now = clock.now()
    attempt_id, asked_at = payment.public_id, payment.requested_at
    if asked_at is None:
        payment.requested_at = now
    if payment.customer_id is None:
        payment.customer_id = customer_id
    asked: dict[str, Any] = {
        "attempt_id": attempt_id,
        "amount": payment.amount,
        "customer_id": payment.customer_id,
        "method_id": payment.method_id or "",
        "off_session": payment.source in UNATTENDED,
        "keep_method": payment.keep_method,
    }
    session.commit()
    if asked_at is not None and abs(now - asked_at) > RESEND_WITHIN:
        with _an_earlier_ask_counts():
            found = look_up(gateway, customer_id=asked["customer_id"], attempt_id=attempt_id)
        if found is None:
            # No request can still be under way, so it never arrived, or Stripe failed and keeps that failure under
            # the key. Either way this attempt is over: the next one has a key of its own.
            close_row(session, payment_id=payment_id)
            raise PaymentIsOver
        return found
    if asked_at is not None:
        with _an_earlier_ask_counts():
            return gateway.create_intent(**asked)
    return gateway.create_intent(**asked)


@contextmanager
def _an_earlier_ask_counts() -> Iterator[None]:
    """A no to the second ask says nothing of the first, whose answer was lost: it may have been a yes."""
    try:
        yield
    except StripeRefused as refused:
        raise StripeUnreachable(refused.code) from refused


def refresh(session: Session, gateway: StripeGateway, *, payment_id: int) -> Intent:
    """Fetch the attempt's intent and settle what it says.

    Raises :class:`StripeUnreachable`, :class:`IntentMismatch`, and :class:`PaymentIsOver` for an attempt that is closed
    since Stripe does not know it any more.
    """
    payment = _payment(session, payment_id)
    intent_id, state = payment.stripe_intent_id, payment.state
    session.commit()
    if intent_id is None:
        return prepare(session, gateway, payment_id=payment_id)
    try:
        intent = gateway.retrieve_intent(intent_id)
    except StripeRefused as refused:
        if refused.is_missing and close_missing(session, payment_id=payment_id) in FINAL:
            raise PaymentIsOver from refused
        raise
    if intent.status == "requires_payment_method" and (state is PaymentState.PROCESSING or is_failed_debit(intent)):
        # The money did not arrive. Trying again is a new attempt (and counted): this intent must not be payable.
        intent = gateway.cancel_intent(intent_id)
    settle(session, payment_id=payment_id, intent=intent)
    return intent


def is_still_owed(session: Session, *, payment_id: int) -> bool:
    """Whether every part of an attempt may still be asked for.

    A line may have been held, reversed or paid elsewhere since the attempt was written down.
    """
    accounts = session.scalars(
        sa.select(PaymentShare.account_id).where(PaymentShare.payment_id == payment_id)
    ).all()
    lines, held = family_lines(session, accounts, user_id=None), held_on(session, accounts)
    left = {line.charge_id: line.amount for line in left_to_pay(lines, held, on_plan=True)}
    return all(part.amount <= left.get(part.charge_id, Money.zero()) for part in parts_of(session, payment_id))


def _payment(session: Session, payment_id: int) -> Payment:
    return session.scalars(
        sa.select(Payment).where(Payment.id == payment_id).execution_options(populate_existing=True)
    ).one()
