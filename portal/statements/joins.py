"""What other features may join: read-only columns of statements."""

from datetime import datetime

import sqlalchemy as sa

from portal.db import joinable
from portal.money import Money
from portal.statements.models import Statement


class StatementColumns(sa.TypedColumns):
    """What others may ask of a statement."""

    id: sa.Named[int]
    amount_due: sa.Named[Money]
    code_revoked_at: sa.Named[datetime | None]


STATEMENT = joinable(Statement, StatementColumns)
