"""Payments that a card holder's bank has called back."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from portal.db import Base, Id, MoneyType, UTCDateTime, closed_list, new_public_id
from portal.disputes.state import DisputeState
from portal.money import Money


class Dispute(Base):
    """One dispute (chargeback) as Stripe tells of it; fetched fresh whenever it matters."""

    __tablename__ = "dispute"
    __table_args__ = (sa.CheckConstraint("amount_cents > 0", name="amount_is_positive"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    public_id: Mapped[str] = mapped_column(sa.String(32), unique=True, default=new_public_id)
    stripe_dispute_id: Mapped[str] = mapped_column(sa.String(64), unique=True)
    #: None while we know of no such payment, although the charge bears our marks: somebody must look.
    payment_id: Mapped[int | None] = mapped_column(sa.ForeignKey("payment.id"), index=True)
    stripe_charge_id: Mapped[str] = mapped_column(sa.String(64), default="")
    amount: Mapped[Money] = mapped_column("amount_cents", MoneyType)
    #: Stripe's word: ``fraudulent``, ``product_not_received`` ...
    reason: Mapped[str] = mapped_column(sa.String(60))
    state: Mapped[DisputeState] = mapped_column(closed_list(DisputeState), index=True)
    answer_by: Mapped[datetime | None] = mapped_column(UTCDateTime)
    opened_at: Mapped[datetime] = mapped_column(UTCDateTime)
    #: When the withdrawal, and the return after winning, were booked.
    withdrawn_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    returned_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    closed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    checked_at: Mapped[datetime] = mapped_column(UTCDateTime)


class DisputePart(Base):
    """Which part of a dispute is for which line."""

    __tablename__ = "dispute_part"
    __table_args__ = (sa.CheckConstraint("amount_cents > 0", name="amount_is_positive"),)

    dispute_id: Mapped[int] = mapped_column(sa.ForeignKey("dispute.id"), primary_key=True)
    charge_id: Mapped[int] = mapped_column(sa.ForeignKey("charge.id"), primary_key=True, index=True)
    amount: Mapped[Money] = mapped_column("amount_cents", MoneyType)
