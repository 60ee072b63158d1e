"""The audit trail's one table. The database refuses to change or delete its rows (see the migration)."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from portal.audit.tags import Tag
from portal.db import Base, Id, UTCDateTime, closed_list


class AuditEvent(Base):
    """Who did what to which record, and when."""

    __tablename__ = "audit_event"
    __table_args__ = (
        # What somebody must look at is asked for by its tag.
        sa.Index(
            "ix_audit_event_surprising",
            "at",
            sqlite_where=sa.text("tag = 'payments.payment.surprising'"),
            postgresql_where=sa.text("tag = 'payments.payment.surprising'"),
        ),
        # Every process that starts with live keys asks whether the demo was ever loaded.
        sa.Index(
            "ix_audit_event_demo",
            "id",
            sqlite_where=sa.text("tag = 'sandbox.demo.loaded'"),
            postgresql_where=sa.text("tag = 'sandbox.demo.loaded'"),
        ),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)
    tag: Mapped[Tag] = mapped_column(closed_list(Tag, 60))
    actor_user_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user.id"), index=True)
    account_id: Mapped[int | None] = mapped_column(sa.ForeignKey("account.id"), index=True)
    subject: Mapped[str] = mapped_column(sa.String(64), default="")
    facts: Mapped[dict[str, Any]] = mapped_column(sa.JSON, default=dict)
