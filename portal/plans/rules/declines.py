"""What a declined installment leads to: try again, ask for another method, or ask the patient to confirm. Pure; tables.

Codes: https://docs.stripe.com/declines/codes and, for bank debits,
https://docs.stripe.com/payments/ach-direct-debit (failures). Card networks forbid trying again after the codes of
:data:`FINAL_FOR_CARDS`: the card will not work, whenever it is asked. How often a bank debit may be presented is
counted by debt (payments/presenting.py).
"""

from collections.abc import Sequence
from datetime import date, timedelta
from enum import StrEnum

from portal.banking_days import banking_day_from
from portal.payments.presenting import AGAIN, BANK, is_for_lack_of_funds

#: Whoever is asked for something after a decline has at least so many days for it, whatever is left of the grace.
ANSWER_DAYS = 5


class Decision(StrEnum):
    """What to do about a declined charge."""

    RETRY = "retry"
    OTHER_METHOD = "other_method"
    CONFIRM = "confirm"


NEEDS_THE_PATIENT = frozenset({"authentication_required", "authentication_not_handled"})
FINAL_FOR_CARDS = frozenset(
    {
        "card_not_supported",
        "currency_not_supported",
        "expired_card",
        "fraudulent",
        "incorrect_number",
        "invalid_account",
        "invalid_expiry_month",
        "invalid_expiry_year",
        "invalid_number",
        "lost_card",
        "merchant_blacklist",
        "new_account_information_available",
        "no_action_taken",
        "not_permitted",
        "payment_method_unactivated",
        "payment_method_unexpected_state",
        "pickup_card",
        "resource_missing",
        "restricted_card",
        "revocation_of_all_authorizations",
        "revocation_of_authorization",
        "security_violation",
        "service_not_allowed",
        "stolen_card",
        "stop_payment_order",
        "transaction_not_allowed",
    }
)


def decide(code: str, kind: str, *, tries: int, retry_days: Sequence[int], stopped: bool = False) -> Decision:
    """What to do after the ``tries``-th decline (1 is the first) with Stripe's ``code`` on a method of ``kind``.

    ``retry_days`` is the policy's timetable: how many days after each decline it is tried again. ``stopped``: a debt
    that it was for may not be presented to this bank account any more.
    """
    if code in NEEDS_THE_PATIENT:
        return Decision.CONFIRM
    if tries > len(retry_days):
        return Decision.OTHER_METHOD
    may_pass = is_for_lack_of_funds(code) and tries <= AGAIN and not stopped
    again = may_pass if kind == BANK else code not in FINAL_FOR_CARDS
    return Decision.RETRY if again else Decision.OTHER_METHOD


def retry_day(failed_on: date, *, tries: int, retry_days: Sequence[int]) -> date:
    """The day of the next try after the ``tries``-th decline. Not on a weekend or a bank holiday: banks rest."""
    return banking_day_from(failed_on + timedelta(days=retry_days[tries - 1]))


def last_day(due_on: date, turned_down_on: date | None, *, grace_days: int) -> date:
    """The last day to settle an installment that waits for its patient; the day after it is missed.

    ``turned_down_on`` is the day of its latest decline: a bank debit's comes days after it was asked for.
    """
    grace = due_on + timedelta(days=grace_days)
    return grace if turned_down_on is None else max(grace, turned_down_on + timedelta(days=ANSWER_DAYS))
