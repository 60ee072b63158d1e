"""Statements as they were issued. What a statement said never changes; only its code can be revoked."""

from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from portal.db import Base, Id, MoneyType, UTCDateTime, new_public_id
from portal.money import Money


class Statement(Base):
    """A request to pay what was due on one day, with the code that opens the guest page.

    ``lines`` is what it listed: a list of objects with ``visit``, ``charge`` (public ids), ``visit_from``,
    ``visit_to``, ``provider``, ``description``, ``service_on`` (ISO dates or null), ``patient`` and ``cents``.
    """

    __tablename__ = "statement"
    __table_args__ = (
        sa.CheckConstraint("amount_due_cents > 0", name="asks_for_something"),
        sa.CheckConstraint("due_on >= issued_on", name="due_after_issue"),
        sa.CheckConstraint("length(code_hash) = 64", name="code_is_hashed"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    public_id: Mapped[str] = mapped_column(sa.String(32), unique=True, default=new_public_id)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"), index=True)
    #: What people quote: the year and eight digits that mean nothing. It opens nothing.
    number: Mapped[str] = mapped_column(sa.String(24), unique=True)
    issued_on: Mapped[date]
    due_on: Mapped[date]
    amount_due: Mapped[Money] = mapped_column("amount_due_cents", MoneyType)
    lines: Mapped[list[dict[str, Any]]] = mapped_column(sa.JSON)
    code_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    code_expires_at: Mapped[datetime] = mapped_column(UTCDateTime)
    code_revoked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    issued_by: Mapped[int | None] = mapped_column(sa.ForeignKey("user.id"))
    document_id: Mapped[int] = mapped_column(sa.ForeignKey("document.id"))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
