"""The one table that belongs to the web itself: what rate limits have counted."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from portal.db import Base, UTCDateTime


class LimitCounter(Base):
    """How often something was tried in the window that ends at ``expires_at``; after that the row means nothing.

    ``key`` is a keyed hash: the table tells nobody who tried what from where.
    """

    __tablename__ = "limit_counter"

    key: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    count: Mapped[int] = mapped_column(sa.Integer)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)
