"""Saving a card or bank account without paying: row first, network second, one settle, like a payment."""

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal import clock
from portal.db import RecordNotFound
from portal.payments.closing import RESEND_WITHIN
from portal.payments.emails import queue_setup_failed
from portal.payments.errors import IntentMismatch, SetupIsOver, StripeRefused
from portal.payments.gateway import METHOD_KINDS, Setup, StripeGateway
from portal.payments.kinds import ConsentKind, SetupState
from portal.payments.methods.consents import SAVE_METHOD_VERSION, keep_consent
from portal.payments.methods.customers import customer_of, forget_customer
from portal.payments.methods.service import Agreement, keep
from portal.payments.models import Consent, MethodSetup
from portal.payments.state import DEPOSITS, DEPOSITS_FAILED
from portal.payments.sweeping import ABANDONED_AFTER, DEPOSITS_LAST

log = structlog.get_logger(__name__)

FINAL = frozenset({SetupState.SUCCEEDED, SetupState.CANCELED})
#: https://docs.stripe.com/payments/intents#setup-intents
_OF_STRIPE = {
    "requires_payment_method": SetupState.OPEN,
    "requires_confirmation": SetupState.OPEN,
    "requires_action": SetupState.ACTION,
    "processing": SetupState.ACTION,
    "succeeded": SetupState.SUCCEEDED,
    "canceled": SetupState.CANCELED,
}


def start_setup(session: Session, *, user_id: int, agreement: Agreement) -> str:
    """Write down that somebody agreed and wants to save a method; commits, and returns the setup's public id.

    A fresh one of theirs that nothing came of yet, with the same words agreed to, is taken up again.
    """
    now = clock.now()
    open_one = session.scalar(
        sa.select(MethodSetup.public_id)
        .join(Consent, Consent.id == MethodSetup.consent_id)
        .where(
            MethodSetup.user_id == user_id,
            MethodSetup.state.in_([SetupState.CREATED, SetupState.OPEN]),
            MethodSetup.created_at > now - timedelta(hours=1),
            Consent.text == agreement.text,
            Consent.version == SAVE_METHOD_VERSION,
        )
        .order_by(MethodSetup.id.desc())
        .limit(1)
    )
    if open_one is not None:
        session.commit()
        return open_one
    setup = MethodSetup(user_id=user_id, state=SetupState.CREATED, created_at=now, checked_at=now)
    session.add(setup)
    session.flush()
    setup.consent_id = keep_consent(
        session,
        user_id=user_id,
        kind=ConsentKind.SAVE_METHOD,
        version=SAVE_METHOD_VERSION,
        language=agreement.language,
        text=agreement.text,
        address=agreement.address,
        subject=setup.public_id,
    )
    public_id = setup.public_id
    session.commit()
    return public_id


def setup_for(session: Session, user_id: int, public_id: str) -> Any:
    """Somebody's own setup: id, public_id, state, action, failure_code. Raises :class:`RecordNotFound`."""
    row = session.execute(
        sa.select(
            MethodSetup.id, MethodSetup.public_id, MethodSetup.state, MethodSetup.action, MethodSetup.failure_code
        ).where(MethodSetup.public_id == public_id, MethodSetup.user_id == user_id)
    ).first()
    if row is None:
        raise RecordNotFound("setup")
    return row


