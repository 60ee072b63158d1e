"""When a bank debit that came back may be presented again without the patient. Pure; tables.

The rule is Nacha's (Operating Rules, Subsection 2.12.4, Reinitiation of Entries): an entry that was returned for
insufficient or uncollected funds (R01, R09) may be presented twice more within 180 days, and no other one, unless the
patient authorizes it separately after the return. We hold to it by debt, and a debt is a line of the bill: a smaller
amount, another payment, a payment plan, another day or the same account saved again make no new one of it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

BANK = "us_bank_account"
#: How often a debit that bounced is presented again, and how long after it was presented first.
AGAIN = 2
WITHIN = timedelta(days=180)

#: Stripe's code of a return, or the reason of one that came after the money had arrived, and the Nacha codes it is
#: used for. Stripe has no code of its own for uncollected funds.
#: https://docs.stripe.com/payments/ach-direct-debit (failures), https://docs.stripe.com/declines/codes
NACHA: Mapping[str, tuple[str, ...]] = {
    "insufficient_funds": ("R01", "R09"),
    "account_closed": ("R02",),
    "no_account": ("R03",),
    "invalid_account_number": ("R04",),
    "debit_not_authorized": ("R05", "R07", "R08", "R10", "R11", "R29"),
    "bank_ownership_changed": ("R12",),
    "bank_account_restricted": ("R16", "R20"),
    "could_not_process": ("R17",),
}
_MAY_BE_PRESENTED_AGAIN = frozenset({"R01", "R09"})


def is_for_lack_of_funds(code: str) -> bool:
    """Whether Stripe's ``code`` means a lack of funds and nothing else. What we don't know does not."""
    meant = NACHA.get(code, ())
    return bool(meant) and set(meant) <= _MAY_BE_PRESENTED_AGAIN


class Stop(StrEnum):
    """Why a debt is out of every automatic charge until the patient acts."""

    REFUSED = "refused"  # a return that may not be presented again
    THRICE = "thrice"  # presented three times
    TOO_OLD = "too_old"  # presented first more than 180 days ago


@dataclass(frozen=True, slots=True)
class Return:
    """A debit for a line that came back, and that nothing collected since.

    ``same_account`` says that it was the bank account that is to be charged now; ``unattended`` that the portal made
    it by itself. Moments are UTC.
    """

    code: str
    presented_at: datetime
    returned_at: datetime
    same_account: bool
    unattended: bool


def counted(returns: Collection[Return], *, agreed_at: datetime) -> list[Return]:
    """The returns that count against charging a line to an account that the patient agreed to at ``agreed_at`` (UTC).

    Those of the same account count for ever, whoever made them. Those of another account count where the portal made
    them and they came back after the patient had agreed: who did not know of a return has done nothing about it, and
    to fall back on an older agreement is no act of the patient's either.
    """
    return [one for one in returns if one.same_account or (one.unattended and one.returned_at > agreed_at)]


def why_stopped(returns: Collection[Return], *, agreed_at: datetime, now: datetime) -> Stop | None:
    """Why a line may not be charged to that account without the patient; None where it may."""
    against = counted(returns, agreed_at=agreed_at)
    if any(not is_for_lack_of_funds(one.code) for one in against):
        return Stop.REFUSED
    if len(against) > AGAIN:
        return Stop.THRICE
    if any(now - one.presented_at > WITHIN for one in against):
        return Stop.TOO_OLD
    return None
