"""What was written to people about a plan's payments and has not gone out: when it is late, and what is taken back."""

from collections.abc import Callable, Collection
from datetime import date, datetime, timedelta

from sqlalchemy.orm import Session

from portal.money import Money
from portal.notifications.service import moments_of, put_off_emails, withdraw_emails


def notice_keys(installment: str, on: date, amount: Money) -> list[str]:
    """The keys, below ``plan/``, of the notice of a charge on that day, and of a second one for a raised amount."""
    key = f"{installment}/notice/{on.isoformat()}"
    return [key, f"{key}/{amount.cents}"]


def notice_is_late(
    session: Session, *, installment: str, on: date, amount: Money, days: int, day_of: Callable[[datetime], date]
) -> bool:
    """Whether a notice of a charge on that day has not gone out yet, or went out fewer than ``days`` before it.

    False for what an agreement told of: that has no notice. ``day_of`` is the clinic's day of a moment.
    """
    return any(
        sent_at is None
        or (day_of(sent_at) > day_of(written_at) and day_of(sent_at) + timedelta(days=days) > on)
        for written_at, sent_at in moments_of(
            session, keys=[f"plan/{key}" for key in notice_keys(installment, on, amount)]
        )
    )


def withdraw(
    session: Session, *, installment: str, on: date, amount: Money, attempts: Collection[int] = ()
) -> bool:
    """Take back what was written about an installment and not sent: it is no longer so. True when a notice was.

    ``attempts`` are the ids of payments that were declined, where that was told of.
    """
    notices = {f"plan/{key}" for key in notice_keys(installment, on, amount)}
    return bool(withdraw_emails(session, keys=notices | _troubles(installment, attempts)) & notices)


def _troubles(installment: str, attempts: Collection[int]) -> set[str]:
    return {f"plan/{installment}/failed/{one}" for one in attempts} | {f"plan/{installment}/method-needed"}


def put_off(session: Session, *, installment: str, attempts: Collection[int], until: datetime) -> None:
    """Let what was written of an installment's declined payments, and not sent, wait until a moment (UTC)."""
    put_off_emails(session, keys=_troubles(installment, attempts), until=until)


def withdraw_failed(session: Session, *, installment: str, attempts: Collection[int]) -> None:
    """Take back what was written of declined payments and not sent: newer words take its place."""
    withdraw_emails(session, keys=_troubles(installment, attempts))