def _locked(session: Session, setup_id: int) -> MethodSetup:
    return session.scalars(
        sa.select(MethodSetup)
        .where(MethodSetup.id == setup_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()


def look(session: Session, gateway: StripeGateway, *, setup_id: int) -> Setup:
    """See to it that Stripe has the setup, fetch it, and settle what it says.

    Raises :class:`SetupIsOver` when it was closed, :class:`StripeUnreachable` and :class:`StripeRefused`.
    """
    setup = session.execute(sa.select(MethodSetup).where(MethodSetup.id == setup_id)).scalar_one()
    known, user_id, customer_id = setup.stripe_setup_intent_id, setup.user_id, setup.customer_id
    session.commit()
    found: Setup | None
    if known is not None:
        try:
            found = gateway.methods.retrieve_setup(known)
        except StripeRefused as refused:
            if not refused.is_missing:
                raise
            _close_row(session, setup_id)
            raise SetupIsOver from refused
        return _settle(session, gateway, setup_id=setup_id, found=found)
    customer_id = customer_id or customer_of(session, gateway, user_id=user_id, account_id=0)
    row = _locked(session, setup_id)
    if row.state in FINAL:
        session.commit()
        raise SetupIsOver
    now, asked_at, public_id = clock.now(), row.requested_at, row.public_id
    row.requested_at, row.customer_id = asked_at or now, row.customer_id or customer_id
    customer_id = row.customer_id
    session.commit()
    if asked_at is not None and now - asked_at > RESEND_WITHIN:
        found = _look_up(gateway, customer_id=customer_id, setup_id=public_id)
        if found is None:
            _close_row(session, setup_id)
            raise SetupIsOver
    else:
        try:
            found = gateway.methods.create_setup(setup_id=public_id, customer_id=customer_id, kinds=METHOD_KINDS)
        except StripeRefused as refused:
            log.error("setup.refused", setup=setup_id, code=refused.code)
            _close_row(session, setup_id)
            if refused.lost_customer:
                forget_customer(session, customer_id)
            raise
    return _settle(session, gateway, setup_id=setup_id, found=found)


def _settle(session: Session, gateway: StripeGateway, *, setup_id: int, found: Setup) -> Setup:
    """Project Stripe's SetupIntent onto the row, and its method onto the person's own, once; commits.

    Raises :class:`SetupIsOver` for a row that was closed while its SetupIntent could still be used; then it can't be.
    """
    new = _OF_STRIPE.get(found.status)
    method = None
    if new is SetupState.SUCCEEDED and found.method_id:
        method = gateway.methods.retrieve(found.method_id)
    for turn in range(2):
        setup = _locked(session, setup_id)
        if new is None or found.setup_id != setup.public_id or setup.stripe_setup_intent_id not in (None, found.id):
            session.commit()
            raise IntentMismatch(found.id)
        setup.checked_at = clock.now()
        setup.stripe_setup_intent_id = found.id
        if setup.state in FINAL:
            session.commit()
            if _OF_STRIPE[found.status] not in FINAL:
                # Closed while Stripe was asked: nobody shall save anything with it any more.
                gateway.methods.cancel_setup(found.id)
                raise SetupIsOver
            return found
        waited = setup.state is SetupState.ACTION and setup.action == DEPOSITS
        if waited and new in (SetupState.OPEN, SetupState.CANCELED) and found.failure_code in DEPOSITS_FAILED:
            queue_setup_failed(session, setup)
        setup.state = new
        setup.action = found.action[:40] if new is SetupState.ACTION else ""
        setup.failure_code = "" if new is SetupState.SUCCEEDED else found.failure_code[:60]
        if new in FINAL:
            setup.ended_at = clock.now()
        try:
            # A method that was let go of meanwhile is none to keep.
            if method is not None and method.customer_id and setup.consent_id is not None:
                keep(session, user_id=setup.user_id, consent_id=setup.consent_id, method=method)
            session.commit()
            return found
        except IntegrityError:  # the same card came in by another way at the same moment
            session.rollback()
            if turn:
                raise
    return found


def _close_row(session: Session, setup_id: int) -> None:
    setup = _locked(session, setup_id)
    if setup.state not in FINAL:
        setup.state, setup.ended_at, setup.action = SetupState.CANCELED, clock.now(), ""
    session.commit()


def close_setup(session: Session, gateway: StripeGateway, *, setup_id: int) -> None:
    """Give up saving a method, or settle it when it succeeded meanwhile. Raises :class:`StripeUnreachable`."""
    setup = _locked(session, setup_id)
    known, state, asked_at = setup.stripe_setup_intent_id, setup.state, setup.requested_at
    public_id, customer_id = setup.public_id, setup.customer_id
    session.commit()
    if state in FINAL:
        return
    if known is None and asked_at is not None and customer_id is not None:
        found = _look_up(gateway, customer_id=customer_id, setup_id=public_id)
        known = found.id if found is not None else None
    if known is None:
        _close_row(session, setup_id)
        return
    try:
        ended = gateway.methods.cancel_setup(known)
    except StripeRefused as refused:
        if not refused.is_missing:
            raise
        _close_row(session, setup_id)
        return
    _settle(session, gateway, setup_id=setup_id, found=ended)


def _look_up(gateway: StripeGateway, *, customer_id: str, setup_id: str) -> Setup | None:
    """The SetupIntent whose answer was lost; of a customer that was deleted at Stripe there is none to be found."""
    try:
        return gateway.methods.find_setup(customer_id=customer_id, setup_id=setup_id)
    except StripeRefused as refused:
        if not refused.is_missing:
            raise
        return None


def refresh_by_intent(session: Session, gateway: StripeGateway, *, setup_intent_id: str) -> bool:
    """Look again at the setup of a SetupIntent; False when it is none of ours."""
    setup_id = session.scalar(sa.select(MethodSetup.id).where(MethodSetup.stripe_setup_intent_id == setup_intent_id))
    session.commit()
    if setup_id is None:
        return False
    look(session, gateway, setup_id=setup_id)
    return True


_STALE: tuple[Any, ...] = (
    MethodSetup.id,
    MethodSetup.state,
    MethodSetup.created_at,
    MethodSetup.action,
    MethodSetup.requested_at,
)


def _is_abandoned(row: Any, now: datetime) -> bool:
    return bool(now - row.created_at > (DEPOSITS_LAST if row.action else ABANDONED_AFTER))


def _tell_of_deposits(session: Session, row: Any) -> None:
    """Whoever still waited for small deposits is told that there is nothing to wait for."""
    setup = _locked(session, row.id)
    if row.action == DEPOSITS and setup.state is SetupState.CANCELED:
        queue_setup_failed(session, setup)
    session.commit()


def sweep_setups(session: Session, gateway: StripeGateway, *, older_than: timedelta) -> int:
    """Look again at setups that nobody has looked at for ``older_than``; close those that were given up.

    Returns how many were looked at. Raises :class:`StripeUnreachable`.
    """
    done = 0
    while True:
        now = clock.now()
        row = session.execute(
            sa.select(*_STALE)
            .where(MethodSetup.state.in_(sorted(set(SetupState) - FINAL)), MethodSetup.checked_at < now - older_than)
            .order_by(MethodSetup.checked_at)
            .limit(1)
            .with_for_update(skip_locked=True)
        ).first()
        if row is None:
            session.commit()
            return done
        session.execute(sa.update(MethodSetup).where(MethodSetup.id == row.id).values(checked_at=now))
        session.commit()
        try:
            if row.state is not SetupState.CREATED or not _is_abandoned(row, now):
                # What a browser or a bank has done since counts before what time has done.
                if row.requested_at is not None:
                    look(session, gateway, setup_id=row.id)
                row = session.execute(sa.select(*_STALE).where(MethodSetup.id == row.id)).one()
                session.commit()
            if row.state not in FINAL and _is_abandoned(row, now):
                close_setup(session, gateway, setup_id=row.id)
                _tell_of_deposits(session, row)
        except SetupIsOver:
            session.rollback()
        except (IntentMismatch, StripeRefused) as error:
            session.rollback()
            log.error("setup.sweep_failed", setup=row.id, error=type(error).__name__)
        done += 1
