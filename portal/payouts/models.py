"""What Stripe pays out to the clinic's bank, and every movement of its balance."""

from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from portal.db import Base, Id, MoneyType, UTCDateTime, closed_list, new_public_id
from portal.money import Money
from portal.payouts.kinds import Match


class Payout(Base):
    """One transfer from Stripe to the clinic's bank account. ``amount`` is negative when Stripe took money."""

    __tablename__ = "payout"
    __table_args__ = (
        sa.Index("ix_payout_created_at", "created_at", "id"),
        sa.Index(
            "ix_payout_open",
            "created_at",
            sqlite_where=sa.text("exception <> '' AND handled_at IS NULL"),
            postgresql_where=sa.text("exception <> '' AND handled_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    public_id: Mapped[str] = mapped_column(sa.String(32), unique=True, default=new_public_id)
    stripe_payout_id: Mapped[str] = mapped_column(sa.String(64), unique=True)
    amount: Mapped[Money] = mapped_column("amount_cents", MoneyType)
    #: Stripe's word: ``in_transit``, ``paid``, ``failed``, ``canceled``.
    status: Mapped[str] = mapped_column(sa.String(20))
    arrives_on: Mapped[date]
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    checked_at: Mapped[datetime] = mapped_column(UTCDateTime)
    #: When its movements were all in and summed to it.
    complete_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    #: Why somebody has to look (:class:`~portal.payouts.kinds.Oddity`); empty for nothing. Then who did, and what they
    #: found.
    exception: Mapped[str] = mapped_column(sa.String(60), default="")
    handled_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    handled_by: Mapped[int | None] = mapped_column(sa.ForeignKey("user.id"))
    handled_note: Mapped[str] = mapped_column(sa.String(300), default="")


class BalanceMovement(Base):
    """One balance transaction of Stripe's: the only place that fees are taken from."""

    __tablename__ = "balance_movement"
    __table_args__ = (
        sa.CheckConstraint("net_cents = gross_cents - fee_cents", name="net_adds_up"),
        sa.Index(
            "ix_balance_movement_open",
            "created_at",
            sqlite_where=sa.text("exception <> '' AND handled_at IS NULL"),
            postgresql_where=sa.text("exception <> '' AND handled_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    public_id: Mapped[str] = mapped_column(sa.String(32), unique=True, default=new_public_id)
    stripe_id: Mapped[str] = mapped_column(sa.String(64), unique=True)
    #: Stripe's word: ``charge``, ``payment``, ``refund``, ``adjustment``, ``stripe_fee`` ...
    kind: Mapped[str] = mapped_column(sa.String(60))
    gross: Mapped[Money] = mapped_column("gross_cents", MoneyType)
    fee: Mapped[Money] = mapped_column("fee_cents", MoneyType)
    net: Mapped[Money] = mapped_column("net_cents", MoneyType)
    #: The id of Stripe's charge, refund or dispute it is of.
    source_id: Mapped[str] = mapped_column(sa.String(64), default="", index=True)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    available_on: Mapped[date]
    payout_id: Mapped[int | None] = mapped_column(sa.ForeignKey("payout.id"), index=True)
    #: What of ours it was found to be.
    match: Mapped[Match] = mapped_column(closed_list(Match))
    #: The payment it belongs to, when there is one.
    payment_id: Mapped[int | None] = mapped_column(sa.ForeignKey("payment.id"), index=True)
    #: Why somebody has to look (:class:`~portal.payouts.kinds.Oddity`); empty when it matches.
    exception: Mapped[str] = mapped_column(sa.String(60), default="")
    handled_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    handled_by: Mapped[int | None] = mapped_column(sa.ForeignKey("user.id"))
    handled_note: Mapped[str] = mapped_column(sa.String(300), default="")
