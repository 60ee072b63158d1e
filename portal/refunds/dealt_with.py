"""Refunds that staff have entered in the back office themselves: the portal never enters these."""

import sqlalchemy as sa
from sqlalchemy.orm import Session

# The desk marks a movement of Stripe's balance, whose feature stands above this one: its table is read, nothing more.
_movement = sa.table("balance_movement", sa.column("source_id"), sa.column("exception"), sa.column("handled_at"))
_UNKNOWN = "refund_unknown"


def is_dealt_with(session: Session, stripe_refund_id: str) -> bool:
    """Whether staff have marked a refund, by Stripe's id, as dealt with while it was not in our books.

    The mark stands for good, and also where the payment was not known. The movements are held to the end of the
    transaction: whoever marks one meanwhile waits, and then finds the refund in the books.
    """
    rows = session.execute(
        sa.select(_movement.c.exception, _movement.c.handled_at)
        .where(_movement.c.source_id == stripe_refund_id)
        .with_for_update()
    ).all()
    return any(row.exception == _UNKNOWN and row.handled_at is not None for row in rows)
