"""Documents that were given to somebody, kept as they were."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from portal.db import Base, Id, UTCDateTime, closed_list, new_public_id
from portal.documents.kinds import DocumentKind


class Document(Base):
    """One PDF. Its bytes never change: ``sha256`` is taken when they are stored and checked when they are read."""

    __tablename__ = "document"
    __table_args__ = (
        sa.UniqueConstraint("account_id", "sha256"),
        sa.CheckConstraint("length(sha256) = 64", name="sha256_is_hex"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    public_id: Mapped[str] = mapped_column(sa.String(32), unique=True, default=new_public_id)
    account_id: Mapped[int | None] = mapped_column(sa.ForeignKey("account.id"), index=True)
    kind: Mapped[DocumentKind] = mapped_column(closed_list(DocumentKind))
    sha256: Mapped[str] = mapped_column(sa.String(64))
    content: Mapped[bytes] = mapped_column(sa.LargeBinary, deferred=True)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
