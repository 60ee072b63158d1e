"""What can be in the way of autopay, as facts."""


class AgreementChanged(Exception):
    """The text would not be the one that was read: a setting or the method's name has changed since."""


class AutopayRuns(Exception):
    """The account has an autopay already."""


class CapTooLow(Exception):
    """The cap is below the least that can be charged."""


class MethodExpired(Exception):
    """The card's last month is over."""
