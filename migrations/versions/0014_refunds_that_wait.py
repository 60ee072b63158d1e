"""A refund may wait for its payment, and an event's patience counts from its first try

Revision: 0014
Follows: 0013
"""

import uuid

import sqlalchemy as sa
from alembic import op

from migrations.closed_lists import grow, hold_to, members

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_WAITING = "waiting"
_STATE = ("refund", "state", "refundstate")


def _note_what_was_dealt_with() -> None:
    """Refunds made at Stripe that staff have dealt with as exceptions of payouts: the desk told them to enter these in
    the back office by hand. Refunds are looked for in Stripe's list from now on, and these must not be entered again.
    """
    bind, old = op.get_bind(), sa.MetaData()
    movement, refund = (
        sa.Table(name, old, autoload_with=bind, resolve_fks=False) for name in ("balance_movement", "refund")
    )
    known = set(bind.execute(sa.select(refund.c.stripe_refund_id)).scalars())
    for row in bind.execute(
        sa.select(movement).where(
            movement.c.exception == "refund_unknown",
            movement.c.handled_at.is_not(None),
            movement.c.payment_id.is_not(None),
        )
    ).all():
        if row.source_id in known:
            continue
        known.add(row.source_id)
        bind.execute(
            sa.insert(refund).values(
                public_id=uuid.uuid4().hex,
                payment_id=row.payment_id,
                amount_cents=abs(row.gross_cents),
                reason="requested",
                note="Made at Stripe",
                state="withdrawn",
                needs_approval=False,
                send_on=row.created_at.date(),
                created_at=row.created_at,
                requested_at=row.created_at,
                tries=0,
                checked_at=row.handled_at,
                ended_at=row.handled_at,
                stripe_refund_id=row.source_id,
                failure_code="",
                handled_at=row.handled_at,
                handled_by=row.handled_by,
                handled_note=row.handled_note,
            )
        )


def upgrade() -> None:
    op.add_column("stripe_event", sa.Column("first_tried_at", sa.DateTime(timezone=True), nullable=True))
    grow(*_STATE, [_WAITING])
    _note_what_was_dealt_with()


def downgrade() -> None:
    # Nothing was booked of these, and the older version would not know them.
    op.execute(f"DELETE FROM refund WHERE state = '{_WAITING}'")
    hold_to(*_STATE, [state for state in members("refund", "refundstate") if state != _WAITING])
    op.drop_column("stripe_event", "first_tried_at")
