"""Imports every feature's models, so that ``Base.metadata`` is complete (for migrations and tests)."""

from portal.accounts import models as accounts
from portal.audit import models as audit
from portal.auth import models as auth
from portal.billing import models as billing
from portal.db import Base
from portal.ledger import models as ledger
from portal.ledger.adapters.embedded import models as embedded
from portal.messages import models as messages
from portal.notifications import models as notifications
from portal.payments import models as payments

__all__ = [
    "accounts",
    "audit",
    "auth",
    "billing",
    "embedded",
    "ledger",
    "messages",
    "notifications",
    "payments",
]

metadata = Base.metadata
