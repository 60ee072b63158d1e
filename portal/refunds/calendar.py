"""When a refund is there. Pure."""

from datetime import date

from portal.banking_days import banking_days_after

#: What banks take to show a refund: https://docs.stripe.com/refunds
BANK_DAYS = 10


def there_by(sent_on: date) -> date:
    """The day by which a refund sent on a day should be on the payer's statement.

    Banks count their business days: no weekend, no holiday of theirs.
    """
    return banking_days_after(sent_on, BANK_DAYS)
