"""What the law caps is kept with a plan, and documents never change

Revision: 0008
Follows: 0007
"""

import sqlalchemy as sa
from alembic import op

from migrations.append_only import protect, release

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("plan", sa.Column("month_cap_cents", sa.BigInteger(), nullable=True))
    # What was agreed to, and what statements and receipts said, is shown for ever as it was.
    protect("document")


def downgrade() -> None:
    release("document")
    op.drop_column("plan", "month_cap_cents")
