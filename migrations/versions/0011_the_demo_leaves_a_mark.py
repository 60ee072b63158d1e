"""A database into which the demo was loaded says so for ever

Revision: 0011
Follows: 0010
"""

import re

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TAG = "sandbox.demo.loaded"


def upgrade() -> None:
    bind = op.get_bind()
    checks = sa.inspect(bind).get_check_constraints("audit_event")
    text = next(str(one["sqltext"]) for one in checks if one["name"] == "ck_audit_event_tag")
    known = re.findall(r"'([^']+)'", text)
    if TAG in known:
        return
    listed = ", ".join(f"'{one}'" for one in [*known, TAG])
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


def downgrade() -> None:
    """The list of tags stays as it has grown: what was written can't be changed."""
