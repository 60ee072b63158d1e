"""A proposal's lines may be on a plan that runs

Revision: 0007
Follows: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_INDEX = "uq_plan_line_now"


def _only_one(where: str) -> None:
    op.create_index(
        _INDEX, "plan_line", ["charge_id"], unique=True, sqlite_where=sa.text(where), postgresql_where=sa.text(where)
    )


def upgrade() -> None:
    op.drop_index(_INDEX, "plan_line")
    op.add_column("plan_line", sa.Column("offered", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.execute("UPDATE plan_line SET offered = true WHERE plan_id IN (SELECT id FROM plan WHERE state = 'proposed')")
    _only_one("left_at IS NULL AND NOT offered")


def downgrade() -> None:
    op.drop_index(_INDEX, "plan_line")
    # What is offered beside a plan that runs can't be told apart any more: the plan keeps it.
    op.execute(
        "UPDATE plan_line SET left_at = joined_at WHERE offered AND left_at IS NULL AND charge_id IN "
        "(SELECT other.charge_id FROM plan_line AS other WHERE other.left_at IS NULL AND NOT other.offered)"
    )
    op.drop_column("plan_line", "offered")
    _only_one("left_at IS NULL")
