"""Where somebody lives, which clauses of a state's law stood in an agreement, and which states were taken away

Revision: 0016
Follows: 0015
"""

import sqlalchemy as sa
from alembic import op

from migrations.append_only import protect
from migrations.closed_lists import grow_tags

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

# A column that may be empty, new tables, and more words in a closed list.
previous_code_still_works = True

TAGS = ["accounts.state.changed", "plans.clause_state.left_out", "plans.clause_state.put_back"]
#: As portal/accounts/states.py had them when this was written.
STATES = (
    "AK", "AL", "AR", "AS", "AZ", "CA", "CO", "CT", "DC", "DE", "FL", "GA", "GU", "HI", "IA", "ID", "IL", "IN", "KS",
    "KY", "LA", "MA", "MD", "ME", "MI", "MN", "MO", "MP", "MS", "MT", "NC", "ND", "NE", "NH", "NJ", "NM", "NV", "NY",
    "OH", "OK", "OR", "PA", "PR", "RI", "SC", "SD", "TN", "TX", "UT", "VA", "VI", "VT", "WA", "WI", "WV", "WY",
)  # fmt: skip

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _is_known(column: str) -> str:
    return f"{column} IN ({', '.join(repr(one) for one in STATES)})"


def upgrade() -> None:
    grow_tags(TAGS)
    # With its check in one statement, which neither database rebuilds the table for.
    op.execute(
        "ALTER TABLE account ADD COLUMN home_state VARCHAR(2) "
        f"CONSTRAINT ck_account_home_state_is_known CHECK ({_is_known('home_state')})"
    )
    op.create_index(
        "ix_account_home_state",
        "account",
        ["home_state"],
        sqlite_where=sa.text("home_state IS NOT NULL"),
        postgresql_where=sa.text("home_state IS NOT NULL"),
    )
    op.create_table(
        "plan_clause",
        sa.Column("id", _ID, nullable=False),
        sa.Column("consent_id", _ID, nullable=False),
        sa.Column("clause", sa.String(length=60), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("places", sa.String(length=40), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.CheckConstraint("length(digest) = 64", name=op.f("ck_plan_clause_digest_is_hex")),
        sa.ForeignKeyConstraint(["consent_id"], ["consent.id"], name=op.f("fk_plan_clause_consent_id_consent")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plan_clause")),
        sa.UniqueConstraint("consent_id", "clause", name=op.f("uq_plan_clause_consent_id_clause")),
    )
    protect("plan_clause")
    op.create_table(
        "plan_clause_state",
        sa.Column("id", _ID, nullable=False),
        sa.Column("public_id", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=2), nullable=False),
        sa.Column("reason", sa.String(length=300), nullable=False),
        sa.Column("left_out_by", _ID, nullable=False),
        sa.Column("left_out_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("put_back_by", _ID, nullable=True),
        sa.Column("put_back_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("reason <> ''", name=op.f("ck_plan_clause_state_reason_is_given")),
        sa.CheckConstraint(_is_known("state"), name=op.f("ck_plan_clause_state_state_is_known")),
        sa.ForeignKeyConstraint(["left_out_by"], ["user.id"], name=op.f("fk_plan_clause_state_left_out_by_user")),
        sa.ForeignKeyConstraint(["put_back_by"], ["user.id"], name=op.f("fk_plan_clause_state_put_back_by_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plan_clause_state")),
        sa.UniqueConstraint("public_id", name=op.f("uq_plan_clause_state_public_id")),
    )
    op.create_index(
        "uq_plan_clause_state_out",
        "plan_clause_state",
        ["state"],
        unique=True,
        sqlite_where=sa.text("put_back_at IS NULL"),
        postgresql_where=sa.text("put_back_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_table("plan_clause_state")
    op.drop_table("plan_clause")
    op.drop_index("ix_account_home_state", table_name="account")
    op.drop_column("account", "home_state")
