"""Bank debits that came back are kept, so that a debt is not presented more often than Nacha allows

Revision: 0015
Follows: 0014
"""

import sqlalchemy as sa
from alembic import op

from migrations.append_only import protect

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

# Not so for the code before: it would let debits come back without a trace.
previous_code_still_works = False

#: What came back so far: a debit that failed was never booked; the money of a dispute had been.
_SAVED = "(SELECT m.{0} FROM saved_method m WHERE m.stripe_method_id = p.method_id)"
#: A payment is looked at later, too: when it ended is in the audit trail, where that is known.
_ENDED = (
    "(SELECT MIN(a.at) FROM audit_event a WHERE a.account_id = p.account_id AND a.subject = p.public_id "
    "AND a.tag = 'payments.payment.canceled')"
)
_FAILED = f"""
INSERT INTO debit_return (payment_id, code, fingerprint, last4, presented_at, returned_at)
SELECT p.id, CASE WHEN p.failure_code = '' THEN 'unknown' ELSE p.failure_code END,
       COALESCE({_SAVED.format("fingerprint")}, ''), COALESCE({_SAVED.format("last4")}, ''),
       COALESCE(p.confirmed_at, p.created_at), COALESCE({_ENDED}, p.checked_at)
FROM payment p
WHERE p.state = 'canceled' AND p.method_kind = 'us_bank_account'
  AND (p.confirmed_at IS NOT NULL OR p.failure_code <> '')
  AND p.failure_code NOT LIKE 'payment_method_microdeposit%'
"""
_DISPUTED = f"""
INSERT INTO debit_return (payment_id, code, fingerprint, last4, presented_at, returned_at)
SELECT p.id, d.reason, COALESCE({_SAVED.format("fingerprint")}, ''), COALESCE({_SAVED.format("last4")}, ''),
       COALESCE(p.confirmed_at, p.created_at), d.withdrawn_at
FROM payment p JOIN dispute d ON d.payment_id = p.id
WHERE p.method_kind = 'us_bank_account' AND p.state = 'succeeded'
  AND d.id = (
      SELECT f.id FROM dispute f WHERE f.payment_id = p.id AND f.withdrawn_at IS NOT NULL
      ORDER BY f.withdrawn_at, f.id LIMIT 1
  )
"""


def upgrade() -> None:
    op.create_table(
        "debit_return",
        sa.Column("payment_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("code", sa.String(60), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("last4", sa.String(4), nullable=False),
        sa.Column("presented_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("returned_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["payment_id"], ["payment.id"], name=op.f("fk_debit_return_payment_id_payment")),
        sa.PrimaryKeyConstraint("payment_id", name=op.f("pk_debit_return")),
    )
    op.create_index(op.f("ix_debit_return_returned_at"), "debit_return", ["returned_at"])
    op.execute(_FAILED)
    op.execute(_DISPUTED)
    protect("debit_return")


def downgrade() -> None:
    op.drop_table("debit_return")
