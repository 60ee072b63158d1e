"""A database into which the demo was loaded says so for ever

Revision: 0011
Follows: 0010
"""

from migrations.closed_lists import grow_tags

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TAG = "sandbox.demo.loaded"


def upgrade() -> None:
    grow_tags([TAG])


def downgrade() -> None:
    """The list of tags stays as it has grown: what was written can't be changed."""
