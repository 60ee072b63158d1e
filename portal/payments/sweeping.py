"""Looking again at attempts that nobody has looked at for some time."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from portal import clock
from portal.payments import emails
from portal.payments.closing import close
from portal.payments.errors import IntentMismatch, PaymentIsOver, StripeRefused
from portal.payments.gateway import StripeGateway
from portal.payments.models import Payment
from portal.payments.service import is_still_owed, refresh
from portal.payments.state import DEPOSITS, FINAL, OPEN, PaymentState

log = structlog.get_logger(__name__)

#: An intent that nobody confirmed for so long is closed: its amount is a day old.
ABANDONED_AFTER = timedelta(hours=24)
#: Stripe's two small deposits take a day or two to arrive, and can be confirmed for ten days from when the payment was:
#: https://docs.stripe.com/payments/ach-direct-debit/accept-a-payment. That was at the latest when the attempt would
#: otherwise have been closed; Stripe itself ends the wait on the day.
DEPOSITS_LAST = ABANDONED_AFTER + timedelta(days=10)


@dataclass(frozen=True, slots=True)
class _Stale:
    """An attempt as the sweep finds it."""

    id: int
    created_at: datetime
    state: PaymentState
    action: str

    def is_abandoned(self, now: datetime) -> bool:
        """Whether nobody will confirm it any more."""
        return now - self.created_at > (DEPOSITS_LAST if self.action == DEPOSITS else ABANDONED_AFTER)


_STALE = (Payment.id, Payment.created_at, Payment.state, Payment.action)


def sweep(session: Session, gateway: StripeGateway, *, older_than: timedelta) -> int:
    """Look again at attempts that nobody has looked at for ``older_than``; close the abandoned ones.

    Makes up for lost webhooks, dead workers and closed browsers. Returns how many were looked at. Raises
    :class:`StripeUnreachable`.
    """
    done = 0
    while True:
        now = clock.now()
        row = session.execute(
            sa.select(*_STALE)
            .where(Payment.state.in_(sorted(set(PaymentState) - FINAL)), Payment.checked_at < now - older_than)
            .order_by(Payment.checked_at)
            .limit(1)
            .with_for_update(skip_locked=True)
        ).first()
        if row is None:
            session.commit()
            return done
        # Claimed by its own time: another worker, or this one after dying, comes back to it a sweep later.
        session.execute(sa.update(Payment).where(Payment.id == row.id).values(checked_at=now))
        session.commit()
        try:
            _look(session, gateway, _Stale(*row), now)
        except PaymentIsOver:
            session.rollback()
        except (IntentMismatch, StripeRefused) as error:
            session.rollback()
            log.error("payment.sweep_failed", payment=row.id, error=type(error).__name__)
        done += 1


def _look(session: Session, gateway: StripeGateway, stale: _Stale, now: datetime) -> None:
    """What a browser or a bank has done since counts before what time has done. Raises what closing raises."""
    unpayable = False
    if stale.state is not PaymentState.CREATED:
        try:
            refresh(session, gateway, payment_id=stale.id)
        except IntentMismatch:
            session.rollback()
            unpayable = True  # what is not what we asked for must not be paid
        stale = _Stale(*session.execute(sa.select(*_STALE).where(Payment.id == stale.id)).one())
    if stale.state in OPEN and (
        unpayable or stale.is_abandoned(now) or not is_still_owed(session, payment_id=stale.id)
    ):
        session.commit()
        ended = close(session, gateway, payment_id=stale.id)
        if ended is PaymentState.CANCELED and stale.action == DEPOSITS:
            # Its payer believes that it only waits for them.
            emails.queue_deposits_failed(session, session.get_one(Payment, stale.id))
    session.commit()
