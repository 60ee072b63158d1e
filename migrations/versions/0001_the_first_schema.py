"""The first schema

Revision: 0001
Follows: None
"""

import sqlalchemy as sa
from alembic import op

from migrations.append_only import protect

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


#: Tables whose rows are written once: money, the trail of who did what, and the back office's books.
APPEND_ONLY = ("entry", "audit_event", "ledger_transaction", "ledger_line")


def _refuse_changes() -> None:
    """The database itself refuses to edit or delete rows of the append-only tables."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = '23000'; END $$"
        )
    for table in APPEND_ONLY:
        protect(table)


def upgrade() -> None:
    op.create_table(
        "account",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("public_id", sa.String(length=32), nullable=False),
        sa.Column("ref", sa.String(length=64), nullable=False),
        sa.Column("guarantor_name", sa.String(length=120), nullable=False),
        sa.Column("mirrored_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account")),
        sa.UniqueConstraint("public_id", name=op.f("uq_account_public_id")),
        sa.UniqueConstraint("ref", name=op.f("uq_account_ref")),
    )
    op.create_table(
        "ledger_service_item",
        sa.Column("code", sa.String(length=48), nullable=False),
        sa.Column("description", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_ledger_service_item")),
    )
    op.create_table(
        "ledger_transaction",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=30), nullable=False),
        sa.Column("effective_on", sa.Date(), nullable=False),
        sa.Column("posted_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_transaction")),
        sa.UniqueConstraint("key", name=op.f("uq_ledger_transaction_key")),
    )
    op.create_table(
        "notification",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("key", sa.String(length=120), nullable=False),
        sa.Column("to_email", sa.String(length=320), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_try_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notification")),
        sa.UniqueConstraint("key", name=op.f("uq_notification_key")),
    )
    op.create_index(op.f("ix_notification_next_try_at"), "notification", ["next_try_at"], unique=False)

    op.create_table(
        "remittance_file",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("imported_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_remittance_file")),
        sa.UniqueConstraint("sha256", name=op.f("uq_remittance_file_sha256")),
    )
    op.create_table(
        "role",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("description", sa.String(length=200), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_role")),
        sa.UniqueConstraint("name", name=op.f("uq_role_name")),
    )
    op.create_table(
        "stripe_event",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("type", sa.String(length=80), nullable=False),
        sa.Column("object_id", sa.String(length=64), nullable=False),
        sa.Column("intent_id", sa.String(length=64), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_try_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("processed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stripe_event")),
    )
    op.create_index("ix_stripe_event_todo", "stripe_event", ["processed_at", "next_try_at"], unique=False)

    op.create_table(
        "user",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("email", sa.String(length=320), nullable=False),
        sa.Column("password", sa.String(length=255), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("fs_uniquifier", sa.String(length=64), nullable=False),
        sa.Column("display_name", sa.String(length=120), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user")),
        sa.UniqueConstraint("email", name=op.f("uq_user_email")),
        sa.UniqueConstraint("fs_uniquifier", name=op.f("uq_user_fs_uniquifier")),
    )
    op.create_table(
        "audit_event",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "tag",
            sa.Enum(
                "auth.session.opened",
                "auth.session.refused",
                "auth.session.closed",
                "auth.password.changed",
                "billing.visit.seen",
                "staff.account.seen",
                "billing.hold.placed",
                "billing.hold.released",
                "payments.payment.started",
                "payments.payment.succeeded",
                "payments.payment.failed",
                "payments.payment.canceled",
                "payments.payment.surprising",
                "ledger.posting.delivered",
                "ledger.posting.retried",
                "ledger.posting.rejected",
                "ledger.remittance.imported",
                "ledger.remittance.quarantined",
                "messages.thread.opened",
                "messages.thread.seen",
                "messages.thread.answered",
                "messages.thread.closed",
                name="tag",
                native_enum=False,
                create_constraint=True,
                length=60,
            ),
            nullable=False,
        ),
        sa.Column("actor_user_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_audit_event_account_id_account")),
        sa.ForeignKeyConstraint(["actor_user_id"], ["user.id"], name=op.f("fk_audit_event_actor_user_id_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_event")),
    )
    op.create_index(op.f("ix_audit_event_account_id"), "audit_event", ["account_id"], unique=False)
    op.create_index(op.f("ix_audit_event_actor_user_id"), "audit_event", ["actor_user_id"], unique=False)
    op.create_index(op.f("ix_audit_event_at"), "audit_event", ["at"], unique=False)

    op.create_table(
        "ledger_line",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("transaction_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "book",
            sa.Enum(
                "insurer_receivable",
                "patient_receivable",
                "revenue",
                "contractual_allowance",
                "other_adjustment",
                "insurer_cash",
                "card_clearing",
                name="book",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("account_ref", sa.String(length=64), nullable=False),
        sa.Column("visit_ref", sa.String(length=80), nullable=False),
        sa.Column("amount_cents", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount_cents <> 0", name=op.f("ck_ledger_line_amount_is_not_zero")),
        sa.ForeignKeyConstraint(
            ["transaction_id"],
            ["ledger_transaction.id"],
            name=op.f("fk_ledger_line_transaction_id_ledger_transaction"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_line")),
    )
    op.create_index("ix_ledger_line_balance", "ledger_line", ["account_ref", "book"], unique=False)
    op.create_index(op.f("ix_ledger_line_transaction_id"), "ledger_line", ["transaction_id"], unique=False)

    op.create_table(
        "patient",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("public_id", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("given_name", sa.String(length=60), nullable=False),
        sa.Column("family_name", sa.String(length=60), nullable=False),
        sa.Column("born_on", sa.Date(), nullable=True),
        sa.Column("member_id", sa.String(length=80), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_patient_account_id_account")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_patient")),
        sa.UniqueConstraint("public_id", name=op.f("uq_patient_public_id")),
    )
    op.create_index(op.f("ix_patient_account_id"), "patient", ["account_id"], unique=False)
    op.create_index("ix_patient_member", "patient", ["member_id", "family_name", "given_name"], unique=False)

    op.create_table(
        "payment",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("public_id", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("user_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("amount_cents", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "created",
                "open",
                "action",
                "processing",
                "succeeded",
                "canceled",
                name="paymentstate",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("stripe_intent_id", sa.String(length=64), nullable=True),
        sa.Column("stripe_charge_id", sa.String(length=64), nullable=True),
        sa.Column("method", sa.String(length=40), nullable=False),
        sa.Column("failure_code", sa.String(length=60), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("amount_cents > 0", name=op.f("ck_payment_amount_is_positive")),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_payment_account_id_account")),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_payment_user_id_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payment")),
        sa.UniqueConstraint("public_id", name=op.f("uq_payment_public_id")),
        sa.UniqueConstraint("stripe_charge_id", name=op.f("uq_payment_stripe_charge_id")),
        sa.UniqueConstraint("stripe_intent_id", name=op.f("uq_payment_stripe_intent_id")),
    )
    op.create_index(op.f("ix_payment_account_id"), "payment", ["account_id"], unique=False)
    op.create_index("ix_payment_sweep", "payment", ["state", "checked_at"], unique=False)
    op.create_index(op.f("ix_payment_user_id"), "payment", ["user_id"], unique=False)
    op.create_index(
        "uq_payment_open",
        "payment",
        ["account_id"],
        unique=True,
        sqlite_where=sa.text("state IN ('action', 'created', 'open')"),
        postgresql_where=sa.text("state IN ('action', 'created', 'open')"),
    )

    op.create_table(
        "posting",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("key", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", sa.String(length=30), nullable=False),
        sa.Column("amount_cents", sa.BigInteger(), nullable=False),
        sa.Column("effective_on", sa.Date(), nullable=False),
        sa.Column("lines", sa.JSON(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "waiting",
                "unknown",
                "posted",
                "rejected",
                name="postingstate",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_try_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("posted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ledger_ref", sa.String(length=64), nullable=False),
        sa.Column("last_error", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_posting_account_id_account")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_posting")),
        sa.UniqueConstraint("key", name=op.f("uq_posting_key")),
    )
    op.create_index(op.f("ix_posting_account_id"), "posting", ["account_id"], unique=False)
    op.create_index("ix_posting_due", "posting", ["state", "next_try_at"], unique=False)

    op.create_table(
        "remittance_transaction",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("file_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("control", sa.String(length=20), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=True),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("payer_name", sa.String(length=120), nullable=False),
        sa.Column("trace_number", sa.String(length=60), nullable=False),
        sa.Column("paid_on", sa.Date(), nullable=True),
        sa.Column("paid_cents", sa.BigInteger(), nullable=False),
        sa.Column("claims", sa.Integer(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "loaded",
                "duplicate",
                "quarantined",
                name="remittancestate",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["file_id"], ["remittance_file.id"], name=op.f("fk_remittance_transaction_file_id_remittance_file")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_remittance_transaction")),
        sa.UniqueConstraint("file_id", "ordinal", name=op.f("uq_remittance_transaction_file_id_ordinal")),
        sa.UniqueConstraint("key", name=op.f("uq_remittance_transaction_key")),
    )
    op.create_index(op.f("ix_remittance_transaction_digest"), "remittance_transaction", ["digest"], unique=False)

    op.create_table(
        "sign_in_session",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("token", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name=op.f("fk_sign_in_session_user_id_user"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sign_in_session")),
        sa.UniqueConstraint("token", name=op.f("uq_sign_in_session_token")),
    )
    op.create_index(op.f("ix_sign_in_session_user_id"), "sign_in_session", ["user_id"], unique=False)

    op.create_table(
        "stripe_customer",
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("key", sa.String(length=32), nullable=False),
        sa.Column("customer_id", sa.String(length=64), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_stripe_customer_account_id_account")),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_stripe_customer")),
        sa.UniqueConstraint("customer_id", name=op.f("uq_stripe_customer_customer_id")),
        sa.UniqueConstraint("key", name=op.f("uq_stripe_customer_key")),
    )
    op.create_table(
        "user_role",
        sa.Column("user_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("role_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.ForeignKeyConstraint(["role_id"], ["role.id"], name=op.f("fk_user_role_role_id_role"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_user_role_user_id_user"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user_id", "role_id", name=op.f("pk_user_role")),
    )
    op.create_table(
        "access_grant",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("user_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("patient_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column(
            "relationship",
            sa.Enum(
                "self",
                "guarantor",
                "proxy",
                name="relationship",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("granted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_access_grant_account_id_account")),
        sa.ForeignKeyConstraint(["patient_id"], ["patient.id"], name=op.f("fk_access_grant_patient_id_patient")),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_access_grant_user_id_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_grant")),
        sa.UniqueConstraint(
            "user_id", "account_id", "patient_id", name=op.f("uq_access_grant_user_id_account_id_patient_id")
        ),
    )
    op.create_index(op.f("ix_access_grant_account_id"), "access_grant", ["account_id"], unique=False)
    op.create_index(op.f("ix_access_grant_user_id"), "access_grant", ["user_id"], unique=False)

    op.create_table(
        "quarantine_reason",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("transaction_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("place", sa.String(length=120), nullable=False),
        sa.Column("reason", sa.String(length=300), nullable=False),
        sa.Column("difference_cents", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["transaction_id"],
            ["remittance_transaction.id"],
            name=op.f("fk_quarantine_reason_transaction_id_remittance_transaction"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quarantine_reason")),
    )
    op.create_index(
        op.f("ix_quarantine_reason_transaction_id"), "quarantine_reason", ["transaction_id"], unique=False
    )

    op.create_table(
        "visit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("public_id", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("patient_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("ref", sa.String(length=80), nullable=False),
        sa.Column("started_on", sa.Date(), nullable=True),
        sa.Column("ended_on", sa.Date(), nullable=True),
        sa.Column("provider_name", sa.String(length=120), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_visit_account_id_account")),
        sa.ForeignKeyConstraint(["patient_id"], ["patient.id"], name=op.f("fk_visit_patient_id_patient")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_visit")),
        sa.UniqueConstraint("account_id", "ref", name=op.f("uq_visit_account_id_ref")),
        sa.UniqueConstraint("public_id", name=op.f("uq_visit_public_id")),
    )
    op.create_index(op.f("ix_visit_account_id"), "visit", ["account_id"], unique=False)
    op.create_index(op.f("ix_visit_patient_id"), "visit", ["patient_id"], unique=False)
    op.create_index(op.f("ix_visit_ref"), "visit", ["ref"], unique=False)

    op.create_table(
        "charge",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("public_id", sa.String(length=32), nullable=False),
        sa.Column("visit_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("whole_visit", sa.Boolean(), nullable=False),
        sa.Column("service_on", sa.Date(), nullable=True),
        sa.Column("code", sa.String(length=48), nullable=False),
        sa.Column("code_qualifier", sa.String(length=4), nullable=False),
        sa.Column("modifiers", sa.String(length=24), nullable=False),
        sa.Column("revenue_code", sa.String(length=8), nullable=False),
        sa.Column("line_control", sa.String(length=60), nullable=False),
        sa.Column("description", sa.String(length=200), nullable=False),
        sa.Column("units", sa.String(length=16), nullable=False),
        sa.Column("billed_cents", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["visit_id"], ["visit.id"], name=op.f("fk_charge_visit_id_visit")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_charge")),
        sa.UniqueConstraint("public_id", name=op.f("uq_charge_public_id")),
        sa.UniqueConstraint("visit_id", "ordinal", name=op.f("uq_charge_visit_id_ordinal")),
    )
    op.create_index(op.f("ix_charge_visit_id"), "charge", ["visit_id"], unique=False)

    op.create_table(
        "claim",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("visit_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("source_key", sa.String(length=255), nullable=False),
        sa.Column("payer_name", sa.String(length=120), nullable=False),
        sa.Column("payer_claim_ref", sa.String(length=60), nullable=False),
        sa.Column("status_code", sa.String(length=4), nullable=False),
        sa.Column("trace_number", sa.String(length=60), nullable=False),
        sa.Column("decided_on", sa.Date(), nullable=True),
        sa.Column("file_name", sa.String(length=255), nullable=False),
        sa.Column("loaded_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["visit_id"], ["visit.id"], name=op.f("fk_claim_visit_id_visit")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_claim")),
        sa.UniqueConstraint("source_key", name=op.f("uq_claim_source_key")),
    )
    op.create_index(op.f("ix_claim_visit_id"), "claim", ["visit_id"], unique=False)

    op.create_table(
        "allocation",
        sa.Column("payment_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("charge_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("amount_cents", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount_cents > 0", name=op.f("ck_allocation_amount_is_positive")),
        sa.ForeignKeyConstraint(["charge_id"], ["charge.id"], name=op.f("fk_allocation_charge_id_charge")),
        sa.ForeignKeyConstraint(["payment_id"], ["payment.id"], name=op.f("fk_allocation_payment_id_payment")),
        sa.PrimaryKeyConstraint("payment_id", "charge_id", name=op.f("pk_allocation")),
    )
    op.create_index(op.f("ix_allocation_charge_id"), "allocation", ["charge_id"], unique=False)

    op.create_table(
        "entry",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("charge_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("claim_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column(
            "kind",
            sa.Enum(
                "charge",
                "insurer_payment",
                "adjustment",
                "share_moved",
                "patient_payment",
                name="entrykind",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("amount_cents", sa.BigInteger(), nullable=False),
        sa.Column("insurer_cents", sa.BigInteger(), nullable=False),
        sa.Column("patient_cents", sa.BigInteger(), nullable=False),
        sa.Column("group_code", sa.String(length=2), nullable=False),
        sa.Column("reason_code", sa.String(length=5), nullable=False),
        sa.Column("stated_cents", sa.BigInteger(), nullable=False),
        sa.Column("remark_codes", sa.String(length=120), nullable=False),
        sa.Column("effective_on", sa.Date(), nullable=True),
        sa.Column("source", sa.String(length=20), nullable=False),
        sa.Column("source_id", sa.String(length=255), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "group_code <> 'CO' OR patient_cents = 0", name=op.f("ck_entry_contractual_is_not_the_patients")
        ),
        sa.CheckConstraint(
            "kind <> 'charge' OR (insurer_cents + patient_cents) = amount_cents", name=op.f("ck_entry_charge_adds_up")
        ),
        sa.CheckConstraint("amount_cents = insurer_cents + patient_cents", name=op.f("ck_entry_buckets_add_up")),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_entry_account_id_account")),
        sa.ForeignKeyConstraint(["charge_id"], ["charge.id"], name=op.f("fk_entry_charge_id_charge")),
        sa.ForeignKeyConstraint(["claim_id"], ["claim.id"], name=op.f("fk_entry_claim_id_claim")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_entry")),
        sa.UniqueConstraint("source", "source_id", "revision", name=op.f("uq_entry_source_source_id_revision")),
    )
    op.create_index("ix_entry_account_charge", "entry", ["account_id", "charge_id"], unique=False)
    op.create_index(op.f("ix_entry_charge_id"), "entry", ["charge_id"], unique=False)
    op.create_index(op.f("ix_entry_claim_id"), "entry", ["claim_id"], unique=False)

    op.create_table(
        "hold",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("charge_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "reason",
            sa.Enum(
                "share_above_remittance",
                "next_payer",
                "decision_unmatched",
                "staff",
                name="holdreason",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("placed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("released_by", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("release_note", sa.String(length=300), nullable=False),
        sa.ForeignKeyConstraint(["charge_id"], ["charge.id"], name=op.f("fk_hold_charge_id_charge")),
        sa.ForeignKeyConstraint(["released_by"], ["user.id"], name=op.f("fk_hold_released_by_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hold")),
    )
    op.create_index(op.f("ix_hold_charge_id"), "hold", ["charge_id"], unique=False)
    op.create_index(
        "uq_hold_open",
        "hold",
        ["charge_id", "reason"],
        unique=True,
        sqlite_where=sa.text("released_at IS NULL"),
        postgresql_where=sa.text("released_at IS NULL"),
    )

    op.create_table(
        "thread",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("public_id", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("charge_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("opened_by", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("subject", sa.String(length=120), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "waiting_for_staff",
                "answered",
                "closed",
                name="threadstate",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_message_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("waiting_since", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state = 'waiting_for_staff') = (waiting_since IS NOT NULL)",
            name=op.f("ck_thread_waits_since_some_moment"),
        ),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_thread_account_id_account")),
        sa.ForeignKeyConstraint(["charge_id"], ["charge.id"], name=op.f("fk_thread_charge_id_charge")),
        sa.ForeignKeyConstraint(["opened_by"], ["user.id"], name=op.f("fk_thread_opened_by_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_thread")),
        sa.UniqueConstraint("public_id", name=op.f("uq_thread_public_id")),
    )
    op.create_index(op.f("ix_thread_account_id"), "thread", ["account_id"], unique=False)
    op.create_index(op.f("ix_thread_charge_id"), "thread", ["charge_id"], unique=False)
    op.create_index("ix_thread_inbox", "thread", ["state", "waiting_since"], unique=False)
    op.create_index(op.f("ix_thread_opened_by"), "thread", ["opened_by"], unique=False)

    op.create_table(
        "message",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("thread_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("token", sa.String(length=32), nullable=False),
        sa.Column("author_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("from_staff", sa.Boolean(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["author_id"], ["user.id"], name=op.f("fk_message_author_id_user")),
        sa.ForeignKeyConstraint(["thread_id"], ["thread.id"], name=op.f("fk_message_thread_id_thread")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_message")),
        sa.UniqueConstraint("token", name=op.f("uq_message_token")),
    )
    op.create_index(op.f("ix_message_thread_id"), "message", ["thread_id"], unique=False)
    _refuse_changes()


def downgrade() -> None:
    op.drop_index(op.f("ix_message_thread_id"))

    op.drop_table("message")
    op.drop_index(op.f("ix_thread_opened_by"))
    op.drop_index("ix_thread_inbox")
    op.drop_index(op.f("ix_thread_charge_id"))
    op.drop_index(op.f("ix_thread_account_id"))

    op.drop_table("thread")
    op.drop_index("uq_hold_open")
    op.drop_index(op.f("ix_hold_charge_id"))

    op.drop_table("hold")
    op.drop_index(op.f("ix_entry_claim_id"))
    op.drop_index(op.f("ix_entry_charge_id"))
    op.drop_index("ix_entry_account_charge")

    op.drop_table("entry")
    op.drop_index(op.f("ix_allocation_charge_id"))

    op.drop_table("allocation")
    op.drop_index(op.f("ix_claim_visit_id"))

    op.drop_table("claim")
    op.drop_index(op.f("ix_charge_visit_id"))

    op.drop_table("charge")
    op.drop_index(op.f("ix_visit_ref"))
    op.drop_index(op.f("ix_visit_patient_id"))
    op.drop_index(op.f("ix_visit_account_id"))

    op.drop_table("visit")
    op.drop_index(op.f("ix_quarantine_reason_transaction_id"))

    op.drop_table("quarantine_reason")
    op.drop_index(op.f("ix_access_grant_user_id"))
    op.drop_index(op.f("ix_access_grant_account_id"))

    op.drop_table("access_grant")
    op.drop_table("user_role")
    op.drop_table("stripe_customer")
    op.drop_index(op.f("ix_sign_in_session_user_id"))

    op.drop_table("sign_in_session")
    op.drop_index(op.f("ix_remittance_transaction_digest"))

    op.drop_table("remittance_transaction")
    op.drop_index("ix_posting_due")
    op.drop_index(op.f("ix_posting_account_id"))

    op.drop_table("posting")
    op.drop_index("uq_payment_open")
    op.drop_index(op.f("ix_payment_user_id"))
    op.drop_index("ix_payment_sweep")
    op.drop_index(op.f("ix_payment_account_id"))

    op.drop_table("payment")
    op.drop_index("ix_patient_member")
    op.drop_index(op.f("ix_patient_account_id"))

    op.drop_table("patient")
    op.drop_index(op.f("ix_ledger_line_transaction_id"))
    op.drop_index("ix_ledger_line_balance")

    op.drop_table("ledger_line")
    op.drop_index(op.f("ix_audit_event_at"))
    op.drop_index(op.f("ix_audit_event_actor_user_id"))
    op.drop_index(op.f("ix_audit_event_account_id"))

    op.drop_table("audit_event")
    op.drop_table("user")
    op.drop_index("ix_stripe_event_todo")

    op.drop_table("stripe_event")
    op.drop_table("role")
    op.drop_table("remittance_file")
    op.drop_index(op.f("ix_notification_next_try_at"))

    op.drop_table("notification")
    op.drop_table("ledger_transaction")
    op.drop_table("ledger_service_item")
    op.drop_table("account")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION refuse_change()")
