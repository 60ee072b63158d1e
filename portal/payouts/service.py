"""Payouts: Stripe's transfers to the clinic's bank, and the movements of its balance that they are made of.

Read from Stripe from time to time, and again from a while before the last time: every row is found by Stripe's own
id, so that reading twice changes nothing. Fees are taken from here and nowhere else.
"""

from datetime import timedelta
from typing import Any, TypeVar

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal import clock
from portal.audit.service import record
from portal.audit.tags import Tag
from portal.db import RecordNotFound
from portal.money import Money
from portal.payments.errors import StripeRefused
from portal.payments.gateway import Movement, StripeGateway, StripePayout
from portal.payments.stripe_events.cursors import note_read, take_turn
from portal.payouts.kinds import LOOKED_UP, Handled, Match, Oddity
from portal.payouts.matching import Found, find_match
from portal.payouts.models import BalanceMovement, Payout
from portal.payouts.queries import LIST
from portal.refunds.learning import refund_of_stripe

log = structlog.get_logger(__name__)

_Odd = TypeVar("_Odd", BalanceMovement, Payout)

PULLED_EVERY = timedelta(minutes=10)
_OVERLAP = timedelta(days=2)
#: A payout of which Stripe has not told all movements by then is somebody's to look at.
COMPLETE_WITHIN = timedelta(days=1)
#: How long Stripe is asked again about a payout: banks send one back within some days.
_WATCHED_FOR = timedelta(days=14)
#: One that is paid and told of in full is asked about so often: its coming back is sent as an event, too.
_PAID_ASKED_EVERY = timedelta(hours=12)
#: How long what did not match is looked up at Stripe again; later our own books are looked at only.
_LOOKED_UP_FOR = timedelta(days=1)
_MOST_AGAIN = 500

_PAID = "paid"
_RETURNED = frozenset({"failed", "canceled"})
#: A payout's own movements: it is kept as a payout.
_OWN_KINDS = frozenset({"payout", "payout_failure", "payout_cancel"})


def pull(session: Session, gateway: StripeGateway) -> int:
    """Read what is new of Stripe's payouts and balance, unless that was done a moment ago; returns how many rows.

    Raises :class:`StripeUnreachable` and :class:`StripeRefused`; the next turn begins where this one did.
    """
    since = take_turn(session, LIST, every=PULLED_EVERY, overlap=_OVERLAP)
    if since is None:
        return 0
    now, done = clock.now(), 0
    _match_again(session, gateway)
    for found in list(gateway.payouts.every(since=since)):
        settle_payout(session, gateway, found)
        done += 1
    for stripe_payout_id in _unfinished(session):
        settle_payout(session, gateway, gateway.payouts.retrieve(stripe_payout_id))
    for movement in gateway.payouts.movements(since=since):
        if movement.kind not in _OWN_KINDS:
            done += _keep(session, gateway, movement, payout_id=None)
    note_read(session, LIST, to=now)
    return done


def refresh_payout(session: Session, gateway: StripeGateway, *, stripe_payout_id: str) -> None:
    """Fetch a payout and settle what Stripe says. Raises :class:`StripeUnreachable` and :class:`StripeRefused`."""
    session.commit()
    settle_payout(session, gateway, gateway.payouts.retrieve(stripe_payout_id))


def settle_payout(session: Session, gateway: StripeGateway, found: StripePayout) -> None:
    """Keep a payout as Stripe has it, and its movements until they sum to it; commits.

    Raises :class:`StripeUnreachable`.
    """
    payout_id, complete = _keep_payout(session, found)
    if complete:
        return
    total = Money.zero()
    try:
        for movement in list(gateway.payouts.movements_of(found.id)):
            _keep(session, gateway, movement, payout_id=payout_id)
            total = total + movement.net
    except StripeRefused as refused:
        # Stripe tells what a payout is made of for those it makes by itself only.
        log.warning("payout.not_told", payout=found.id, code=refused.code)
        total = Money.zero()
    payout = _payout_row(session, payout_id)
    now = clock.now()
    if total == found.amount and payout.complete_at is None:
        payout.complete_at = now
        if payout.exception == Oddity.PAYOUT_INCOMPLETE:
            payout.exception = ""
        record(session, Tag.PAYOUT_COMPLETED, subject=payout.public_id, cents=found.amount.cents)
    elif payout.complete_at is None and not payout.exception and now - found.created_at > COMPLETE_WITHIN:
        payout.exception = Oddity.PAYOUT_INCOMPLETE
    session.commit()


