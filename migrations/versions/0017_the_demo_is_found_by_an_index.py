"""Whether the demo was ever loaded is found without reading the whole audit trail

Revision: 0017
Follows: 0016
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

# An index only.
previous_code_still_works = True

_DEMO = sa.text("tag = 'sandbox.demo.loaded'")


def upgrade() -> None:
    op.create_index("ix_audit_event_demo", "audit_event", ["id"], sqlite_where=_DEMO, postgresql_where=_DEMO)


def downgrade() -> None:
    op.drop_index("ix_audit_event_demo", "audit_event")
