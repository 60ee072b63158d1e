"""Safety checks

Revision: 0005
Follows: 0004
"""

import sqlalchemy as sa
from alembic import op

from migrations.closed_lists import grow

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

#: Closed lists that grow: table, column, the check's name, and what comes to it.
GROWN = (
    (
        "audit_event",
        "tag",
        "tag",
        [
            "billing.finding.opened",
            "billing.finding.released",
            "billing.finding.gone",
            "billing.front_office.imported",
        ],
    ),
    ("hold", "reason", "holdreason", ["check"]),
)

CHECKS = (
    "math",
    "duplicate_line",
    "same_service_twice",
    "above_remittance",
    "contractual_amount",
    "insurer_pending",
    "provider_fault",
    "covered_self_pay",
    "preventive",
    "no_surprises",
    "above_estimate",
    "paid_at_desk",
    "credit",
)

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    for table, column, check, more in GROWN:
        grow(table, column, check, more)
    # Every bill there is gets checked by the worker's next turn.
    op.add_column("account", sa.Column("check_due", sa.Boolean(), server_default=sa.true(), nullable=False))
    op.create_index(
        "ix_account_check_due",
        "account",
        ["id"],
        unique=False,
        sqlite_where=sa.text("check_due"),
        postgresql_where=sa.text("check_due"),
    )
    for name, length in (("filing_indicator", 4), ("facility_code", 4), ("frequency", 2), ("remark_codes", 120)):
        op.add_column("claim", sa.Column(name, sa.String(length=length), server_default="", nullable=False))
    op.add_column("claim", sa.Column("stated_share_cents", sa.BigInteger(), nullable=True))
    op.add_column("claim", sa.Column("patient_paid_cents", sa.BigInteger(), nullable=True))

    op.create_table(
        "check_finding",
        sa.Column("id", ID, nullable=False),
        sa.Column("account_id", ID, nullable=False),
        sa.Column("charge_id", ID, nullable=False),
        sa.Column(
            "check_name",
            sa.Enum(*CHECKS, name="check", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("amount_cents", sa.BigInteger(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "open",
                "released",
                "gone",
                name="findingstate",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("released_by", ID, nullable=True),
        sa.Column("release_note", sa.String(length=300), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_check_finding_account_id_account")),
        sa.ForeignKeyConstraint(["charge_id"], ["charge.id"], name=op.f("fk_check_finding_charge_id_charge")),
        sa.ForeignKeyConstraint(["released_by"], ["user.id"], name=op.f("fk_check_finding_released_by_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_check_finding")),
        sa.UniqueConstraint("charge_id", "fingerprint", name=op.f("uq_check_finding_charge_id_fingerprint")),
    )
    op.create_index("ix_check_finding_account", "check_finding", ["account_id", "state"], unique=False)
    op.create_table(
        "estimate",
        sa.Column("id", ID, nullable=False),
        sa.Column("account_ref", sa.String(length=64), nullable=False),
        sa.Column("visit_ref", sa.String(length=80), nullable=False),
        sa.Column("issued_on", sa.Date(), nullable=False),
        sa.Column("amount_cents", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_estimate")),
        sa.UniqueConstraint(
            "account_ref", "visit_ref", "issued_on", name=op.f("uq_estimate_account_ref_visit_ref_issued_on")
        ),
    )
    op.create_table(
        "coverage",
        sa.Column("id", ID, nullable=False),
        sa.Column("account_ref", sa.String(length=64), nullable=False),
        sa.Column("given_name", sa.String(length=60), nullable=False),
        sa.Column("family_name", sa.String(length=60), nullable=False),
        sa.Column("payer_name", sa.String(length=120), nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("ends_on", sa.Date(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_coverage")),
        sa.UniqueConstraint(
            "account_ref",
            "given_name",
            "family_name",
            "payer_name",
            "starts_on",
            name=op.f("uq_coverage_account_ref_given_name_family_name_payer_name_starts_on"),
        ),
    )
    op.create_table(
        "desk_payment",
        sa.Column("id", ID, nullable=False),
        sa.Column("account_ref", sa.String(length=64), nullable=False),
        sa.Column("visit_ref", sa.String(length=80), nullable=False),
        sa.Column("reference", sa.String(length=60), nullable=False),
        sa.Column("paid_on", sa.Date(), nullable=False),
        sa.Column("amount_cents", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_desk_payment")),
        sa.UniqueConstraint("account_ref", "reference", name=op.f("uq_desk_payment_account_ref_reference")),
    )


def downgrade() -> None:
    """Back to no checks. Holds that only they placed end; the closed lists stay as they have grown."""
    op.execute("UPDATE hold SET released_at = CURRENT_TIMESTAMP WHERE reason = 'check' AND released_at IS NULL")
    for table in ("desk_payment", "coverage", "estimate", "check_finding"):
        op.drop_table(table)
    for column in (
        "patient_paid_cents",
        "stated_share_cents",
        "remark_codes",
        "frequency",
        "facility_code",
        "filing_indicator",
    ):
        op.drop_column("claim", column)
    op.drop_index("ix_account_check_due", "account")
    op.drop_column("account", "check_due")
