"""What the law caps is kept with a plan, and documents never change

Revision: 0008
Follows: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_TRIGGERS = (("append_only", "UPDATE OR DELETE", "ROW"), ("no_truncate", "TRUNCATE", "STATEMENT"))
_ACTS = ("UPDATE", "DELETE")


def upgrade() -> None:
    op.add_column("plan", sa.Column("month_cap_cents", sa.BigInteger(), nullable=True))
    # What was agreed to, and what statements and receipts said, is shown for ever as it was.
    if op.get_bind().dialect.name == "postgresql":
        for suffix, event, each in _TRIGGERS:
            op.execute(
                f"CREATE TRIGGER document_{suffix} BEFORE {event} ON document "
                f"FOR EACH {each} EXECUTE FUNCTION refuse_change()"
            )
        return
    for act in _ACTS:
        op.execute(
            f"CREATE TRIGGER document_no_{act.lower()} BEFORE {act} ON document "
            "BEGIN SELECT RAISE(ABORT, 'document is append-only'); END"
        )


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for suffix, _event, _each in _TRIGGERS:
            op.execute(f"DROP TRIGGER document_{suffix} ON document")
    else:
        for act in _ACTS:
            op.execute(f"DROP TRIGGER document_no_{act.lower()}")
    op.drop_column("plan", "month_cap_cents")
