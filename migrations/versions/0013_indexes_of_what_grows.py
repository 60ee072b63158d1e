"""Nothing that runs often reads the whole of a table that grows

Revision: 0013
Follows: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

# Indexes only.
previous_code_still_works = True

#: Name, table, columns, and of which rows (empty: all).
_INDEXES: tuple[tuple[str, str, list[str], str], ...] = (
    ("ix_account_guarantor_name", "account", ["guarantor_name", "id"], ""),
    ("ix_payment_created_at", "payment", ["created_at"], ""),
    ("ix_payment_confirmed_at", "payment", ["confirmed_at"], ""),
    ("ix_payment_checked_at", "payment", ["checked_at"], ""),
    ("ix_payment_asked", "payment", ["requested_at"], "stripe_intent_id IS NOT NULL"),
    ("ix_payment_to_keep", "payment", ["id"], "keep_method AND kept_at IS NULL"),
    ("ix_saved_method_to_detach", "saved_method", ["removed_at"], "removed_at IS NOT NULL AND detached_at IS NULL"),
    ("ix_consent_given_at", "consent", ["given_at"], ""),
    ("ix_method_setup_sweep", "method_setup", ["state", "checked_at"], ""),
    ("ix_refund_created", "refund", ["state", "created_at"], ""),
    ("ix_hold_placed_at", "hold", ["placed_at"], ""),
    ("ix_hold_released_at", "hold", ["released_at"], ""),
    ("ix_notification_waiting", "notification", ["next_try_at"], "sent_at IS NULL"),
    ("ix_remittance_file_unfinished", "remittance_file", ["id"], "finished_at IS NULL"),
    ("ix_payout_created_at", "payout", ["created_at", "id"], ""),
    ("ix_payout_open", "payout", ["created_at"], "exception <> '' AND handled_at IS NULL"),
)


def upgrade() -> None:
    for name, table, columns, where in _INDEXES:
        some = sa.text(where) if where else None
        op.create_index(name, table, columns, sqlite_where=some, postgresql_where=some)
    op.create_index("ix_user_email_lower", "user", [sa.text("lower(email)")])
    op.drop_index("ix_notification_next_try_at", "notification")


def downgrade() -> None:
    op.create_index("ix_notification_next_try_at", "notification", ["next_try_at"])
    op.drop_index("ix_user_email_lower", "user")
    for name, table, _columns, _where in reversed(_INDEXES):
        op.drop_index(name, table)
