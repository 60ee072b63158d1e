"""What can be in the way of giving money back, as facts."""

from portal.money import Money


class NotRefundable(Exception):
    """The payment did not go through, so there is nothing to give back."""


class PaymentDisputed(Exception):
    """The payer's bank has called the payment back: it decides first, or the money would go back twice."""


class NothingLeft(Exception):
    """All of the payment was given back, called back, or is promised to another refund."""


class AmountAboveLeft(Exception):
    """More was asked than is left of the payment."""

    def __init__(self, most: Money) -> None:
        self.most = most
        super().__init__(str(most))


class AmountNotPositive(Exception):
    """Zero or less was asked."""


class LineNotRefundable(Exception):
    """A chosen line has nothing left of this payment, or was never part of it."""


class OwnRequest(Exception):
    """Nobody approves what they asked for."""


class TooLate(Exception):
    """The refund has moved on meanwhile: it was decided, sent, or dealt with."""
