"""Letting a guest in, out, and to a payment.

A guest has the code of a printed statement and knows a date of birth. For that they get a pass: a row, and its token in
their browser. It opens the amount due on one account, paying it, and nothing else.
"""

import hashlib
import secrets
from datetime import date, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal import clock
from portal.audit.queries import times_since_last
from portal.audit.tags import Tag
from portal.guests.models import GuestPass, GuestPayment
from portal.money import Money
from portal.payments.gateway import StripeGateway
from portal.payments.kinds import PaymentSource
from portal.payments.service import Payer, payable_lines, start_payment
from portal.statements.service import find_by_code, hold_by_code

#: Long enough to find a card, short enough that a library computer is not left open.
PASS_LASTS = timedelta(minutes=30)
#: Starting to pay gives the pass its time anew, so that nobody comes back from their bank to a closed door; up to here.
PASS_LASTS_AT_MOST = timedelta(hours=1)
#: Whoever has the paper but not the date of birth gets so many guesses out of some 30,000 likely days. After that the
#: code opens nothing, and nobody is told: a new statement has a new code. Being let in starts the count anew.
MOST_WRONG_DATES = 10

_NOBODY = 0


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def admit(session: Session, *, code: str, born_on: date, secret: str, instead_of: str = "") -> str | None:
    """A pass for whoever typed the code of a statement and the date of birth of a patient on its account.

    Returns the new pass's token, or None for every refusal alike: a code that is unknown, expired, revoked or locked,
    and a date that is wrong. Refusals cost the same queries whatever they are for. ``instead_of`` is the token of the
    pass this browser had, which ends. Commits, a refusal too: it is audited.
    """
    # Held to the end of the transaction, so that guesses sent at once are counted one after the other.
    public_id, account_id = hold_by_code(session, code, secret=secret) or ("-", _NOBODY)
    locked = _wrong_dates(session, public_id, account_id) >= MOST_WRONG_DATES
    # A locked code is asked about with no date at all: the same work, and never let in.
    found = find_by_code(session, code, None if locked else born_on, secret=secret)
    if found is None:
        session.commit()
        return None
    now = clock.now()
    if instead_of:
        _end(session, instead_of, now)
    token = secrets.token_urlsafe(32)
    session.add(
        GuestPass(
            token_hash=_hash(token),
            statement_id=found.statement_id,
            account_id=found.account_id,
            admitted_at=now,
            expires_at=now + PASS_LASTS,
        )
    )
    session.commit()
    return token


def _wrong_dates(session: Session, statement_public_id: str, account_id: int) -> int:
    """How often a code was refused since it last let somebody in. The audit trail is the count: nobody can reset it."""
    return times_since_last(
        session, account_id=account_id, subject=statement_public_id, tag=Tag.GUEST_REFUSED, since=Tag.GUEST_ADMITTED
    )


def end_pass(session: Session, token: str) -> None:
    """End a pass; every copy of its token ends with it. Commits."""
    _end(session, token, clock.now())
    session.commit()


def _end(session: Session, token: str, now: datetime) -> None:
    session.execute(
        sa.update(GuestPass)
        .where(GuestPass.token_hash == _hash(token), GuestPass.ended_at.is_(None))
        .values(ended_at=now)
    )


def start_guest_payment(
    session: Session,
    gateway: StripeGateway,
    *,
    pass_id: int,
    account_id: int,
    seen_due: Money,
    amount: Money | None,
    receipt_email: str,
    network: str = "",
) -> str:
    """Write down a guest's attempt to pay ``amount``, or (None) all that is payable; its public id. Commits.

    The pass that made it is the only one that sees it. ``network`` (``door.network_key``) is kept with it, to tell one
    person's bad evening from cards being tested from everywhere. ``seen_due`` is what the guest's page said was due:
    when that is not so any more (paid in another tab, or by somebody else), :class:`PaymentIsOver` is raised and
    nothing was started. Raises what else :func:`start_payment` raises.
    """

    def has_changed() -> bool:
        return Money.total(line.amount for line in payable_lines(session, account_id, user_id=None)) != seen_due

    def tie(payment_id: int) -> None:
        session.add(GuestPayment(payment_id=payment_id, guest_pass_id=pass_id, network=network))
        guest_pass = session.get_one(GuestPass, pass_id)
        guest_pass.expires_at = max(
            guest_pass.expires_at, min(clock.now() + PASS_LASTS, guest_pass.admitted_at + PASS_LASTS_AT_MOST)
        )

    return start_payment(
        session,
        gateway,
        account_ids=[account_id],
        payer=Payer(user_id=None, source=PaymentSource.GUEST, receipt_email=receipt_email),
        amount=amount,
        unless=has_changed,
        along=tie,
    ).public_id
