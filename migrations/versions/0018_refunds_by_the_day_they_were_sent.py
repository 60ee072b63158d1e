"""Refunds are found by the day they were sent: a bank may send them back for so long

Revision: 0018
Follows: 0017
"""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

# An index more.
previous_code_still_works = True


def upgrade() -> None:
    op.create_index("ix_refund_requested", "refund", ["state", "requested_at"])


def downgrade() -> None:
    op.drop_index("ix_refund_requested", "refund")
