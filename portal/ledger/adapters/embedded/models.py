"""The embedded back office: a small double-entry ledger with tables of its own.

It stands in for a practice-management system where there is none. The portal reads and writes it through
``ledger/port.py`` only.
"""

from datetime import date, datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from portal.db import Base, Id, MoneyType, UTCDateTime, closed_list
from portal.money import Money


class Book(StrEnum):
    """The general-ledger accounts. A debit is positive, a credit negative."""

    INSURER_RECEIVABLE = "insurer_receivable"
    PATIENT_RECEIVABLE = "patient_receivable"
    REVENUE = "revenue"
    CONTRACTUAL_ALLOWANCE = "contractual_allowance"
    OTHER_ADJUSTMENT = "other_adjustment"
    INSURER_CASH = "insurer_cash"
    CARD_CLEARING = "card_clearing"


class LedgerTransaction(Base):
    """One balanced set of lines; ``key`` makes a second delivery a duplicate."""

    __tablename__ = "ledger_transaction"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    key: Mapped[str] = mapped_column(sa.String(255), unique=True)
    #: SHA-256 of what was posted: the same key with other content is refused.
    digest: Mapped[str] = mapped_column(sa.String(64))
    kind: Mapped[str] = mapped_column(sa.String(30))
    effective_on: Mapped[date]
    posted_at: Mapped[datetime] = mapped_column(UTCDateTime)


class LedgerLine(Base):
    """A debit or a credit. The lines of a transaction sum to zero (checked at posting and by reconcile)."""

    __tablename__ = "ledger_line"
    __table_args__ = (
        sa.CheckConstraint("amount_cents <> 0", name="amount_is_not_zero"),
        sa.Index("ix_ledger_line_balance", "account_ref", "book"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    transaction_id: Mapped[int] = mapped_column(sa.ForeignKey("ledger_transaction.id"), index=True)
    book: Mapped[Book] = mapped_column(closed_list(Book))
    account_ref: Mapped[str] = mapped_column(sa.String(64))
    visit_ref: Mapped[str] = mapped_column(sa.String(80), default="")
    amount: Mapped[Money] = mapped_column("amount_cents", MoneyType)


class ServiceItem(Base):
    """The clinic's own wording for a code it bills."""

    __tablename__ = "ledger_service_item"

    code: Mapped[str] = mapped_column(sa.String(48), primary_key=True)
    description: Mapped[str] = mapped_column(sa.String(200))
