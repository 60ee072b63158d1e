"""What waits for somebody at the desk, counted for the page on which staff land: one query each."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from flask_babel import lazy_gettext as _l
from sqlalchemy.orm import Session

from portal.disputes.queries import to_answer
from portal.payments.events import stuck
from portal.payouts.queries import exceptions_open
from portal.refunds.models import Refund
from portal.refunds.state import RefundState


@dataclass(frozen=True, slots=True)
class Waiting:
    """Something that waits: how many, what it is called, and the page about it."""

    count: int
    name: Any
    endpoint: str


def failed_refunds(session: Session) -> int:
    """Refunds that came back and that nobody has dealt with."""
    query = sa.select(sa.func.count(Refund.id)).where(
        Refund.state == RefundState.FAILED, Refund.handled_at.is_(None)
    )
    return session.scalar(query) or 0


#: What is counted, in the order in which it presses.
_COUNTED = (
    (to_answer, _l("Disputes to answer"), "staff.disputes"),
    (failed_refunds, _l("Refunds that failed"), "staff.refunds"),
    (exceptions_open, _l("Exceptions in payouts"), "staff.exceptions"),
    (stuck, _l("Stripe events that are stuck"), "staff.webhooks"),
)


def waiting(session: Session) -> list[Waiting]:
    """What waits, without what does not."""
    found = [Waiting(count(session), name, endpoint) for count, name, endpoint in _COUNTED]
    return [one for one in found if one.count]