def _payout_row(session: Session, payout_id: int) -> Payout:
    return session.scalars(
        sa.select(Payout).where(Payout.id == payout_id).with_for_update().execution_options(populate_existing=True)
    ).one()


def _keep_payout(session: Session, found: StripePayout) -> tuple[int, bool]:
    """The payout's row, written or brought up to date; its id, and whether its movements are complete."""
    now = clock.now()
    for _turn in range(2):
        payout = session.scalars(
            sa.select(Payout)
            .where(Payout.stripe_payout_id == found.id)
            .with_for_update()
            .execution_options(populate_existing=True)
        ).one_or_none()
        if payout is None:
            payout = Payout(stripe_payout_id=found.id, amount=found.amount, created_at=found.created_at)
            session.add(payout)
        # A payout that came back stays so, whatever an older answer says.
        if payout.status not in _RETURNED:
            payout.status = found.status[:20]
            if payout.status in _RETURNED:
                payout.exception, payout.handled_at = Oddity.PAYOUT_FAILED, None
        payout.amount, payout.arrives_on, payout.checked_at = found.amount, found.arrives_on, now
        try:
            session.flush()
        except IntegrityError:  # another worker wrote it a moment ago
            session.rollback()
            continue
        kept = payout.id, payout.complete_at is not None
        session.commit()
        return kept
    raise RecordNotFound("payout")


def _unfinished(session: Session) -> list[str]:
    """Payouts that may still change, or whose movements are not all in, and that the list did not just bring."""
    now = clock.now()
    rows = session.scalars(
        sa.select(Payout.stripe_payout_id)
        .where(
            Payout.created_at > now - _WATCHED_FOR,
            Payout.checked_at < now - PULLED_EVERY / 2,
            sa.or_(
                Payout.complete_at.is_(None),
                Payout.status.not_in([_PAID, *sorted(_RETURNED)]),
                sa.and_(Payout.status == _PAID, Payout.checked_at < now - _PAID_ASKED_EVERY),
            ),
        )
        .order_by(Payout.checked_at)
        .limit(_MOST_AGAIN)
    )
    found = list(rows)
    session.commit()
    return found


def _keep(session: Session, gateway: StripeGateway, movement: Movement, *, payout_id: int | None) -> int:
    """Keep a movement; a known one learns its payout. Commits; returns how many were new (0 or 1)."""
    known = session.execute(
        sa.select(BalanceMovement.id, BalanceMovement.payout_id).where(BalanceMovement.stripe_id == movement.id)
    ).first()
    if known is not None:
        if payout_id is not None and known.payout_id != payout_id:
            session.execute(
                sa.update(BalanceMovement).where(BalanceMovement.id == known.id).values(payout_id=payout_id)
            )
        session.commit()
        return 0
    session.commit()
    found = find_match(session, gateway, movement)
    session.add(
        BalanceMovement(
            stripe_id=movement.id,
            kind=movement.kind[:60],
            gross=movement.gross,
            fee=movement.fee,
            net=movement.net,
            source_id=movement.source_id,
            created_at=movement.created_at,
            available_on=movement.available_on,
            payout_id=payout_id,
            match=found.match,
            payment_id=found.payment_id,
            exception=found.exception or "",
        )
    )
    try:
        session.commit()
    except IntegrityError:  # another worker wrote it a moment ago
        session.rollback()
        return 0
    return 1


