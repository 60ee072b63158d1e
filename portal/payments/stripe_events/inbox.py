"""The webhook's inbox: each event once in, its object fetched fresh. Order and duplicates do not matter."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from portal import clock
from portal.audit.service import record
from portal.audit.tags import Tag
from portal.db import RecordNotFound
from portal.payments.errors import PaymentIsOver, StripeUnreachable
from portal.payments.gateway import Event, StripeGateway
from portal.payments.kinds import EventSource
from portal.payments.models import Payment, StripeEvent
from portal.payments.service import refresh
from portal.payments.stripe_events.cursors import note_read, take_turn

log = structlog.get_logger(__name__)

_FIRST_RETRY = timedelta(seconds=30)
_LONGEST_RETRY = timedelta(hours=1)
#: Where the payment is not known yet (its row's commit may be a moment behind), the event waits this long and is tried
#: so often, counted from the first try that did not settle it: while the worker is away or Stripe is, nobody has tried.
_STRANGER_AFTER = timedelta(minutes=10)
_STRANGER_TRIES = 4
#: An event whose object contradicts our row is tried for so long, counted in the same way.
_GIVE_UP_AFTER = timedelta(days=3)
#: How often events that did not get through are asked for, and how far back again each time: a delivery that failed
#: later than we asked is on the list only then.
CATCH_UP_EVERY = timedelta(minutes=3)
_OVERLAP = timedelta(days=1)
#: Stripe keeps events for 30 days: https://docs.stripe.com/api/events
_KEPT_BY_STRIPE = timedelta(days=30)
#: So many new ones are taken at a time; the next turn takes the others.
MOST_AT_ONCE = 5_000
_COMMIT_EVERY = 100
_LIST = "events"


@dataclass(frozen=True, slots=True)
class KeptEvent:
    """An event taken out of the inbox: what it is about. What it says is fetched fresh."""

    id: str
    type: str
    object_id: str
    intent_id: str
    received_at: datetime
    tries: int = 1
    first_tried_at: datetime | None = None
    failed: bool = False  # the try before ended in an error


#: What is done about an event. False: its object is not ours, or not known yet. May raise StripeUnreachable,
#: StripeRefused and IntentMismatch.
Handler = Callable[[Session, StripeGateway, KeptEvent], bool]


def refresh_payment(session: Session, gateway: StripeGateway, event: KeptEvent) -> bool:
    """The handler of everything that is about an intent."""
    payment_id = session.scalar(sa.select(Payment.id).where(Payment.stripe_intent_id == event.intent_id))
    session.commit()
    if payment_id is None:
        return False
    try:
        refresh(session, gateway, payment_id=payment_id)
    except PaymentIsOver:
        session.rollback()
    return True


def keep(session: Session, event: Event, *, source: EventSource = EventSource.WEBHOOK) -> bool:
    """Write an event down once; a second delivery changes nothing and is False. The caller commits."""
    now = clock.now()
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    kept = session.execute(
        insert(StripeEvent)
        .values(
            id=event.id[:64],
            type=event.type[:80],
            object_id=event.object_id[:64],
            intent_id=event.intent_id[:64],
            source=source,
            created_at=event.created_at,
            received_at=now,
            # Stripe's clock may be a little ahead of ours.
            lag_seconds=max(0, int((now - event.created_at).total_seconds())),
            next_try_at=now,
            tries=0,
            last_error="",
        )
        .on_conflict_do_nothing(index_elements=["id"])
        .returning(StripeEvent.id)
    )
    return kept.first() is not None


def catch_up(session: Session, gateway: StripeGateway) -> int:
    """Take in the events that no endpoint of ours has taken, unless that was done a moment ago; returns how many.

    What is here already is skipped. A turn that finds more than :data:`MOST_AT_ONCE` leaves the older ones to the
    next, which begins at the same place. Raises :class:`StripeUnreachable` and :class:`StripeRefused`.
    """
    since = take_turn(session, _LIST, every=CATCH_UP_EVERY, overlap=_OVERLAP)
    if since is None:
        return 0
    now, new = clock.now(), 0
    for seen, event in enumerate(gateway.undelivered_events(since=max(since, now - _KEPT_BY_STRIPE)), start=1):
        if event.livemode == gateway.live:
            new += keep(session, event, source=EventSource.CATCH_UP)
        if new == MOST_AT_ONCE:
            session.commit()
            return new
        if seen % _COMMIT_EVERY == 0:
            session.commit()  # nothing is held while Stripe is asked for the next page
    session.commit()
    note_read(session, _LIST, to=now)
    return new


def retry_event(session: Session, *, event_id: str, staff_user_id: int) -> bool:
    """Have an event that failed dealt with again, now, in the caller's transaction; False when it did not fail.

    Raises :class:`RecordNotFound`.
    """
    event = session.scalars(
        sa.select(StripeEvent)
        .where(StripeEvent.id == event_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one_or_none()
    if event is None:
        raise RecordNotFound("event")
    if not event.last_error:
        return False
    event.processed_at, event.next_try_at = None, clock.now()
    event.first_tried_at = None  # it has its whole time again
    record(session, Tag.EVENT_RETRIED, actor_user_id=staff_user_id, subject=event.id)
    session.flush()
    return True


def process_due(session: Session, gateway: StripeGateway, handlers: Mapping[str, Handler]) -> int:
    """Deal with every event that waits; returns how many were dealt with.

    ``handlers`` are by the beginning of an event's type; the longest that fits is taken, and an event without one is
    none of ours. An event is claimed by moving its next try ahead, so a worker that dies leaves it to a later run.
    """
    done = 0
    while (event := _claim(session)) is not None:
        handler = _handler_of(event.type, handlers)
        try:
            dealt_with = handler is None or handler(session, gateway, event)
        except StripeUnreachable as error:
            session.rollback()
            _note(session, event.id, error)
            return done  # it is down for the others too; their turn comes
        except Exception as error:  # one that fails must not keep the others waiting
            session.rollback()
            log.error("webhook.event_failed", event_id=event.id, error=type(error).__name__)
            _note(session, event.id, error)
            if _tried_for(session, event) > _GIVE_UP_AFTER:
                _finish(session, event.id, solved=False)  # a person has to look
            continue
        session.commit()
        if not dealt_with and event.failed:
            _begin_patience(session, event)
            continue
        if not dealt_with and (_tried_for(session, event) <= _STRANGER_AFTER or event.tries < _STRANGER_TRIES):
            continue
        _finish(session, event.id, solved=True)
        done += 1
    return done


def _handler_of(event_type: str, handlers: Mapping[str, Handler]) -> Handler | None:
    fitting = [start for start in handlers if event_type.startswith(start)]
    return handlers[max(fitting, key=len)] if fitting else None


def _tried_for(session: Session, event: KeptEvent) -> timedelta:
    """How long it is since a try first did not settle the event; noted where this is the first. Commits."""
    now = clock.now()
    if event.first_tried_at is not None:
        return now - event.first_tried_at
    session.execute(
        sa.update(StripeEvent)
        .where(StripeEvent.id == event.id, StripeEvent.first_tried_at.is_(None))
        .values(first_tried_at=now)
    )
    session.commit()
    return timedelta(0)


def _begin_patience(session: Session, event: KeptEvent) -> None:
    """What ended in errors was not looked at: the first answer without one is the first of its tries. Commits."""
    now = clock.now()
    session.execute(
        sa.update(StripeEvent)
        .where(StripeEvent.id == event.id)
        .values(first_tried_at=now, tries=1, last_error="", next_try_at=now + _FIRST_RETRY * 2)
    )
    session.commit()


def _note(session: Session, event_id: str, error: Exception) -> None:
    session.execute(
        sa.update(StripeEvent).where(StripeEvent.id == event_id).values(last_error=type(error).__name__)
    )
    session.commit()


def _claim(session: Session) -> KeptEvent | None:
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
    claimed = KeptEvent(
        event.id,
        event.type,
        event.object_id,
        event.intent_id,
        event.received_at,
        tries=event.tries,
        first_tried_at=event.first_tried_at,
        failed=bool(event.last_error),
    )
    session.commit()
    return claimed


def _finish(session: Session, event_id: str, *, solved: bool) -> None:
    facts: dict[str, object] = {"processed_at": clock.now()}
    if solved:
        facts["last_error"] = ""
    session.execute(sa.update(StripeEvent).where(StripeEvent.id == event_id).values(facts))
    session.commit()
