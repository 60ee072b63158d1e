"""Money given back."""

from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from portal.db import Base, Id, MoneyType, UTCDateTime, closed_list, new_public_id
from portal.money import Money
from portal.refunds.state import RefundReason, RefundState


class Refund(Base):
    """One refund of (a part of) a payment. Committed before Stripe hears of it.

    The idempotency key is ``public_id``, with the number of the try behind it from the second on: another try is
    made only after Stripe was seen to have nothing under the earlier one.
    """

    __tablename__ = "refund"
    __table_args__ = (
        sa.CheckConstraint("amount_cents > 0", name="amount_is_positive"),
        # Two pairs of eyes: nobody approves what they asked for.
        sa.CheckConstraint("approved_by IS NULL OR approved_by <> requested_by", name="approved_by_another"),
        sa.Index("ix_refund_sweep", "state", "checked_at"),
        sa.Index("ix_refund_created", "state", "created_at"),
        sa.Index("ix_refund_requested", "state", "requested_at"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    public_id: Mapped[str] = mapped_column(sa.String(32), unique=True, default=new_public_id)
    payment_id: Mapped[int] = mapped_column(sa.ForeignKey("payment.id"), index=True)
    amount: Mapped[Money] = mapped_column("amount_cents", MoneyType)
    reason: Mapped[RefundReason] = mapped_column(closed_list(RefundReason))
    note: Mapped[str] = mapped_column(sa.String(300), default="")
    state: Mapped[RefundState] = mapped_column(closed_list(RefundState))
    needs_approval: Mapped[bool] = mapped_column(default=False)
    #: Who asked for it; None is the portal itself, which found a credit.
    requested_by: Mapped[int | None] = mapped_column(sa.ForeignKey("user.id"))
    approved_by: Mapped[int | None] = mapped_column(sa.ForeignKey("user.id"))
    decided_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    #: The day on which it is sent to Stripe, in the clinic's own calendar; the patient sees it.
    send_on: Mapped[date]
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    requested_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    tries: Mapped[int] = mapped_column(default=0)
    checked_at: Mapped[datetime] = mapped_column(UTCDateTime)
    booked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    stripe_refund_id: Mapped[str | None] = mapped_column(sa.String(64), unique=True)
    failure_code: Mapped[str] = mapped_column(sa.String(60), default="")
    #: A failed refund is the staff's until one of them has dealt with it.
    handled_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    handled_by: Mapped[int | None] = mapped_column(sa.ForeignKey("user.id"))
    handled_note: Mapped[str] = mapped_column(sa.String(300), default="")


class RefundPart(Base):
    """Which part of a refund is for which line."""

    __tablename__ = "refund_part"
    __table_args__ = (sa.CheckConstraint("amount_cents > 0", name="amount_is_positive"),)

    refund_id: Mapped[int] = mapped_column(sa.ForeignKey("refund.id"), primary_key=True)
    charge_id: Mapped[int] = mapped_column(sa.ForeignKey("charge.id"), primary_key=True, index=True)
    amount: Mapped[Money] = mapped_column("amount_cents", MoneyType)
