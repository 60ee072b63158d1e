"""Autopay: what a patient allowed the portal to charge, and each charge that was announced."""

from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from portal.autopay.kinds import AutopayState, ChargeState
from portal.db import Base, Id, MoneyType, UTCDateTime, closed_list, new_public_id
from portal.money import Money

_OPEN = "state IN ('noticed', 'charging')"


class Autopay(Base):
    """A standing permission to charge an account's balance to a saved method, up to a cap each time."""

    __tablename__ = "autopay"
    __table_args__ = (
        sa.CheckConstraint("cap_cents > 0", name="cap_is_positive"),
        sa.Index(
            "uq_autopay_active",
            "account_id",
            unique=True,
            sqlite_where=sa.text("state = 'active'"),
            postgresql_where=sa.text("state = 'active'"),
        ),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    public_id: Mapped[str] = mapped_column(sa.String(32), unique=True, default=new_public_id)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"), index=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("user.id"), index=True)
    method_id: Mapped[int] = mapped_column(sa.ForeignKey("saved_method.id"))
    cap: Mapped[Money] = mapped_column("cap_cents", MoneyType)
    state: Mapped[AutopayState] = mapped_column(closed_list(AutopayState), default=AutopayState.ACTIVE)
    consent_id: Mapped[int] = mapped_column(sa.ForeignKey("consent.id"))
    started_at: Mapped[datetime] = mapped_column(UTCDateTime)
    #: When the account was last looked at for something to announce.
    checked_at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)
    stopped_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    #: ``patient``, ``method_removed``, ``failed_twice``, ``bank_refused`` ...
    stop_reason: Mapped[str] = mapped_column(sa.String(40), default="")


class AutopayCharge(Base):
    """One charge, announced before it is made. ``amount`` is the most it will be."""

    __tablename__ = "autopay_charge"
    __table_args__ = (
        sa.CheckConstraint("amount_cents > 0", name="amount_is_positive"),
        sa.Index(
            "uq_autopay_charge_open",
            "autopay_id",
            unique=True,
            sqlite_where=sa.text(_OPEN),
            postgresql_where=sa.text(_OPEN),
        ),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    public_id: Mapped[str] = mapped_column(sa.String(32), unique=True, default=new_public_id)
    autopay_id: Mapped[int] = mapped_column(sa.ForeignKey("autopay.id"), index=True)
    amount: Mapped[Money] = mapped_column("amount_cents", MoneyType)
    state: Mapped[ChargeState] = mapped_column(closed_list(ChargeState), default=ChargeState.NOTICED)
    noticed_at: Mapped[datetime] = mapped_column(UTCDateTime)
    #: The day on which it is charged, in the clinic's own calendar.
    charge_on: Mapped[date]
    #: Bank debits that bounced for lack of funds are tried again, at most twice.
    tries: Mapped[int] = mapped_column(default=0)
    payment_id: Mapped[int | None] = mapped_column(sa.ForeignKey("payment.id"), unique=True)
    failure_code: Mapped[str] = mapped_column(sa.String(60), default="")
    ended_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
