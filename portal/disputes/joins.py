"""What other features may join: read-only columns of disputes, and conditions on them."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from portal.db import joinable
from portal.disputes.models import Dispute
from portal.disputes.state import WITHHELD


class DisputeColumns(sa.TypedColumns):
    """Of which payment a dispute is, and when something happened to it."""

    payment_id: sa.Named[int | None]
    opened_at: sa.Named[datetime]
    checked_at: sa.Named[datetime]
    closed_at: sa.Named[datetime | None]


DISPUTE = joinable(Dispute, DisputeColumns)


def is_disputed(payment_id: Any) -> sa.ColumnElement[bool]:
    """The SQL condition of ``queries.disputed``, for queries over many payments."""
    return sa.exists().where(Dispute.payment_id == payment_id, Dispute.state.in_(sorted(WITHHELD)))
