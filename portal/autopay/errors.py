"""What can be in the way of autopay, as facts."""


class AutopayRuns(Exception):
    """The account has an autopay already."""


class CapTooLow(Exception):
    """The cap is below the least that can be charged."""


class MethodExpired(Exception):
    """The card's last month is over."""
