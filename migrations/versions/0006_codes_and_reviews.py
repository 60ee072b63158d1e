"""Texts of public code tables, reviews of translations, and codes without words

Revision: 0006
Follows: 0005
"""

import sqlalchemy as sa
from alembic import op

from migrations.append_only import protect
from migrations.closed_lists import grow_tags

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TAGS = ["codes.table.loaded", "codes.translation.reviewed", "codes.unknown.handled"]
#: New tables whose rows are written once.
APPEND_ONLY = ("text_review",)

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    grow_tags(TAGS)
    op.create_table(
        "code_text",
        sa.Column(
            "system",
            sa.Enum("hcpcs", "icd10cm", name="codesystem", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("code", sa.String(length=8), nullable=False),
        sa.Column("short_text", sa.String(length=120), nullable=False),
        sa.Column("long_text", sa.String(length=2000), nullable=False),
        sa.Column("billable", sa.Boolean(), nullable=False),
        sa.CheckConstraint(
            "system <> 'hcpcs' OR (code >= 'A' AND code < 'W' AND NOT (code >= 'D' AND code < 'E'))",
            name=op.f("ck_code_text_only_level_two"),
        ),
        sa.PrimaryKeyConstraint("system", "code", name=op.f("pk_code_text")),
    )
    op.create_table(
        "text_review",
        sa.Column("id", _ID, nullable=False),
        sa.Column("language", sa.String(length=8), nullable=False),
        sa.Column("key", sa.String(length=60), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("reviewed_by", _ID, nullable=False),
        sa.Column("reviewed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["reviewed_by"], ["user.id"], name=op.f("fk_text_review_reviewed_by_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_text_review")),
        sa.UniqueConstraint("language", "key", "fingerprint", name=op.f("uq_text_review_language_key_fingerprint")),
    )
    op.create_table(
        "unknown_code",
        sa.Column("id", _ID, nullable=False),
        sa.Column("public_id", sa.String(length=32), nullable=False),
        sa.Column("visit_id", _ID, nullable=False),
        sa.Column("code", sa.String(length=28), nullable=False),
        sa.Column("met_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("handled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("handled_by", _ID, nullable=True),
        sa.Column("note", sa.String(length=300), nullable=False),
        sa.ForeignKeyConstraint(["handled_by"], ["user.id"], name=op.f("fk_unknown_code_handled_by_user")),
        sa.ForeignKeyConstraint(["visit_id"], ["visit.id"], name=op.f("fk_unknown_code_visit_id_visit")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_unknown_code")),
        sa.UniqueConstraint("public_id", name=op.f("uq_unknown_code_public_id")),
        sa.UniqueConstraint("visit_id", "code", name=op.f("uq_unknown_code_visit_id_code")),
    )
    op.create_index(
        "ix_unknown_code_open",
        "unknown_code",
        ["met_at"],
        unique=False,
        sqlite_where=sa.text("handled_at IS NULL"),
        postgresql_where=sa.text("handled_at IS NULL"),
    )
    for table in APPEND_ONLY:
        protect(table)


def downgrade() -> None:
    """Back to no tables of codes. The list of tags stays as it has grown: what was written can't be changed."""
    for table in ("unknown_code", "text_review", "code_text"):
        op.drop_table(table)
