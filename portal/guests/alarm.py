"""Taking no new cards from guests when cards are being tested here, and taking them again."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal import clock
from portal.audit.service import record
from portal.audit.tags import Tag
from portal.guests.breaker import SHUT_FOR, Tries, counted_from, is_card_testing, is_too_many_declines
from portal.guests.models import CardTestingAlarm, GuestPass, GuestPayment
from portal.payments.closing import close
from portal.payments.errors import IntentMismatch, PaymentIsOver, StripeRefused
from portal.payments.gateway import StripeGateway
from portal.payments.joins import PAYMENT, STRIPE_EVENT
from portal.payments.kinds import PaymentSource
from portal.payments.queries import open_of

log = structlog.get_logger(__name__)

_DECLINED, _SUCCEEDED = "payment_intent.payment_failed", "payment_intent.succeeded"
#: A bank debit that comes back days later is no card that was tried.
_NO_CARD = "us_bank_account"


@dataclass(frozen=True, slots=True)
class AlarmRow:
    """An alarm in the desk's list."""

    tripped_at: datetime
    shut_until: datetime
    declines: int
    tries: int
    statements: int
    networks: int
    lifted_at: datetime | None
    is_on: bool


def shut_until(session: Session) -> datetime | None:
    """Until when guest payment is shut; None while it is open."""
    return session.scalar(
        sa.select(CardTestingAlarm.shut_until).where(
            CardTestingAlarm.is_open, CardTestingAlarm.shut_until > clock.now()
        )
    )


def takes_no_card_from(session: Session, network: str) -> bool:
    """Whether a network (``door.network_key``) has to wait for itself: nearly all of its cards were declined.

    One that tries cards on many statements would otherwise go on for as long as it stays the only one.
    """
    return is_too_many_declines(tries_now(session, network=network))


def tries_now(session: Session, *, network: str = "") -> Tries:
    """What guests' cards did in the window, by the events that Stripe has sent; of one network, or (empty) of all."""
    last = session.scalars(sa.select(CardTestingAlarm).order_by(CardTestingAlarm.id.desc()).limit(1)).first()
    since = counted_from(clock.now(), (last.lifted_at or last.shut_until) if last else None)
    rows = session.execute(
        sa.select(
            STRIPE_EVENT.c.type,
            sa.func.count(),
            sa.func.count(GuestPass.statement_id.distinct()),
            sa.func.count(sa.func.nullif(GuestPayment.network, "").distinct()),
        )
        .join(PAYMENT, PAYMENT.c.stripe_intent_id == STRIPE_EVENT.c.intent_id)
        .outerjoin(GuestPayment, GuestPayment.payment_id == PAYMENT.c.id)
        .outerjoin(GuestPass, GuestPass.id == GuestPayment.guest_pass_id)
        .where(
            GuestPayment.network == network if network else sa.true(),
            PAYMENT.c.source == PaymentSource.GUEST,
            PAYMENT.c.method_kind != _NO_CARD,
            STRIPE_EVENT.c.type.in_((_DECLINED, _SUCCEEDED)),
            STRIPE_EVENT.c.created_at >= since,
            # The same, for the index: nothing comes in before Stripe made it, but clocks differ.
            STRIPE_EVENT.c.received_at >= since - timedelta(minutes=5),
        )
        .group_by(STRIPE_EVENT.c.type)
    )
    counts = {kind: (events, statements, networks) for kind, events, statements, networks in rows}
    declined, statements, networks = counts.get(_DECLINED, (0, 0, 0))
    succeeded, *_rest = counts.get(_SUCCEEDED, (0, 0, 0))
    return Tries(declined=declined, succeeded=succeeded, statements=statements, networks=networks)


def watch(session: Session) -> bool:
    """Shut guest payment when the tries of the window say so; True when this call did. Commits.

    An alarm that is on already is left as it is, so that each is audited once, whoever calls this at the same time.
    """
    if shut_until(session) is not None:
        session.commit()
        return False
    tries = tries_now(session)
    if not is_card_testing(tries):
        session.commit()
        return False
    now = clock.now()
    session.execute(
        sa.update(CardTestingAlarm)
        .where(CardTestingAlarm.is_open, CardTestingAlarm.shut_until <= now)
        .values(is_open=False)
    )
    session.add(
        CardTestingAlarm(
            tripped_at=now,
            shut_until=now + SHUT_FOR,
            declines=tries.declined,
            tries=tries.all,
            statements=tries.statements,
            networks=tries.networks,
            is_open=True,
        )
    )
    record(
        session,
        Tag.CARD_TESTING_MET,
        declines=tries.declined,
        tries=tries.all,
        statements=tries.statements,
        networks=tries.networks,
    )
    try:
        session.commit()
    except IntegrityError:  # another worker saw the same declines and was first
        session.rollback()
        return False
    log.error(
        "guests.card_testing",
        declines=tries.declined,
        tries=tries.all,
        statements=tries.statements,
        networks=tries.networks,
    )
    return True


def close_open_payments(session: Session, gateway: StripeGateway) -> int:
    """Cancel at Stripe what guests may still confirm, so that no card is tried on it; how many were dealt with.

    A payment that went through meanwhile is settled. May raise StripeUnreachable; the next run goes on from there.
    """
    ids = open_of(session, PaymentSource.GUEST)
    session.commit()
    for payment_id in ids:
        try:
            close(session, gateway, payment_id=payment_id)
        except PaymentIsOver:
            session.rollback()
        except (IntentMismatch, StripeRefused) as error:
            session.rollback()
            log.error("guests.close_failed", payment=payment_id, error=type(error).__name__)
    return len(ids)


def lift(session: Session, *, staff_user_id: int) -> bool:
    """Open guest payment again before its time; False when it was open. The caller commits.

    The declines until now are not counted any more.
    """
    now = clock.now()
    alarm = session.scalars(
        sa.select(CardTestingAlarm)
        .where(CardTestingAlarm.is_open, CardTestingAlarm.shut_until > now)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).first()
    if alarm is None:
        return False
    alarm.is_open, alarm.lifted_at, alarm.lifted_by = False, now, staff_user_id
    session.flush()
    record(session, Tag.CARD_TESTING_LIFTED, actor_user_id=staff_user_id)
    return True


def alarms(session: Session, *, limit: int = 20) -> list[AlarmRow]:
    """The latest alarms, newest first."""
    now = clock.now()
    rows = session.scalars(sa.select(CardTestingAlarm).order_by(CardTestingAlarm.id.desc()).limit(limit))
    return [
        AlarmRow(
            row.tripped_at,
            row.shut_until,
            row.declines,
            row.tries,
            row.statements,
            row.networks,
            row.lifted_at,
            row.is_open and row.shut_until > now,
        )
        for row in rows
    ]
