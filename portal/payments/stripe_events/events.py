"""How Stripe's events come in and are dealt with, for the desk. Each question is one query that an index answers."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal import clock
from portal.audit.joins import latest_subjects, subjects_of
from portal.audit.queries import times_for
from portal.audit.tags import Tag
from portal.payments.errors import OUR_KEY
from portal.payments.kinds import EventSource
from portal.payments.models import Payment, StripeEvent
from portal.payments.queries import reference
from portal.payments.state import FINAL, PaymentState

#: Events are counted, and their lag measured, over so long.
COUNTED_FOR = timedelta(days=7)
LAG_OVER = timedelta(days=1)
#: Silence of so long is told, if payments were made.
SILENT_AFTER = timedelta(hours=3)
#: A waiting event older than this is stuck: the worker takes one up within a minute.
STUCK_AFTER = timedelta(minutes=10)
#: Payments that our key kept from being made are told of for so long.
KEY_TOLD_FOR = timedelta(days=1)
#: Whether payments were made is read off the latest ones.
_LATEST_PAYMENTS = 100

_WAITS = StripeEvent.processed_at.is_(None)
_FAILED = StripeEvent.last_error != ""


class EventState(StrEnum):
    """Where an event is."""

    WAITING = "waiting"
    FAILED = "failed"  # tried in vain, and will be tried again
    GIVEN_UP = "given_up"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Lag:
    """How long events of the last day were on their way, in seconds."""

    events: int
    median: int
    longest: int


@dataclass(frozen=True, slots=True)
class EventCount:
    """How many events of a type came in one way and are in one state."""

    type: str
    source: EventSource
    state: EventState
    count: int


@dataclass(frozen=True, slots=True)
class FailedEvent:
    """An event that could not be dealt with."""

    id: str
    type: str
    object_id: str
    received_at: datetime
    next_try_at: datetime
    tries: int
    last_error: str
    processed_at: datetime | None

    @property
    def given_up(self) -> bool:
        """Whether it is not tried any more."""
        return self.processed_at is not None


@dataclass(frozen=True, slots=True)
class Surprise:
    """A payment about which Stripe said what can't be."""

    payment_public_id: str
    account_id: int | None
    times: int
    last_at: datetime
    state: PaymentState | None

    @property
    def reference(self) -> str:
        """What people quote on the telephone."""
        return reference(self.payment_public_id)


def lag(session: Session) -> Lag:
    """How long the events of the last day took to come in."""
    recent = StripeEvent.received_at >= clock.now() - LAG_OVER
    count, longest = session.execute(
        sa.select(sa.func.count(), sa.func.max(StripeEvent.lag_seconds)).where(recent)
    ).one()
    median = session.scalar(
        sa.select(StripeEvent.lag_seconds).where(recent).order_by(StripeEvent.lag_seconds).offset(count // 2).limit(1)
    )
    return Lag(count, median or 0, longest or 0)


def counts(session: Session) -> list[EventCount]:
    """The events of the last week by type, way and state, by name."""
    state = sa.case(
        (sa.and_(_WAITS, _FAILED), EventState.FAILED.value),
        (_WAITS, EventState.WAITING.value),
        (_FAILED, EventState.GIVEN_UP.value),
        else_=EventState.DONE.value,
    )
    rows = session.execute(
        sa.select(StripeEvent.type, StripeEvent.source, state, sa.func.count())
        .where(StripeEvent.received_at >= clock.now() - COUNTED_FOR)
        .group_by(StripeEvent.type, StripeEvent.source, state)
        .order_by(StripeEvent.type, StripeEvent.source, state)
    )
    return [EventCount(row[0], row[1], EventState(row[2]), row[3]) for row in rows]


def last_received(session: Session) -> datetime | None:
    """When the latest event came in."""
    return session.scalar(sa.select(StripeEvent.received_at).order_by(StripeEvent.received_at.desc()).limit(1))


def is_silent(session: Session, last: datetime | None) -> bool:
    """Whether no event came for long although payments were made: the endpoint may be cut off."""
    now = clock.now()
    if last is not None and now - last < SILENT_AFTER:
        return False
    confirmed = session.scalars(
        sa.select(Payment.confirmed_at).order_by(Payment.id.desc()).limit(_LATEST_PAYMENTS)
    )
    return any(at is not None and (last is None or at > last) for at in confirmed)


def failed(session: Session, *, limit: int, offset: int = 0) -> tuple[list[FailedEvent], int]:
    """Events that could not be dealt with, the latest first; and how many in all."""
    total = session.scalar(sa.select(sa.func.count()).where(_FAILED)) or 0
    rows: Any = session.execute(
        sa.select(
            StripeEvent.id,
            StripeEvent.type,
            StripeEvent.object_id,
            StripeEvent.received_at,
            StripeEvent.next_try_at,
            StripeEvent.tries,
            StripeEvent.last_error,
            StripeEvent.processed_at,
        )
        .where(_FAILED)
        .order_by(StripeEvent.received_at.desc())
        .limit(limit)
        .offset(offset)
    )
    return [FailedEvent(*row) for row in rows], int(total)


def stuck(session: Session) -> int:
    """How many events wait for longer than they should, or were given up."""
    late = sa.and_(_WAITS, StripeEvent.received_at < clock.now() - STUCK_AFTER)
    waiting = sa.select(sa.func.count()).where(late).scalar_subquery()
    given_up = sa.select(sa.func.count()).where(_FAILED, sa.not_(_WAITS)).scalar_subquery()
    return session.scalar(sa.select(waiting + given_up)) or 0


def key_refused(session: Session) -> int:
    """How many payments of the last day Stripe refused since our key has expired or may not do this; 0 again as soon
    as it has taken one after that.
    """
    good = sa.select(sa.func.max(Payment.requested_at)).where(Payment.stripe_intent_id.is_not(None)).scalar_subquery()
    return times_for(
        session,
        tags=[Tag.PAYMENT_CANCELED, Tag.PAYMENT_FAILED],
        why=OUR_KEY,
        since=clock.now() - KEY_TOLD_FOR,
        after=good,
    )


def contradicted(session: Session) -> int:
    """How many payments are not over and are among :func:`surprises`: they keep their accounts from being paid."""
    told = subjects_of(Tag.PAYMENT_SURPRISING)
    query = sa.select(sa.func.count(Payment.id)).where(Payment.state.not_in(sorted(FINAL)), Payment.public_id.in_(told))
    return session.scalar(query) or 0


def surprises(session: Session, *, limit: int) -> list[Surprise]:
    """Payments about which Stripe said what can't be, the latest first."""
    told = latest_subjects(Tag.PAYMENT_SURPRISING, limit=limit)
    rows: Any = session.execute(
        sa.select(told.c.subject, told.c.account_id, told.c.times, told.c.last_at, Payment.state)
        .join(Payment, Payment.public_id == told.c.subject, isouter=True)
        .order_by(told.c.last_at.desc())
    )
    return [Surprise(*row) for row in rows]
