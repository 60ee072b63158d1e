"""When a refund is there. Pure."""

from datetime import date, timedelta

#: What banks take to show a refund: https://docs.stripe.com/refunds
BANK_DAYS = 10


def business_days_after(start: date, days: int) -> date:
    """The day that is so many business days after ``start``; Saturdays and Sundays don't count, holidays do."""
    found, left = start, days
    while left > 0:
        found += timedelta(days=1)
        if found.weekday() < 5:
            left -= 1
    return found


def there_by(sent_on: date) -> date:
    """The day by which a refund sent on a day should be on the payer's statement."""
    return business_days_after(sent_on, BANK_DAYS)
