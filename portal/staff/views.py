"""The desk, page by page, in the order of its navigation."""

from portal.staff import accounts, holds, inbox, remittances, sync
from portal.staff.blueprint import bp

__all__ = ["accounts", "bp", "holds", "inbox", "remittances", "sync"]
