"""Which lines a payment is for. Pure.

The rule, also shown to the patient before paying: money goes to the oldest service first; where lines were chosen,
to those only, in full. Lines of the same day are filled in the order of the bill.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from portal.money import Money
from portal.payments.errors import AmountAboveBalance, AmountNotPositive, LineNotPayable, NothingToPay


@dataclass(frozen=True, slots=True)
class Payable:
    """A line and what may still be asked for it; given oldest first."""

    charge_id: int
    amount: Money


@dataclass(frozen=True, slots=True)
class Part:
    """How much of a payment goes to which line; always more than nothing."""

    charge_id: int
    amount: Money


def allocate_amount(amount: Money, lines: Sequence[Payable]) -> list[Part]:
    """Spread ``amount`` over ``lines``, oldest first; the parts sum to it exactly.

    Raises :class:`NothingToPay`, :class:`AmountNotPositive`, :class:`AmountAboveBalance`.
    """
    total = Money.total(line.amount for line in lines)
    if not total:
        raise NothingToPay
    if amount <= Money.zero():
        raise AmountNotPositive
    if amount > total:
        raise AmountAboveBalance(total)
    parts, left = [], amount
    for line in lines:
        take = min(left, line.amount)
        if take > Money.zero():
            parts.append(Part(line.charge_id, take))
            left = left - take
    return parts


def allocate_lines(chosen: Collection[int], lines: Sequence[Payable]) -> list[Part]:
    """Pay the chosen lines in full. Raises :class:`NothingToPay` and :class:`LineNotPayable`."""
    parts = [Part(line.charge_id, line.amount) for line in lines if line.charge_id in chosen and line.amount]
    if not chosen:
        raise NothingToPay
    if len(parts) != len(set(chosen)):
        raise LineNotPayable
    return parts
