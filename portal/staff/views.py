"""The desk, page by page, in the order of its navigation."""

from portal.staff import accounts, checks, holds, inbox, remittances, sync
from portal.staff.blueprint import bp

__all__ = ["accounts", "bp", "checks", "holds", "inbox", "remittances", "sync"]
