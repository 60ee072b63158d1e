"""Texts of public code tables, reviews of translations, and codes without words

Revision: 0006
Follows: 0005
"""

import re

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TAGS = ["codes.table.loaded", "codes.translation.reviewed", "codes.unknown.handled"]
#: Rows are written once; on SQLite the triggers of ``audit_event`` go with the rebuilt table.
APPEND_ONLY = ("text_review",)
REBUILT = ("audit_event",)

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _protect(table: str) -> None:
    """The database itself refuses to edit or delete rows of ``table``."""
    if op.get_bind().dialect.name == "postgresql":
        for suffix, event, each in (
            ("append_only", "UPDATE OR DELETE", "ROW"),
            ("no_truncate", "TRUNCATE", "STATEMENT"),
        ):
            op.execute(
                f"CREATE TRIGGER {table}_{suffix} BEFORE {event} ON {table} "
                f"FOR EACH {each} EXECUTE FUNCTION refuse_change()"
            )
        return
    for act in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER {table}_no_{act.lower()} BEFORE {act} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )


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
    if bind.dialect.name == "sqlite":
        for name in REBUILT:
            _protect(name)


def upgrade() -> None:
    _grow_tags()
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
        _protect(table)


def downgrade() -> None:
    """Back to no tables of codes. The list of tags stays as it has grown: what was written can't be changed."""
    for table in ("unknown_code", "text_review", "code_text"):
        op.drop_table(table)
