"""Questions about a bill and their answers."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from portal.db import Base, Id, UTCDateTime, closed_list, new_public_id
from portal.messages.kinds import ThreadState


class Thread(Base):
    """One conversation of a patient with the billing staff, about an account or one of its charges."""

    __tablename__ = "thread"
    __table_args__ = (
        sa.Index("ix_thread_inbox", "state", "waiting_since"),
        sa.CheckConstraint(
            "(state = 'waiting_for_staff') = (waiting_since IS NOT NULL)", name="waits_since_some_moment"
        ),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    public_id: Mapped[str] = mapped_column(sa.String(32), unique=True, default=new_public_id)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"), index=True)
    charge_id: Mapped[int | None] = mapped_column(sa.ForeignKey("charge.id"), index=True)
    opened_by: Mapped[int] = mapped_column(sa.ForeignKey("user.id"), index=True)
    subject: Mapped[str] = mapped_column(sa.String(120))
    state: Mapped[ThreadState] = mapped_column(closed_list(ThreadState))
    opened_at: Mapped[datetime] = mapped_column(UTCDateTime)
    last_message_at: Mapped[datetime] = mapped_column(UTCDateTime)
    #: The first message that staff has not answered: a second one must not send its writer back in the queue.
    waiting_since: Mapped[datetime | None] = mapped_column(UTCDateTime)


class Message(Base):
    """One message. ``token`` comes from the form, so that a double click does not send it twice."""

    __tablename__ = "message"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    thread_id: Mapped[int] = mapped_column(sa.ForeignKey("thread.id"), index=True)
    token: Mapped[str] = mapped_column(sa.String(32), unique=True)
    author_id: Mapped[int] = mapped_column(sa.ForeignKey("user.id"))
    from_staff: Mapped[bool]
    body: Mapped[str] = mapped_column(sa.Text)
    sent_at: Mapped[datetime] = mapped_column(UTCDateTime)
    read_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
