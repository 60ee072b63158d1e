"""Accounts, the patients on them, and who may see which."""

from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from portal.accounts.kinds import Relationship
from portal.accounts.states import CHECK
from portal.db import Base, Id, UTCDateTime, closed_list, new_public_id


class Account(Base):
    """A guarantor's account as the back office numbers it (``ref``)."""

    __tablename__ = "account"
    __table_args__ = (
        sa.CheckConstraint(CHECK.format(column="home_state"), name="home_state_is_known"),
        sa.Index(
            "ix_account_home_state",
            "home_state",
            sqlite_where=sa.text("home_state IS NOT NULL"),
            postgresql_where=sa.text("home_state IS NOT NULL"),
        ),
        # The worker asks each minute which few of all the accounts have changed.
        sa.Index(
            "ix_account_check_due",
            "id",
            sqlite_where=sa.text("check_due"),
            postgresql_where=sa.text("check_due"),
        ),
        # The desk's list begins with the first names.
        sa.Index("ix_account_guarantor_name", "guarantor_name", "id"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    public_id: Mapped[str] = mapped_column(sa.String(32), unique=True, default=new_public_id)
    ref: Mapped[str] = mapped_column(sa.String(64), unique=True)
    guarantor_name: Mapped[str] = mapped_column(sa.String(120))
    mirrored_at: Mapped[datetime] = mapped_column(UTCDateTime)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    #: Something changed since its bills were last checked.
    check_due: Mapped[bool] = mapped_column(default=True, server_default=sa.true())
    #: The state (see states.py) of the mailing address of whoever pays; None while nobody said.
    home_state: Mapped[str | None] = mapped_column(sa.String(2))


class Patient(Base):
    """Somebody who was treated; an account may carry several."""

    __tablename__ = "patient"
    __table_args__ = (sa.Index("ix_patient_member", "member_id", "family_name", "given_name"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    public_id: Mapped[str] = mapped_column(sa.String(32), unique=True, default=new_public_id)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"), index=True)
    given_name: Mapped[str] = mapped_column(sa.String(60))
    family_name: Mapped[str] = mapped_column(sa.String(60))
    born_on: Mapped[date | None]
    member_id: Mapped[str] = mapped_column(sa.String(80), default="")

    @property
    def name(self) -> str:
        """Given and family name, as people write it."""
        return f"{self.given_name} {self.family_name}".strip()


class AccessGrant(Base):
    """A user may see an account, or one patient's visits on it."""

    __tablename__ = "access_grant"
    __table_args__ = (sa.UniqueConstraint("user_id", "account_id", "patient_id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("user.id"), index=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"), index=True)
    patient_id: Mapped[int | None] = mapped_column(sa.ForeignKey("patient.id"))
    relationship: Mapped[Relationship] = mapped_column(closed_list(Relationship))
    granted_at: Mapped[datetime] = mapped_column(UTCDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
