"""The desk, page by page, in the order of its navigation."""

from portal.staff import (
    accounts,
    checks,
    disputes,
    guests,
    holds,
    inbox,
    payouts,
    plan_changes,
    plan_offers,
    plans,
    refunds,
    remittances,
    statements,
    sync,
    texts,
    uncollected,
    webhooks,
)
from portal.staff.blueprint import bp

__all__ = [
    "accounts",
    "bp",
    "checks",
    "disputes",
    "guests",
    "holds",
    "inbox",
    "payouts",
    "plan_changes",
    "plan_offers",
    "plans",
    "refunds",
    "remittances",
    "statements",
    "sync",
    "texts",
    "uncollected",
    "webhooks",
]