def _match_again(session: Session, gateway: StripeGateway) -> None:
    """Look again at what did not match: a webhook may have come after the movement."""
    now = clock.now()
    rows = session.execute(
        sa.select(
            BalanceMovement.id,
            BalanceMovement.stripe_id,
            BalanceMovement.kind,
            BalanceMovement.gross,
            BalanceMovement.fee,
            BalanceMovement.net,
            BalanceMovement.source_id,
            BalanceMovement.created_at,
            BalanceMovement.available_on,
        )
        .where(BalanceMovement.exception != "", BalanceMovement.handled_at.is_(None))
        .order_by(BalanceMovement.created_at.desc())
        .limit(_MOST_AGAIN)
    ).all()
    session.commit()
    for row in rows:
        young = now - row.created_at < _LOOKED_UP_FOR
        found = find_match(session, gateway if young else None, _movement(row))
        if found.match is not Match.NONE or young:
            _note_match(session, row.id, found)


def _movement(row: Any) -> Movement:
    """A movement as Stripe told it, out of its row."""
    return Movement(
        id=row.stripe_id,
        kind=row.kind,
        gross=row.gross,
        fee=row.fee,
        net=row.net,
        source_id=row.source_id,
        payout_id="",
        created_at=row.created_at,
        available_on=row.available_on,
    )


def look_up(session: Session, gateway: StripeGateway, *, public_id: str, staff_user_id: int) -> bool:
    """Somebody wants a movement that did not fit looked up at Stripe again, now; commits. Whether it fits now.

    What it is of goes into the books on the way that events and sweeps take, so that asking twice, or a sweep that
    finds it meanwhile, books it once. Raises :class:`RecordNotFound` and :class:`StripeUnreachable`.
    """
    row = session.scalars(sa.select(BalanceMovement).where(BalanceMovement.public_id == public_id)).one_or_none()
    if row is None:
        raise RecordNotFound("exception")
    if not row.exception or row.handled_at is not None:
        session.commit()
        return True
    if row.exception not in LOOKED_UP or not row.source_id:
        session.commit()
        return False  # there is nothing to ask about
    movement_id, kind, movement = row.id, row.exception, _movement(row)
    session.commit()
    found = find_match(session, gateway, movement)
    if found.exception is None:
        record(
            session,
            Tag.PAYOUT_EXCEPTION_HANDLED,
            actor_user_id=staff_user_id,
            subject=public_id,
            kind=kind,
            found=found.match.value,
        )
    _note_match(session, movement_id, found)
    return found.exception is None


def _note_match(session: Session, movement_id: int, found: Found) -> None:
    session.execute(
        sa.update(BalanceMovement)
        .where(BalanceMovement.id == movement_id, BalanceMovement.handled_at.is_(None))
        .values(match=found.match, payment_id=found.payment_id, exception=found.exception or "")
    )
    session.commit()


def handle_exception(session: Session, *, public_id: str, staff_user_id: int, note: str) -> Handled:
    """Note what somebody found out about a movement or a payout that did not fit, in the caller's transaction.

    A refund that is noted so is never booked by the portal: whoever entered it must not find it entered again. One that
    was booked meanwhile is not noted, and its movement is matched. Raises :class:`RecordNotFound`.
    """
    odd = _odd(session, BalanceMovement, public_id) or _odd(session, Payout, public_id)
    if odd is None:
        raise RecordNotFound("exception")
    if not odd.exception or odd.handled_at is not None:
        return Handled.MEANWHILE
    # Whoever books a refund holds its movements meanwhile, so that it is either seen here or sees our mark.
    if (
        isinstance(odd, BalanceMovement)
        and odd.exception == Oddity.REFUND_UNKNOWN
        and refund_of_stripe(session, odd.source_id) is not None
    ):
        movement_id, movement = odd.id, _movement(odd)
        session.commit()
        _note_match(session, movement_id, find_match(session, None, movement))
        return Handled.IN_BOOKS
    odd.handled_at, odd.handled_by, odd.handled_note = clock.now(), staff_user_id, note[:300]
    record(
        session, Tag.PAYOUT_EXCEPTION_HANDLED, actor_user_id=staff_user_id, subject=public_id, kind=odd.exception
    )
    session.flush()
    return Handled.NOTED


def _odd(session: Session, model: type[_Odd], public_id: str) -> _Odd | None:
    query = sa.select(model).filter_by(public_id=public_id).with_for_update()
    return session.scalars(query.execution_options(populate_existing=True)).one_or_none()
