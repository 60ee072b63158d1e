"""The days of autopay. Pure."""

from datetime import date, timedelta

from portal.banking_days import banking_day_from

#: A charge whose amount varies is announced at least ten days ahead: Regulation E, 12 CFR 1005.10(d)(1). The rule is
#: made for bank debits; we keep it for cards, too.
NOTICE_DAYS = 10
#: So long after a debit bounced for lack of funds it is presented again (how often: payments/presenting.py).
RETRY_DAYS = 5


def charge_day(noticed_on: date) -> date:
    """The day on which a charge announced on ``noticed_on`` may be made: at least :data:`NOTICE_DAYS` later.

    Banks don't debit on weekends and holidays, so nobody is told that they will.
    """
    return banking_day_from(noticed_on + timedelta(days=NOTICE_DAYS))


def was_in_time(told_on: date, charge_on: date) -> bool:
    """Whether a patient who was told on ``told_on`` has had the days that they must have before ``charge_on``."""
    return charge_on - told_on >= timedelta(days=NOTICE_DAYS)


def retry_day(failed_on: date) -> date:
    """The day on which a debit that bounced on ``failed_on`` is tried again."""
    return banking_day_from(failed_on + timedelta(days=RETRY_DAYS))
