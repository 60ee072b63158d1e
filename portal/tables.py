"""Imports every feature's models, so that ``Base.metadata`` is complete (for migrations and tests)."""

from portal.accounts import models as accounts
from portal.audit import models as audit
from portal.auth import models as auth
from portal.autopay import models as autopay
from portal.billing import models as billing
from portal.codes import models as codes
from portal.db import Base
from portal.disputes import models as disputes
from portal.documents import models as documents
from portal.guests import models as guests
from portal.ledger.adapters.embedded import models as embedded
from portal.messages import models as messages
from portal.notifications import models as notifications
from portal.payments import models as payments
from portal.payouts import models as payouts
from portal.plans import models as plans
from portal.refunds import models as refunds
from portal.remittances import models as ledger
from portal.schema import compatibility
from portal.statements import models as statements
from portal.web import models as web

__all__ = [
    "accounts",
    "audit",
    "auth",
    "autopay",
    "billing",
    "codes",
    "compatibility",
    "disputes",
    "documents",
    "embedded",
    "guests",
    "ledger",
    "messages",
    "notifications",
    "payments",
    "payouts",
    "plans",
    "refunds",
    "statements",
    "web",
]

metadata = Base.metadata
