"""Charging with nobody present, for autopay and for plans: once, and making good what a lost answer left open.

What a charge is for, when it is due and what comes of a decline, the features say; how Stripe is asked is one way.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum

import structlog
from sqlalchemy.orm import Session

from portal.money import Money
from portal.payments.allocate import Payable
from portal.payments.closing import close
from portal.payments.errors import (
    AmountAboveBalance,
    AmountBelowMinimum,
    IntentMismatch,
    NothingToPay,
    PaymentIsOver,
    StripeAway,
    StripeRefused,
    StripeUnreachable,
)
from portal.payments.gateway import StripeGateway
from portal.payments.queries import PaymentRow, payment_by_id
from portal.payments.service import Payer, is_still_owed, prepare, start_payment
from portal.payments.state import OPEN, PaymentState

log = structlog.get_logger(__name__)


class Collected(Enum):
    """What came of trying to charge. Whether the bank says yes is for :func:`follow_up`."""

    ASKED = "asked"  # the payment is written down, and Stripe was asked
    NOT_WANTED = "not wanted"  # stopped or moved meanwhile, or another worker's
    TOO_LITTLE = "too little"  # nothing is due, or less than a payment can be
    TOO_MUCH = "too much"  # less is owed than the amount by now


def collect_once(
    session: Session,
    gateway: StripeGateway,
    *,
    account_id: int,
    payer: Payer,
    amount: Money,
    unless: Callable[[], bool],
    along: Callable[[int], None],
    only: Mapping[int, Money] | None = None,
    narrow: Callable[[list[Payable]], list[Payable]] = lambda lines: lines,
) -> Collected:
    """Write one payment of an account down and have Stripe charge it, unless it is not wanted any more; commits.

    ``unless``, ``along``, ``only`` and ``narrow`` are those of :func:`start_payment`: asked under the account's lock,
    and written in the payment's own transaction. A refusal by Stripe has closed the payment, and is logged. Raises
    :class:`StripeUnreachable`, with the payment to be followed up, and :class:`AnotherPaymentRuns`, with none.
    """
    try:
        payment = start_payment(
            session,
            gateway,
            account_ids=[account_id],
            payer=payer,
            amount=amount,
            only=only,
            narrow=narrow,
            unless=unless,
            along=along,
        )
    except PaymentIsOver:
        session.rollback()
        return Collected.NOT_WANTED
    except (NothingToPay, AmountBelowMinimum):
        session.rollback()
        return Collected.TOO_LITTLE
    except AmountAboveBalance:
        session.rollback()
        return Collected.TOO_MUCH
    payment_id = payment.id
    try:
        prepare(session, gateway, payment_id=payment_id)
    except (PaymentIsOver, StripeRefused, IntentMismatch) as error:
        session.rollback()
        log.error("charge.refused", source=payer.source.value, payment=payment_id, error=type(error).__name__)
    return Collected.ASKED


def follow_up(
    session: Session, gateway: StripeGateway, *, payment_id: int, goes_on: Callable[[], bool]
) -> PaymentRow | None:
    """The payment as it is now, after its request was made good or the payment closed; None where that has to wait.

    A request whose answer was lost is made again as long as the payment is owed and ``goes_on`` says so, since no
    browser comes back to ask. Whatever else is open is closed: nobody is there to enter another card. Commits. Raises
    :class:`StripeAway`.
    """
    payment = payment_by_id(session, payment_id)
    session.commit()
    if payment.state not in OPEN:
        return payment
    try:
        again = goes_on() and is_still_owed(session, payment_id=payment_id)
        session.commit()
        if again and payment.state is PaymentState.CREATED:
            prepare(session, gateway, payment_id=payment_id)
        else:
            close(session, gateway, payment_id=payment_id)
    except PaymentIsOver:
        session.rollback()
    except StripeAway:
        session.rollback()
        raise
    except (StripeUnreachable, StripeRefused, IntentMismatch) as error:
        session.rollback()
        log.warning("charge.waits", source=payment.source.value, payment=payment_id, error=type(error).__name__)
        return None
    payment = payment_by_id(session, payment_id)
    session.commit()
    return payment


@contextmanager
def on_its_own(session: Session, feature: str, act: str, subject: int) -> Iterator[None]:
    """Keep what goes wrong with one charge from the others: it is logged and tried again in a minute.

    Raises :class:`StripeAway`, which goes wrong with all of them.
    """
    try:
        yield
    except StripeAway:
        session.rollback()
        raise
    except Exception as error:
        session.rollback()
        log.warning(f"{feature}.waits", act=act, subject=subject, error=type(error).__name__)
