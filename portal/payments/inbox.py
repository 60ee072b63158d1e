"""The webhook's inbox: each event once in, each payment refreshed from it. Order and duplicates do not matter."""

from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from portal import clock
from portal.payments.errors import IntentMismatch, PaymentIsOver, StripeRefused, StripeUnreachable
from portal.payments.gateway import Event, StripeGateway
from portal.payments.models import Payment, StripeEvent
from portal.payments.service import refresh

log = structlog.get_logger(__name__)

_FIRST_RETRY = timedelta(seconds=30)
_LONGEST_RETRY = timedelta(hours=1)
#: Where the payment is not known yet (its row's commit may be a moment behind), the event waits this long in all.
_STRANGER_AFTER = timedelta(minutes=10)
#: An event whose object contradicts our row is tried for so long.
_GIVE_UP_AFTER = timedelta(days=3)


def keep(session: Session, event: Event) -> None:
    """Write an event down once; a second delivery changes nothing. The caller commits."""
    now = clock.now()
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    session.execute(
        insert(StripeEvent)
        .values(
            id=event.id[:64],
            type=event.type[:80],
            object_id=event.object_id[:64],
            intent_id=event.intent_id[:64],
            received_at=now,
            next_try_at=now,
            tries=0,
        )
        .on_conflict_do_nothing(index_elements=["id"])
    )


def process_due(session: Session, gateway: StripeGateway) -> int:
    """Refresh the payment of every event that waits; returns how many were dealt with.

    An event is claimed by moving its next try ahead, so a worker that dies leaves it to a later run.
    """
    done = 0
    while (claimed := _claim(session)) is not None:
        event_id, intent_id, since = claimed
        payment_id = session.scalar(sa.select(Payment.id).where(Payment.stripe_intent_id == intent_id))
        session.commit()
        if payment_id is None:
            if not intent_id or clock.now() - since > _STRANGER_AFTER:
                _finish(session, event_id)  # not about a payment of ours
                done += 1
            continue
        try:
            refresh(session, gateway, payment_id=payment_id)
        except StripeUnreachable:
            session.rollback()
            return done  # it is down for the others too; their turn comes
        except (IntentMismatch, StripeRefused) as error:
            session.rollback()
            log.error("webhook.event_failed", event_id=event_id, error=type(error).__name__)
            if clock.now() - since > _GIVE_UP_AFTER:
                _finish(session, event_id)  # audited each time; a person has to look
            continue
        except PaymentIsOver:
            session.rollback()
        _finish(session, event_id)
        done += 1
    return done


def _claim(session: Session) -> tuple[str, str, datetime] | None:
    now = clock.now()
    event = session.scalar(
        sa.select(StripeEvent)
        .where(StripeEvent.processed_at.is_(None), StripeEvent.next_try_at <= now)
        .order_by(StripeEvent.received_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    if event is None:
        session.commit()
        return None
    event.tries += 1
    event.next_try_at = now + min(_FIRST_RETRY * 2 ** min(event.tries, 10), _LONGEST_RETRY)
    claimed = (event.id, event.intent_id, event.received_at)
    session.commit()
    return claimed


def _finish(session: Session, event_id: str) -> None:
    session.execute(sa.update(StripeEvent).where(StripeEvent.id == event_id).values(processed_at=clock.now()))
    session.commit()
