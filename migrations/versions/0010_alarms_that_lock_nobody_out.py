"""Alarms that lock nobody out: networks of guests' payments, and codes that are guessed

Revision: 0010
Follows: 0009
"""

import re

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# New columns have defaults, the table is new, and no older code reads the new tag.
previous_code_still_works = True

TAGS = ["guests.codes.guessed"]
_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _grow_tags() -> None:
    bind = op.get_bind()
    checks = sa.inspect(bind).get_check_constraints("audit_event")
    text = next(str(one["sqltext"]) for one in checks if one["name"] == "ck_audit_event_tag")
    known = re.findall(r"'([^']+)'", text)
    listed = ", ".join(f"'{one}'" for one in [*known, *(tag for tag in TAGS if tag not in known)])
    # Alembic's own reflection forgets the checks when SQLite's tables are rebuilt.
    table = sa.Table("audit_event", sa.MetaData(), autoload_with=bind)
    for check in checks:
        table.append_constraint(sa.CheckConstraint(sa.text(check["sqltext"]), name=check["name"]))
    with op.batch_alter_table("audit_event", copy_from=table) as batch:
        batch.drop_constraint(op.f("ck_audit_event_tag"), type_="check")
        batch.create_check_constraint(op.f("ck_audit_event_tag"), f"tag IN ({listed})")
    if bind.dialect.name == "sqlite":  # the triggers went with the rebuilt table
        for act in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER audit_event_no_{act.lower()} BEFORE {act} ON audit_event "
                "BEGIN SELECT RAISE(ABORT, 'audit_event is append-only'); END"
            )


def upgrade() -> None:
    _grow_tags()
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
