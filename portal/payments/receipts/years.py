"""The receipts of a year."""

from collections.abc import Iterable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal.clock import day_at
from portal.db import RecordNotFound
from portal.payments.models import Payment
from portal.payments.queries import PaymentRow, Receipt, may_see, receipt_for
from portal.payments.state import PaymentState


def receipts_of_year(session: Session, user_id: int, year: int, *, timezone: str) -> list[Receipt]:
    """The receipts that a user may see of payments that were settled in a calendar year at the clinic, oldest first.

    Each is read as its own page reads it, so that what may be seen is decided in one place: some queries a receipt,
    for a document that is asked for once a year. Raises :class:`RecordNotFound` when there is none.
    """
    begin, end = bounds(year, timezone=timezone)
    found = session.scalars(
        sa.select(Payment.public_id)
        .where(
            Payment.state == PaymentState.SUCCEEDED,
            Payment.settled_at >= begin,
            Payment.settled_at < end,
            may_see(user_id),
        )
        .order_by(Payment.settled_at, Payment.id)
    ).all()
    if not found:
        raise RecordNotFound("receipts")
    return [receipt_for(session, user_id, public_id) for public_id in found]


def bounds(year: int, *, timezone: str) -> tuple[datetime, datetime]:
    """A calendar year at the clinic as moments in UTC: its first, and the first after it.

    Raises :class:`RecordNotFound` for a year that no calendar has.
    """
    if not 1 < year < 9998:
        raise RecordNotFound("year")
    zone = ZoneInfo(timezone)
    begin, end = (datetime(number, 1, 1, tzinfo=zone).astimezone(UTC) for number in (year, year + 1))
    return begin, end


def years_of(payments: Iterable[PaymentRow], *, timezone: str) -> list[int]:
    """The calendar years at the clinic in which these payments were settled, the last first."""
    years = {
        day_at(payment.settled_at, timezone).year
        for payment in payments
        if payment.state is PaymentState.SUCCEEDED and payment.settled_at
    }
    return sorted(years, reverse=True)
