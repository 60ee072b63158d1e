"""What can be in the way of paying, as facts."""

from portal.away import Away
from portal.money import Money


class NothingToPay(Exception):
    """No line of the account may be asked for now."""


class AmountNotPositive(Exception):
    """Zero or less was offered."""


class AmountAboveBalance(Exception):
    """More was offered than may be asked for now."""

    def __init__(self, most: Money) -> None:
        self.most = most
        super().__init__(str(most))


class AmountBelowMinimum(Exception):
    """Less than a card payment can be."""

    def __init__(self, least: Money) -> None:
        self.least = least
        super().__init__(str(least))


class LeavesTooLittle(Exception):
    """What would be left on an account is less than a card can pay; ``less`` and ``more`` are amounts that would do."""

    def __init__(self, rest: Money, *, least: Money, less: Money | None, more: Money | None) -> None:
        self.rest, self.least, self.less, self.more = rest, least, less, more
        super().__init__(str(rest))


class LineNotPayable(Exception):
    """A chosen line is paid, held, still with the insurer, or not the chooser's."""


class AnotherPaymentRuns(Exception):
    """An earlier payment of this account can't be set aside now."""


class PaymentIsOver(Exception):
    """The attempt was closed or paid meanwhile."""


class SetupIsOver(Exception):
    """The attempt to save a method was closed meanwhile."""


class StripeUnreachable(Away):
    """Stripe did not answer, or not in time: whether it acted is unknown."""


class StripeAway(StripeUnreachable):
    """Stripe can't be reached at all, or asks us to slow down: whatever else is due would meet the same."""


class StripeFailed(StripeUnreachable):
    """Stripe answered that it failed (5xx); it may have acted, and keeps this answer under the request's key."""


class StripeRefused(Exception):
    """Stripe answered that it will not do this; ``code`` is its error code, ``param`` what of the request it names."""

    def __init__(self, code: str, param: str = "") -> None:
        self.code, self.param = code, param
        super().__init__(code)

    @property
    def is_missing(self) -> bool:
        """Whether what was asked for is not there (any more): https://docs.stripe.com/error-codes#resource-missing"""
        return self.code == "resource_missing"

    @property
    def lost_customer(self) -> bool:
        """Whether it is the customer that is not there: somebody deleted it at Stripe."""
        return self.is_missing and self.param == "customer"

    @property
    def is_about_our_key(self) -> bool:
        """Whether our key was refused, and nothing about the payment: it passes when the operator has mended it."""
        return self.code in OUR_KEY


#: Stripe's codes, and its library's names where a refusal has no code.
OUR_KEY = frozenset(
    {"AuthenticationError", "PermissionError", "api_key_expired", "platform_api_key_expired", "secret_key_required"}
)


class BadSignature(Exception):
    """A webhook that Stripe did not sign, or signed at another time."""


class IntentMismatch(Exception):
    """Stripe's object is not the one this payment made: somebody must look."""


#: Whatever keeps Stripe from telling us how things are: it may or may not have acted.
NO_ANSWER = (StripeUnreachable, StripeRefused, IntentMismatch)
