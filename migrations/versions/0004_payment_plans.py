"""Payment plans

Revision: 0004
Follows: 0003
"""

import sqlalchemy as sa
from alembic import op

from migrations.append_only import protect
from migrations.closed_lists import grow

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

#: New tables whose rows are written once.
APPEND_ONLY = ("plan_change",)

#: Closed lists that grow: table, column, the check's name, and what comes to it.
GROWN = (
    (
        "audit_event",
        "tag",
        "tag",
        [
            "plans.plan.proposed",
            "plans.plan.declined",
            "plans.plan.started",
            "plans.plan.changed",
            "plans.plan.ended",
            "plans.agreement.seen",
            "plans.request.made",
            "plans.request.decided",
            "plans.instalment.noticed",
            "plans.instalment.charged",
            "plans.instalment.failed",
            "plans.instalment.missed",
        ],
    ),
    ("payment", "source", "paymentsource", ["plan"]),
    ("consent", "kind", "consentkind", ["plan"]),
)


def upgrade() -> None:
    for table, column, check, more in GROWN:
        grow(table, column, check, more)
    op.add_column("charge", sa.Column("on_plan", sa.Boolean(), server_default=sa.false(), nullable=False))

    op.create_table(
        "plan",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("public_id", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("user_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("method_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column(
            "state",
            sa.Enum(
                "proposed",
                "active",
                "paused",
                "paid",
                "canceled",
                "stopped",
                "declined",
                name="planstate",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column(
            "frequency",
            sa.Enum(
                "weekly",
                "two_weekly",
                "monthly",
                name="frequency",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("each_cents", sa.BigInteger(), nullable=False),
        sa.Column(
            "need",
            sa.Enum(
                "nothing", "method", "confirmation", name="need", native_enum=False, create_constraint=True, length=40
            ),
            nullable=False,
        ),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("proposed_by", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("exceeds", sa.String(length=300), nullable=False),
        sa.Column("paused_until", sa.Date(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("end_reason", sa.String(length=40), nullable=False),
        sa.CheckConstraint(
            "state = 'proposed' OR state = 'declined' OR method_id IS NOT NULL", name=op.f("ck_plan_method_is_known")
        ),
        sa.CheckConstraint("each_cents > 0", name=op.f("ck_plan_each_is_positive")),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_plan_account_id_account")),
        sa.ForeignKeyConstraint(["method_id"], ["saved_method.id"], name=op.f("fk_plan_method_id_saved_method")),
        sa.ForeignKeyConstraint(["proposed_by"], ["user.id"], name=op.f("fk_plan_proposed_by_user")),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_plan_user_id_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plan")),
        sa.UniqueConstraint("public_id", name=op.f("uq_plan_public_id")),
    )
    op.create_index("ix_plan_account_id", "plan", ["account_id"], unique=False)
    op.create_index("ix_plan_look", "plan", ["state", "checked_at"], unique=False)
    op.create_index("ix_plan_method_id", "plan", ["method_id"], unique=False)
    op.create_index("ix_plan_user_id", "plan", ["user_id"], unique=False)
    op.create_index(
        "uq_plan_proposed",
        "plan",
        ["account_id"],
        unique=True,
        sqlite_where=sa.text("state = 'proposed'"),
        postgresql_where=sa.text("state = 'proposed'"),
    )
    op.create_index(
        "uq_plan_running",
        "plan",
        ["account_id"],
        unique=True,
        sqlite_where=sa.text("state IN ('active', 'paused')"),
        postgresql_where=sa.text("state IN ('active', 'paused')"),
    )

    op.create_table(
        "instalment",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("public_id", sa.String(length=32), nullable=False),
        sa.Column("plan_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("amount_cents", sa.BigInteger(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "planned",
                "charging",
                "paid",
                "missed",
                "skipped",
                "dropped",
                name="instalmentstate",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("charge_on", sa.Date(), nullable=False),
        sa.Column("noticed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("failure_code", sa.String(length=60), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("amount_cents > 0", name=op.f("ck_instalment_amount_is_positive")),
        sa.ForeignKeyConstraint(["plan_id"], ["plan.id"], name=op.f("fk_instalment_plan_id_plan")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_instalment")),
        sa.UniqueConstraint("plan_id", "ordinal", name=op.f("uq_instalment_plan_id_ordinal")),
        sa.UniqueConstraint("public_id", name=op.f("uq_instalment_public_id")),
    )
    op.create_index("ix_instalment_due", "instalment", ["state", "charge_on"], unique=False)
    op.create_index("ix_instalment_plan_id", "instalment", ["plan_id"], unique=False)

    op.create_table(
        "plan_change",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("public_id", sa.String(length=32), nullable=False),
        sa.Column("plan_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "enrolled",
                "lines_added",
                "lines_removed",
                "day_moved",
                "amount_changed",
                "skipped",
                "method_changed",
                "paused",
                "resumed",
                "paid_outside",
                "insurance_moved",
                "held",
                "hold_ended",
                "missed",
                "amended",
                "paid_off",
                "canceled",
                "stopped",
                name="changekind",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("actor_user_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("consent_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("document_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("note", sa.String(length=300), nullable=False),
        sa.Column("left_cents", sa.BigInteger(), nullable=False),
        sa.Column("schedule", sa.JSON(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["actor_user_id"], ["user.id"], name=op.f("fk_plan_change_actor_user_id_user")),
        sa.ForeignKeyConstraint(["consent_id"], ["consent.id"], name=op.f("fk_plan_change_consent_id_consent")),
        sa.ForeignKeyConstraint(["document_id"], ["document.id"], name=op.f("fk_plan_change_document_id_document")),
        sa.ForeignKeyConstraint(["plan_id"], ["plan.id"], name=op.f("fk_plan_change_plan_id_plan")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plan_change")),
        sa.UniqueConstraint("plan_id", "version", name=op.f("uq_plan_change_plan_id_version")),
        sa.UniqueConstraint("public_id", name=op.f("uq_plan_change_public_id")),
    )
    op.create_index("ix_plan_change_plan_id", "plan_change", ["plan_id"], unique=False)

    op.create_table(
        "plan_line",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("plan_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("charge_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("agreed_cents", sa.BigInteger(), nullable=False),
        sa.Column("paid_before_cents", sa.BigInteger(), nullable=False),
        sa.Column("joined_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("left_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("agreed_cents > 0", name=op.f("ck_plan_line_agreed_is_positive")),
        sa.ForeignKeyConstraint(["charge_id"], ["charge.id"], name=op.f("fk_plan_line_charge_id_charge")),
        sa.ForeignKeyConstraint(["plan_id"], ["plan.id"], name=op.f("fk_plan_line_plan_id_plan")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plan_line")),
    )
    op.create_index("ix_plan_line_charge_id", "plan_line", ["charge_id"], unique=False)
    op.create_index("ix_plan_line_plan_id", "plan_line", ["plan_id"], unique=False)
    op.create_index(
        "uq_plan_line_now",
        "plan_line",
        ["charge_id"],
        unique=True,
        sqlite_where=sa.text("left_at IS NULL"),
        postgresql_where=sa.text("left_at IS NULL"),
    )

    op.create_table(
        "plan_request",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("public_id", sa.String(length=32), nullable=False),
        sa.Column("plan_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "kind",
            sa.Enum("pause", name="requestkind", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("until", sa.Date(), nullable=False),
        sa.Column("note", sa.String(length=500), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_by", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("granted", sa.Boolean(), nullable=True),
        sa.Column("answer", sa.String(length=300), nullable=False),
        sa.ForeignKeyConstraint(["decided_by"], ["user.id"], name=op.f("fk_plan_request_decided_by_user")),
        sa.ForeignKeyConstraint(["plan_id"], ["plan.id"], name=op.f("fk_plan_request_plan_id_plan")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plan_request")),
        sa.UniqueConstraint("public_id", name=op.f("uq_plan_request_public_id")),
    )
    op.create_index("ix_plan_request_plan_id", "plan_request", ["plan_id"], unique=False)
    op.create_index(
        "uq_plan_request_open",
        "plan_request",
        ["plan_id"],
        unique=True,
        sqlite_where=sa.text("decided_at IS NULL"),
        postgresql_where=sa.text("decided_at IS NULL"),
    )

    op.create_table(
        "plan_attempt",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("instalment_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("payment_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["instalment_id"], ["instalment.id"], name=op.f("fk_plan_attempt_instalment_id_instalment")
        ),
        sa.ForeignKeyConstraint(["payment_id"], ["payment.id"], name=op.f("fk_plan_attempt_payment_id_payment")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plan_attempt")),
        sa.UniqueConstraint("payment_id", name=op.f("uq_plan_attempt_payment_id")),
    )
    op.create_index("ix_plan_attempt_instalment_id", "plan_attempt", ["instalment_id"], unique=False)
    op.create_index(
        "uq_plan_attempt_open",
        "plan_attempt",
        ["instalment_id"],
        unique=True,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    for table in APPEND_ONLY:
        protect(table)


def downgrade() -> None:
    """Back to no plans. The closed lists stay as they have grown: what was written with them can't be changed."""
    for table in (
        "plan_attempt",
        "plan_request",
        "plan_line",
        "plan_change",
        "instalment",
        "plan",
    ):
        op.drop_table(table)
    op.drop_column("charge", "on_plan")
