"""Guests: who holds the code of a printed statement and knows a date of birth."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from portal.db import Base, Id, UTCDateTime, new_public_id


class GuestPass(Base):
    """What lets one browser see an amount due and pay it, for a short while. The cookie carries the token."""

    __tablename__ = "guest_pass"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    public_id: Mapped[str] = mapped_column(sa.String(32), unique=True, default=new_public_id)
    #: SHA-256 of the token.
    token_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    statement_id: Mapped[int] = mapped_column(sa.ForeignKey("statement.id"), index=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"), index=True)
    admitted_at: Mapped[datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class GuestPayment(Base):
    """Which pass a guest's payment was made with (only that browser sees it again), and from which network."""

    __tablename__ = "guest_payment"

    payment_id: Mapped[int] = mapped_column(sa.ForeignKey("payment.id"), primary_key=True)
    guest_pass_id: Mapped[int] = mapped_column(sa.ForeignKey("guest_pass.id"), index=True)
    #: Tells one network from another and is no address: see ``door.network_key``. Empty where it is not known.
    network: Mapped[str] = mapped_column(sa.String(64), default="")


class CardTestingAlarm(Base):
    """Guest paying was shut because too many cards were declined at once (somebody tries stolen numbers)."""

    __tablename__ = "card_testing_alarm"
    __table_args__ = (
        #: One at a time, so that two workers that see the same declines raise one alarm.
        sa.Index(
            "uq_card_testing_alarm_open",
            "is_open",
            unique=True,
            sqlite_where=sa.text("is_open"),
            postgresql_where=sa.text("is_open"),
        ),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    tripped_at: Mapped[datetime] = mapped_column(UTCDateTime)
    shut_until: Mapped[datetime] = mapped_column(UTCDateTime)
    declines: Mapped[int]
    tries: Mapped[int]
    statements: Mapped[int] = mapped_column(default=0)
    networks: Mapped[int] = mapped_column(default=0)
    #: Neither lifted nor followed by another; whether it still shuts is for ``shut_until`` to say.
    is_open: Mapped[bool] = mapped_column(default=True)
    lifted_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    lifted_by: Mapped[int | None] = mapped_column(sa.ForeignKey("user.id"))


class GuessingAlarm(Base):
    """Codes of statements were refused more often than people mistype them: somebody guesses.

    It locks nobody out. As long as it is on, each network has fewer tries.
    """

    __tablename__ = "guessing_alarm"
    __table_args__ = (
        #: One at a time, however many processes count to the same number at once.
        sa.Index(
            "uq_guessing_alarm_open",
            "is_open",
            unique=True,
            sqlite_where=sa.text("is_open"),
            postgresql_where=sa.text("is_open"),
        ),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    raised_at: Mapped[datetime] = mapped_column(UTCDateTime)
    on_until: Mapped[datetime] = mapped_column(UTCDateTime)
    refusals: Mapped[int]
    #: Not followed by another; whether it is still on is for ``on_until`` to say.
    is_open: Mapped[bool] = mapped_column(default=True)
