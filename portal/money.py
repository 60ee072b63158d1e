"""Money as whole cents.

Every amount in Plainbill is a :class:`Money`. It refuses floats, so that no binary fraction ever reaches a
balance, and refuses to mix currencies.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

#: Above this an amount is a typing mistake, not a bill. A card can be charged less: ``payments/gateway/client.py``.
LARGEST_CENTS = 99_999_999_999

_TYPED = re.compile(r"(?P<sign>-?)\$?\s*(?P<whole>\d{1,3}(?:,\d{3})+|\d+)?(?:\.(?P<part>\d{1,2}))?")


class NotMoney(ValueError):
    """The text or number is not an amount of whole cents."""


class MixedCurrencies(TypeError):
    """Two amounts of different currencies met in one sum or comparison."""


@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount: ``cents`` may be negative, ``currency`` is an ISO 4217 code in upper case."""

    cents: int
    currency: str = "USD"

    def __post_init__(self) -> None:
        if type(self.cents) is not int:
            raise NotMoney(f"cents must be an int, not {type(self.cents).__name__}")

    @classmethod
    def parse(cls, text: str, currency: str = "USD") -> Money:
        """Read an amount as a person types it: ``12``, ``12.5``, ``$1,234.50``.

        Raises :class:`NotMoney` for letters, exponents, more than two decimals, misplaced commas and amounts
        beyond :data:`LARGEST_CENTS`.
        """
        match = _TYPED.fullmatch(text.strip()) if text.isascii() else None
        if match is None or not (match["whole"] or match["part"]):
            raise NotMoney(f"not an amount: {text[:40]!r}")
        digits = (match["whole"] or "0").replace(",", "").lstrip("0") or "0"
        if len(digits) > len(str(LARGEST_CENTS)):  # Python itself refuses to read thousands of digits
            raise NotMoney("larger than any bill")
        whole = int(digits)
        cents = whole * 100 + int((match["part"] or "0").ljust(2, "0"))
        if cents > LARGEST_CENTS:
            raise NotMoney("larger than any bill")
        return cls(-cents if match["sign"] else cents, currency)

    @classmethod
    def from_decimal(cls, amount: Decimal | str, currency: str = "USD") -> Money:
        """An exact decimal amount of dollars (X12, CSV) as cents.

        Raises :class:`NotMoney` when it is not a finite number or has a fraction of a cent: rounding is the
        decision of whoever reads the feed, never of this type.
        """
        if not isinstance(amount, (Decimal, str)):
            raise NotMoney(f"a decimal amount is needed, not {type(amount).__name__}")
        try:
            cents = Decimal(amount) * 100
        except InvalidOperation:
            raise NotMoney(f"not an amount: {str(amount)[:40]!r}") from None
        if not cents.is_finite() or cents != cents.to_integral_value():
            raise NotMoney(f"not a whole number of cents: {str(amount)[:40]!r}")
        return cls(int(cents), currency)

    @classmethod
    def zero(cls, currency: str = "USD") -> Money:
        """No money."""
        return cls(0, currency)

    @classmethod
    def total(cls, amounts: Iterable[Money], currency: str = "USD") -> Money:
        """The exact sum; no amounts give zero in ``currency``."""
        result = cls(0, currency)
        for amount in amounts:
            result = result + amount
        return result

    def _same(self, other: object) -> int:
        if not isinstance(other, Money):
            raise TypeError(f"Money and {type(other).__name__} do not mix")
        if other.currency != self.currency:
            raise MixedCurrencies(f"{self.currency} and {other.currency}")
        return other.cents

    def __add__(self, other: Money) -> Money:
        return Money(self.cents + self._same(other), self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.cents - self._same(other), self.currency)

    def __neg__(self) -> Money:
        return Money(-self.cents, self.currency)

    def __abs__(self) -> Money:
        return Money(abs(self.cents), self.currency)

    def __mul__(self, count: int) -> Money:
        if type(count) is not int:
            raise NotMoney("money multiplies by whole counts only")
        return Money(self.cents * count, self.currency)

    def __bool__(self) -> bool:
        return self.cents != 0

    def __lt__(self, other: Money) -> bool:
        return self.cents < self._same(other)

    def __le__(self, other: Money) -> bool:
        return self.cents <= self._same(other)

    def __gt__(self, other: Money) -> bool:
        return self.cents > self._same(other)

    def __ge__(self, other: Money) -> bool:
        return self.cents >= self._same(other)

    def __str__(self) -> str:
        """As US bills write it: ``$1,234.50``, ``−$3.00`` with a true minus sign."""
        sign = "\u2212" if self.cents < 0 else ""
        symbol = "$" if self.currency == "USD" else f"{self.currency} "
        whole, part = divmod(abs(self.cents), 100)
        return f"{sign}{symbol}{whole:,}.{part:02d}"
