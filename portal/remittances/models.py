"""What was imported, and what was refused."""

from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from portal.db import Base, Id, MoneyType, UTCDateTime, closed_list
from portal.money import Money
from portal.remittances.kinds import RemittanceState


class RemittanceFile(Base):
    """One 835 file, known by its content."""

    __tablename__ = "remittance_file"
    __table_args__ = (
        sa.Index(
            "ix_remittance_file_unfinished",
            "id",
            sqlite_where=sa.text("finished_at IS NULL"),
            postgresql_where=sa.text("finished_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    sha256: Mapped[str] = mapped_column(sa.String(64), unique=True)
    name: Mapped[str] = mapped_column(sa.String(255))
    imported_at: Mapped[datetime] = mapped_column(UTCDateTime)
    #: Set when the last transaction was dealt with; a killed import is taken up again.
    finished_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class RemittanceTransaction(Base):
    """One payment by one payer; loaded whole or not at all."""

    __tablename__ = "remittance_transaction"
    __table_args__ = (sa.UniqueConstraint("file_id", "ordinal"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    file_id: Mapped[int] = mapped_column(sa.ForeignKey("remittance_file.id"))
    ordinal: Mapped[int]
    control: Mapped[str] = mapped_column(sa.String(20), default="")
    #: (TRN03, TRN02, ST02), kept by the loaded one only, so that another delivery of it is known.
    key: Mapped[str | None] = mapped_column(sa.String(200), unique=True)
    digest: Mapped[str] = mapped_column(sa.String(64), index=True)
    payer_name: Mapped[str] = mapped_column(sa.String(120), default="")
    trace_number: Mapped[str] = mapped_column(sa.String(60), default="")
    paid_on: Mapped[date | None]
    paid: Mapped[Money] = mapped_column("paid_cents", MoneyType)
    claims: Mapped[int]
    state: Mapped[RemittanceState] = mapped_column(closed_list(RemittanceState))


class QuarantineReason(Base):
    """One thing that does not add up in a quarantined transaction."""

    __tablename__ = "quarantine_reason"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    transaction_id: Mapped[int] = mapped_column(sa.ForeignKey("remittance_transaction.id"), index=True)
    place: Mapped[str] = mapped_column(sa.String(120))
    reason: Mapped[str] = mapped_column(sa.String(300))
    difference: Mapped[Money] = mapped_column("difference_cents", MoneyType)
