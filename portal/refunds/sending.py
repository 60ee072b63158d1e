"""Asking Stripe for refunds: row first, network second; nothing is asked blindly twice.

Each claim is committed before Stripe is asked. A lost answer is asked for again with the same key for some minutes;
later it is looked up by our id in Stripe's list of the intent's refunds, and only where Stripe has none is another try
made, with a key of its own.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from portal import clock
from portal.audit.service import record
from portal.audit.tags import Tag
from portal.disputes.queries import disputed
from portal.money import Money
from portal.payments.closing import RESEND_WITHIN
from portal.payments.errors import IntentMismatch, StripeRefused, StripeUnreachable
from portal.payments.gateway import StripeGateway, StripeRefund
from portal.payments.locked import LockedPayment
from portal.refunds.credits import still_stands
from portal.refunds.models import Refund
from portal.refunds.parts import are_left, parts_of_refund
from portal.refunds.service import withdraw_row
from portal.refunds.settle import locked_refund, project
from portal.refunds.state import RefundReason, RefundState

log = structlog.get_logger(__name__)

#: Whoever asks Stripe has so long to hear; longer than the client waits in all (``gateway/client.py``).
RETRY_AFTER = timedelta(minutes=1)
#: Refusals that are about us and not about the refund: our key, our rights, a key under which something else was
#: asked. They are no answer; it is asked again, and looked up, until somebody has mended it.
_NOT_ABOUT_IT = frozenset(
    {"AuthenticationError", "PermissionError", "api_key_expired", "platform_api_key_expired", "secret_key_required",
     "idempotency_error"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Claim:
    """One asking of Stripe: all it needs, so that no transaction is open meanwhile."""

    refund_id: int
    public_id: str
    key: str
    tries: int
    asked_at: datetime
    intent_id: str
    amount: Money
    look_up: bool


def send_due(session: Session, gateway: StripeGateway, *, timezone: str) -> int:
    """Send every refund whose day (at the clinic) has come; returns how many Stripe has taken."""
    today, sent = clock.today(timezone), 0
    due = session.scalars(
        sa.select(Refund.id)
        .where(
            Refund.state == RefundState.APPROVED,
            Refund.send_on <= today,
            sa.or_(Refund.requested_at.is_(None), Refund.checked_at <= clock.now() - RETRY_AFTER),
        )
        # One that Stripe chokes on goes behind the others.
        .order_by(Refund.checked_at, Refund.id)
    ).all()
    session.commit()
    for refund_id in due:
        try:
            sent += send(session, gateway, refund_id=refund_id, today=today)
        except StripeUnreachable as error:
            session.rollback()
            log.warning("refunds.send.stopped", error=type(error).__name__)
            break  # it is down for the others too; their turn comes
        except (StripeRefused, IntentMismatch) as error:
            session.rollback()
            log.error("refund.not_sent", refund=refund_id, error=type(error).__name__)
    return sent


def send(session: Session, gateway: StripeGateway, *, refund_id: int, today: date) -> bool:
    """See to it that Stripe has the refund, and settle what it says. True when it has; False when it must wait, is
    being sent by somebody else, or was refused for good. May raise :class:`StripeUnreachable`,
    :class:`StripeRefused` and :class:`IntentMismatch`; asking again later is safe after each.
    """
    for _turn in range(2):
        claim = _claim(session, refund_id, today)
        if claim is None:
            return False
        if claim.look_up:
            found = _find(gateway, claim)
            if found is None:
                _forget_try(session, claim)
                continue
        else:
            try:
                found = gateway.refunds.create(
                    refund_id=claim.public_id, key=claim.key, intent_id=claim.intent_id, amount=claim.amount
                )
            except StripeRefused as refused:
                if refused.code in _NOT_ABOUT_IT:
                    raise
                # An earlier asking whose answer was lost may be why there is nothing left to give back.
                found = _find(gateway, claim)
                if found is None:
                    _fail(session, claim, refused.code)
                    return False
        project(session, found)
        return True
    return False


def _find(gateway: StripeGateway, claim: _Claim) -> StripeRefund | None:
    """The refund that Stripe has under our id."""
    return next((one for one in gateway.refunds.of_intent(claim.intent_id) if one.refund_id == claim.public_id), None)


def _claim(session: Session, refund_id: int, today: date) -> _Claim | None:
    """Take a refund for asking Stripe, under all its locks; commits. None: not now, not by us, or not at all."""
    refund, payment = locked_refund(session, refund_id)
    now, asked_at = clock.now(), refund.requested_at
    if (
        refund.state is not RefundState.APPROVED
        or refund.send_on > today
        or (asked_at is not None and refund.checked_at > now - RETRY_AFTER)
        or (asked_at is None and not _may_go(session, refund, payment))
    ):
        session.commit()
        return None
    refund.checked_at = now
    if asked_at is None:
        asked_at = refund.requested_at = now
    claim = _Claim(
        refund_id=refund.id,
        public_id=refund.public_id,
        key=refund.public_id if not refund.tries else f"{refund.public_id}-{refund.tries}",
        tries=refund.tries,
        asked_at=asked_at,
        intent_id=payment.stripe_intent_id or "",
        amount=refund.amount,
        look_up=now - asked_at > RESEND_WITHIN,
    )
    session.commit()
    return claim


def _may_go(session: Session, refund: Refund, payment: LockedPayment) -> bool:
    """Whether what was decided still holds, for a refund that Stripe has nothing of; withdrawn where it does not."""
    if disputed(session, payment.id):
        return False  # the bank decides first
    parts = parts_of_refund(session, refund.id)
    if not are_left(session, payment.id, parts):
        withdraw_row(session, refund, payment, actor=None, note="The money is not with us any more")
        return False
    if refund.reason is RefundReason.CREDIT_BALANCE and not still_stands(session, refund.id):
        withdraw_row(session, refund, payment, actor=None, note="The credit is another one now")
        return False
    return True


def _forget_try(session: Session, claim: _Claim) -> None:
    """Stripe has nothing of this try: the next one has a key of its own. Nothing when somebody else was first."""
    refund, _payment = locked_refund(session, claim.refund_id)
    if refund.state is RefundState.APPROVED and (refund.tries, refund.requested_at) == (claim.tries, claim.asked_at):
        refund.tries += 1
        refund.requested_at = None
    session.commit()


def _fail(session: Session, claim: _Claim, code: str) -> None:
    """Stripe will not do it, and has nothing of it: the desk's."""
    refund, payment = locked_refund(session, claim.refund_id)
    if refund.state is RefundState.APPROVED and refund.stripe_refund_id is None and refund.tries == claim.tries:
        refund.state, refund.failure_code, refund.ended_at = RefundState.FAILED, code[:60], clock.now()
        record(
            session,
            Tag.REFUND_FAILED,
            account_id=payment.account_id,
            subject=refund.public_id,
            cents=refund.amount.cents,
            code=refund.failure_code,
        )
    session.commit()
    log.error("refund.refused", refund=claim.public_id, code=code)
