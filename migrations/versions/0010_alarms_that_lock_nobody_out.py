"""Alarms that lock nobody out: networks of guests' payments, and codes that are guessed

Revision: 0010
Follows: 0009
"""

import sqlalchemy as sa
from alembic import op

from migrations.closed_lists import grow_tags

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# New columns have defaults, the table is new, and no older code reads the new tag.
previous_code_still_works = True

TAGS = ["guests.codes.guessed"]
_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    grow_tags(TAGS)
    op.add_column("guest_payment", sa.Column("network", sa.String(length=64), nullable=False, server_default=""))
    for name in ("statements", "networks"):
        op.add_column("card_testing_alarm", sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
    op.create_table(
        "guessing_alarm",
        sa.Column("id", _ID, nullable=False),
        sa.Column("raised_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("on_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("refusals", sa.Integer(), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_guessing_alarm")),
    )
    op.create_index(
        "uq_guessing_alarm_open",
        "guessing_alarm",
        ["is_open"],
        unique=True,
        sqlite_where=sa.text("is_open"),
        postgresql_where=sa.text("is_open"),
    )


def downgrade() -> None:
    """The list of tags stays as it has grown: what was written can't be changed."""
    op.drop_table("guessing_alarm")
    for name in ("networks", "statements"):
        op.drop_column("card_testing_alarm", name)
    op.drop_column("guest_payment", "network")
