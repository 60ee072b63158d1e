"""Payments as the portal knows them; Stripe's own record is fetched fresh whenever it matters."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from portal.db import Base, Id, MoneyType, UTCDateTime, closed_list, new_public_id
from portal.money import Money
from portal.payments.state import OPEN, PaymentState

_OPEN_SQL = "state IN ({})".format(", ".join(f"'{state.value}'" for state in sorted(OPEN)))


class StripeCustomer(Base):
    """The Stripe customer that stands for an account: an opaque id and nothing else."""

    __tablename__ = "stripe_customer"

    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"), primary_key=True)
    key: Mapped[str] = mapped_column(sa.String(32), unique=True, default=new_public_id)
    customer_id: Mapped[str | None] = mapped_column(sa.String(64), unique=True)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)


class Payment(Base):
    """One attempt to pay. Committed before Stripe hears of it; ``public_id`` is the idempotency key.

    At most one payment an account is open (may still be confirmed in a browser), so that two tabs or two people
    can't both pay the same balance.
    """

    __tablename__ = "payment"
    __table_args__ = (
        sa.CheckConstraint("amount_cents > 0", name="amount_is_positive"),
        sa.Index(
            "uq_payment_open",
            "account_id",
            unique=True,
            sqlite_where=sa.text(_OPEN_SQL),
            postgresql_where=sa.text(_OPEN_SQL),
        ),
        sa.Index("ix_payment_sweep", "state", "checked_at"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    public_id: Mapped[str] = mapped_column(sa.String(32), unique=True, default=new_public_id)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"), index=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("user.id"), index=True)
    amount: Mapped[Money] = mapped_column("amount_cents", MoneyType)
    currency: Mapped[str] = mapped_column(sa.String(3), default="USD")
    state: Mapped[PaymentState] = mapped_column(closed_list(PaymentState), default=PaymentState.CREATED)
    stripe_intent_id: Mapped[str | None] = mapped_column(sa.String(64), unique=True)
    stripe_charge_id: Mapped[str | None] = mapped_column(sa.String(64), unique=True)
    method: Mapped[str] = mapped_column(sa.String(40), default="")
    failure_code: Mapped[str] = mapped_column(sa.String(60), default="")
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    #: When Stripe was first asked to create the intent: its key is good for 24 h from here.
    requested_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    checked_at: Mapped[datetime] = mapped_column(UTCDateTime)
    settled_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class Allocation(Base):
    """Which part of a payment is for which line."""

    __tablename__ = "allocation"
    __table_args__ = (sa.CheckConstraint("amount_cents > 0", name="amount_is_positive"),)

    payment_id: Mapped[int] = mapped_column(sa.ForeignKey("payment.id"), primary_key=True)
    charge_id: Mapped[int] = mapped_column(sa.ForeignKey("charge.id"), primary_key=True, index=True)
    amount: Mapped[Money] = mapped_column("amount_cents", MoneyType)


class StripeEvent(Base):
    """The webhook's inbox: an event's id is inserted once, the worker projects the object it is about."""

    __tablename__ = "stripe_event"
    __table_args__ = (sa.Index("ix_stripe_event_todo", "processed_at", "next_try_at"),)

    id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    type: Mapped[str] = mapped_column(sa.String(80))
    object_id: Mapped[str] = mapped_column(sa.String(64), default="")
    intent_id: Mapped[str] = mapped_column(sa.String(64), default="")
    received_at: Mapped[datetime] = mapped_column(UTCDateTime)
    next_try_at: Mapped[datetime] = mapped_column(UTCDateTime)
    tries: Mapped[int] = mapped_column(default=0)
    processed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
