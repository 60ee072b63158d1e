"""Rate limits count where all processes see it

Revision: 0012
Follows: 0011
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

# The table is new and no older code looks for it.
previous_code_still_works = True


def upgrade() -> None:
    op.create_table(
        "limit_counter",
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_limit_counter"),
    )
    op.create_index("ix_limit_counter_expires_at", "limit_counter", ["expires_at"])


def downgrade() -> None:
    op.drop_index("ix_limit_counter_expires_at", table_name="limit_counter")
    op.drop_table("limit_counter")
